"""``phantomrig calibrate``: temporal, pivot, spin, landmarks and register, on recorded files.

Each prints for a person on stderr and one JSON object with ``--json``; data that cannot hold the calibration are
refused with the reason (exit code 2) and the JSON says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.numbers import number
from experiments.cli.output import emit, exit_codes, one_line, say

if TYPE_CHECKING:
    from rig.calibration.result import Result

AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]


def usable_picture(path: Path | None) -> Path | None:
    """Refuse a picture that cannot be written before anything is computed; raises ``typer.BadParameter``."""
    if path is not None and path.suffix.lower() not in (".png", ".svg"):
        raise typer.BadParameter(f"{path}: a picture is written as .png or .svg")
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"{path}: there is no folder {path.parent}")
    if path is not None and path.is_dir():
        raise typer.BadParameter(f"{path}: this is a folder")
    return path


Picture = Annotated[
    Path | None, typer.Option(help="write a picture of the residuals (.png or .svg)", callback=usable_picture)
]
Reference = Annotated[str, typer.Option(help="transform of the reference, e.g. ReferenceToTracker")]

app = typer.Typer(
    help="Calibrate probe, phantom, tools, latency and speed of sound: from files, or on the rig.", no_args_is_help=True
)


def add_commands(to: typer.Typer) -> None:
    """Add these commands to another group."""
    to.registered_commands.extend(app.registered_commands)


@contextmanager
def answers(json: bool, picture: Path | None = None) -> Iterator[None]:
    """A refusal, or input that cannot be used, is printed as JSON too, then ends as bad input.

    What was seen when a calibration was refused is drawn into ``picture``.
    """
    from hal.errors import CalibrationRefused, ConfigError

    with exit_codes():
        try:
            yield
        except ConfigError as error:
            if picture is not None and isinstance(error, CalibrationRefused) and error.picture is not None:
                error.picture(picture)
                say(f"picture: {picture}")
            if json and isinstance(error, CalibrationRefused):
                emit(error.as_json())
            elif json:
                emit({"ok": False, "code": "bad input", "reason": one_line(error)})
            raise


def show(result: Result, json: bool, picture: Path | None = None, *, made_on: str = "data", **more: object) -> None:
    """A result for a person, its picture, and its JSON with ``more``; simulated ones say so."""
    text = "\n".join(result.lines)
    say(f"SIMULATED {made_on}: {text}" if result.simulated else text)
    if picture is not None:
        say(f"picture: {result.draw(picture)}")
    if "out" in more:
        say(f"record, result and picture: {more['out']}")
    if json:
        emit(result.as_json() | more)


@app.command(
    epilog="Example:  phantomrig calibrate temporal video.igs.mha tracker.igs.mha --picture lag.png --json > lag.json"
)
def temporal(
    first: Annotated[Path, typer.Argument(help="recording, e.g. of the video")],
    second: Annotated[Path, typer.Argument(help="recording, e.g. of the tracker")],
    first_transform: Annotated[str, typer.Option(help="its transform; empty: the floor line of its images")] = "",
    second_transform: Annotated[str, typer.Option(help="its transform")] = "ProbeToTracker",
    reference: Reference = "",
    max_lag: Annotated[float, number("largest lag searched, s", 0.001, 60)] = 0.5,
    speed: Annotated[float, number("speed for the cost in mm, mm/s", 0.001, 1000)] = 10.0,
    picture: Picture = None,
    json: AsJson = False,
) -> None:
    """Lag between two recordings of one motion."""
    from experiments.calibrations import lag_from

    with answers(json):
        result = lag_from(
            first, second, first_transform=first_transform, second_transform=second_transform, reference=reference,
            max_lag_s=max_lag, speed_mm_s=speed,
        )  # fmt: skip
        show(result, json, picture)


@app.command(
    epilog="Example:  phantomrig calibrate pivot stylus.igs.mha --tool StylusToTracker --picture pivot.png --json "
    "> tip.json   then   phantomrig calibrate certify tip.json calibrations --identity PV-2026-001 --by AB "
    "--due 2026-12-31"
)
def pivot(
    recording: Annotated[Path, typer.Argument(help="recording of the tool turning about its resting tip")],
    tool: Annotated[str, typer.Option(help="transform of the tool")] = "StylusToTracker",
    reference: Reference = "",
    picture: Picture = None,
    json: AsJson = False,
) -> None:
    """Tip of a tracked tool."""
    from experiments.calibrations import pivot_from

    with answers(json):
        show(pivot_from(recording, tool=tool, reference=reference), json, picture)


@app.command(
    epilog="Example:  phantomrig calibrate spin pivot.igs.mha spin.igs.mha --tool NeedleToTracker --json > axis.json"
)
def spin(
    pivot_recording: Annotated[Path, typer.Argument(help="recording of the pivot")],
    spin_recording: Annotated[Path, typer.Argument(help="recording of the tool turning about its shaft")],
    tool: Annotated[str, typer.Option(help="transform of the tool")] = "NeedleToTracker",
    reference: Reference = "",
    json: AsJson = False,
) -> None:
    """Axis of a straight tracked tool."""
    from experiments.calibrations import spin_from

    with answers(json):
        show(spin_from(pivot_recording, spin_recording, tool=tool, reference=reference), json)


@app.command(
    epilog="Example:  phantomrig calibrate register nominal.txt measured.txt --fle 0.25 --check F5 --targets "
    "roots.txt --picture fit.png --json > pr.json"
)
def register(
    nominal: Annotated[
        Path, typer.Argument(help="phantom TOML with [[fiducial]], table name x y z, .fcsv, .mrk.json or PLUS .xml")
    ],
    measured: Annotated[Path, typer.Argument(help="measured points, same form")],
    fle: Annotated[float, number("localisation error of one point, mm (root of mean square length)", 0.001, 50)],
    check: Annotated[list[str] | None, typer.Option(help="hold this point out, check on it (repeatable)")] = None,
    targets: Annotated[Path | None, typer.Option(help="table of targets, name x y z in the nominal frame")] = None,
    transform: Annotated[str, typer.Option(help="AToB, nominal to measured, as PhantomToReference")] = "",
    picture: Picture = None,
    json: AsJson = False,
) -> None:
    """Register a phantom by its fiducials."""
    from experiments.calibrations import fiducials_from

    with answers(json, picture):
        result = fiducials_from(nominal, measured, fle, check=check or (), targets=targets, transform=transform)
        show(result, json, picture)


@app.command(
    epilog="Example:  phantomrig calibrate landmarks touches.igs.mha nominal.txt --tip 0.2 -1.1 150.3 --out "
    "measured.txt --json"
)
def landmarks(
    recording: Annotated[Path, typer.Argument(help="recording of the stylus touching fiducials")],
    nominal: Annotated[
        Path, typer.Argument(help="phantom TOML with [[fiducial]], table name x y z, .fcsv, .mrk.json or PLUS .xml")
    ],
    tip: Annotated[tuple[float, float, float], number("tip in the stylus frame, mm", -1000, 1000)],
    tool: Annotated[str, typer.Option(help="transform of the stylus")] = "StylusToTracker",
    reference: Reference = "",
    tolerance: Annotated[float, number("how well the distances must agree, mm", 0.001, 100)] = 2.0,
    tip_limit: Annotated[float, number("refuse a tip that the swivel shows off by more, mm", 0.001, 100)] = 1.0,
    out: Annotated[Path | None, typer.Option(help="write the named points as a table")] = None,
    json: AsJson = False,
) -> None:
    """Find and name the fiducials that a stylus touched."""
    from experiments.calibrations import landmarks_from

    with answers(json):
        result = landmarks_from(
            recording, nominal, tip, tool=tool, reference=reference, tolerance_mm=tolerance, tip_limit_mm=tip_limit,
            out=out,
        )  # fmt: skip
        show(result, json)
