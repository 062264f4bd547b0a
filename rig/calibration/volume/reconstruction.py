"""A tracked sweep as a volume: every pixel is put at its place in space, overlaps are compounded, holes are filled.

Voxel (i, j, k) is centred at ``origin_mm + spacing_mm * (i, j, k)`` of the chosen frame; arrays are (z, y, x). The
compiled loops run on one thread in the order of the frames, so the same sweep gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError

Array = NDArray[np.float64]
Grey = NDArray[np.uint8]

_LARGEST_VOXELS = 400_000_000
Interpolation = Literal["nearest", "trilinear"]
Compounding = Literal["mean", "max"]


@dataclass(frozen=True)
class Volume:
    """Grey values (z, y, x); ``filled`` is 1 where a pixel fell, 2 where a hole was filled, 0 outside."""

    grey: Grey = field(repr=False)
    filled: Grey = field(repr=False)
    origin_mm: tuple[float, float, float]
    """Centre of voxel (0, 0, 0): x, y, z."""
    spacing_mm: tuple[float, float, float]
    frame: str
    """Name of the frame of reference."""

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        z, y, x = self.grey.shape
        return x, y, z

    def as_json(self) -> dict[str, object]:
        return {
            "size": list(self.size),
            "origin_mm": list(self.origin_mm),
            "spacing_mm": list(self.spacing_mm),
            "frame": self.frame,
            "inserted_n": int(np.count_nonzero(self.filled == 1)),
            "filled_holes_n": int(np.count_nonzero(self.filled == 2)),
        }


def reconstruct(
    images: list[Grey],
    ImageToWorld: Array,
    *,
    spacing_mm: float | tuple[float, float, float] = 0.5,
    clip_px: tuple[int, int, int, int] | None = None,
    interpolation: Interpolation = "nearest",
    compounding: Compounding = "mean",
    hole_voxels: int = 0,
    frame: str = "Reference",
) -> Volume:
    """Insert images (rows, columns; MF order) by their poses (n, 4, 4).

    ``clip_px`` (column, row, columns, rows) is the part of the image that shows ultrasound. ``hole_voxels``: voxels
    with none of their own take the distance-weighted mean of inserted ones up to this many voxels away.
    Raises ``ConfigError``.
    """
    if not images or len(images) != len(ImageToWorld):
        raise ConfigError(f"{len(images)} images and {len(ImageToWorld)} poses do not make a sweep")
    if not np.isfinite(ImageToWorld).all():
        raise ConfigError("a pose of the sweep has numbers that are not finite")
    shape = images[0].shape
    if any(i.shape != shape or i.ndim != 2 or i.dtype != np.uint8 for i in images):
        raise ConfigError("the images of a sweep must be of one size and of 8-bit grey values")
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=float), (3,)).copy()
    if not (spacing > 0.0).all():
        raise ConfigError("the voxel spacing must be positive")
    column, row, width, height = clip_px or (0, 0, shape[1], shape[0])
    if column < 0 or row < 0 or width < 1 or height < 1 or column + width > shape[1] or row + height > shape[0]:
        raise ConfigError(f"clip rectangle {clip_px} does not lie in the image of {shape[1]}x{shape[0]} pixels")
    last = (column + width - 1, row + height - 1)
    corners = np.array([[column, row, 0, 1], [last[0], row, 0, 1], [column, last[1], 0, 1], [*last, 0, 1]], dtype=float)
    at = np.einsum("nij,cj->nci", ImageToWorld, corners)[..., :3].reshape(-1, 3)
    origin = at.min(axis=0)
    size = np.floor((at.max(axis=0) - origin) / spacing + 0.5).astype(int) + 1
    if np.prod(size.astype(float)) > _LARGEST_VOXELS:
        raise ConfigError(f"the sweep would need {size[0]} x {size[1]} x {size[2]} voxels: take a larger spacing")
    total = np.zeros(size[::-1], dtype=np.float32)
    weight = np.zeros(size[::-1], dtype=np.float32)
    insert = _insert_linear if interpolation == "trilinear" else _insert_nearest
    for image, pose in zip(images, ImageToWorld, strict=True):
        step = (pose[:3, [0, 1, 3]] - np.outer(origin, (0, 0, 1))) / spacing[:, None]
        insert(np.ascontiguousarray(image), step, column, row, width, height, total, weight, compounding == "max")
    grey, filled = _finish(total, weight, compounding == "max")
    if hole_voxels > 0:
        grey, filled = _fill(grey, filled, hole_voxels)
    x, y, z = (float(v) for v in origin)
    return Volume(grey, filled, (x, y, z), (float(spacing[0]), float(spacing[1]), float(spacing[2])), frame)


@numba.njit(cache=True)
def _insert_nearest(
    image: Grey, step: Array, column: int, row: int, width: int, height: int, total: Array, weight: Array, maximum: bool
) -> None:
    nz, ny, nx = total.shape
    for v in range(row, row + height):
        for u in range(column, column + width):
            i = int(np.floor(step[0, 0] * u + step[0, 1] * v + step[0, 2] + 0.5))
            j = int(np.floor(step[1, 0] * u + step[1, 1] * v + step[1, 2] + 0.5))
            k = int(np.floor(step[2, 0] * u + step[2, 1] * v + step[2, 2] + 0.5))
            if i < 0 or j < 0 or k < 0 or i >= nx or j >= ny or k >= nz:
                continue
            if maximum:
                if weight[k, j, i] == 0.0 or image[v, u] > total[k, j, i]:
                    total[k, j, i] = image[v, u]
                weight[k, j, i] = 1.0
            else:
                total[k, j, i] += image[v, u]
                weight[k, j, i] += 1.0


@numba.njit(cache=True)
def _insert_linear(
    image: Grey, step: Array, column: int, row: int, width: int, height: int, total: Array, weight: Array, maximum: bool
) -> None:
    nz, ny, nx = total.shape
    for v in range(row, row + height):
        for u in range(column, column + width):
            x = step[0, 0] * u + step[0, 1] * v + step[0, 2]
            y = step[1, 0] * u + step[1, 1] * v + step[1, 2]
            z = step[2, 0] * u + step[2, 1] * v + step[2, 2]
            i0, j0, k0 = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
            fx, fy, fz = x - i0, y - j0, z - k0
            for dk in range(2):
                k = k0 + dk
                wz = fz if dk else 1.0 - fz
                if k < 0 or k >= nz:
                    continue
                for dj in range(2):
                    j = j0 + dj
                    wy = wz * (fy if dj else 1.0 - fy)
                    if j < 0 or j >= ny:
                        continue
                    for di in range(2):
                        i = i0 + di
                        w = wy * (fx if di else 1.0 - fx)
                        if i < 0 or i >= nx or w < 1e-3:
                            continue
                        if maximum:
                            if w >= 0.125 and (weight[k, j, i] == 0.0 or image[v, u] > total[k, j, i]):
                                total[k, j, i] = image[v, u]
                                weight[k, j, i] = 1.0
                        else:
                            total[k, j, i] += w * image[v, u]
                            weight[k, j, i] += w


@numba.njit(cache=True)
def _finish(total: Array, weight: Array, maximum: bool) -> tuple[Grey, Grey]:
    nz, ny, nx = total.shape
    grey = np.zeros((nz, ny, nx), dtype=np.uint8)
    filled = np.zeros((nz, ny, nx), dtype=np.uint8)
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                w = weight[k, j, i]
                if w > 0.0:
                    value = total[k, j, i] if maximum else total[k, j, i] / w
                    grey[k, j, i] = np.uint8(value + 0.5)
                    filled[k, j, i] = 1
    return grey, filled


@numba.njit(cache=True)
def _fill(grey: Grey, filled: Grey, reach: int) -> tuple[Grey, Grey]:
    """Holes that have inserted voxels on both sides of a straight line through them; nearer ones weigh more.

    Thirteen lines (axes, face and space diagonals) are tried, so nothing grows outwards from the sweep's surface.
    """
    nz, ny, nx = grey.shape
    out, mark = grey.copy(), filled.copy()
    lines = np.array(
        [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1),
         (1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1)]
    )  # fmt: skip
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                if filled[k, j, i] != 0:
                    continue
                total, weight = 0.0, 0.0
                for n in range(13):
                    a, b, c = lines[n]
                    length = np.sqrt(float(a * a + b * b + c * c))
                    one = 0
                    two = 0
                    for s in range(1, reach + 1):
                        x, y, z = i + s * a, j + s * b, k + s * c
                        if x < 0 or y < 0 or z < 0 or x >= nx or y >= ny or z >= nz:
                            break
                        if filled[z, y, x] == 1:
                            one = s
                            break
                    if one == 0:
                        continue
                    for s in range(1, reach + 1 - one):
                        x, y, z = i - s * a, j - s * b, k - s * c
                        if x < 0 or y < 0 or z < 0 or x >= nx or y >= ny or z >= nz:
                            break
                        if filled[z, y, x] == 1:
                            two = s
                            break
                    if two == 0:
                        continue
                    w = 1.0 / ((one + two) * length) ** 2
                    ahead = float(grey[k + one * c, j + one * b, i + one * a])
                    behind = float(grey[k - two * c, j - two * b, i - two * a])
                    total += w * (ahead * two + behind * one) / (one + two)
                    weight += w
                if weight > 0.0:
                    out[k, j, i] = np.uint8(total / weight + 0.5)
                    mark[k, j, i] = 2
    return out, mark
