"""Kernels that pour the phantom into voxels: layers, discs, canal, tubes, bones."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hal.phantom.shapes import FACET_GAP_MM, SMOOTH_MM, part_distance

BLOCK = 6
"""Edge of the blocks (voxels) that are accepted or rejected as a whole when bones are drawn."""
INSIDE = 0.4
"""Share of the first-order depth inside a body or ellipsoid that is certain: the tangent of a convex shape overstates
the depth by no more than its longest half axis over its shortest."""

# Labels as the kernels need them: must agree with data/materials.toml (held by a test).
SKIN, FAT, FASCIA, MUSCLE, LIGAMENT, INTERTRANSVERSE, FLAVUM = 1, 2, 3, 4, 5, 6, 7
EPIDURAL_FAT, CSF, DURA, PERINEURAL, NERVE_RIM, NERVE_CORE = 8, 9, 10, 11, 12, 13
ARTERY, VEIN, BONE, DISC, CARTILAGE = 14, 15, 16, 17, 18


@njit(cache=True, inline="always")
def _wave(x: float, y: float, z: float, w: NDArray[np.float64]) -> float:
    """Smooth seeded noise of about +-1: three plane waves; ``w`` (3, 4) wave vectors (rad/mm) and phases."""
    s = 0.0
    for i in range(3):
        s += math.sin(w[i, 0] * x + w[i, 1] * y + w[i, 2] * z + w[i, 3])
    return s / 1.7


@njit(cache=True)
def pour_layers(
    labels: NDArray[np.uint8],
    origin: NDArray[np.float64],
    h: float,
    skin_z: NDArray[np.float64],
    fat_z: NDArray[np.float64],
    fascia_z: NDArray[np.float64],
    sheet_z: NDArray[np.float64],
    waves: NDArray[np.float64],
) -> None:
    """Skin, fat with septa, fascia, muscles with their planes, intertransverse sheet.

    ``skin_z, fat_z, fascia_z`` (nx, ny) are the lower borders; ``sheet_z`` (ny,) the depth of the sheet between the
    transverse processes, NaN where there is none; ``waves`` (3, 3, 4) seeded noise.
    """
    nx, ny, nz = labels.shape
    sines, cosines = np.empty(3), np.empty(3)
    step_sin, step_cos = np.sin(waves[1, :, 2] * h), np.cos(waves[1, :, 2] * h)
    for i in range(nx):
        x = origin[0] + h * i
        ax = abs(x)
        for j in range(ny):
            y = origin[1] + h * j
            wobble = _wave(x, y, 0.0, waves[0])
            a, b, c = skin_z[i, j], fat_z[i, j], fascia_z[i, j]
            sheet = sheet_z[j] + 0.8 * wobble + 0.05 * (ax - 34.0)
            if not (24.0 < ax < 46.0):
                sheet = math.nan
            septum1 = a + (b - a) * (0.42 + 0.10 * wobble)
            septum2 = a + (b - a) * (0.75 - 0.10 * _wave(x, y, 7.0, waves[1]))
            broken = _wave(x, y, 3.0, waves[2]) > -0.25
            for m in range(3):  # the bundle noise along the column, by rotation of its phase
                w = waves[1, m]
                phase = w[0] * x + w[1] * y + w[2] * (origin[2] - h) + w[3]
                sines[m], cosines[m] = math.sin(phase), math.cos(phase)
            for k in range(nz):
                z = origin[2] + h * k
                for m in range(3):
                    s = sines[m] * step_cos[m] + cosines[m] * step_sin[m]
                    cosines[m] = cosines[m] * step_cos[m] - sines[m] * step_sin[m]
                    sines[m] = s
                if z < a:
                    label = SKIN
                elif z < b:
                    label = FAT
                    if b - a > 4.0 and broken and (abs(z - septum1) < 0.3 or (b - a > 6.0 and abs(z - septum2) < 0.3)):
                        label = FASCIA
                elif z < c:
                    label = FASCIA
                else:
                    label = MUSCLE
                    deep = z - c
                    if ax < 1.6 and deep < 36.0:
                        label = LIGAMENT
                    else:
                        # multifidus | longissimus | iliocostalis, split by thin fascia planes that lean outwards
                        first = 19.0 + 0.28 * deep + 1.5 * wobble
                        second = 43.0 + 0.20 * deep - 2.0 * wobble
                        if deep < 34.0 and (abs(ax - first) < 0.35 or abs(ax - second) < 0.35):
                            label = FASCIA
                        elif abs(deep - 36.0 - 1.2 * wobble) < 0.3 and ax > 46.0:
                            label = FASCIA  # in front of the erector spinae: quadratus lumborum
                        else:
                            # fat septa between bundles that run along Y
                            n1 = (sines[0] + sines[1] + sines[2]) / 1.7
                            if (abs(n1) < 0.035 and _wave(z, y, x, waves[2]) > 0.15) or (
                                n1 > 1.28 and _wave(z, y, x, waves[2]) > 0.9
                            ):
                                label = FAT
                    if abs(z - sheet) < 0.75:
                        label = INTERTRANSVERSE
                labels[i, j, k] = label


@njit(cache=True)
def pour_shape(
    labels: NDArray[np.uint8],
    origin: NDArray[np.float64],
    h: float,
    row: NDArray[np.float64],
    frame: NDArray[np.float64],
    reach: float,
    label: int,
) -> None:
    """Fill one body or disc (a row of a bone table in its ``frame`` (12,)) within ``reach`` of the frame's origin."""
    x, y, z = frame[9], frame[10], frame[11]
    for i in range(_first(x - reach, origin[0], h), _last(x + reach, origin[0], h, labels.shape[0])):
        for j in range(_first(y - reach, origin[1], h), _last(y + reach, origin[1], h, labels.shape[1])):
            for k in range(_first(z - reach, origin[2], h), _last(z + reach, origin[2], h, labels.shape[2])):
                fx = origin[0] + h * i - frame[9]
                fy = origin[1] + h * j - frame[10]
                fz = origin[2] + h * k - frame[11]
                w = frame[2] * fx + frame[5] * fy + frame[8] * fz
                if abs(w) > row[18] + 1.0:
                    continue
                u = frame[0] * fx + frame[3] * fy + frame[6] * fz
                v = frame[1] * fx + frame[4] * fy + frame[7] * fz
                if abs(u) > row[15] or abs(v) > max(row[16], row[17]):
                    continue
                if part_distance(row, u, abs(v), w) < 0.0:
                    labels[i, j, k] = label


