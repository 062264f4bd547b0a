"""``phantomrig calibrate chain``: any frame to any other through certificates and rig file, with uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.calibrate_certificates import day_of
from experiments.cli.calibrate_frames import AsJson, answers
from experiments.cli.output import emit, say


def add_to(app: typer.Typer) -> None:
    """Put the command into the group ``calibrate``."""

    @app.command(
        epilog="Example:  phantomrig calibrate chain Probe Phantom --rig bench.toml "
        "--step ProbeToHolder=0,0,3,0,0,0 --at 0,0,40   (Image instead of Probe needs a certificate of ImageToProbe)"
    )
    def chain(
        source: Annotated[str, typer.Argument(help="frame to map from, e.g. Image")],
        target: Annotated[str, typer.Argument(help="frame to map to, e.g. Phantom")],
        rig: Annotated[Path | None, typer.Option(help="rig.toml of the bench (default: the simulated rig)")] = None,
        step: Annotated[
            list[str] | None, typer.Option(help="what moves: AToB=x,y,z,a,b,c (mm, deg) or AToB=FILE.tfm (repeatable)")
        ] = None,
        via: Annotated[list[str] | None, typer.Option(help="frame that the chain must pass (repeatable)")] = None,
        at: Annotated[str, typer.Option(help="point of the source frame to map, x,y,z")] = "",
        today: Annotated[str, typer.Option(help="date to judge by, e.g. 2026-03-01 (default: today)")] = "",
        json: AsJson = False,
    ) -> None:
        """One frame in another: the chain of calibrations, their uncertainty and when the first is due."""
        from experiments.calibrations.chain import chain_of

        with answers(json):
            steps, day = tuple(step or ()), day_of(today)
            found, simulated = chain_of(rig or "simulated", source, target, steps=steps, via=via or (), today=day)
            for link in found.steps:
                due = f", due {link.due}" if link.due else ""
                say(f"{link.name:16} {link.identity or 'stated'}{due}")
            say(f"{'SIMULATED data: ' if simulated else ''}{source}To{target}")
            for row in found.matrix:
                say("  " + " ".join(f"{v:11.5f}" for v in row))
            out = found.as_json()
            if at:
                point = _point(at)
                place, spread = found.transform.point(point)
                sd = [float(v) ** 0.5 for v in spread.diagonal()]
                say(f"{at} is at {', '.join(f'{v:.3f}' for v in place)}; standard uncertainty "
                    f"{', '.join(f'{v:.3f}' for v in sd)}")  # fmt: skip
                out |= {"at": list(point), "point": place.tolist(), "point_sd": sd, "covariance3": spread.tolist()}
            if json:
                emit({"ok": True} | out | {"simulated": simulated})


def _point(text: str) -> tuple[float, float, float]:
    from hal.errors import ConfigError
    from hal.poses import FARTHEST_MM

    try:
        x, y, z = (float(word) for word in text.split(","))
    except ValueError:
        raise ConfigError(f"--at {text!r} is not x,y,z") from None
    if not all(abs(value) <= FARTHEST_MM for value in (x, y, z)):
        raise ConfigError(f"--at {text!r}: a coordinate must lie between -{FARTHEST_MM:g} and {FARTHEST_MM:g}")
    return x, y, z
