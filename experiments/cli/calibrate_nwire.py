"""``phantomrig calibrate nwire | sound-speed | volume``: files in, one frozen result out, pictures beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.calibrate_frames import answers, any_simulated, labelled
from experiments.cli.numbers import number
from experiments.cli.output import emit, say
from hal.errors import ConfigError

if TYPE_CHECKING:
    from hal.links.sequence import Sequence
    from hal.phantom.sound_speed import SoundSpeed
    from hal.types import Matrix
    from rig.calibration.probe.nwire import NWireCalibration, NWireRefused
    from rig.calibration.volume.sweep import SweepVolume

AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
Out = Annotated[Path | None, typer.Option(help="folder for result files and pictures")]

NWIRE_EXAMPLE = (
    "Example:  phantomrig calibrate nwire bath.igs.mha --config plus.xml --validation second.igs.mha "
    "--marked-side -x --away-side +y --out nwire --json > ip.json   then   phantomrig calibrate certify ip.json "
    "calibrations --identity IP-2026-004 --kind probe --device ultrasound --transform ImageToProbe --by AB "
    "--due 2026-12-31"
)
SOUND_SPEED_EXAMPLE = (
    "Example:  phantomrig calibrate sound-speed --temperature 22 --depth 20:20.8 --depth 60:62.4 --json > ss.json   "
    "then   phantomrig calibrate certify ss.json calibrations --identity SS-2026-004 --kind sound_speed "
    "--device phantom --by AB --due 2026-12-31"
)
VOLUME_EXAMPLE = "Example:  phantomrig calibrate volume sweep.igs.mha --config plus.xml --out spine.nrrd"


def calibrate_nwire_files(
    recording: Path,
    config: Path,
    validation: Path | None = None,
    method: str = "linear",
    pitch_mm: float | None = None,
    expected: Path | None = None,
    limit_mm: float = 2.0,
    out: Path | None = None,
    marked_side: str = "",
    away_side: str = "",
) -> tuple[NWireCalibration, bool]:
    """Probe calibration from a recording and a PLUS configuration, and whether a simulated rig made a recording.

    Raises ``ConfigError`` or ``CalibrationRefused``.

    Into ``out``: ``ImageToProbe.results.xml``, the configuration with the new transform, and the residual pictures;
    of a refused recording the pictures alone.
    """
    from hal.links.sequence import read_sequence
    from rig.calibration.probe.nwire import NWireRefused, calibrate_nwire
    from rig.calibration.probe.plus_config import PlusTransform, read_plus_config
    from rig.calibration.probe.sides import PictureSides

    settings = read_plus_config(config)
    sequence = read_sequence(recording)
    other = None if validation is None else read_sequence(validation)
    try:
        result = calibrate_nwire(
            sequence,
            settings,
            validation=other,
            method=method,
            pitch_mm=pitch_mm,
            expected=None if expected is None else _expected(expected),
            limit_mm=limit_mm,
            sides=PictureSides(marked_side, away_side),
        )
    except NWireRefused as refusal:
        if out is not None:
            _draw_refusal(refusal, sequence, out)
        raise
    if out is not None:
        from rig.calibration.probe.pictures import draw_frame, draw_residuals
        from rig.calibration.probe.plus_result import write_plus_result

        out.mkdir(parents=True, exist_ok=True)
        names = settings.frames
        write_plus_result(out / f"{names.image}To{names.probe}.results.xml", result, names.image, names.probe)
        transform = PlusTransform(names.image, names.probe, result.ImageToProbe, result.k_fold.mean_mm)
        settings.write(out / config.name, transform)
        draw_residuals(result, out / "residuals.png")
        worst = int(result.calibration.points.frame[int(result.calibration.errors_mm.max(axis=1).argmax())])
        draw_frame(result, sequence, worst, out / "worst_frame.png")
    return result, any_simulated(*(s for s in (sequence, other) if s is not None))


def _draw_refusal(refusal: NWireRefused, sequence: Sequence, out: Path) -> None:
    """Pictures of what was seen: the dots of some frames, and the residuals when there was a fit."""
    from rig.calibration.probe.pictures import draw_refused, draw_residuals

    out.mkdir(parents=True, exist_ok=True)
    draw_refused(refusal, sequence, out / "refused_frames.png")
    if refusal.result is not None:
        draw_residuals(refusal.result, out / "refused_residuals.png", refusal.reason)
    say(f"pictures: {', '.join(sorted(str(p) for p in out.glob('refused_*.png')))}")


def _expected(path: Path) -> Matrix:
    from rig.calibration.probe.plus_config import read_plus_config, read_xml
    from rig.calibration.probe.plus_result import read_plus_result

    if read_xml(path).tag == "ProbeCalibrationResult":
        return read_plus_result(path).ImageToProbe
    settings = read_plus_config(path)
    matrix = settings.image_to_probe
    if matrix is None:
        names = settings.frames
        raise ConfigError(f"{path}: no chain of transforms joins {names.image} and {names.probe}: nothing to compare")
    return matrix


def sound_speed_from(
    temperature_c: float,
    depths: tuple[str, ...] = (),
    u_mm: float = 0.2,
    row_pitch_mm: float | None = None,
    u_row_pitch_mm: float = 0.0,
    nominal_row_pitch_mm: float | None = None,
    assumed_m_s: float = 1540.0,
) -> SoundSpeed:
    """From ``true:shown`` depths in mm, or a row pitch and its nominal value, or (neither) of water.

    Raises ``ConfigError`` or ``CalibrationRefused``.
    """
    from hal.phantom.sound_speed import from_depths, from_row_pitch, water

    if depths and row_pitch_mm is not None:
        raise ConfigError("give known depths or a row pitch, not both")
    if depths:
        try:
            pairs = [[float(word) for word in item.split(":")] for item in depths]
            true, shown = zip(*((one, other) for one, other in pairs), strict=True)
        except ValueError:
            raise ConfigError(f"a known depth is TRUE:SHOWN in mm, as 40:41.6; got {', '.join(depths)}") from None
        return from_depths(true, shown, u_mm=u_mm, temperature_c=temperature_c, assumed_m_s=assumed_m_s)
    if row_pitch_mm is not None:
        if nominal_row_pitch_mm is None:
            raise ConfigError("a row pitch needs the scanner's own (--nominal-row-pitch)")
        return from_row_pitch(
            row_pitch_mm, u_row_pitch_mm, nominal_row_pitch_mm, temperature_c=temperature_c, assumed_m_s=assumed_m_s
        )
    return water(temperature_c)


def reconstruct_files(
    recording: Path,
    config: Path,
    out: Path,
    frame: str = "Reference",
    spacing_mm: float = 0.5,
    clip_px: tuple[int, int, int, int] | None = None,
    interpolation: str = "nearest",
    compounding: str = "mean",
    hole_voxels: int = 9,
) -> tuple[SweepVolume, bool]:
    """Volume of a tracked sweep, written to ``out`` (``.mha`` or ``.nrrd``) with a picture beside it (``.png``).

    Returns it and whether a simulated rig made the sweep. Raises ``ConfigError``, for an ``out`` that is there already
    before anything is read.
    """
    from hal.links.sequence import read_sequence
    from rig.calibration.probe.plus_config import read_plus_config
    from rig.calibration.volume.files import require_new, write_volume
    from rig.calibration.volume.pictures import draw_sweep
    from rig.calibration.volume.sweep import reconstruct_sweep

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
    draw_sweep(sweep, out.with_suffix(".png"), labelled(recording.name, sequence.simulated))
    return sweep, sequence.simulated


def nwire(
    recording: Annotated[Path, typer.Argument(help="tracked recording of the wire phantom (.igs.mha)")],
    config: Annotated[Path, typer.Option(help="PLUS configuration with the phantom definition")],
    validation: Annotated[Path | None, typer.Option(help="a second recording that takes no part in the fit")] = None,
    method: Annotated[str, typer.Option(help="linear, orthogonal or in_plane")] = "linear",
    pitch: Annotated[float | None, number("rough pixel pitch, mm (default: searched)", 0.001, 10)] = None,
    expected: Annotated[Path | None, typer.Option(help="earlier result or configuration to compare with")] = None,
    limit: Annotated[float, number("refuse when the held-out rms is larger, mm", 0.001, 100)] = 2.0,
    marked_side: Annotated[str, typer.Option(help="axis of the probe's marker towards its marked side, e.g. -x")] = "",
    away_side: Annotated[str, typer.Option(help="axis of the probe's marker away from its face, e.g. +y")] = "",
    out: Out = None,
    json: AsJson = False,
) -> None:
    """Calibrate a probe from images of an N-wire phantom."""
    with answers(json):
        result, simulated = calibrate_nwire_files(
            recording, config, validation, method, pitch, expected, limit, out, marked_side, away_side
        )
        for n, line in enumerate(_told(result)):
            say(labelled(line, simulated and n == 0))
        if out is not None:
            say(f"result, configuration and pictures: {out}")
        if json:
            emit(result.as_json() | {"transform": "ImageToProbe", "simulated": simulated})


def _told(result: NWireCalibration) -> list[str]:
    """What a person reads: use, errors beside PLUS's best 95 %, what it is worth at the corners, findings."""
    from rig.calibration.probe.nwire import refused_counts

    c, h = result.calibration, result.k_fold
    lines = [f"{c.used_n} of {len(c.verdicts)} frames used{refused_counts(c.verdicts)}"]
    parts = [("calibration", c.errors), ("held out", h)]
    if result.validation is not None:
        v = result.validation
        lines.append(f"validation: {v.used_n} of {len(v.verdicts)} frames used{refused_counts(v.verdicts)}")
        parts.append(("validation", v.errors))
    lines += [
        f"{name}: mean {e.mean_mm:.3f}, p95 {e.p95_mm:.3f}, max {e.max_mm:.3f} mm over all {e.points_n} points "
        f"(best 95 % as PLUS prints it: {e.best95_mean_mm:.3f})"
        for name, e in parts
    ]
    column, row = result.pitch_mm
    lines.append(f"pixel {column:.4f} x {row:.4f} mm, axes {result.raw_angle_deg:.2f} deg apart before squaring")
    lines.append(
        f"corners known to {max(result.corner_sd_mm[:4]):.2f} mm (k = 1, another session may lie as far off), move by "
        f"up to {max(result.corner_by_wires_mm[:4]):.2f} mm when one N is left out: an error that all sessions share, "
        "of the wires' places or the phantom's pose, is in neither"
    )
    if result.corner_repeat_mm is not None:
        lines.append(
            f"corners of the validation recording by itself: up to {max(result.corner_repeat_mm[:4]):.2f} mm off"
        )
    return [*lines, *(f.text for f in result.findings), *result.notes]


