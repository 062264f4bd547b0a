"""``phantomrig calibrate record``: a tracked tool of the own rig into a sequence file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, answers
from experiments.cli.numbers import number
from experiments.cli.output import emit, say

if TYPE_CHECKING:
    from experiments.calibrations.record import Recorded

RigFile = Annotated[Path | None, typer.Option("--rig", help="rig.toml of the bench (default: the simulated rig)")]


def make(rig: Path | None, tool: str, seconds: float, out: Path, motion: str, seed: int) -> tuple[Recorded, bool]:
    """Open the rig, record, keep the journal beside the file; returns the result and whether simulated.

    Raises ``ConfigError`` for a rig without tracker, a motion that nobody can make, a file that exists or has another
    ending, else what ``session`` and ``record`` raise.
    """
    from experiments.calibrations.record import check_motion, record
    from experiments.calibrations.session import session
    from hal.errors import ConfigError
    from rig.config import load_config

    check_motion(motion, seconds)
    if not out.name.endswith(".mha"):
        raise ConfigError(f"{out}: a recording of poses is written as .igs.mha")
    if out.exists():
        raise ConfigError(f"{out}: exists; a recording is never overwritten")
    config = load_config(rig if rig is not None else "simulated")
    if "tracker" not in config.devices:
        raise ConfigError(f"this rig ({config.rig.name}) has no tracker: nothing to record")
    if motion != "none" and "operator" not in config.devices:
        raise ConfigError(f"this rig ({config.rig.name}) has no operator to ask; --motion none records {seconds:g} s")
    name = out.name.removesuffix(".mha").removesuffix(".igs")
    with session(config, out.with_name(f"{name}.record"), seed=seed) as (controller, journal):
        asked = {"tool": tool, "seconds": seconds, "motion": motion, "file": out.name}
        with journal.activity("record", asked) as outcome:
            result = record(controller, tool, seconds, out, motion)
            outcome.update(frames_n=result.frames_n, seen_n=result.seen_n)
        return result, controller.rig.simulated


def add_to(app: typer.Typer) -> None:
    """Put the command into the group ``calibrate``."""

    @app.command(
        epilog="Example:  phantomrig calibrate record --rig bench.toml --out stylus.igs.mha   then   "
        "phantomrig calibrate pivot stylus.igs.mha --json > tip.json"
    )
    def record(
        rig: RigFile = None,
        tool: Annotated[str, typer.Option(help="transform of the tool")] = "StylusToTracker",
        seconds: Annotated[float, number("how long the motion takes, s", 1, 3600)] = 20.0,
        motion: Annotated[str, typer.Option(help="what the operator is asked: pivot, spin, fiducials, none")] = "pivot",
        out: Annotated[Path, typer.Option(help="sequence file that is written")] = Path("stylus.igs.mha"),
        seed: Annotated[int, number("seed of the simulated bench's cartridge", 0, 2**32 - 1)] = 1,
        json: AsJson = False,
    ) -> None:
        """Record a tracked tool live, for pivot, spin and landmarks."""
        with answers(json):
            result, simulated = make(rig, tool, seconds, out, motion, seed)
            label = "SIMULATED rig: " if simulated else ""
            say(
                f"{label}{result.frames_n} poses of {tool} in {result.seconds:.1f} s, {result.seen_n} of them seen, "
                f"longest without sight {result.longest_blind_s:.2f} s: {out}"
            )
            if json:
                emit(result.as_json() | {"simulated": simulated})
