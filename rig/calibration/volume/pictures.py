"""Pictures of a reconstructed sweep: three planes through it, and the bright surface as seen from the probe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, shift

from rig.calibration.volume.sweep import SweepVolume

Array = NDArray[np.float64]

_BAR_MM = 10.0
_STEP_VOXELS = 0.7
_FLOOR = 20.0
"""Grey level added before dividing, so that noise in the shadow counts for nothing."""
_SHADOW = 25.0
"""Mean grey level below bone at which its likeness has fallen to a third."""


def bone_likeness(sweep: SweepVolume, smooth_mm: float = 0.6) -> Array:
    """Bright voxels with a shadow 3 to 9 mm below them along the beam, brighter than 2 mm above: bone, not tissue.

    Shape as the volume, grey levels; tissue of even brightness gives about 0.
    """
    spacing = np.array(sweep.volume.spacing_mm[::-1])
    inside = sweep.volume.filled > 0
    soft = gaussian_filter(sweep.volume.grey.astype(np.float32), smooth_mm / spacing)
    down = sweep.axes[1][::-1] / spacing

    def along(mm: float, outside: float) -> Array:
        field = np.where(inside, soft, outside)
        return np.asarray(shift(field, -mm * down, order=1, cval=outside, prefilter=False))

    below = np.mean([along(mm, 0.0) for mm in (3.0, 5.0, 7.0, 9.0)], axis=0)
    above = along(-2.0, 255.0)
    score = soft * np.exp(-below / _SHADOW) * np.clip((soft - 0.6 * above) / (soft + _FLOOR), 0.0, 1.0)
    return np.asarray(np.where(inside, score, 0.0))


def surface_view(sweep: SweepVolume, tilt_deg: float = 30.0, turn_deg: float = 0.0, share: float = 0.03) -> Array:
    """Surface of what looks most like bone along parallel rays from the probe's side, shaded by its slope.

    ``share``: which part of the swept volume counts as surface. NaN where a ray hits none. The probe looks down the
    page. Shape (rows, columns), one ray per half voxel spacing, values 0 to 1.
    """
    soft = bone_likeness(sweep)
    spacing = np.array(sweep.volume.spacing_mm[::-1])
    limit = float(np.quantile(soft[sweep.volume.filled > 0], 1.0 - share))
    across, down = sweep.axes[0], sweep.axes[1]
    normal = np.cross(across, down)
    a, t = np.radians(turn_deg), np.radians(tilt_deg)
    side = np.cos(a) * across + np.sin(a) * normal
    along = np.cross(side, down)
    ray = np.cos(t) * down - np.sin(t) * along
    up = np.cross(side, ray)
    size = np.array(sweep.volume.grey.shape)
    centre = (size - 1) / 2.0
    reach = float(np.linalg.norm(size * spacing)) / 2.0
    step = float(spacing.min()) / 2.0
    n = int(2 * reach / step)
    grid = (np.arange(n) - n / 2) * step
    v, u = np.meshgrid(grid, grid, indexing="ij")
    plane = v[..., None] * up + u[..., None] * side
    depth = np.full((n, n), np.nan)
    open_ray = np.ones((n, n), dtype=bool)
    for s in np.arange(-reach, reach, step * 2.0 * _STEP_VOXELS):
        at = plane[open_ray] + s * ray
        index = at[:, ::-1] / spacing + centre
        inside = ((index >= 0) & (index <= size - 1)).all(axis=1)
        hit = np.zeros(len(index), dtype=bool)
        hit[inside] = map_coordinates(soft, index[inside].T, order=1, prefilter=False) > limit
        rows, columns = np.nonzero(open_ray)
        depth[rows[hit], columns[hit]] = s
        open_ray[rows[hit], columns[hit]] = False
    return _shade(depth, step)


def _shade(depth: Array, step: float) -> Array:
    known = np.isfinite(depth)
    if not known.any():
        return depth
    filled = np.where(known, depth, np.nanmean(depth))
    weight = gaussian_filter(known.astype(float), 1.2)
    soft = gaussian_filter(np.where(known, filled, 0.0), 1.2) / np.maximum(weight, 1e-6)
    dy, dx = np.gradient(soft, step)
    slope = 1.0 / np.sqrt(1.0 + dx**2 + dy**2)
    light = np.clip((0.5 * dx - 0.6 * dy + 0.8) * slope, 0.0, 1.0)
    near = 1.0 - (depth - np.nanmin(depth)) / max(float(np.nanmax(depth) - np.nanmin(depth)), 1e-6)
    shaded = 0.15 + 0.5 * light + 0.35 * near
    return np.asarray(np.where(known, shaded, np.nan))


def draw_sweep(sweep: SweepVolume, path: Path, title: str = "") -> None:
    """Three planes through the middle, labelled in mm of the volume's frame, and the rendered surface, as PNG."""
    volume = sweep.volume
    grey = volume.grey
    middle = [s // 2 for s in grey.shape]
    figure = Figure(figsize=(11, 9))
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2).ravel()
    names = "xyz"
    planes = (
        (grey[middle[0]], 0, 1, 2),
        (grey[:, middle[1]], 0, 2, 1),
        (grey[:, :, middle[2]], 1, 2, 0),
    )
    for axes, (plane, a, b, cut) in zip(panels, planes, strict=False):
        o, s = volume.origin_mm, volume.spacing_mm
        left, bottom = o[a] - s[a] / 2, o[b] - s[b] / 2
        extent = (left, left + s[a] * plane.shape[1], bottom, bottom + s[b] * plane.shape[0])
        axes.imshow(plane, cmap="gray", origin="lower", extent=extent, vmin=0, vmax=255)
        if sweep.axes[1][b] > 0.0:  # the probe on top, as on the scanner
            axes.invert_yaxis()
        at = o[cut] + s[cut] * volume.size[cut] // 2
        axes.set(xlabel=f"{names[a]} (mm)", ylabel=f"{names[b]} (mm)", title=f"{names[cut]} = {at:.1f} mm")
    view = surface_view(sweep)
    known = np.isfinite(view)
    if known.any():
        rows, columns = np.nonzero(known.any(axis=1))[0], np.nonzero(known.any(axis=0))[0]
        view = view[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    panels[3].set_facecolor("black")
    panels[3].imshow(view, cmap="bone", vmin=0.0, vmax=1.0)
    bar_px, rows_n = _BAR_MM / (min(volume.spacing_mm) / 2.0), view.shape[0]
    panels[3].plot([0.03 * rows_n, 0.03 * rows_n + bar_px], [0.97 * rows_n] * 2, color="white", linewidth=3)
    panels[3].text(0.03 * rows_n, 0.95 * rows_n, f"{_BAR_MM:g} mm", color="white", va="bottom")
    panels[3].set(title="bright with shadow below, rendered from the probe's side", xticks=[], yticks=[])
    figure.suptitle(title or f"sweep of {sweep.used_n} frames in {volume.frame}")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
