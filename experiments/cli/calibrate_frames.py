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
    from hal.links.sequence import Sequence

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

app = typer.Typer(help="Calibrate frames of reference from recorded files.", no_args_is_help=True)


def add_commands(to: typer.Typer) -> None:
    """Add these commands to another group."""
    to.registered_commands.extend(app.registered_commands)


@contextmanager
def answers(json: bool) -> Iterator[None]:
    """A refusal, or input that cannot be used, is printed as JSON too, then ends as bad input."""
    from hal.errors import CalibrationRefused, ConfigError

    with exit_codes():
        try:
            yield
        except ConfigError as error:
            if json and isinstance(error, CalibrationRefused):
                emit(error.as_json())
            elif json:
                emit({"ok": False, "code": "bad input", "reason": one_line(error)})
            raise


def mark(simulated: bool) -> str:
    """What stands in a picture of simulated data."""
    return "SIMULATED" if simulated else ""


def labelled(text: str, simulated: bool) -> str:
    """A line for a person, with its data labelled when a simulated rig made them."""
    return f"SIMULATED data: {text}" if simulated else text


def any_simulated(*recordings: Sequence) -> bool:
    """Whether one of them was made by a simulated rig: what is made of it is simulated too."""
    return any(recording.simulated for recording in recordings)


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
    from rig.calibration.time.lag import estimate_lag
    from rig.calibration.time.lag_picture import draw_temporal
    from rig.calibration.time.signal import floor_signal, pose_signal
    from rig.formats.formats import read_recording

    with answers(json):
        one, two = read_recording(first, timed=False), read_recording(second, timed=False)
        a = pose_signal(one, first_transform) if first_transform else floor_signal(one)
        result = estimate_lag(a, pose_signal(two, second_transform, reference), max_lag_s=max_lag)
        simulated = any_simulated(one, two)
        low, high = (1e3 * v for v in result.interval_s)
        told = f"lag {1e3 * result.lag_s:+.1f} ms (95 %: {low:+.1f} to {high:+.1f}); late: {result.late_stream}"
        say(labelled(told, simulated))
        if not result.steady:
            drift, u = 1e3 * result.drift_s_per_min, 1e3 * result.drift_uncertainty_s_per_min
            say(
                f"THE LAG IS NOT STEADY: it changes by {drift:+.0f} +-{u:.0f} ms per minute. The two clocks run apart "
                "or a queue grows; one lag does not correct this"
            )
        cost = result.latency.cost(speed)
        say(
            f"at {speed:g} mm/s: {cost.uncorrected_mm:.2f} mm uncorrected, corrected {cost.bias_mm:.2f} mm (standard), "
            f"jitter {cost.jitter_mm:.2f} mm"
        )
        if picture is not None:
            say(f"picture: {draw_temporal(picture, result, mark(simulated))}")
        if json:
            emit(result.as_json() | {"kind": "temporal", "simulated": simulated, "cost_at_speed": cost.as_json()})


