"""``phantomrig calibrate phantom``: where the phantom lies, measured on the rig itself."""

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
        epilog="Example:  phantomrig calibrate phantom --rig bench.toml --method surface --out phantom-1   then   "
        "phantomrig calibrate certify phantom-1/phantom.json calibrations --identity PR-2026-014 --by AB "
        "--due 2026-12-31"
    )
    def phantom(
        rig: RigFile = None,
        method: Annotated[
            str, typer.Option(help="surface: the probe scans the bone; fiducials: a person touches them with a stylus")
        ] = "surface",
        out: Annotated[Path, typer.Option(help="new folder for journal, data, result and picture")] = Path("phantom"),
        drawing: Annotated[str, typer.Option(help="phantom TOML or name (default: what the rig file says)")] = "",
        tip: Annotated[Path | None, typer.Option(help="fiducials: JSON of calibrate pivot for the stylus")] = None,
        tool: Annotated[str, typer.Option(help="fiducials: transform of the stylus")] = "StylusToTracker",
        nominal: Annotated[Path | None, typer.Option(help="fiducials: their places (default: the drawing's)")] = None,
        touch: Annotated[list[str] | None, typer.Option(help="fiducials: ask for these only (repeatable)")] = None,
        check: Annotated[list[str] | None, typer.Option(help="fiducials: hold out, check on it (repeatable)")] = None,
        fle: Annotated[
            float | None, number("fiducials: localisation error, mm (default: estimated)", 0.001, 50)
        ] = None,
        seed: Annotated[int, number("seed of the simulated bench's cartridge", 0, 2**32 - 1)] = 1,
        json: AsJson = False,
    ) -> None:
        """Register the phantom on the rig: PhantomToRig by its bone, or PhantomToReference by its fiducials."""
        from experiments.calibrations import register_bone_of, register_fiducials_of
        from hal.errors import ConfigError

        with answers(json):
            if method == "surface":
                result = register_bone_of(rig or "simulated", out, phantom=drawing, seed=seed)
            elif method == "fiducials":
                result = register_fiducials_of(
                    rig or "simulated", out, phantom=drawing, tool=tool, tip=tip, nominal=nominal, touch=touch or (),
                    check=check or (), fle_mm=fle, seed=seed,
                )  # fmt: skip
            else:
                raise ConfigError(f"--method {method}: there are surface and fiducials")
            show(result, json, made_on="rig", out=str(out))
