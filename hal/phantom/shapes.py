"""Signed-distance shapes of which the bones are made, as numba kernels.

A bone is a table ``parts`` of shape (n, 24), one row per shape, in the bone's own frame (x anterior, y lateral,
z cranial, mm). Bones are symmetric: kernels take |y|. Columns:

==========  ==================================================================================
0           kind: 0 rounded box, 1 tapered capsule, 2 vertebral body, 3 ellipsoid
1           operation: 0 union (smooth), 1 subtract (a canal or foramen)
2           index of the part's name
3:6         centre (box, body, ellipsoid) or first end (capsule)
6:15        rotation, shape axes as rows (row-major)
15:24       sizes: box hx, hy, hz, rounding; capsule bx, by, bz, ra, rb;
            body depth/2, width/2 at mid height, width/2 at the endplates, height/2 front, height/2 back,
            exponent of the superellipse, posterior concavity, endplate concavity, -; ellipsoid rx, ry, rz
==========  ==================================================================================

Distances are exact for boxes and capsules (formulas of the usual geometry of segments and boxes), first-order near
the surface for bodies and ellipsoids; negative inside.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

COLUMNS = 24
SMOOTH_MM = 1.6
"""Blend radius of the union of parts: bone has no sharp inner corners [A]."""
FAR_MM = 1e6


@njit(cache=True, inline="always")
def _box(x: float, y: float, z: float, hx: float, hy: float, hz: float, r: float) -> float:
    qx = abs(x) - hx + r
    qy = abs(y) - hy + r
    qz = abs(z) - hz + r
    ax = max(qx, 0.0)
    ay = max(qy, 0.0)
    az = max(qz, 0.0)
    return math.sqrt(ax * ax + ay * ay + az * az) + min(max(qx, max(qy, qz)), 0.0) - r


@njit(cache=True, nogil=True)
def _capsule(px: float, py: float, pz: float, bx: float, by: float, bz: float, ra: float, rb: float) -> float:
    """Round cone from the origin (radius ra) to b (radius rb)."""
    length2 = bx * bx + by * by + bz * bz
    if length2 < 1e-9:
        return math.sqrt(px * px + py * py + pz * pz) - max(ra, rb)
    length = math.sqrt(length2)
    along = (px * bx + py * by + pz * bz) / length
    across = math.sqrt(max(px * px + py * py + pz * pz - along * along, 0.0))
    slope = (ra - rb) / length
    if abs(slope) >= 1.0:
        return min(
            math.sqrt(along * along + across * across) - ra,
            math.sqrt((along - length) * (along - length) + across * across) - rb,
        )
    cosine = math.sqrt(1.0 - slope * slope)
    shifted = along * cosine - across * slope
    if shifted < 0.0:
        return math.sqrt(along * along + across * across) - ra
    if shifted > cosine * length:
        return math.sqrt((along - length) * (along - length) + across * across) - rb
    return across * cosine + along * slope - ra


@njit(cache=True, nogil=True)
def _body(x: float, y: float, z: float, s: NDArray[np.float64]) -> float:
    """Vertebral body: superellipse in section, waisted, endplates hollowed, back wall concave."""
    half_depth, wide_mid, wide_end, front, back, exponent, hollow, dish = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
    ratio = min(max((x + half_depth) / (2.0 * half_depth), 0.0), 1.0)
    half_height = back + (front - back) * ratio
    rel = min(abs(z) / half_height, 1.0)
    wide = wide_mid + (wide_end - wide_mid) * rel * rel
    deep = half_depth - 1.2 * (1.0 - rel * rel)
    u = abs(y) / wide
    v = abs(x) / deep
    if x < 0.0 and hollow > 0.0:
        v = abs(x) / (deep - hollow * math.exp(-(y * y) / (2.0 * 7.0 * 7.0)))
    f = (u**exponent + v**exponent) ** (1.0 / exponent)
    if f < 1e-6:
        side = -min(wide, deep)
    else:
        gu = (u / f) ** (exponent - 1.0) / wide
        gv = (v / f) ** (exponent - 1.0) / deep
        side = (f - 1.0) / math.sqrt(gu * gu + gv * gv)
    inner = 1.0 - min(f, 1.0) ** 2
    cap = abs(z) - half_height + dish * inner
    rounding = 1.5
    a = side + rounding
    b = cap + rounding
    return float(min(max(a, b), 0.0) + math.sqrt(max(a, 0.0) ** 2 + max(b, 0.0) ** 2) - rounding)


@njit(cache=True, nogil=True)
def _ellipsoid(x: float, y: float, z: float, rx: float, ry: float, rz: float) -> float:
    k0 = math.sqrt((x / rx) ** 2 + (y / ry) ** 2 + (z / rz) ** 2)
    k1 = math.sqrt((x / (rx * rx)) ** 2 + (y / (ry * ry)) ** 2 + (z / (rz * rz)) ** 2)
    if k1 < 1e-9:
        return -min(rx, min(ry, rz))
    return float(k0 * (k0 - 1.0) / k1)


@njit(cache=True, nogil=True)
def part_distance(row: NDArray[np.float64], x: float, y: float, z: float) -> float:
    """Distance to one part; ``y`` already absolute."""
    dx = x - row[3]
    dy = y - row[4]
    dz = z - row[5]
    kind = int(row[0])
    if kind == 1:
        return _capsule(dx, dy, dz, row[15], row[16], row[17], row[18], row[19])
    if kind == 2:
        return _body(dx, dy, dz, row[15:24])
    u = row[6] * dx + row[7] * dy + row[8] * dz
    v = row[9] * dx + row[10] * dy + row[11] * dz
    w = row[12] * dx + row[13] * dy + row[14] * dz
    if kind == 0:
        return _box(u, v, w, row[15], row[16], row[17], row[18])
    return _ellipsoid(u, v, w, row[15], row[16], row[17])


@njit(cache=True, nogil=True)
def bone_distance(parts: NDArray[np.float64], x: float, y: float, z: float) -> float:
    """Signed distance (mm) of one point to one bone, both in the bone's frame."""
    ay = abs(y)
    d = FAR_MM
    for i in range(parts.shape[0]):
        e = part_distance(parts[i], x, ay, z)
        if parts[i, 1] == 0.0:
            h = max(SMOOTH_MM - abs(d - e), 0.0) / SMOOTH_MM
            d = min(d, e) - h * h * SMOOTH_MM * 0.25
        else:
            d = max(d, -e)
    return d