def sound_speed(
    temperature: Annotated[float, number("temperature of the bath or gel, degC", 0, 60)],
    depth: Annotated[list[str] | None, typer.Option(help="known depth TRUE:SHOWN, mm (may be repeated)")] = None,
    u_depth: Annotated[float, number("standard uncertainty of one depth, mm", 0.0001, 20)] = 0.2,
    row_pitch: Annotated[float | None, number("row pitch found with wires, mm", 0.001, 10)] = None,
    u_row_pitch: Annotated[float, number("its standard uncertainty, mm", 0, 10)] = 0.0,
    nominal_row_pitch: Annotated[float | None, number("row pitch that the scanner states, mm", 0.001, 10)] = None,
    assumed: Annotated[float, number("speed that the scanner assumes, m/s", 1300, 1800)] = 1540.0,
    json: AsJson = False,
) -> None:
    """Speed of sound from known depths or wires (or of water), and the depth correction that follows."""
    with answers(json):
        speed = sound_speed_from(
            temperature, tuple(depth or ()), u_depth, row_pitch, u_row_pitch, nominal_row_pitch, assumed
        )
        correction = speed.correction(assumed)
        say(f"{speed.c_m_s:.1f} +-{speed.u_m_s:.1f} m/s at {temperature:g} degC ({speed.method})")
        say(f"a target 50 mm deep is shown {correction.error_mm(50.0):+.2f} mm too deep")
        if json:
            emit({**speed.as_json(), "correction": correction.as_json()})


