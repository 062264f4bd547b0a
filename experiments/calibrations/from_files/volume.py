"""A tracked sweep as a volume."""

from __future__ import annotations

from pathlib import Path

from hal.errors import ConfigError
from hal.links.sequence import read_sequence
from rig.calibration import results
from rig.calibration.origins import from_files
from rig.calibration.probe.plus_config import read_plus_config
from rig.calibration.result import Result
from rig.calibration.volume.files import require_new, write_volume
from rig.calibration.volume.sweep import reconstruct_sweep


def volume_from(
    recording: Path,
    config: Path,
    out: Path,
    *,
    frame: str = "Reference",
    spacing_mm: float = 0.5,
    clip_px: tuple[int, int, int, int] | None = None,
    interpolation: str = "nearest",
    compounding: str = "mean",
    hole_voxels: int = 9,
) -> Result:
    """Reconstruct a sweep into ``out`` (``.mha`` or ``.nrrd``) with a picture beside it (``.png``).

    Raises ``ConfigError``, for an ``out`` that is there already before anything is read.
    """
    if interpolation not in ("nearest", "trilinear") or compounding not in ("mean", "max"):
        raise ConfigError("interpolation is nearest or trilinear, compounding mean or max")
    require_new(out)
    settings = read_plus_config(config)
    sequence = read_sequence(recording)
    sweep = reconstruct_sweep(
        sequence,
        {name: item.matrix for name, item in settings.transforms.items()},
        image=settings.frames.image,
        frame=frame,
        spacing_mm=spacing_mm,
        clip_px=clip_px,
        interpolation="trilinear" if interpolation == "trilinear" else "nearest",
        compounding="max" if compounding == "max" else "mean",
        hole_voxels=hole_voxels,
    )
    write_volume(sweep.volume, out)
    origin = from_files(recording, config, simulated=sequence.simulated)
    result = results.volume(sweep, str(out), recording.name, origin)
    result.draw(out.with_suffix(".png"))
    return result