@app.command(
    epilog="Example:  phantomrig calibrate pivot stylus.igs.mha --tool StylusToTracker --picture pivot.png --json "
    "> tip.json   then   phantomrig calibrate certify tip.json calibrations --identity PV-2026-001 --kind pivot "
    "--device tracker --by AB --due 2026-12-31"
)
def pivot(
    recording: Annotated[Path, typer.Argument(help="recording of the tool turning about its resting tip")],
    tool: Annotated[str, typer.Option(help="transform of the tool")] = "StylusToTracker",
    reference: Reference = "",
    picture: Picture = None,
    json: AsJson = False,
) -> None:
    """Tip of a tracked tool."""
    from rig.calibration.tool.pivot import calibrate_pivot, tool_poses
    from rig.calibration.tool.pivot_picture import draw_pivot
    from rig.formats.formats import read_recording

    with answers(json):
        sequence = read_recording(recording, timed=False)
        result = calibrate_pivot(tool_poses(sequence, tool, reference))
        x, y, z = result.tip_mm
        told = (
            f"tip {x:.3f} {y:.3f} {z:.3f} mm, standard uncertainty {result.tip_sd_mm:.3f} mm; residual "
            f"{result.rms_mm:.3f} mm rms, {len(result.outliers)} of {result.poses_n} poses left out"
        )
        say(labelled(told, sequence.simulated))
        if picture is not None:
            say(f"picture: {draw_pivot(picture, result, mark(sequence.simulated))}")
        if json:
            emit(result.as_json() | {"kind": "pivot", "simulated": sequence.simulated})


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
    from rig.calibration.tool.pivot import calibrate_pivot, tool_poses
    from rig.calibration.tool.spin import calibrate_spin
    from rig.formats.formats import read_recording

    with answers(json):
        one, two = read_recording(pivot_recording, timed=False), read_recording(spin_recording, timed=False)
        simulated = any_simulated(one, two)
        tip = calibrate_pivot(tool_poses(one, tool, reference))
        result = calibrate_spin(tool_poses(two, tool, reference), tip)
        told = f"axis known to {result.axis_sd_deg:.3f} deg (standard), turned by {result.spin_deg:.0f} deg"
        say(labelled(told, simulated))
        if json:
            emit(result.as_json() | {"kind": "spin", "simulated": simulated, "pivot": tip.as_json()})


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
    picture: Picture = None,
    json: AsJson = False,
) -> None:
    """Register a phantom by its fiducials."""
    from hal.errors import CalibrationRefused
    from rig.calibration.phantom.fiducials import register_fiducials
    from rig.calibration.phantom.fiducials_picture import draw_registration
    from rig.formats.named_points import labelled_simulated, read_named_points

    with answers(json):
        simulated = labelled_simulated(measured)
        a, b = read_named_points(nominal), read_named_points(measured)
        fitted = tuple(n for n in a.names if n in b.names and n not in (check or ()))
        at = {}
        if targets is not None:
            table = read_named_points(targets)
            at = {n: p for n, p in zip(table.names, table.points_mm, strict=True)}
        try:
            result = register_fiducials(a, b, fle_mm=fle, check_names=tuple(check or ()), targets=at)
        except CalibrationRefused as refused:
            if picture is not None and len(fitted) >= 3:
                drawn = draw_registration(picture, a.only(fitted), b.only(fitted), fle, refused, mark(simulated))
                say(f"picture: {drawn}")
            raise
        told = f"fit residual {result.fre_rms_mm:.3f} mm, {result.fre_expected_mm:.3f} mm expected (not accuracy)"
        say(labelled(told, simulated))
        for target in result.targets:
            say(f"predicted error at {target.name}: {target.closed_mm:.3f} mm rms")
        if result.checks is not None:
            say(f"at held-out points: {result.checks.rms_mm:.3f} mm rms, {result.checks.max_mm:.3f} mm max")
        for note in result.notes:
            say(f"note: {note}")
        if picture is not None:
            say(f"picture: {draw_registration(picture, a.only(fitted), b.only(fitted), fle, None, mark(simulated))}")
        if json:
            emit(result.as_json() | {"kind": "phantom_registration", "simulated": simulated})


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
    from rig.calibration.tool.dwell import find_dwells, name_dwells
    from rig.calibration.tool.dwell_tip import against_phantom, check_tip
    from rig.calibration.tool.pivot import valid_tool_poses
    from rig.formats.formats import read_recording
    from rig.formats.named_points import read_named_points, write_named_points

    with answers(json):
        sequence = read_recording(recording, timed=False)
        times, poses = valid_tool_poses(sequence, tool, reference)
        dwells = find_dwells(times, poses, tip)
        tested = check_tip(times, poses, tip, dwells)
        drawn = read_named_points(nominal)
        if tested.wrong(tip_limit):
            tested = against_phantom(tested, times, poses, tip, drawn, tolerance)
            tested.refuse_wrong(limit_mm=tip_limit)
        naming = name_dwells(drawn, [d.point_mm for d in dwells], tolerance_mm=tolerance)
        rows = [
            f"{n} {p[0]:.4f} {p[1]:.4f} {p[2]:.4f}"
            for n, p in zip(naming.measured.names, naming.measured.points_mm, strict=True)
        ]
        say(labelled("\n".join(rows), sequence.simulated))
        if tested.note:
            say(tested.note)
        if not tested.tells:
            say("the shaft was hardly swivelled in the divots: a wrong tip offset would shift all points unseen")
        untouched = ", ".join(naming.missing) or "none"
        say(f"{len(dwells)} dwells; left over: {len(naming.left_over)}; not touched: {untouched}")
        if out is not None:
            write_named_points(out, naming.measured, simulated=sequence.simulated)
        if json:
            emit(
                {
                    "ok": True,
                    "simulated": sequence.simulated,
                    "points": dict(zip(naming.measured.names, naming.measured.points_mm.tolist(), strict=True)),
                    "dwells": [d.as_json() for d in dwells],
                    "left_over": list(naming.left_over),
                    "missing": list(naming.missing),
                    "rms_mm": naming.rms_mm,
                    "tip_off_mm": tested.off_mm.tolist(),
                    "tip_off_tested": tested.tells,
                    "tip_check": tested.as_json(),
                }
            )