def volume(
    recording: Annotated[Path, typer.Argument(help="tracked sweep (.igs.mha)")],
    config: Annotated[Path, typer.Option(help="PLUS configuration with ImageToProbe")],
    out: Annotated[Path, typer.Option(help="volume to write: .mha or .nrrd")] = Path("volume.mha"),
    frame: Annotated[str, typer.Option(help="frame of reference of the volume")] = "Reference",
    spacing: Annotated[float, number("voxel edge, mm", 0.05, 20)] = 0.5,
    clip: Annotated[tuple[int, int, int, int] | None, number("column row columns rows of the image", 0, 20000)] = None,
    interpolation: Annotated[str, typer.Option(help="nearest or trilinear")] = "nearest",
    compounding: Annotated[str, typer.Option(help="mean or max")] = "mean",
    holes: Annotated[int, number("fill holes up to this many voxels wide", 0, 99)] = 9,
    json: AsJson = False,
) -> None:
    """Reconstruct a tracked sweep as a volume."""
    with answers(json):
        sweep, simulated = reconstruct_files(
            recording, config, out, frame, spacing, clip, interpolation, compounding, holes
        )
        size = " x ".join(str(n) for n in sweep.volume.size)
        say(labelled(f"{sweep.used_n} frames, {size} voxels: {out}; picture: {out.with_suffix('.png')}", simulated))
        for index, why in sweep.refused:
            say(f"frame {index} not used: {why}")
        if json:
            emit({**sweep.as_json(), "file": str(out), "simulated": simulated})


def add_to(app: typer.Typer) -> None:
    """Add the three commands to the ``calibrate`` group."""
    app.command("nwire", epilog=NWIRE_EXAMPLE)(nwire)
    app.command("sound-speed", epilog=SOUND_SPEED_EXAMPLE)(sound_speed)
    app.command("volume", epilog=VOLUME_EXAMPLE)(volume)
