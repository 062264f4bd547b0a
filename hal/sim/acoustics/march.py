"""Label march: the materials that each line meets on its way down, in several elevation slices (Numba kernel).

Along a line the two-way amplitude T falls by ``10^(-2 alpha f ds / 20)`` per step and by ``1 - R^2`` at an
interface with R = (Z2 - Z1)/(Z2 + Z1); the interface sends back ``T |R| ang(theta)``, where ``ang`` is a
rough-surface lobe around the mirror direction plus a diffuse floor. The echo of an interface is repeated once
at twice its depth (path face - interface - face - interface - face).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hal.sim.acoustics.scene import OUTSIDE

BONE_R = 0.25
"""Reflection coefficient above which a surface is treated as rough and ringing (bone, hard prints)."""
BONE_LOBE, SOFT_LOBE = 0.50, 0.32
"""Sine of the angle at which the mirror lobe has fallen to 1/e: rough cortex, smooth fascia [assumed]."""
BONE_FLOOR, SOFT_FLOOR = 0.05, 0.03
"""Diffuse part of the echo, at any angle [assumed]."""
FACE_R = 0.03
"""Reflection of the probe face for returning echoes and everything else lost on the way [assumed]."""
RING_MM = 0.45
"""Spacing of the decaying copies behind a hard surface; its echo is seen a few mm thick."""
SHIFT_MM = 0.35
"""A surface is moved by no more than this from the voxel step that showed it."""
DEAD = 3e-6
"""Two-way amplitude below which a line is lost (-110 dB)."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "nnan", "ninf"})
def rest_depths(out: NDArray[np.float32], step_mm: float, press_mm: float, fade: NDArray[np.float32]) -> None:
    """Depth before indentation of the tissue now at ``i * step_mm`` below the face, along the line.

    A point at rest depth s below the skin lies at ``s - press (1 - exp(-s/reach))`` below a face that is
    pressed in by ``press``; solved for s by Newton, returned as ``s - press`` (distance from the face).
    ``fade`` is exp(-s/reach) at multiples of ``step_mm / 2``.
    """
    if press_mm <= 0.0:
        for i in range(out.size):
            out[i] = np.float32(i * step_mm)
        return
    unit = np.float32(step_mm / 2)
    p = np.float32(press_mm / (step_mm / 2))  # in units of half a step, as ``fade``
    one = np.float32(1.0)
    ratio = (one - fade[1] / fade[0]) * p  # press / reach
    top = np.int32(fade.size - 2)
    for i in range(out.size):
        now = np.float32(np.int32(2 * i))
        s = now + p * (one - fade[min(np.int32(now), top)])
        for _ in range(2):
            k = min(np.int32(s), top)
            low = fade[k]
            e = low + (fade[k + 1] - low) * (s - np.float32(k))
            s = s - (s - p * (one - e) - now) / max(one - ratio * e, np.float32(0.2))
            s = max(s, np.float32(0.0))
        out[i] = (s - p) * unit


@njit(cache=True, nogil=True)
def _deposit(row: NDArray[np.float32], at: float, value: float) -> None:
    i = int(at)
    if at >= 0 and i + 1 < row.shape[0]:
        f = np.float32(at - i)
        row[i, 0] += np.float32(value) * (np.float32(1) - f)
        row[i + 1, 0] += np.float32(value) * f


