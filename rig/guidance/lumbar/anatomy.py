"""Properties of the nominal phantom that guidance needs (frame Phantom, mm). The true phantom is never asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hal.types import Vector
from rig.geometry.registration import Points


class NerveTarget(Protocol):
    """One nerve root as designed in the nominal phantom."""

    @property
    def nerve_centre_mm(self) -> Vector: ...

    @property
    def nerve_axis(self) -> Vector: ...

    @property
    def nerve_radius_mm(self) -> float: ...

    def aim_mm(self, direction: Vector) -> Vector:
        """Aim point for a needle that travels along ``direction``: 1.5 mm outside the nerve on the approach side."""


class BoneModel(Protocol):
    """Nominal bone for registration and planning."""

    def dorsal_bone_points(self, spacing_mm: float) -> tuple[Points, Sequence[str] | NDArray[np.str_]]: ...

    def bone_distance(self, points: Points) -> NDArray[np.float64]:
        """Signed distance to the nearest bone, negative inside, shape (n,)."""
