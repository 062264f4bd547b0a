"""An ultrasound scanner by its pictures of a QA block: wires, cysts and speckle found in the picture, nowhere else."""

from rig.calibration.scanner.air_bands import AirBands, read_air_bands
from rig.calibration.scanner.block_readings import BlockReadings, read_block, read_noise
from rig.calibration.scanner.picture import BlockPicture

__all__ = ["AirBands", "BlockPicture", "BlockReadings", "read_air_bands", "read_block", "read_noise"]
