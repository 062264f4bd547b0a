"""``phantomrig calibrate needle-tip``: where the tip is when the carrier's axes say where it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, answers, show
from experiments.cli.numbers import number

RigFile = Annotated[Path | None, typer.Option("--rig", help="rig.toml of the bench (default: the simulated rig)")]


def add_to(app: typer.Typer) -> None:
    """Put the command into the group ``calibrate``."""

    @app.command(
        name="needle-tip",
        epilog="Example:  phantomrig calibrate needle-tip --rig bench.toml --out needle-tip-1   then   phantomrig "
        "calibrate certify needle-tip-1/needle_tip.json calibrations --identity NT-2026-003 --by AB "
        "--due 2026-12-31",
    )
    def needle_tip(
        rig: RigFile = None,
        out: Annotated[Path, typer.Option(help="new folder for journal, result and picture")] = Path("needle-tip"),
        poses: Annotated[int, number("poses of the carrier, 12 or more", 12, 1000)] = 24,
        x: Annotated[float, number("middle of the entry points on the phantom, mm to its left", -200, 200)] = 0.0,
        y: Annotated[float, number("the same, mm towards its head", -200, 200)] = 0.0,
        seed: Annotated[int, number("seed of the simulated cartridge", 0, 2**32 - 1)] = 1,
        json: AsJson = False,
    ) -> None:
        """Offset and run-out of the needle's tip in the carrier, and the carrier's place: in air, by the tracker."""
        from experiments.calibrations import measure_needle_tip_of

        with answers(json):
            result = measure_needle_tip_of(rig or "simulated", out, poses_n=poses, x_mm=x, y_mm=y, seed=seed)
            show(result, json, made_on="rig", out=str(out))
