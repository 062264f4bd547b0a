"""A shaded picture of the bones, ray-marched through their distance field."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hal.phantom.scene import BoneScene
from hal.phantom.shapes import scene_distance
from hal.types import Pixels


def portrait(
    scene: BoneScene,
    look: NDArray[np.float64],
    up: NDArray[np.float64],
    centre_mm: NDArray[np.float64],
    width_mm: float,
    height_mm: float,
    pixel_mm: float = 0.5,
) -> Pixels:
    """Parallel view of the bones, shape (rows, columns), 0 = nothing there.

    ``look`` is the direction of view and ``up`` what is up in the picture (Phantom axes).
    """
    look = look / np.linalg.norm(look)
    right = np.cross(look, up)
    right /= np.linalg.norm(right)
    top = np.cross(right, look)
    columns, rows = int(width_mm / pixel_mm), int(height_mm / pixel_mm)
    across = (np.arange(columns) - columns / 2) * pixel_mm
    down = (np.arange(rows) - rows / 2) * pixel_mm
    starts = (centre_mm - look * 160.0) + across[None, :, None] * right - down[:, None, None] * top
    grey = _march(*scene.packed, np.ascontiguousarray(starts.reshape(-1, 3)), look, right, top)
    out: Pixels = grey.reshape(rows, columns)
    return out


@njit(cache=True)
def _march(
    parts: NDArray[np.float64],
    starts: NDArray[np.int64],
    frames: NDArray[np.float64],
    bounds: NDArray[np.float64],
    eyes: NDArray[np.float64],
    look: NDArray[np.float64],
    right: NDArray[np.float64],
    top: NDArray[np.float64],
) -> NDArray[np.uint8]:
    out = np.zeros(eyes.shape[0], dtype=np.uint8)
    light = -0.75 * look + 0.35 * top - 0.45 * right
    light = light / math.sqrt(light[0] ** 2 + light[1] ** 2 + light[2] ** 2)
    e = 0.4
    for n in range(eyes.shape[0]):
        t = 0.0
        for _ in range(300):
            x = eyes[n, 0] + t * look[0]
            y = eyes[n, 1] + t * look[1]
            z = eyes[n, 2] + t * look[2]
            d, _b = scene_distance(parts, starts, frames, bounds, x, y, z)
            if d < 0.06:
                gx = (
                    scene_distance(parts, starts, frames, bounds, x + e, y, z)[0]
                    - scene_distance(parts, starts, frames, bounds, x - e, y, z)[0]
                )
                gy = (
                    scene_distance(parts, starts, frames, bounds, x, y + e, z)[0]
                    - scene_distance(parts, starts, frames, bounds, x, y - e, z)[0]
                )
                gz = (
                    scene_distance(parts, starts, frames, bounds, x, y, z + e)[0]
                    - scene_distance(parts, starts, frames, bounds, x, y, z - e)[0]
                )
                norm = math.sqrt(gx * gx + gy * gy + gz * gz) + 1e-9
                shade = max((gx * light[0] + gy * light[1] + gz * light[2]) / norm, 0.0)
                # crevices are darker: how much room is there a little above the surface
                room = scene_distance(
                    parts, starts, frames, bounds, x + 4.0 * gx / norm, y + 4.0 * gy / norm, z + 4.0 * gz / norm
                )[0]
                open_sky = min(max(room / 4.0, 0.0), 1.0)
                fade = 1.0 - 0.35 * min(max((t - 110.0) / 130.0, 0.0), 1.0)
                out[n] = np.uint8(min(25.0 + 225.0 * (0.25 + 0.75 * shade) * (0.45 + 0.55 * open_sky) * fade, 255.0))
                break
            t += max(0.8 * d, 0.1)
            if t > 330.0:
                break
    return out
