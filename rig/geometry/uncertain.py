"""Transforms with their uncertainty, to first order.

The error of ``AToB`` is written on the left, in frame B: a point q of B is really at ``q + D [q; 1]`` with a small
3x4 matrix D. A rigid error has six parameters, (rotation vector about B's origin in rad, translation in mm); the
twelve of D are carried inside, so that chains through ``ImageToProbe`` (pixel pitch, which is no rigid transform) and
errors of scale (speed of sound) stay right. Steps of a chain are taken as independent.

Source: error on the left and its transport by conjugation, Barfoot & Furgale, IEEE T-RO 2014 (first order).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.errors import ConfigError
from hal.types import Matrix, Vector
from rig.geometry.transforms import invert

Covariance = NDArray[np.float64]


def _rigid_generators() -> NDArray[np.float64]:
    """(12, 6): the flattened D of each rigid parameter."""
    out = np.zeros((12, 6))
    for k in range(3):
        axis = np.zeros(3)
        axis[k] = 1.0
        d = np.zeros((3, 4))
        d[:, :3] = cross_matrix(axis)
        out[:, k] = d.ravel()
        shift = np.zeros((3, 4))
        shift[k, 3] = 1.0
        out[:, 3 + k] = shift.ravel()
    return out


def cross_matrix(v: ArrayLike) -> NDArray[np.float64]:
    """(3, 3): ``cross_matrix(v) @ w == cross(v, w)``."""
    x, y, z = (float(c) for c in np.asarray(v, dtype=np.float64))
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def _require_covariance(c: Covariance) -> None:
    size = max(float(np.abs(np.diag(c)).max(initial=0.0)), 1e-12)
    symmetric = bool(np.all(np.isfinite(c))) and np.allclose(c, c.T, atol=1e-9 * size)
    if not symmetric or np.linalg.eigvalsh(c)[0] < -1e-9 * size:
        raise ConfigError("the covariance of a transform must be finite and symmetric with no negative variance")


_RIGID = _rigid_generators()
_TO_RIGID = np.linalg.pinv(_RIGID)


def is_rigid(matrix: Matrix, tolerance: float = 1e-4) -> bool:
    """True when the upper left 3x3 is a proper rotation (no scale, no mirror)."""
    r = np.asarray(matrix)[:3, :3]
    return bool(np.allclose(r @ r.T, np.eye(3), atol=tolerance) and np.linalg.det(r) > 0)


@dataclass(frozen=True)
class UncertainTransform:
    """``AToB`` and the covariance of its error (see the module text)."""

    matrix: Matrix = field(repr=False)
    spread: Covariance = field(repr=False)
    """(12, 12), of the flattened (row-major) D."""

    @staticmethod
    def exact(matrix: Matrix) -> UncertainTransform:
        return UncertainTransform(np.asarray(matrix, dtype=np.float64), np.zeros((12, 12)))

    @staticmethod
    def rigid(matrix: Matrix, covariance: ArrayLike | None = None) -> UncertainTransform:
        """Transform from a 6x6 covariance (rotation vector about B's origin in rad, translation in mm); None is exact.

        Raises ``ConfigError`` when the covariance is not symmetric and positive.
        """
        if covariance is None:
            return UncertainTransform.exact(matrix)
        c = np.asarray(covariance, dtype=np.float64)
        if c.shape != (6, 6) or not np.all(np.isfinite(c)):
            raise ConfigError(f"the covariance of a transform is 6x6 and finite, got shape {c.shape}")
        _require_covariance(c)
        return UncertainTransform(np.asarray(matrix, dtype=np.float64), _RIGID @ c @ _RIGID.T)

    @staticmethod
    def stated(matrix: Matrix, covariance: ArrayLike) -> UncertainTransform:
        """Transform from a calibration's statement: nothing (exact), 6x6 as ``rigid``, or 12x12 as ``spread``.

        Raises ``ConfigError`` for another shape, and when it is not symmetric and positive.
        """
        c = np.asarray(covariance, dtype=np.float64)
        if c.shape != (12, 12):
            return UncertainTransform.rigid(matrix, c if c.size else None)
        _require_covariance(c)
        return UncertainTransform(np.asarray(matrix, dtype=np.float64), c)

    @staticmethod
    def about(matrix: Matrix, covariance: ArrayLike, centre_mm: ArrayLike) -> UncertainTransform:
        """Like ``rigid``, with the rotations taken about a point of B (as a surface fit reports them)."""
        move = np.eye(6)
        # q + w x (q - c) + t = q + w x q + (t - w x c), and -(w x c) = cross(c) w
        move[3:, :3] = cross_matrix(centre_mm)
        return UncertainTransform.rigid(matrix, move @ np.asarray(covariance, dtype=np.float64) @ move.T)

    @property
    def covariance(self) -> Covariance:
        """(6, 6): rotation vector about B's origin (rad), translation (mm). The rigid part of the error."""
        return np.asarray(_TO_RIGID @ self.spread @ _TO_RIGID.T)

    @property
    def statement(self) -> Covariance:
        """Covariance in the form that ``stated`` takes: empty for an exact transform, 6x6 for a rigid error, else
        12x12."""
        if not self.spread.any():
            return np.zeros((0, 0))
        rigid = self.covariance
        back = _RIGID @ rigid @ _RIGID.T
        alike = np.allclose(back, self.spread, rtol=0.0, atol=1e-9 * float(np.abs(self.spread).max()))
        return rigid if alike else self.spread

    def then(self, BToC: UncertainTransform) -> UncertainTransform:
        """``AToC`` of this ``AToB`` followed by ``BToC``."""
        move = np.kron(BToC.matrix[:3, :3], invert(BToC.matrix).T)
        return UncertainTransform(BToC.matrix @ self.matrix, BToC.spread + move @ self.spread @ move.T)

    def inverse(self) -> UncertainTransform:
        """``BToA``."""
        back = invert(self.matrix)
        move = np.kron(back[:3, :3], self.matrix.T)
        return UncertainTransform(back, move @ self.spread @ move.T)

    def point(self, point_a: ArrayLike, covariance_a: ArrayLike | None = None) -> tuple[Vector, Covariance]:
        """A point of A in B (3,), with its 3x3 covariance in the square of B's unit."""
        p = np.asarray(point_a, dtype=np.float64)
        q = self.matrix[:3, :3] @ p + self.matrix[:3, 3]
        jac = np.kron(np.eye(3), np.append(q, 1.0)[None, :])
        cov = jac @ self.spread @ jac.T
        if covariance_a is not None:
            r = self.matrix[:3, :3]
            cov = cov + r @ np.asarray(covariance_a, dtype=np.float64) @ r.T
        return q, np.asarray(cov)

    def point_sd_mm(self, point_a: ArrayLike) -> float:
        """Root of the summed variances of the mapped point: the 3-D standard uncertainty."""
        return float(np.sqrt(np.trace(self.point(point_a)[1])))
