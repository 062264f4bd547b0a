"""``phantomrig calibrate latency``: calibrations that move the rig itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli import calibrate_phantom, calibrate_record
from experiments.cli.calibrate_frames import AsJson, answers, show
from experiments.cli.numbers import number

RigFile = Annotated[Path | None, typer.Option("--rig", help="rig.toml of the bench (default: the simulated rig)")]


def add_to(app: typer.Typer) -> None:
    """Put the commands into the group ``calibrate``."""
    calibrate_phantom.add_to(app)
    calibrate_record.add_to(app)

    @app.command(epilog="Example:  phantomrig calibrate latency --rig bench.toml --out calibrations/latency-1")
    def latency(
        rig: RigFile = None,
        out: Annotated[Path, typer.Option(help="new folder for journal, result and picture")] = Path("latency"),
        x: Annotated[float, number("where the probe stands on the phantom, mm to its left", -200, 200)] = 0.0,
        y: Annotated[float, number("the same, mm towards its head", -200, 200)] = 0.0,
        indentation: Annotated[float, number("how deep the face is pressed in, mm", 0, 10)] = 3.0,
        strokes: Annotated[int, number("strokes of the slide, 8 or more", 8, 1000)] = 24,
        seed: Annotated[int, number("seed of the uneven strokes", 0, 2**32 - 1)] = 1,
        speed: Annotated[float, number("speed for the cost in mm, mm/s", 0.001, 1000)] = 10.0,
        json: AsJson = False,
    ) -> None:
        """Lag between pictures and probe holder: the probe slides over the gel, no bath is needed."""
        from experiments.calibrations import measure_latency_of

        with answers(json):
            result = measure_latency_of(
                rig or "simulated", out, x_mm=x, y_mm=y, indentation_mm=indentation, strokes_n=strokes, seed=seed,
                speed_mm_s=speed,
            )  # fmt: skip
            show(result, json, made_on="rig", out=str(out))
