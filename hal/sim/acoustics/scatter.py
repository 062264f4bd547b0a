"""Speckle: unit-modulus point scatterers fixed to the material, projected on the scan lines (Numba kernel).

One scatterer per cell of a cubic lattice in ``Phantom``; its place in the cell, its phase and its thinning
number are bits of an integer hash of the cell index, so the same cell always gives the same scatterer.
Only cells in the slab around the image plane are visited. Model: convolution of scatterers projected on
scan lines (COLE, Gao et al. 2009); unit modulus and full jitter because they reach fully developed speckle
(SNR 1.91) with 3 scatterers per resolution cell, where Gaussian amplitudes need more than 10.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

PHASES = 256
_ANGLES = np.arange(PHASES) * (2 * np.pi / PHASES)
PHASE_TABLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1).astype(np.float32)
"""Cosine and sine by phase number, shape (256, 2)."""
EDGE_U2 = 10.0
"""The elevation weight (1 - u^2/10)^4 stands for exp(-u^2/2), u in standard deviations: its autocorrelation, which
is what decorrelates speckle, differs from the Gaussian's by at most 0.012."""
EDGE_ENERGY = 1.069
"""Integral of the squared weight over that of the Gaussian."""
CULL_U2 = 7.29
"""Scatterers further than 2.7 standard deviations out of the slice (weight below -45 dB) are left out."""


MULTIPLIERS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], np.uint32)
"""Odd constants that spread the three lattice indices (by Phantom axis) before mixing."""