@njit(cache=True, nogil=True, error_model="numpy")
def interface(
    smooth: NDArray[np.uint8], x_f: float, y_f: float, z_f: float, dx: float, dy: float, dz: float,
    spacing: NDArray[np.float32], r_if: float, from_rank: float, to_rank: float, couplant: bool,
    sample: float, half_step: float, step_mm: float, level: float, repeat: float, row: NDArray[np.float32],
) -> None:  # fmt: skip
    """Add the echo of one surface to a line.

    Args:
        smooth: of ``PreparedScene``; x_f, y_f, z_f: voxel coordinates + 0.5 of the first sample behind the surface.
        dx, dy, dz: voxels per mm along the line; spacing: voxel size in mm.
        r_if: |R|; from_rank, to_rank: impedance ranks on both sides; couplant: the surface is the skin under the probe.
        sample: field sample of the point; half_step: samples back to the middle of the step that crossed it.
        step_mm: march step; level: amplitude of a mirror here; repeat: factor of the echo at twice the depth.
        row: in/out, shape (samples, 2).
    """
    nx, ny, nz = smooth.shape
    x_i, y_i, z_i = int(x_f), int(y_f), int(z_f)
    ax, bx = max(x_i - 2, 0), min(x_i + 2, nx - 1)
    ay, by = max(y_i - 2, 0), min(y_i + 2, ny - 1)
    az, bz = max(z_i - 2, 0), min(z_i + 2, nz - 1)
    gx = (np.float32(smooth[bx, y_i, z_i]) - np.float32(smooth[ax, y_i, z_i])) / max(bx - ax, 1)
    gy = (np.float32(smooth[x_i, by, z_i]) - np.float32(smooth[x_i, ay, z_i])) / max(by - ay, 1)
    gz = (np.float32(smooth[x_i, y_i, bz]) - np.float32(smooth[x_i, y_i, az])) / max(bz - az, 1)
    along = gx * dx + gy * dy + gz * dz  # change of rank per mm of path
    norm = math.sqrt((gx / spacing[0]) ** 2 + (gy / spacing[1]) ** 2 + (gz / spacing[2]) ** 2)
    at = sample - half_step
    cosine2 = 0.5
    if couplant:
        cosine2 = 1.0  # the face lies flat on the couplant film
    elif norm > 0.5:
        cosine2 = min(1.0, (along / norm) ** 2)
        # Sub-voxel place of the surface: where the blurred rank is halfway. Without it flat surfaces show the
        # staircase of the voxels.
        here = np.float32(smooth[x_i, y_i, z_i]) + (
            gx * (x_f - x_i - 0.5) + gy * (y_f - y_i - 0.5) + gz * (z_f - z_i - 0.5)
        )
        if along * (to_rank - from_rank) > 0.0:
            shift_mm = (0.5 * (to_rank + from_rank) - here) / along
            at = sample + 2.0 * min(max(shift_mm, -SHIFT_MM), SHIFT_MM) / step_mm
    rough = np.uint32(np.uint32(x_i >> 1) * np.uint32(0x9E3779B1))
    rough = np.uint32(rough ^ np.uint32(np.uint32(y_i >> 1) * np.uint32(0x85EBCA77)))
    rough = np.uint32(rough ^ np.uint32(np.uint32(z_i >> 1) * np.uint32(0xC2B2AE3D)))
    rough = np.uint32(np.uint32(rough ^ np.uint32(rough >> np.uint32(15))) * np.uint32(0x2C1B3C6D))
    u = float(np.uint32(rough >> np.uint32(16))) / 65536.0
    hard = r_if > BONE_R
    if hard:
        lobe = (math.exp(-(1.0 - cosine2) / (BONE_LOBE * BONE_LOBE)) + BONE_FLOOR) * (0.6 + 0.8 * u)
    else:
        lobe = (math.exp(-(1.0 - cosine2) / (SOFT_LOBE * SOFT_LOBE)) + SOFT_FLOOR) * (0.8 + 0.4 * u)
    echo = level * r_if * lobe
    _deposit(row, at, echo)
    if hard:
        tail = echo
        for k in range(1, 5):
            tail *= 0.42 if (rough >> np.uint32(k)) & np.uint32(1) else -0.42
            _deposit(row, at + 2.0 * k * RING_MM / step_mm, tail)
    _deposit(row, 2.0 * at, echo * repeat * r_if * FACE_R)


