"""``phantomrig calibrate record``: a tracked tool of the own rig into a sequence file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, answers
from experiments.cli.numbers import number
from experiments.cli.output import emit, say

RigFile = Annotated[Path | None, typer.Option("--rig", help="rig.toml of the bench (default: the simulated rig)")]


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
        from experiments.calibrations import record_tool_of

        with answers(json):
            result = record_tool_of(rig or "simulated", out, tool=tool, seconds=seconds, motion=motion, seed=seed)
            label = "SIMULATED rig: " if result.simulated else ""
            say(
                f"{label}{result.frames_n} poses of {tool} in {result.seconds:.1f} s, {result.seen_n} of them seen, "
                f"longest without sight {result.longest_blind_s:.2f} s: {out}"
            )
            if json:
                emit(result.as_json())