@njit(cache=True, nogil=True, inline="always")
def mix(h: np.uint32) -> np.uint32:
    """Well mixed 32 bits (two multiply-xorshift rounds)."""
    h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(16))) * np.uint32(0x7FEB352D))
    h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(h ^ np.uint32(h >> np.uint32(16)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz", "nnan", "ninf"})
def place_curved(
    j_first: int, n: int, start: NDArray[np.float32], node: NDArray[np.float32],
    across_0: np.float32, slope: np.float32, shift: int,
    hash_0: np.uint32, inner_0: int, across_i: int, hash_inner: np.uint32, hash_across: np.uint32,
    bit_outer: np.uint32, bit_inner: np.uint32, bit_across: np.uint32,
    radius: np.float32, half: np.float32, inv_line: np.float32, inv_sample: np.float32,
    at_line: NDArray[np.float32], at_sample: NDArray[np.float32], at_y: NDArray[np.float32], bits: NDArray[np.uint32],
) -> None:  # fmt: skip
    """Line coordinate, sample coordinate, elevation and hash of one row of cells, without branches (vectorises).

    Args:
        j_first, n: first cell of the row and number of cells, along the inner lattice axis.
        start: probe mm of the row's first node; node: probe mm per cell, flat rows outer, inner, across.
        across_0, slope: across index (relative to ``across_i``) where the row meets the image plane, and its
            growth per inner cell; shift: cells off the plane.
        hash_0: seed and outer index, spread; inner_0, across_i: indices of the first node;
        hash_inner, hash_across: multipliers; bit_*: where the jitter of each axis sits in the hash.
        radius: of the face, 0 = linear; half, inv_line, inv_sample: of the grid.
        at_line, at_sample, at_y, bits: out.
    """
    s00, s01, s02 = node[0], node[1], node[2]
    s10, s11, s12 = node[3], node[4], node[5]
    s20, s21, s22 = node[6], node[7], node[8]
    cx, cy, cz = start[0], start[1], start[2] + radius
    unit = np.float32(1.0 / 256.0)
    b0 = np.uint32(inner_0)
    k0 = np.uint32(across_i)
    offset = np.int32(shift)
    byte = np.uint32(255)
    for j in range(n):
        jj = np.int32(j_first + j)
        j_f = np.float32(jj)
        d = np.int32(np.int32(np.floor(across_0 + slope * j_f)) + offset)
        h = np.uint32(
            np.uint32(hash_0 ^ np.uint32(np.uint32(b0 + np.uint32(jj)) * hash_inner))
            ^ np.uint32(np.uint32(k0 + np.uint32(d)) * hash_across)
        )
        h = mix(h)
        ua = (np.float32(np.int32(np.uint32(h >> bit_outer) & byte)) + np.float32(0.5)) * unit
        ub = (np.float32(np.int32(np.uint32(h >> bit_inner) & byte)) + np.float32(0.5)) * unit + j_f
        uk = (np.float32(np.int32(np.uint32(h >> bit_across) & byte)) + np.float32(0.5)) * unit + np.float32(d)
        x = cx + s00 * ua + s10 * ub + s20 * uk
        z = cz + s02 * ua + s12 * ub + s22 * uk
        at_y[j] = cy + s01 * ua + s11 * ub + s21 * uk
        bits[j] = h
        rho = np.sqrt(x * x + z * z)
        s = x / rho
        q = s * s
        # arcsin by its series: 4 um at the edge of a 65 deg field
        angle = s * (
            np.float32(1.0) + q * (np.float32(1 / 6) + q * (np.float32(3 / 40) + q * (
                np.float32(15 / 336) + q * (np.float32(105 / 3456) + q * np.float32(945 / 42240)))))
        )  # fmt: skip
        at_line[j] = (angle + half) * inv_line
        at_sample[j] = (rho - radius) * inv_sample


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz", "nnan", "ninf"})
def place_linear(
    j_first: int, n: int, start: NDArray[np.float32], node: NDArray[np.float32],
    across_0: np.float32, slope: np.float32, shift: int,
    hash_0: np.uint32, inner_0: int, across_i: int, hash_inner: np.uint32, hash_across: np.uint32,
    bit_outer: np.uint32, bit_inner: np.uint32, bit_across: np.uint32,
    radius: np.float32, half: np.float32, inv_line: np.float32, inv_sample: np.float32,
    at_line: NDArray[np.float32], at_sample: NDArray[np.float32], at_y: NDArray[np.float32], bits: NDArray[np.uint32],
) -> None:  # fmt: skip
    """As ``place_curved``, for parallel lines."""
    unit = np.float32(1.0 / 256.0)
    byte = np.uint32(255)
    for j in range(n):
        jj = np.int32(j_first + j)
        j_f = np.float32(jj)
        d = np.int32(np.int32(np.floor(across_0 + slope * j_f)) + np.int32(shift))
        h = np.uint32(
            np.uint32(hash_0 ^ np.uint32(np.uint32(np.uint32(inner_0) + np.uint32(jj)) * hash_inner))
            ^ np.uint32(np.uint32(np.uint32(across_i) + np.uint32(d)) * hash_across)
        )
        h = mix(h)
        ua = (np.float32(np.int32(np.uint32(h >> bit_outer) & byte)) + np.float32(0.5)) * unit
        ub = (np.float32(np.int32(np.uint32(h >> bit_inner) & byte)) + np.float32(0.5)) * unit + j_f
        uk = (np.float32(np.int32(np.uint32(h >> bit_across) & byte)) + np.float32(0.5)) * unit + np.float32(d)
        at_line[j] = (start[0] + node[0] * ua + node[3] * ub + node[6] * uk + half) * inv_line
        at_y[j] = start[1] + node[1] * ua + node[4] * ub + node[7] * uk
        at_sample[j] = (start[2] + node[2] * ua + node[5] * ub + node[8] * uk) * inv_sample
        bits[j] = h


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz", "nnan", "ninf"})
def select(
    n: int, at_line: NDArray[np.float32], at_sample: NDArray[np.float32], at_y: NDArray[np.float32],
    bits: NDArray[np.uint32], first: np.float32, last: np.float32, low: np.float32, top: np.float32,
    inverse_sigma2: NDArray[np.float32], keep: NDArray[np.float32], flags: NDArray[np.int32],
) -> None:  # fmt: skip
    """1 where a scatterer lies in the stripe, in depth, in the slice, and survives thinning; 0 elsewhere."""
    for j in range(n):
        fs, fl, y = at_sample[j], at_line[j], at_y[j]
        clipped = fs if fs > np.float32(0.0) else np.float32(0.0)
        clipped = clipped if clipped < top else top
        i = np.uint32(np.int32(clipped))
        h = bits[j]
        thin = np.float32(np.int32(np.uint32(np.uint32(np.uint32(h * np.uint32(0x2C1B3C6D)) ^ h) >> np.uint32(16))))
        flags[j] = (
            np.int32(fl >= first) & np.int32(fl < last) & np.int32(fs >= low) & np.int32(fs < top)
            & np.int32(y * y * inverse_sigma2[i] < np.float32(CULL_U2)) & np.int32(thin < keep[i])
        )  # fmt: skip


@njit(cache=True, nogil=True)
def inside(px: float, pz: float, dx: float, dz: float, radius_mm: float, depth_mm: float) -> tuple[float, float]:
    """Range of t where ``(px, pz) + t (dx, dz)`` lies less than ``depth_mm`` below the face; empty = (1e6, 1e6)."""
    if radius_mm <= 0.0:
        if abs(dz) < 1e-9:
            return (-1e6, 1e6) if pz < depth_mm else (1e6, 1e6)
        t = (depth_mm - pz) / dz
        return (-1e6, t) if dz > 0 else (t, 1e6)
    rho = radius_mm + depth_mm
    if rho <= 0.0:
        return 1e6, 1e6
    a = dx * dx + dz * dz
    b = px * dx + (pz + radius_mm) * dz
    c = px * px + (pz + radius_mm) ** 2 - rho * rho
    d = b * b - a * c
    if d <= 0.0:
        return 1e6, 1e6
    root = math.sqrt(d)
    return (-b - root) / a, (-b + root) / a


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz", "nnan", "ninf"})
def scatter(
    origin: NDArray[np.float64], steps: NDArray[np.float64], order: NDArray[np.int64], seed: np.uint32,
    reach: NDArray[np.int64], radius_mm: float, half: float, line_step: float, sample_mm: float,
    press_max: float, press: NDArray[np.float32],
    waist_mm: NDArray[np.float64], waist_step: float,
    multipliers: NDArray[np.uint32], fade: NDArray[np.float32],
    inverse_sigma2: NDArray[np.float32], keep: NDArray[np.float32], weight: NDArray[np.float32],
    phases: NDArray[np.float32], amplitude: NDArray[np.float32], slice_first: float, slice_step: float,
    first: int, last: int, field: NDArray[np.float32],
) -> int:  # fmt: skip
    """Add all scatterers whose line coordinate lies in [first, last) to ``field``; returns how many.

    Args:
        origin: probe coordinates of lattice node (0, 0, 0) in mm; steps: probe mm per cell along the three
            lattice axes, rows in the order (outer, inner, across), shape (3, 3).
        order: which Phantom axis each row of ``steps`` is (so that the hash does not depend on the view).
        seed: of the lattice.
        reach: first outer index, number of outer indices, first inner, number of inner, cells each side across.
        radius_mm: of the face, 0 for a linear array; half, line_step: of the grid (radians or mm).
        sample_mm: true distance between samples.
        press_max: largest indentation (0 = none); press: by line; multipliers: ``MULTIPLIERS``.
        waist_mm: for each distance ``i * waist_step`` from the plane, the range of depths where the slice is thinner.
        fade: exp(-s / reach) by rest depth below the skin in samples, shape (> samples + indentation,).
        inverse_sigma2, keep, weight: 1/sigma_el^2, share of scatterers kept (0..65536) and amplitude by sample.
        phases: ``PHASE_TABLE``.
        amplitude: of ``march``, shape (lines, samples / 2, slices); slice_first, slice_step: elevations in mm.
        field: in/out, shape (at least last - first + 1, samples, 2); row 0 is line ``first``.
    """
    samples = field.shape[1]
    lines = amplitude.shape[0]
    n_slices = amplitude.shape[2]
    n_inner = reach[3]
    at_line = np.empty(n_inner, np.float32)
    at_sample = np.empty(n_inner, np.float32)
    at_y = np.empty(n_inner, np.float32)
    bits = np.empty(n_inner, np.uint32)
    kept = np.empty(n_inner + 1, np.int32)
    flags = np.empty(n_inner, np.int32)
    segments = np.zeros((3, 2), np.int64)
    inv_line = np.float32(1.0 / line_step)
    inv_sample = np.float32(1.0 / sample_mm)
    inv_slice = np.float32(1.0 / slice_step)
    half_f = np.float32(half)
    radius = np.float32(radius_mm)
    low_f = np.float32(-press_max / sample_mm)
    first_f, last_f = np.float32(first), np.float32(last)
    top_f = np.float32(samples - 2)
    if lines == 0:
        return 0
    # Elevation of a cell: y = y0 + ya * outer + yb * inner + yk * across
    ya, yb, yk = steps[0, 1], steps[1, 1], steps[2, 1]
    node = np.empty(9, np.float32)
    for a_i in range(3):
        for c_i in range(3):
            node[3 * a_i + c_i] = steps[a_i, c_i]
    start = np.empty(3, np.float32)
    bit_o, bit_i, bit_a = np.uint32(8 * order[0]), np.uint32(8 * order[1]), np.uint32(8 * order[2])
    total = 0
    for outer_n in range(reach[1]):
        outer = reach[0] + outer_n
        # Range of inner indices whose column meets this stripe of the sector: x and z of the column's point in
        # the plane are linear in the inner index, so test by the two bounding rays (generous margin).
        across0 = -(origin[1] + ya * (outer + 0.5) + yb * (reach[2] + 0.5)) / yk
        slope = -yb / yk
        px0 = origin[0] + steps[0, 0] * (outer + 0.5) + steps[1, 0] * (reach[2] + 0.5) + steps[2, 0] * across0
        pz0 = origin[2] + steps[0, 2] * (outer + 0.5) + steps[1, 2] * (reach[2] + 0.5) + steps[2, 2] * across0
        dx = steps[1, 0] + steps[2, 0] * slope
        dz = steps[1, 2] + steps[2, 2] * slope
        margin = 0.6 + reach[4] * (abs(steps[2, 0]) + abs(steps[2, 2]))
        lo, hi = 0.0, float(n_inner)
        depth_max = samples * sample_mm
        for side in range(4):
            # Half planes n . p + c >= 0 that bound the stripe.
            if radius_mm > 0.0:
                if side == 0:
                    angle = -half + first * line_step
                    nx_, nz_, c = math.cos(angle), -math.sin(angle), 0.0
                    c = -math.sin(angle) * radius_mm
                elif side == 1:
                    angle = -half + last * line_step
                    nx_, nz_, c = -math.cos(angle), math.sin(angle), math.sin(angle) * radius_mm
                elif side == 2:
                    nx_, nz_, c = 0.0, 1.0, radius_mm * (1.0 - math.cos(half)) + press_max
                else:
                    nx_, nz_, c = 0.0, -1.0, depth_max
            else:
                if side == 0:
                    nx_, nz_, c = 1.0, 0.0, half - first * line_step
                elif side == 1:
                    nx_, nz_, c = -1.0, 0.0, -half + last * line_step
                elif side == 2:
                    nx_, nz_, c = 0.0, 1.0, press_max
                else:
                    nx_, nz_, c = 0.0, -1.0, depth_max
            c += margin
            base = nx_ * px0 + nz_ * pz0 + c
            gain = nx_ * dx + nz_ * dz
            if abs(gain) < 1e-12:
                if base < 0:
                    hi = lo
            elif gain > 0:
                lo = max(lo, -base / gain)
            else:
                hi = min(hi, -base / gain + 1.0)
        j0, j1 = int(lo), int(hi)
        if j1 <= j0:
            continue
        n = j1 - j0
        b_first = reach[2] + j0
        k_first = across0 + slope * j0
        k_floor = math.floor(k_first)
        k_frac = np.float32(k_first - k_floor)
        slope_f = np.float32(slope)
        # Probe coordinates of node (outer, b_first, k_floor), in double precision, then single.
        cx = np.float32(origin[0] + steps[0, 0] * outer + steps[1, 0] * b_first + steps[2, 0] * k_floor)
        cy = np.float32(origin[1] + steps[0, 1] * outer + steps[1, 1] * b_first + steps[2, 1] * k_floor)
        cz = np.float32(origin[2] + steps[0, 2] * outer + steps[1, 2] * b_first + steps[2, 2] * k_floor)
        start[0], start[1], start[2] = cx, cy, cz
        hash_0 = np.uint32(np.uint32(np.uint32(outer) * multipliers[order[0]]) ^ seed)
        for kk in range(-reach[4], reach[4] + 1):
            # Near the elevation focus the slice is thinner: skip the part of the row that lies out of it.
            distance = (abs(kk) - 1) * abs(steps[2, 1]) - abs(steps[0, 1]) - abs(steps[1, 1])
            from_mm, to_mm = 0.0, 0.0
            if distance > 0.0:
                w_i = min(int(distance / waist_step), waist_mm.shape[0] - 1)
                from_mm, to_mm = waist_mm[w_i, 0] + margin, waist_mm[w_i, 1] - margin
            segments[0, 0], segments[0, 1] = 0, n
            segments[1, 0], segments[1, 1], segments[2, 0], segments[2, 1] = 0, 0, 0, 0
            if to_mm > from_mm + 2.0:
                a0, a1 = inside(px0 + dx * j0, pz0 + dz * j0, dx, dz, radius_mm, from_mm)
                b0, b1 = inside(px0 + dx * j0, pz0 + dz * j0, dx, dz, radius_mm, to_mm)
                segments[0, 0], segments[0, 1] = 0, min(max(int(b0), 0), n)
                segments[1, 0], segments[1, 1] = min(max(int(a0), 0), n), min(max(int(a1) + 1, 0), n)
                segments[2, 0], segments[2, 1] = min(max(int(b1), 0), n), n
                # They are in order and may touch: never visit a cell twice.
                segments[1, 0] = max(segments[1, 0], segments[0, 1])
                segments[1, 1] = max(segments[1, 1], segments[1, 0])
                segments[2, 0] = max(segments[2, 0], segments[1, 1])
            for part in range(3):
                j_first, count = segments[part, 0], segments[part, 1] - segments[part, 0]
                if count <= 0:
                    continue
                if radius_mm > 0.0:
                    place_curved(
                        j_first, count, start, node, k_frac, slope_f, kk, hash_0, b_first, int(k_floor),
                        multipliers[order[1]], multipliers[order[2]], bit_o, bit_i, bit_a,
                        radius, half_f, inv_line, inv_sample, at_line, at_sample, at_y, bits,
                    )  # fmt: skip
                else:
                    place_linear(
                        j_first, count, start, node, k_frac, slope_f, kk, hash_0, b_first, int(k_floor),
                        multipliers[order[1]], multipliers[order[2]], bit_o, bit_i, bit_a,
                        radius, half_f, inv_line, inv_sample, at_line, at_sample, at_y, bits,
                    )  # fmt: skip
                select(
                    count, at_line, at_sample, at_y, bits, first_f, last_f, low_f, top_f, inverse_sigma2, keep, flags,
                )  # fmt: skip
                m = 0
                for j in range(count):
                    kept[m] = j
                    m += flags[j]
                for q_i in range(m):
                    j = kept[q_i]
                    fs, fl, y = at_sample[j], at_line[j], at_y[j]
                    if press_max > 0.0:
                        p = press[int(fl)] * inv_sample
                        s = fs + p
                        if s < np.float32(0.0):
                            continue
                        fs = s - p * (np.float32(1.0) - fade[int(s)])
                    if fs < np.float32(0.0) or fs >= top_f:
                        continue
                    i = int(fs)
                    u2_ = y * y * inverse_sigma2[i]
                    h = bits[j]
                    row = int(fl)
                    near = int(fl + np.float32(0.5))
                    if near >= lines:
                        near = lines - 1
                    fe = (y - np.float32(slice_first)) * inv_slice
                    fe = min(max(fe, np.float32(0.0)), np.float32(n_slices - 1.001))
                    e = int(fe)
                    g = fe - np.float32(e)
                    a = amplitude[near, i >> 1, e] * (np.float32(1.0) - g) + amplitude[near, i >> 1, e + 1] * g
                    if a == np.float32(0.0):
                        continue
                    w = max(np.float32(0.0), np.float32(1.0) - u2_ * np.float32(1.0 / EDGE_U2))
                    w *= w
                    w *= w
                    a *= w * weight[i]
                    phase = h >> np.uint32(24)
                    re, im = a * phases[phase, 0], a * phases[phase, 1]
                    f = fs - np.float32(i)
                    v = fl - np.float32(row)
                    row -= first
                    w00 = (np.float32(1.0) - v) * (np.float32(1.0) - f)
                    w01 = (np.float32(1.0) - v) * f
                    w10 = v * (np.float32(1.0) - f)
                    w11 = v * f
                    field[row, i, 0] += re * w00
                    field[row, i, 1] += im * w00
                    field[row, i + 1, 0] += re * w01
                    field[row, i + 1, 1] += im * w01
                    field[row + 1, i, 0] += re * w10
                    field[row + 1, i, 1] += im * w10
                    field[row + 1, i + 1, 0] += re * w11
                    field[row + 1, i + 1, 1] += im * w11
                    total += 1
    return total
