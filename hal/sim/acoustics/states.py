"""Contents of a frame besides the gel: a needle, injected fluid, old needle tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EchoNeedle:
    """The part of the needle that lies in the gel, as it is now."""

    points_mm: NDArray[np.float64]
    """Polyline in ``Phantom``, shape (n, 3), n >= 2, tip last."""
    od_mm: float = 0.72
    """Outer diameter; 22G = 0.72 mm (ISO 9626)."""
    bevel_deg: float = 0.0
    """Rotation of the bevel about the shaft; 0 = opening towards +X."""
    echogenic: bool = False
    """Dimpled or coated shaft: scatters back at steep angles."""


@dataclass(frozen=True)
class Bolus:
    """An echo-poor ellipsoid of injected fluid, as it is now."""

    centre_mm: NDArray[np.float64]
    """In ``Phantom``, shape (3,)."""
    semi_axes_mm: NDArray[np.float64]
    """Shape (3,); a penny-shaped pool has one axis about a third of the others."""
    axes: NDArray[np.float64]
    """Rows are the unit directions of the semi-axes in ``Phantom``, shape (3, 3)."""

    @classmethod
    def ball(cls, centre_mm: NDArray[np.float64], volume_ml: float) -> Bolus:
        """A sphere of the given volume."""
        return cls.penny(centre_mm, volume_ml, np.array([0.0, 0.0, 1.0]), aspect=1.0)

    @classmethod
    def penny(
        cls, centre_mm: NDArray[np.float64], volume_ml: float, normal: NDArray[np.float64], aspect: float = 3.0
    ) -> Bolus:
        """A spheroid that is ``aspect`` times wider than thick, thin along ``normal``."""
        thin = (3 * volume_ml * 1000 / (4 * np.pi * aspect**2)) ** (1 / 3)
        n = np.asarray(normal, dtype=float) / np.linalg.norm(normal)
        other = np.cross(n, [1.0, 0.0, 0.0] if abs(n[0]) < 0.9 else [0.0, 1.0, 0.0])
        other /= np.linalg.norm(other)
        axes = np.stack([other, np.cross(n, other), n])
        return cls(np.asarray(centre_mm, dtype=float), np.array([aspect * thin, aspect * thin, thin]), axes)


@dataclass(frozen=True)
class Track:
    """A healed needle path: a faint line in the gel."""

    points_mm: NDArray[np.float64]
    """Polyline in ``Phantom``, shape (n, 3)."""
    od_mm: float = 0.72