@njit(cache=True, inline="always")
def _first(low: float, origin: float, h: float) -> int:
    return max(math.ceil((low - origin) / h), 0)


@njit(cache=True, inline="always")
def _last(high: float, origin: float, h: float, n: int) -> int:
    return min(math.floor((high - origin) / h) + 1, n)


@njit(cache=True)
def pour_canal(
    labels: NDArray[np.uint8],
    origin: NDArray[np.float64],
    h: float,
    centre: NDArray[np.float64],
    size: NDArray[np.float64],
    flavum_end_y: float,
) -> None:
    """Ligamentum flavum, epidural fat, dura, cerebrospinal fluid.

    ``centre`` (ny, 2) canal centre X, Z per Y slice (NaN: none); ``size`` = half AP, half width, sac half AP, sac half
    width, dura, flavum. No flavum caudal of ``flavum_end_y`` (sacrum).
    """
    for j in range(labels.shape[1]):
        xc, zc = centre[j, 0], centre[j, 1]
        if math.isnan(zc):
            continue
        flavum = size[5] if origin[1] + h * j > flavum_end_y else 0.0
        for i in range(_first(xc - size[1], origin[0], h), _last(xc + size[1], origin[0], h, labels.shape[0])):
            x = origin[0] + h * i - xc
            rel = min(abs(x) / size[1], 1.0)
            half = size[0] * math.sqrt(max(1.0 - rel * rel * rel, 0.0))
            for k in range(_first(zc - half - flavum, origin[2], h), _last(zc + half, origin[2], h, labels.shape[2])):
                z = origin[2] + h * k - zc
                if z < -half:
                    if abs(x) < 11.0:
                        labels[i, j, k] = FLAVUM
                    continue
                # the sac lies against the front wall: the fat is behind it
                sz = z - (size[0] - size[2]) * 0.8
                q = math.sqrt((x / size[3]) ** 2 + (sz / size[2]) ** 2)
                if q < 1.0 - size[4] / size[2]:
                    labels[i, j, k] = CSF
                elif q < 1.0:
                    labels[i, j, k] = DURA
                else:
                    labels[i, j, k] = EPIDURAL_FAT


@njit(cache=True)
def pour_tube(
    labels: NDArray[np.uint8],
    origin: NDArray[np.float64],
    h: float,
    line: NDArray[np.float64],
    radius: NDArray[np.float64],
    grow: float,
    label: int,
    keep: NDArray[np.bool_],
) -> None:
    """Draw a tube of radius + ``grow`` round a line (n, 3); labels marked in ``keep`` (256,) are not overwritten."""
    for s in range(line.shape[0] - 1):
        r = max(radius[s], radius[s + 1]) + grow
        dx = line[s + 1, 0] - line[s, 0]
        dy = line[s + 1, 1] - line[s, 1]
        dz = line[s + 1, 2] - line[s, 2]
        length2 = dx * dx + dy * dy + dz * dz + 1e-12
        x0 = min(line[s, 0], line[s + 1, 0]) - r
        x1 = max(line[s, 0], line[s + 1, 0]) + r
        y0 = min(line[s, 1], line[s + 1, 1]) - r
        y1 = max(line[s, 1], line[s + 1, 1]) + r
        z0 = min(line[s, 2], line[s + 1, 2]) - r
        z1 = max(line[s, 2], line[s + 1, 2]) + r
        for i in range(_first(x0, origin[0], h), _last(x1, origin[0], h, labels.shape[0])):
            px = origin[0] + h * i - line[s, 0]
            for j in range(_first(y0, origin[1], h), _last(y1, origin[1], h, labels.shape[1])):
                py = origin[1] + h * j - line[s, 1]
                for k in range(_first(z0, origin[2], h), _last(z1, origin[2], h, labels.shape[2])):
                    pz = origin[2] + h * k - line[s, 2]
                    t = min(max((px * dx + py * dy + pz * dz) / length2, 0.0), 1.0)
                    ex = px - t * dx
                    ey = py - t * dy
                    ez = pz - t * dz
                    rr = radius[s] + t * (radius[s + 1] - radius[s]) + grow
                    if ex * ex + ey * ey + ez * ez < rr * rr and not keep[labels[i, j, k]]:
                        labels[i, j, k] = label


