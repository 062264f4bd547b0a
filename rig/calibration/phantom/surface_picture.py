"""Picture of a registration by bone surface: where the measured points lie off it, seen from three sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hal.errors import CalibrationRefused
from hal.types import Matrix
from rig.calibration.figures import BAD, GOOD, wrapped
from rig.geometry.registration import Points, Surface, apply_transform

VIEWS = ((0, 1, "along z"), (0, 2, "along y"), (1, 2, "along x"))


def draw_surface(
    path: Path,
    measured: Points,
    surface: Surface,
    AToB: Matrix,
    limit_mm: float,
    refusal: CalibrationRefused | None = None,
    note: str = "",
) -> Path:
    """Measured points (n, 3) laid on the surface by ``AToB`` and coloured by their signed distance from it.

    One colour on one end: a turn or a scale; one colour on one bone: that bone lies elsewhere than drawn; both
    colours mixed: noise. ``note`` stands before the verdict. Returns ``path``.
    """
    points = apply_transform(AToB, measured)
    _, index = surface.tree.query(points)
    normals = _outwards(surface.normals[index], points, surface)
    away: NDArray[np.float64] = np.einsum("ij,ij->i", points - surface.points[index], normals)
    reach = 3.0 * limit_mm
    figure = Figure(figsize=(17.0, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1))
    low, high = points.min(axis=0) - 10.0, points.max(axis=0) + 10.0
    near = surface.points[np.all((surface.points > low) & (surface.points < high), axis=1)]
    for ax, (i, j, name) in zip(axes[:3], VIEWS, strict=True):
        ax.plot(near[:, i], near[:, j], ".", ms=1.5, color="#c9ced2", zorder=1)
        shown = ax.scatter(points[:, i], points[:, j], c=away, s=7, cmap="coolwarm", vmin=-reach, vmax=reach, zorder=2)
        ax.set_xlabel(f"{'xyz'[i]}, mm")
        ax.set_ylabel(f"{'xyz'[j]}, mm")
        ax.set_title(f"seen {name}", fontsize=10)
        ax.set_aspect("equal", adjustable="datalim")
        if j == 2:
            ax.invert_yaxis()
    figure.colorbar(shown, ax=axes[2], label="distance, mm (+ = outside the bone)")
    axes[3].hist(np.clip(away, -2 * reach, 2 * reach), bins=40, color=GOOD)
    for v in (-limit_mm, limit_mm):
        axes[3].axvline(v, color="black", ls="--")
    axes[3].set_xlabel("distance from the bone, mm")
    axes[3].set_ylabel("points")
    axes[3].set_title(f"dashed: limit of the rms, {limit_mm:g} mm", fontsize=10)
    verdict = "accepted" if refusal is None else "REFUSED: " + wrapped(refusal.reason)
    figure.suptitle(f"{note}: {verdict}" if note else verdict, color=GOOD if refusal is None else BAD, fontsize=10)
    figure.savefig(path, dpi=110)
    return path


def _outwards(normals: Points, points: Points, surface: Surface) -> Points:
    """Normals of a point cloud have no side of their own: take the one away from the middle of the surface."""
    out = points - surface.points.mean(axis=0)
    sign = np.where(np.einsum("ij,ij->i", normals, out) < 0.0, -1.0, 1.0)
    return np.asarray(normals * sign[:, None])
