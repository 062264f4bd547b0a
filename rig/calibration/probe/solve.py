"""Image-to-probe matrix from middle-wire points: linear least squares, and the same with orthogonal axes.

Linear part as PLUS does it (fCal; Chen, Thurfjord, Ellis 2009): the middle dot's share of the way between the outer
dots gives its place on the wire; each row of the matrix is fitted by itself, dropping equations whose residual is
3 standard deviations from the mean until none is. Orthogonal part after Carbajal 2013: a rotation, a shift and one
pitch per image axis, from the 3-D misfit of the middle wires.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from hal.types import Matrix
from rig.calibration.probe.wires import WirePhantom

Array = NDArray[np.float64]
_OUTLIER_SD = 3.0


@dataclass(frozen=True)
class LinearFit:
    """``ImageToProbe`` and the equations that it used, shape (points, 3) of bool."""

    ImageToProbe: Matrix = field(repr=False)
    kept: NDArray[np.bool_] = field(repr=False)
    raw_angle_deg: float
    """Angle between the fitted column and row axes; far from 90 means a wrong phantom, pose or pairing in time."""


def middle_points_mm(phantom: WirePhantom, dots_px: Array) -> Array:
    """Points where the middle wires were cut, phantom mm, shape (n, patterns, 3), from dots of shape (n, wires, 2)."""
    dots = dots_px.reshape(len(dots_px), -1, 3, 2)
    share = np.linalg.norm(dots[:, :, 1] - dots[:, :, 0], axis=2) / np.linalg.norm(
        dots[:, :, 2] - dots[:, :, 0], axis=2
    )
    ends = np.array([p.crossings_mm() for p in phantom.patterns])
    return np.asarray(ends[None, :, 0] + share[..., None] * (ends[None, :, 1] - ends[None, :, 0]))


def in_probe_mm(PhantomToProbe: Array, points_mm: Array) -> Array:
    """Points (n, k, 3) of the phantom in the probe's frame by the pose (n, 4, 4) of their frame."""
    return np.asarray(np.einsum("nij,nkj->nki", PhantomToProbe[:, :3, :3], points_mm) + PhantomToProbe[:, None, :3, 3])


def fit_linear(middle_px: Array, probe_mm: Array) -> LinearFit:
    """Fit from middle dots (m, 2) and their places in the probe's frame (m, 3)."""
    design = np.concatenate([middle_px, np.ones((len(middle_px), 1))], axis=1)
    rows, kept = np.zeros((3, 3)), np.ones((len(design), 3), dtype=bool)
    for k in range(3):
        use = kept[:, k]
        while True:
            rows[k] = np.linalg.lstsq(design[use], probe_mm[use, k], rcond=None)[0]
            residual = design @ rows[k] - probe_mm[:, k]
            centre, spread = residual[use].mean(), residual[use].std()
            drop = use & (np.abs(residual - centre) >= _OUTLIER_SD * spread) & (np.abs(residual) > 1e-9)
            if not drop.any() or (use & ~drop).sum() < 12:
                break
            use &= ~drop
    x, y = rows[:, 0], rows[:, 1]
    cosine = float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))
    return LinearFit(assemble(x, y, rows[:, 2]), kept, float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))


def assemble(x: Array, y: Array, offset: Array) -> Matrix:
    """4x4 ``ImageToProbe`` whose third column is normal to the image and as long as a mean pixel."""
    z = np.cross(x / np.linalg.norm(x), y / np.linalg.norm(y))
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 3] = x, y, offset
    matrix[:3, 2] = z / np.linalg.norm(z) * 0.5 * (np.linalg.norm(x) + np.linalg.norm(y))
    return matrix


def fit_orthogonal(start: LinearFit, middle_px: Array, probe_mm: Array, *, equal_pitch: bool = False) -> Matrix:
    """Refine with axes at right angles; equations that the linear fit dropped stay dropped."""
    m = start.ImageToProbe
    size = np.linalg.norm(m[:3, :2], axis=0)
    if equal_pitch:
        size = np.array([size.mean()])
    u, _, vt = np.linalg.svd(m[:3, :3] / np.linalg.norm(m[:3, :3], axis=0))
    turn = Rotation.from_matrix(u @ vt)
    centre = middle_px.mean(axis=0)
    shift = m[:3, :2] @ centre + m[:3, 3]
    flat = middle_px - centre
    used = start.kept

    def unpack(p: Array) -> tuple[Array, Array]:
        axes = (Rotation.from_rotvec(p[:3]) * turn).as_matrix()[:, :2] * (p[6:] * size)
        return axes, shift + p[3:6]

    def misfit(p: Array) -> Array:
        axes, at = unpack(p)
        return np.asarray((flat @ axes.T + at - probe_mm)[used])

    begin = np.concatenate([np.zeros(6), np.ones(len(size))])
    best = least_squares(
        misfit, begin, x_scale=np.concatenate([np.full(3, 0.01), np.ones(3), np.full(len(size), 0.01)])
    )
    axes, at = unpack(best.x)
    return assemble(axes[:, 0], axes[:, 1], at - axes @ centre)


def fit_in_plane(phantom: WirePhantom, start: Matrix, dots_px: Array, PhantomToProbe: Array) -> Matrix:
    """Refine an orthogonal matrix so that all wires, not the middle ones alone, fall on their dots (Carbajal, "2D").

    The cost is the misfit in the image plane, mm, softened beyond 0.6 mm (soft L1).
    """
    size = np.linalg.norm(start[:3, :2], axis=0)
    across, down = start[:3, 0] / size[0], start[:3, 1] / size[1]
    turn = np.stack([across, down, np.cross(across, down)], axis=1)
    centre = dots_px.reshape(-1, 2).mean(axis=0)
    shift = start[:3, :2] @ centre + start[:3, 3]

    def matrix(p: Array) -> Matrix:
        axes = (Rotation.from_rotvec(p[:3]).as_matrix() @ turn)[:, :2] * (p[6:] * size)
        return assemble(axes[:, 0], axes[:, 1], shift + p[3:6] - axes @ centre)

    def misfit(p: Array) -> Array:
        off = (predicted_dots_px(phantom, matrix(p), PhantomToProbe) - dots_px) * size
        return np.asarray(np.clip(np.nan_to_num(off, nan=50.0), -50.0, 50.0)).ravel()

    begin = np.concatenate([np.zeros(6), np.ones(2)])
    scale = np.array([0.01] * 3 + [1.0] * 3 + [0.01] * 2)
    return matrix(least_squares(misfit, begin, x_scale=scale, loss="soft_l1", f_scale=0.6).x)


def predicted_dots_px(phantom: WirePhantom, ImageToProbe: Matrix, PhantomToProbe: Array) -> Array:
    """Points where the image plane of every pose cuts every wire, pixels, shape (n, wires, 2); inf for a parallel
    wire."""
    ImageToPhantom = np.linalg.inv(PhantomToProbe) @ ImageToProbe
    start = np.array([w.start for w in phantom.wires])
    along = np.array([w.direction for w in phantom.wires])
    PhantomToImage = np.linalg.inv(ImageToPhantom)
    a = np.einsum("nij,wj->nwi", PhantomToImage[:, :3, :3], start) + PhantomToImage[:, None, :3, 3]
    d = np.einsum("nij,wj->nwi", PhantomToImage[:, :3, :3], along)
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = a - d * (a[..., 2:] / d[..., 2:])
    return np.asarray(cut[..., :2])
