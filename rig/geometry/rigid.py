"""Whether a recorded pose is a rigid one: named faults of what a tracker or a file gave."""

from __future__ import annotations

import numpy as np

from hal.types import Matrix

RIGID = 2e-3
"""Largest deviation of a pose from a rotation, as a share; six printed digits give 1e-5."""


def why_not_rigid(matrix: Matrix) -> str:
    """What is wrong with a pose (4x4): not finite, an axis scaled, axes scaled or skewed, mirrored; '' for a rigid one.

    A scaled row or column is told by its axis. A mirrored pose is a flipped axis, which one cannot be told: flipping
    any other one and turning gives the same matrix.
    """
    r = matrix[:3, :3]
    if not np.isfinite(matrix).all():
        return "has numbers that are not finite"
    if np.abs(r).max() < RIGID:
        return "is no rotation: its axes are all zero"
    scaled: list[tuple[float, str]] = []
    for product, frame in ((r.T @ r, "source"), (r @ r.T, "target")):
        sizes = np.sqrt(np.diag(product))
        off = np.abs(sizes - 1.0)
        skew = float(np.abs(product - np.diag(np.diag(product))).max())
        if off.max() > RIGID and skew < 0.2 * off.max() and np.sum(off > 0.3 * off.max()) == 1:
            worst = int(np.argmax(off))
            text = f"is no rotation: axis {'xyz'[worst]} of its {frame} frame is scaled by {sizes[worst]:.4f}"
            scaled.append((skew, text))
    if scaled:
        return min(scaled)[1]  # of a small turn both frames would do; the one that leaves no skew is right
    if np.abs(r @ r.T - np.eye(3)).max() > 2 * RIGID:
        return "is no rotation: its axes are scaled or skewed"
    if np.linalg.det(r) < 0.0:
        return "is mirrored (determinant -1): one of its axes is flipped"
    return ""
