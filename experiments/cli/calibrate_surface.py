"""``phantomrig calibrate surface``: a phantom registered by points of its bone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, Picture, answers, show
from experiments.cli.numbers import number


def add_to(app: typer.Typer) -> None:
    """Put the command into the group ``calibrate``."""

    @app.command(
        epilog="Example:  phantomrig calibrate surface bone.csv lumbar_ref --start PhantomToRig=300,250,150 "
        "--point-sd 0.5 --picture bone.png --json > pr.json"
    )
    def surface(
        measured: Annotated[Path, typer.Argument(help="bone points: table x y z in mm, .fcsv or .mrk.json")],
        nominal: Annotated[list[str], typer.Argument(help="phantom (name or TOML), or .stl/.obj files of its bone")],
        start: Annotated[
            str, typer.Option(help="about where it is: AToB=x,y,z[,a,b,c] or AToB=FILE.tfm, surface to measured")
        ] = "SurfaceToMeasured=0,0,0",
        point_sd: Annotated[float, number("standard deviation of one bone point across the bone, mm", 0.001, 50)] = 0.5,
        correlated: Annotated[float, number("neighbouring points that share one error", 1, 1000000.0)] = 20.0,
        targets: Annotated[
            Path | None, typer.Option(help="table of targets, name x y z in the surface's frame (phantom: its own)")
        ] = None,
        unit: Annotated[float, number("mm of one unit of the mesh files, 1000 for metres", 1e-06, 1000000.0)] = 1.0,
        picture: Picture = None,
        json: AsJson = False,
    ) -> None:
        """Register a phantom by points of its bone surface."""
        from experiments.calibrations import surface_from

        with answers(json, picture):
            result = surface_from(
                measured, nominal, start=start, point_sd_mm=point_sd, correlated_points=correlated, targets=targets,
                unit_mm=unit,
            )  # fmt: skip
            show(result, json, picture)
