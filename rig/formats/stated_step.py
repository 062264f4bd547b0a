"""One transform in one word, as a person types it: ``AToB=x,y,z``, with angles, or with the file that holds it."""

from __future__ import annotations

from pathlib import Path

from hal.errors import ConfigError
from hal.poses import why_refused
from hal.types import Matrix, Pose6
from rig.formats.tfm import read_tfm
from rig.geometry.transforms import from_pose6


def stated_step(text: str) -> tuple[str, Matrix]:
    """``AToB=FILE.tfm``, ``AToB=x,y,z`` or ``AToB=x,y,z,a,b,c`` (mm, deg; ``Rz(c) Ry(b) Rx(a)``).

    Raises ``ConfigError``, also for what no body on a bench can have.
    """
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
