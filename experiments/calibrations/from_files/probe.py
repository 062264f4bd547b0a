"""Image to probe, from a recording of an N-wire phantom and a PLUS configuration."""

from __future__ import annotations

from pathlib import Path

from hal.errors import ConfigError
from hal.links.sequence import Sequence, read_sequence
from hal.types import Matrix
from rig.calibration import results
from rig.calibration.origins import from_files
from rig.calibration.probe.nwire import NWireCalibration, NWireRefused, calibrate_nwire
from rig.calibration.probe.pictures import draw_frame, draw_refused, draw_residuals
from rig.calibration.probe.plus_config import PlusConfig, PlusTransform, read_plus_config, read_xml
from rig.calibration.probe.plus_result import read_plus_result, write_plus_result
from rig.calibration.probe.sides import PictureSides
from rig.calibration.result import Result


def probe_from(
    recording: Path,
    config: Path,
    *,
    validation: Path | None = None,
    method: str = "linear",
    pitch_mm: float | None = None,
    expected: Path | None = None,
    limit_mm: float = 2.0,
    sides: tuple[str, str] = ("", ""),
    out: Path | None = None,
) -> Result:
    """Calibrate a probe.

    ``validation``: a second recording that takes no part in the fit; ``method``: linear, orthogonal or in_plane;
    ``pitch_mm``: rough pixel pitch, searched without it; ``expected``: an earlier result or configuration to compare
    with; ``limit_mm``: refused above this held-out rms; ``sides``: axes of the marker towards its marked side and away
    from the probe's face. Into ``out``: ``ImageToProbe.results.xml``, the configuration with the new transform, and the
    residual pictures; of a refused recording the pictures alone. Raises ``ConfigError`` or ``CalibrationRefused``.
    """
    settings = read_plus_config(config)
    sequence = read_sequence(recording)
    other = None if validation is None else read_sequence(validation)
    try:
        found = calibrate_nwire(
            sequence,
            settings,
            validation=other,
            method=method,
            pitch_mm=pitch_mm,
            expected=None if expected is None else _expected(expected),
            limit_mm=limit_mm,
            sides=PictureSides(*sides),
        )
    except NWireRefused as refusal:
        if out is not None:
            _draw_refused(refusal, sequence, out)
        raise
    files = [path for path in (recording, config, validation, expected) if path is not None]
    simulated = sequence.simulated or (other is not None and other.simulated)
    result = results.probe(found, from_files(*files, simulated=simulated))
    if out is not None:
        _write(result, found, settings, out / config.name)
        worst = int(found.calibration.points.frame[int(found.calibration.errors_mm.max(axis=1).argmax())])
        draw_frame(found, sequence, worst, out / "worst_frame.png", result.note)
    return result


def _write(result: Result, found: NWireCalibration, settings: PlusConfig, path: Path) -> None:
    """The configuration with the new transform as ``path``; PLUS's own result and the picture of residuals beside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = settings.frames
    write_plus_result(path.with_name(f"{names.image}To{names.probe}.results.xml"), found, names.image, names.probe)
    settings.write(path, PlusTransform(names.image, names.probe, found.ImageToProbe, found.k_fold.mean_mm))
    result.draw(path.with_name("residuals.png"))


def _draw_refused(refusal: NWireRefused, sequence: Sequence, out: Path) -> None:
    """Draw the dots of some frames, and the residuals when there was a fit."""
    out.mkdir(parents=True, exist_ok=True)
    draw_refused(refusal, sequence, out / "refused_frames.png")
    if refusal.result is not None:
        draw_residuals(refusal.result, out / "refused_residuals.png", refusal.reason)


def _expected(path: Path) -> Matrix:
    if read_xml(path).tag == "ProbeCalibrationResult":
        return read_plus_result(path).ImageToProbe
    settings = read_plus_config(path)
    matrix = settings.image_to_probe
    if matrix is None:
        names = settings.frames
        raise ConfigError(f"{path}: no chain of transforms joins {names.image} and {names.probe}: nothing to compare")
    return matrix