@njit(cache=True)
def pour_bones(
    labels: NDArray[np.uint8],
    origin: NDArray[np.float64],
    h: float,
    parts: NDArray[np.float64],
    starts: NDArray[np.int64],
    frames: NDArray[np.float64],
    bounds: NDArray[np.float64],
) -> None:
    """Draw all bones; cartilage where two bones face each other across the joint gap.

    The volume is walked in blocks; a block keeps only the parts whose surface can reach it, so the cost follows the
    bone surface. Same bone as ``hal.phantom.shapes.scene_distance``.
    """
    nb = starts.shape[0] - 1
    half = 0.5 * h * (BLOCK - 1)
    diagonal = math.sqrt(3.0) * half
    reach = diagonal + SMOOTH_MM + FACET_GAP_MM
    picked = np.empty((nb, 64), dtype=np.int64)
    count = np.zeros(nb, dtype=np.int64)
    for bi in range(0, labels.shape[0], BLOCK):
        for bj in range(0, labels.shape[1], BLOCK):
            for bk in range(0, labels.shape[2], BLOCK):
                cx = origin[0] + h * bi + half
                cy = origin[1] + h * bj + half
                cz = origin[2] + h * bk + half
                bones, deep, whole = 0, False, False
                for b in range(nb):
                    count[b] = 0
                    u, v, w = _local(frames[b], cx, cy, cz)
                    av = abs(v)
                    if (
                        u < bounds[b, 0] - reach
                        or u > bounds[b, 3] + reach
                        or av > bounds[b, 4] + reach
                        or w < bounds[b, 2] - reach
                        or w > bounds[b, 5] + reach
                    ):
                        continue
                    any_union, cut, deepest = False, False, 0.0
                    for p in range(starts[b], starts[b + 1]):
                        # |y| folds at the midline, where a mirrored part can be as near as the distance says
                        e = part_distance(parts[p], u, av, w)
                        if parts[p, 0] >= 2.0:
                            e = e * 0.6 if e > 0.0 else e  # bodies and ellipsoids: distance is first-order only
                        if e < reach:
                            picked[b, count[b]] = p
                            count[b] += 1
                            if parts[p, 1] == 0.0:
                                any_union = True
                                deepest = min(deepest, e * INSIDE if parts[p, 0] >= 2.0 else e)
                            else:
                                cut = True
                    if not any_union:
                        count[b] = 0
                    elif count[b] > 0:
                        bones, whole = bones + 1, not cut
                        deep = whole and deepest < -diagonal
                if bones == 0:
                    continue
                if bones == 1 and deep:  # a union only grows its parts: the block lies in bone whatever else is near
                    labels[bi : bi + BLOCK, bj : bj + BLOCK, bk : bk + BLOCK] = BONE
                    continue
                for i in range(bi, min(bi + BLOCK, labels.shape[0])):
                    for j in range(bj, min(bj + BLOCK, labels.shape[1])):
                        for k in range(bk, min(bk + BLOCK, labels.shape[2])):
                            previous = 1e6
                            for b in range(nb):
                                d = 1e6
                                if count[b] > 0:
                                    u, v, w = _local(frames[b], origin[0] + h * i, origin[1] + h * j, origin[2] + h * k)
                                    av = abs(v)
                                    for q in range(count[b]):
                                        row = parts[picked[b, q]]
                                        e = part_distance(row, u, av, w)
                                        if row[1] == 0.0:
                                            s = max(SMOOTH_MM - abs(d - e), 0.0) / SMOOTH_MM
                                            d = min(d, e) - s * s * SMOOTH_MM * 0.25
                                            if d < 0.0 and whole and bones == 1:
                                                break
                                        else:
                                            d = max(d, -e)
                                if d < 0.0 and previous > FACET_GAP_MM:
                                    labels[i, j, k] = BONE
                                elif d < 0.8 and 0.0 < previous < FACET_GAP_MM:
                                    labels[i, j, k] = CARTILAGE
                                previous = max(d, FACET_GAP_MM - previous)


@njit(cache=True, inline="always")
def _local(frame: NDArray[np.float64], x: float, y: float, z: float) -> tuple[float, float, float]:
    fx = x - frame[9]
    fy = y - frame[10]
    fz = z - frame[11]
    return (
        frame[0] * fx + frame[3] * fy + frame[6] * fz,
        frame[1] * fx + frame[4] * fy + frame[7] * fz,
        frame[2] * fx + frame[5] * fy + frame[8] * fz,
    )
