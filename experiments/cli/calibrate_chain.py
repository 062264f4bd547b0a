"""``phantomrig calibrate chain``: any frame to any other through certificates and rig file, with uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, answers, labelled
from experiments.cli.output import emit, say

if TYPE_CHECKING:
    from hal.types import Matrix
    from rig.geometry.graph import Chain


def stated_step(text: str) -> tuple[str, Matrix]:
    """``AToB=FILE.tfm``, ``AToB=x,y,z`` or ``AToB=x,y,z,a,b,c`` (mm, deg; ``Rz(c) Ry(b) Rx(a)``).

    Raises ``ConfigError``, also for what no body on a bench can have.
    """
    from hal.errors import ConfigError
    from hal.poses import why_refused
    from hal.types import Pose6
    from rig.formats.tfm import read_tfm
    from rig.geometry.transforms import from_pose6

    name, _, rest = text.partition("=")
    if rest.endswith(".tfm"):
        matrix = read_tfm(Path(rest))
        if why := why_refused(name, matrix):
            raise ConfigError(f"{rest}: {name} {why}")
        return name, matrix
    try:
        numbers = [float(word) for word in rest.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (3, 6):
        raise ConfigError(f"--step {text!r} is not AToB=x,y,z or AToB=x,y,z,a,b,c (mm, deg) or AToB=FILE.tfm")
    matrix = from_pose6(Pose6(*(numbers + [0.0] * 3)[:6]))
    if why := why_refused(name, matrix):
        raise ConfigError(f"{text!r}: {name} {why}")
    return name, matrix


def look_up(
    source: str, target: str, rig: Path | None, steps: tuple[str, ...], via: tuple[str, ...], today: str
) -> Chain:
    """The chain through certificates, rig file and ``steps``.

    Raises ``ConfigError`` for bad input and ``FrameError`` (missing, ambiguous, loop, expired) of the graph.
    """
    from experiments.cli.calibrate_certificates import day_of
    from rig.calibration.certificates.graph import rig_graph
    from rig.config import load_config

    config = load_config(rig if rig is not None else "simulated")
    day = day_of(today)
    graph = rig_graph(config, day)
    for text in steps:
        name, matrix = stated_step(text)
        graph.add(name, matrix, identity="given")
    return graph.look_up(source, target, via=via)


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
        from hal.errors import ConfigError
        from rig.geometry.transforms import FrameError

        with answers(json):
            try:
                found = look_up(source, target, rig, tuple(step or ()), tuple(via or ()), today)
            except FrameError as error:
                raise ConfigError(f"{error}{_advice(error, source, target)}") from None
            simulated = _simulated(rig)
            for link in found.steps:
                due = f", due {link.due}" if link.due else ""
                say(f"{link.name:16} {link.identity or 'stated'}{due}")
            say(labelled(f"{source}To{target}", simulated))
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


def _simulated(rig: Path | None) -> bool:
    from rig.config import load_config

    return load_config(rig if rig is not None else "simulated").rig.simulated


def _advice(error: Exception, source: str, target: str) -> str:
    """What joins a frame that no certificate and no rig file joins; empty for another kind of error."""
    from rig.geometry.graph import MissingTransform

    if not isinstance(error, MissingTransform):
        return ""
    asked = {source, target}
    ways = []
    if asked & {"Image", "Probe", "Needle"}:
        ways.append("what moves is given with --step, as ProbeToHolder=0,0,3,0,0,0")
    if "Image" in asked:
        ways.append("ImageToProbe comes from a certificate (calibrate nwire) or from --step")
    return "; " + "; ".join(ways or ["is the name right? A frame is joined by a certificate, by [frames] or by --step"])


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
