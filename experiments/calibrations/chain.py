"""Any frame of a rig in any other, through its certificates and its file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from hal.errors import ConfigError
from rig.calibration.certificates.graph import rig_graph
from rig.config import load_config
from rig.formats.stated_step import stated_step
from rig.geometry.graph import Chain, MissingTransform
from rig.geometry.transforms import FrameError


def chain_of(
    rig: str | Path, source: str, target: str, *, steps: Sequence[str] = (), via: Sequence[str] = (),
    today: date | None = None,
) -> tuple[Chain, bool]:  # fmt: skip
    """The chain from ``source`` to ``target``, and whether the rig is simulated.

    ``steps``: what moves, each ``AToB=x,y,z[,a,b,c]`` or ``AToB=FILE.tfm``; ``via``: frames that it must pass. Raises
    ``ConfigError`` for bad input, and for a chain that is missing, ambiguous, a loop or expired.
    """
    config = load_config(rig)
    try:
        graph = rig_graph(config, today or datetime.now(UTC).date())
        for text in steps:
            name, matrix = stated_step(text)
            graph.add(name, matrix, identity="given")
        return graph.look_up(source, target, via=tuple(via)), config.rig.simulated
    except FrameError as error:
        raise ConfigError(f"{error}{_advice(error, source, target)}") from None


def _advice(error: Exception, source: str, target: str) -> str:
    """Advice on what joins a frame that no certificate and no rig file joins; empty for another kind of error."""
    if not isinstance(error, MissingTransform):
        return ""
    asked = {source, target}
    ways = []
    if asked & {"Image", "Probe", "Needle"}:
        ways.append("what moves is given with --step, as ProbeToHolder=0,0,3,0,0,0")
    if "Image" in asked:
        ways.append("ImageToProbe comes from a certificate (calibrate nwire) or from --step")
    return "; " + "; ".join(ways or ["is the name right? A frame is joined by a certificate, by [frames] or by --step"])