@njit(cache=True, nogil=True)
def nearest_part(parts: NDArray[np.float64], x: float, y: float, z: float) -> int:
    """Index of the part name nearest to the point (canals do not count)."""
    ay = abs(y)
    best = FAR_MM
    name = -1
    for i in range(parts.shape[0]):
        if parts[i, 1] == 0.0:
            e = part_distance(parts[i], x, ay, z)
            if e < best:
                best = e
                name = int(parts[i, 2])
    return name


FACET_GAP_MM = 1.6
"""Bone-to-bone gap of a facet joint (facts: 1.7 at L3-4, 1.6 at L4-5, measured on the mean mesh)."""


@njit(cache=True, nogil=True)
def scene_distance(
    parts: NDArray[np.float64],
    starts: NDArray[np.int64],
    frames: NDArray[np.float64],
    bounds: NDArray[np.float64],
    x: float,
    y: float,
    z: float,
) -> tuple[float, int]:
    """Signed distance (mm) to the nearest bone of a scene and its index.

    ``starts`` (b + 1,) cuts ``parts`` into bones, ``frames`` (b, 12) holds rotation (bone-to-phantom, row-major) and
    origin, ``bounds`` (b, 6) each bone's box in its own frame. Bones are ordered cranial to caudal; a bone gives way to
    the one above it by the joint gap, so that neighbours never fuse however the chain is posed.
    """
    best = FAR_MM
    which = -1
    previous = FAR_MM
    for b in range(starts.shape[0] - 1):
        fx = x - frames[b, 9]
        fy = y - frames[b, 10]
        fz = z - frames[b, 11]
        u = frames[b, 0] * fx + frames[b, 3] * fy + frames[b, 6] * fz
        v = frames[b, 1] * fx + frames[b, 4] * fy + frames[b, 7] * fz
        w = frames[b, 2] * fx + frames[b, 5] * fy + frames[b, 8] * fz
        ox = max(max(bounds[b, 0] - u, u - bounds[b, 3]), 0.0)
        oy = max(abs(v) - bounds[b, 4], 0.0)
        oz = max(max(bounds[b, 2] - w, w - bounds[b, 5]), 0.0)
        outside = math.sqrt(ox * ox + oy * oy + oz * oz)
        if outside > best or outside > 30.0:
            d = outside + 0.5
        else:
            d = bone_distance(parts[starts[b] : starts[b + 1]], u, v, w)
            d = max(d, FACET_GAP_MM - previous)
        previous = d
        if d < best:
            best = d
            which = b
    return best, which


@njit(cache=True, nogil=True)
def scene_distances(
    parts: NDArray[np.float64],
    starts: NDArray[np.int64],
    frames: NDArray[np.float64],
    bounds: NDArray[np.float64],
    points: NDArray[np.float64],
) -> NDArray[np.float64]:
    """``scene_distance`` for points (n, 3); returns (n,) mm."""
    out = np.empty(points.shape[0])
    for i in range(points.shape[0]):
        out[i], _ = scene_distance(parts, starts, frames, bounds, points[i, 0], points[i, 1], points[i, 2])
    return out


@njit(cache=True, nogil=True)
def cast_down(
    parts: NDArray[np.float64],
    starts: NDArray[np.int64],
    frames: NDArray[np.float64],
    bounds: NDArray[np.float64],
    xy: NDArray[np.float64],
    far_mm: float,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Depth of the first bone under skin positions ``xy`` (n, 2), NaN where there is none; bone and part indices."""
    n = xy.shape[0]
    depth = np.full(n, np.nan)
    bone = np.full(n, -1, dtype=np.int64)
    part = np.full(n, -1, dtype=np.int64)
    for i in range(n):
        z = 0.0
        for _ in range(400):
            d, b = scene_distance(parts, starts, frames, bounds, xy[i, 0], xy[i, 1], z)
            if d < 0.05:
                depth[i] = z
                bone[i] = b
                f = frames[b]
                fx = xy[i, 0] - f[9]
                fy = xy[i, 1] - f[10]
                fz = z - f[11]
                part[i] = nearest_part(
                    parts[starts[b] : starts[b + 1]],
                    f[0] * fx + f[3] * fy + f[6] * fz,
                    f[1] * fx + f[4] * fy + f[7] * fz,
                    f[2] * fx + f[5] * fy + f[8] * fz,
                )
                break
            z += max(0.8 * d, 0.08)
            if z > far_mm:
                break
    return depth, bone, part