@njit(cache=True, nogil=True, error_model="numpy")
def march(
    codes: NDArray[np.uint8], smooth: NDArray[np.uint8],
    start: NDArray[np.float32], direction: NDArray[np.float32], elevation: NDArray[np.float32],
    slices: NDArray[np.float32], spacing: NDArray[np.float32],
    step_mm: float, press: NDArray[np.float32], fade: NDArray[np.float32], contact: NDArray[np.float32],
    loss: NDArray[np.float32], impedance: NDArray[np.float32], rank: NDArray[np.float32],
    backscatter: NDArray[np.float32], weights: NDArray[np.float32], gain: NDArray[np.float32],
    first: int, last: int,
    amplitude: NDArray[np.float32], through: NDArray[np.float32], field: NDArray[np.float32],
) -> None:  # fmt: skip
    """March lines ``first`` to ``last`` (exclusive).

    Args:
        codes, smooth: volumes of ``PreparedScene``.
        start: voxel coordinates of the face points, + 0.5, shape (lines, 3); direction: voxels per mm, same shape.
        elevation: voxels per mm of elevation, shape (3,); slices: elevations in mm, shape (slices,).
        spacing: voxel size in mm, shape (3,).
        step_mm: true distance between march steps (two samples of the field).
        press: indentation by line in mm; fade: see ``rest_depths``; contact: 0..1 by line.
        loss: two-way amplitude factor of one step by dense label; impedance, rank: by dense label.
        backscatter: amplitude by code.
        weights: share of each slice in the interface echo by step, shape (steps, slices).
        gain: factor of an interface echo by step.
        amplitude: out, T x backscatter, shape (lines, steps, slices).
        through: out, T of the middle slice, shape (lines, steps).
        field: in/out, complex polar image, shape (lines, 2 * steps, 2); echoes are added to it.
    """
    nx, ny, nz = codes.shape
    flat = codes.reshape(-1)
    n_slices = slices.size
    steps = amplitude.shape[1]
    middle = n_slices // 2
    rest = np.empty(steps, np.float32)
    zero = np.float32(0.0)
    x_top, y_top, z_top = np.float32(nx), np.float32(ny), np.float32(nz)
    x_stride, y_stride = np.int64(ny * nz), np.int64(nz)
    dead = np.float32(DEAD)
    pressed = -1.0
    for line in range(first, last):
        if press[line] != pressed:
            pressed = press[line]
            rest_depths(rest, step_mm, pressed, fade)
        dx, dy, dz = direction[line, 0], direction[line, 1], direction[line, 2]
        row = field[line]
        for e in range(n_slices):
            y = slices[e]
            sx = start[line, 0] + elevation[0] * y
            sy = start[line, 1] + elevation[1] * y
            sz = start[line, 2] + elevation[2] * y
            t = contact[line]
            before = np.int64(OUTSIDE)
            i = 0
            while i < steps and t > dead:
                r = rest[i]
                x_f, y_f, z_f = sx + dx * r, sy + dy * r, sz + dz * r
                label = np.int64(OUTSIDE)
                scattering = zero
                if (x_f >= zero) & (y_f >= zero) & (z_f >= zero) & (x_f < x_top) & (y_f < y_top) & (z_f < z_top):
                    at = np.int64(x_f) * x_stride + np.int64(y_f) * y_stride + np.int64(z_f)
                    code = flat[np.uint64(at)]
                    label = np.int64(code & np.uint8(31))
                    scattering = backscatter[code]
                if label != before:
                    if label == OUTSIDE:
                        break  # left the block: nothing comes back from the air beside it
                    z1, z2 = impedance[before], impedance[label]
                    r_if = abs(z2 - z1) / (z2 + z1)
                    if r_if > 0.002:
                        interface(
                            smooth, x_f, y_f, z_f, dx, dy, dz, spacing, r_if, rank[before], rank[label],
                            before == OUTSIDE, 2.0 * i, 1.0 if i > 0 else 0.0, step_mm,
                            t * weights[i, e] * gain[i], t, row,
                        )  # fmt: skip
                        t *= np.float32(1.0) - r_if * r_if
                    before = label
                t *= loss[label]
                amplitude[line, i, e] = t * scattering
                if e == middle:
                    through[line, i] = t
                i += 1
            while i < steps:
                amplitude[line, i, e] = zero
                if e == middle:
                    through[line, i] = zero
                i += 1
