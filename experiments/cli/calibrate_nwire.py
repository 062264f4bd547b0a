"""``phantomrig calibrate nwire | sound-speed | volume``: files in, one frozen result out, pictures beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.calibrate_frames import answers, show
from experiments.cli.numbers import number
from experiments.cli.output import say

AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
Out = Annotated[Path | None, typer.Option(help="folder for result files and pictures")]

NWIRE_EXAMPLE = (
    "Example:  phantomrig calibrate nwire bath.igs.mha --config plus.xml --validation second.igs.mha "
    "--marked-side -x --away-side +y --out nwire --json > ip.json   then   phantomrig calibrate certify ip.json "
    "calibrations --identity IP-2026-004 --by AB --due 2026-12-31"
)
SOUND_SPEED_EXAMPLE = (
    "Example:  phantomrig calibrate sound-speed --temperature 22 --depth 20:20.8 --depth 60:62.4 --json > ss.json   "
    "then   phantomrig calibrate certify ss.json calibrations --identity SS-2026-004 --by AB "
    "--due 2026-12-31"
)
VOLUME_EXAMPLE = "Example:  phantomrig calibrate volume sweep.igs.mha --config plus.xml --out spine.nrrd"


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
    from experiments.calibrations import probe_from
    from rig.calibration.probe.nwire import NWireRefused

    with answers(json):
        try:
            result = probe_from(
                recording, config, validation=validation, method=method, pitch_mm=pitch, expected=expected,
                limit_mm=limit, sides=(marked_side, away_side), out=out,
            )  # fmt: skip
        except NWireRefused:
            if out is not None:
                say(f"pictures: {', '.join(sorted(str(p) for p in out.glob('refused_*.png')))}")
            raise
        show(result, json)
        if out is not None:
            say(f"result, configuration and pictures: {out}")


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
    from experiments.calibrations import sound_speed_from

    with answers(json):
        result = sound_speed_from(
            temperature, depth or (), u_mm=u_depth, row_pitch_mm=row_pitch, u_row_pitch_mm=u_row_pitch,
            nominal_row_pitch_mm=nominal_row_pitch, assumed_m_s=assumed,
        )  # fmt: skip
        show(result, json)


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
    from experiments.calibrations import volume_from

    with answers(json):
        result = volume_from(
            recording, config, out, frame=frame, spacing_mm=spacing, clip_px=clip, interpolation=interpolation,
            compounding=compounding, hole_voxels=holes,
        )  # fmt: skip
        show(result, json)
        say(f"picture: {out.with_suffix('.png')}")


def add_to(app: typer.Typer) -> None:
    """Add the three commands to the ``calibrate`` group."""
    app.command("nwire", epilog=NWIRE_EXAMPLE)(nwire)
    app.command("sound-speed", epilog=SOUND_SPEED_EXAMPLE)(sound_speed)
    app.command("volume", epilog=VOLUME_EXAMPLE)(volume)
