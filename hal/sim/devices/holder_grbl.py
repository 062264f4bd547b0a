"""The simulated probe holder: a Grbl controller with the axes that the rig file names."""

from __future__ import annotations

from dataclasses import replace

from hal.sim.devices.motion_axes import HOLDER_ORDER, pose_motion
from hal.sim.devices.motion_config import Firmware, holder_config
from hal.sim.simulators import SimDevice, SimPlace


def simulator(place: SimPlace) -> SimDevice:
    """grblHAL with six axes; three or fewer are a Grbl 1.1 gantry whose angles are set by hand."""
    count = len(str(place.settings.get("axes", HOLDER_ORDER)))
    config = replace(holder_config(), firmware=Firmware.GRBLHAL if count > 3 else Firmware.GRBL)
    return pose_motion(place, config, HOLDER_ORDER)
