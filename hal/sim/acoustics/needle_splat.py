"""The needle in the polar image: mirror-like shaft, diffuse floor, bright tip, comet tail, faint shadow.

A coherent line in a Gaussian point spread function, tilted by theta from perpendicular to the beam, has
amplitude ``exp(-(2 k sin theta)^2 s^2 / 2)`` with ``1/s^2 = sin^2/sigma_ax^2 + cos^2/sigma_lat^2``; the factor
s/sigma_lat comes from summing the points themselves. Below it lies a diffuse part with random phases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hal.sim.acoustics.beam import FWHM, Beam
from hal.sim.acoustics.scan_grid import ScanGrid
from hal.sim.acoustics.states import EchoNeedle, Track

Array = NDArray[np.float64]

STEP_MM = 0.12
"""Spacing of the points along the shaft."""
MIRROR_DB = 42.0
"""Shaft at perpendicular incidence above muscle speckle [assumed: saturates the display]."""
DIFFUSE_DB = 19.0
"""Plain shaft; falls with cos^2 of the tilt (Nichols 2003: plain needles all but vanish at 15 deg insonation)."""
ECHOGENIC_DB = 25.0
"""Dimpled shaft; nearly flat with angle (Nichols 2003: 0.5-0.65 of the perpendicular echogenicity at 15 deg)."""
TIP_DB, BEVEL_DB = 28.0, 8.0
"""Point echo of the tip, and what a bevel that faces the probe adds [assumed]."""
COMET = 0.35
"""Amplitude ratio of successive reverberations in the shaft."""
COMET_N = 4
SHADOW = 0.72
"""Amplitude left behind a shaft in the middle of the slice [assumed]."""
TRACK_DB = 4.0
"""Healed path [assumed]."""


def _amplitude(db: float) -> float:
    return float(10 ** (db / 20))


@dataclass(frozen=True)
class Points:
    """Point reflectors in the polar image."""

    line: Array
    sample: Array
    y_mm: Array
    field: NDArray[np.complex64]
    """Complex amplitude at the centre of the slice."""


def resample(points_mm: Array, step_mm: float) -> tuple[Array, Array]:
    """Even points along a polyline, shape (m, 3), and unit tangents, shape (m, 3); last point = last vertex."""
    points_mm = np.asarray(points_mm, dtype=float)
    lengths = np.linalg.norm(np.diff(points_mm, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    n = max(2, int(np.ceil(at[-1] / step_mm)) + 1)
    # Counted from the tip, so that points do not slide along the shaft when its length changes.
    where = np.maximum(at[-1] - step_mm * np.arange(n)[::-1], 0.0)
    out = np.stack([np.interp(where, at, points_mm[:, a]) for a in range(3)], axis=1)
    tangents = np.gradient(out, axis=0)
    return out, tangents / np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-9)


def mirror(tilt_sin: Array, k_mm: float, sigma_axial_mm: float, sigma_lateral_mm: Array) -> Array:
    """Loss of the coherent line by tilt, without the factor s/sigma_lat."""
    s2 = 1 / (tilt_sin**2 / sigma_axial_mm**2 + (1 - tilt_sin**2) / sigma_lateral_mm**2)
    return np.asarray(np.exp(-((2 * k_mm * tilt_sin) ** 2) * s2 / 2))


@cache
def _phase_table(seed: int) -> NDArray[np.complex128]:
    return np.asarray(np.exp(2j * np.pi * np.random.default_rng([seed, 77]).random(4096)))


def _phases(n: int, seed: int) -> NDArray[np.complex128]:
    # Counted from the tip: the texture of the shaft belongs to the needle.
    return np.asarray(_phase_table(seed)[np.arange(n)[::-1] % 4096])


def needle_points(
    needle: EchoNeedle, PhantomToProbe: Array, grid: ScanGrid, beam: Beam, sample_mm: float, seed: int
) -> Points:
    """Shaft, tip and comet tail as point reflectors (``sample_mm``: true distance between samples)."""
    phantom, tangents = resample(needle.points_mm, STEP_MM)
    probe = phantom @ PhantomToProbe[:3, :3].T + PhantomToProbe[:3, 3]
    along = tangents @ PhantomToProbe[:3, :3].T
    line, depth = grid.polar(probe[:, 0], probe[:, 2])
    if grid.linear:
        beam_x, beam_z = np.zeros(len(line)), np.ones(len(line))
    else:
        angle = line * grid.line_step - grid.half
        beam_x, beam_z = np.sin(angle), np.cos(angle)
    tilt = np.abs(along[:, 0] * beam_x + along[:, 2] * beam_z)  # sine of the tilt from perpendicular
    sigma_ax = beam.axial_fwhm_mm / FWHM
    sigma_lat = beam.lateral_fwhm_mm(np.maximum(depth, 0)) / FWHM
    s = 1 / np.sqrt(tilt**2 / sigma_ax**2 + (1 - tilt**2) / sigma_lat**2)
    k = 2 * np.pi / beam.wavelength_mm
    coherent = _amplitude(MIRROR_DB) * mirror(tilt, k, sigma_ax, sigma_lat) * STEP_MM / (np.sqrt(2 * np.pi) * sigma_lat)
    cosine = np.sqrt(np.maximum(1 - tilt**2, 0))
    floor = _amplitude(ECHOGENIC_DB) * cosine**0.25 if needle.echogenic else _amplitude(DIFFUSE_DB) * cosine**2
    diffuse = floor * np.sqrt(STEP_MM / (np.sqrt(np.pi) * s))
    shaft = coherent + diffuse * _phases(len(line), seed)
    shaft *= needle.od_mm / 0.72
    bevel = _bevel_normal(tangents[-1], needle.bevel_deg) @ PhantomToProbe[:3, :3].T
    facing = max(0.0, -float(bevel[0] * beam_x[-1] + bevel[2] * beam_z[-1]))
    shaft[-1] += _amplitude(TIP_DB + BEVEL_DB * facing)
    parts = [(line, depth / sample_mm, probe[:, 1], shaft)]
    for copy in range(1, COMET_N + 1):
        tail = shaft * COMET**copy
        parts.append((line, (depth + copy * needle.od_mm) / sample_mm, probe[:, 1], tail))
    return Points(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _bevel_normal(tangent: Array, bevel_deg: float) -> Array:
    across = np.array([1.0, 0.0, 0.0]) - tangent[0] * tangent
    if np.linalg.norm(across) < 1e-3:
        across = np.array([0.0, 1.0, 0.0]) - tangent[1] * tangent
    across /= np.linalg.norm(across)
    turn = np.radians(bevel_deg)
    return np.asarray(np.cos(turn) * across + np.sin(turn) * np.cross(tangent, across))


def track_points(
    track: Track, PhantomToProbe: Array, grid: ScanGrid, beam: Beam, sample_mm: float, seed: int
) -> Points:
    """A healed path: faint diffuse points."""
    phantom, _ = resample(track.points_mm, STEP_MM)
    probe = phantom @ PhantomToProbe[:3, :3].T + PhantomToProbe[:3, 3]
    line, depth = grid.polar(probe[:, 0], probe[:, 2])
    amplitude = _amplitude(TRACK_DB) * np.sqrt(STEP_MM / (np.sqrt(np.pi) * 0.3)) * _phases(len(line), seed + 1)
    return Points(line, depth / sample_mm, probe[:, 1], amplitude)


@njit(cache=True, nogil=True)
def _splat(
    line: Array, sample: Array, y_mm: Array, real: Array, imag: Array, sigma_mm: NDArray[np.float32],
    through: NDArray[np.float32], field: NDArray[np.float32],
) -> None:  # fmt: skip
    lines, samples = field.shape[0], field.shape[1]
    for n in range(line.size):
        if not (0.0 <= line[n] < lines - 1 and 0.0 <= sample[n] < samples - 2):
            continue
        row, i = int(line[n]), int(sample[n])
        u = y_mm[n] / sigma_mm[i]
        if abs(u) > 5.0:
            continue
        t = np.exp(-0.5 * u * u) * through[int(line[n] + 0.5), i >> 1]
        v, f = line[n] - row, sample[n] - i
        for dr in range(2):
            for di in range(2):
                w = t * (v if dr else 1 - v) * (f if di else 1 - f)
                field[row + dr, i + di, 0] += np.float32(real[n] * w)
                field[row + dr, i + di, 1] += np.float32(imag[n] * w)


def splat(
    points: Points, sigma_mm: NDArray[np.float32], through: NDArray[np.float32], field: NDArray[np.float32]
) -> None:
    """Add points to the complex polar image (lines, samples, 2), weighted by elevation and what lies above."""
    _splat(
        points.line, points.sample, points.y_mm,
        np.ascontiguousarray(points.field.real, dtype=np.float64),
        np.ascontiguousarray(points.field.imag, dtype=np.float64), sigma_mm, through, field,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _shade(
    line: Array, sample: Array, y_mm: Array, slices: NDArray[np.float32], reach_mm: float, left: float,
    amplitude: NDArray[np.float32],
) -> None:  # fmt: skip
    lines, steps, n_slices = amplitude.shape
    for e in range(n_slices):
        for row in range(lines):
            top = np.inf
            for n in range(line.size):
                if abs(line[n] - row) < 0.75 and abs(y_mm[n] - slices[e]) < reach_mm and sample[n] < top:
                    top = sample[n]
            if top < 2 * steps:
                for i in range(max(0, int(top) // 2 + 2), steps):
                    amplitude[row, i, e] *= np.float32(left)


def shade(points: Points, slices: NDArray[np.float32], od_mm: float, amplitude: NDArray[np.float32]) -> None:
    """Darken what lies behind the shaft, slice by slice (``amplitude``: shape (lines, steps, slices))."""
    shaft = len(points.line) // (COMET_N + 1)
    pick = slice(0, shaft, 2)
    _shade(points.line[pick], points.sample[pick], points.y_mm[pick], slices, od_mm, SHADOW, amplitude)
