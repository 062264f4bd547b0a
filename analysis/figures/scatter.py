"""Tip errors in three dimensions with their 95 % prediction ellipsoid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from numpy.typing import NDArray
from scipy import stats

from analysis.figures.style import INK, MARKER, Stamp, colour_of, new_figure
from analysis.group import PLANES, closed, error_vectors
from analysis.results import Group
from analysis.tables import DataFrame

CAPTION = (
    "Tip errors in the frame of the phantom: away from the midline, cranial and deep. The black cross is the aim "
    "point. Wire frame: ellipsoid that contains the next trial with 95 % probability, if errors are normal (shown "
    "from n = 5). Scales differ between panels."
)


def ellipsoid_radii(errors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Axes (columns) and half lengths of the 95 % prediction ellipsoid of errors, shape (n, 3), n > 3.

    Half lengths ``sqrt(q lambda)`` with ``q = 3 (n^2 - 1) / (n (n - 3)) F(0.95; 3, n - 3)``.
    """
    n = len(errors)
    lengths, axes = np.linalg.eigh(np.cov(errors.T))
    q = 3 * (n**2 - 1) / (n * (n - 3)) * float(stats.f.ppf(0.95, 3, n - 3))
    return axes, np.sqrt(q * np.clip(lengths, 0.0, None))


def draw(trials: DataFrame, arms: Sequence[Group], stamp: Stamp) -> Figure:
    """One panel per arm."""
    figure = new_figure(2.5, stamp)
    for k, arm in enumerate(arms):
        axes: Axes3D = figure.add_subplot(1, len(arms), k + 1, projection="3d")
        _panel(axes, closed(trials[trials["plane"] == arm.plane]), arm.plane)
    return figure


def _panel(axes: Axes3D, trials: DataFrame, plane: str) -> None:
    colour = colour_of(plane)
    errors = error_vectors(trials)
    axes.set_title(f"{PLANES.get(plane, plane)}, n = {len(errors)}", loc="left")
    for level, marker in MARKER.items():
        own = error_vectors(trials[trials["level"] == level])
        if len(own):
            axes.scatter(own[:, 0], own[:, 1], own[:, 2], marker=marker, s=14, color=colour, depthshade=False)
    reach = float(np.abs(errors).max()) * 1.1 if len(errors) else 1.0
    if len(errors) >= 5:
        directions, radii = ellipsoid_radii(errors)
        u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, np.pi, 13))
        ball = np.stack([np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v)])
        shell = np.einsum("ij,jkl->ikl", directions * radii, ball) + errors.mean(axis=0)[:, None, None]
        axes.plot_wireframe(*shell, rcount=9, ccount=13, lw=0.5, color=colour, alpha=0.45)
        reach = max(reach, float(np.abs(shell).max()))
    axes.plot([-reach / 6, reach / 6], [0, 0], [0, 0], color=INK, lw=1.4)
    axes.plot([0, 0], [-reach / 6, reach / 6], [0, 0], color=INK, lw=1.4)
    axes.plot([0, 0], [0, 0], [-reach / 6, reach / 6], color=INK, lw=1.4)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(reach, -reach))
    axes.set_xlabel("lateral (mm)", labelpad=-6)
    axes.set_ylabel("cranial (mm)", labelpad=-6)
    axes.set_zlabel("deep (mm)", labelpad=-7)
    axes.tick_params(pad=-3, labelsize=6.5)
    axes.locator_params(nbins=4)
    axes.view_init(elev=22, azim=-58)
    axes.set_box_aspect((1, 1, 1), zoom=0.88)
