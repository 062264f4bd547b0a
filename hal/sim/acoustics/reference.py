"""The kernels again, slow and readable, in NumPy: the compiled ones are tested against them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hal.sim.acoustics.plan import Plan
from hal.sim.acoustics.scatter import CULL_U2, EDGE_U2, MULTIPLIERS
from hal.sim.acoustics.scene import OUTSIDE, PreparedScene

Array = NDArray[np.float64]


def attenuate(
    labels: NDArray[np.int64], backscatter: Array, impedance: NDArray[np.float32], loss: NDArray[np.float32]
) -> tuple[Array, Array]:
    """Two-way amplitude T and T x backscatter along one ray.

    Args:
        labels: dense label by step, shape (n,); backscatter: amplitude by step.
        impedance, loss: by dense label.
    """
    through, echo = np.zeros(len(labels)), np.zeros(len(labels))
    t, before = 1.0, OUTSIDE
    for i, label in enumerate(labels):
        if label != before:
            if label == OUTSIDE:
                break
            r = abs(impedance[label] - impedance[before]) / (impedance[label] + impedance[before])
            if r > 0.002:
                t *= 1 - r**2
            before = int(label)
        t *= float(loss[label])
        through[i], echo[i] = t, t * backscatter[i]
    return through, echo


def labels_along(scene: PreparedScene, points_mm: Array) -> NDArray[np.uint8]:
    """Code of the nearest voxel at points (n, 3); ``OUTSIDE`` beyond the volume."""
    index = np.floor((points_mm - scene.origin_mm) / scene.spacing_mm + 0.5).astype(int)
    ok = np.all((index >= 0) & (index < scene.codes.shape), axis=1)
    out = np.full(len(points_mm), OUTSIDE, np.uint8)
    out[ok] = scene.codes[tuple(index[ok].T)]
    return out


def mixed(cells: NDArray[np.int64], seed: int) -> NDArray[np.uint32]:
    """Hash of lattice cells (n, 3)."""
    spread = cells.astype(np.uint32) * MULTIPLIERS
    h = np.uint32(seed) ^ spread[:, 0] ^ spread[:, 1] ^ spread[:, 2]
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    return np.asarray(h ^ (h >> np.uint32(16)), dtype=np.uint32)


def speckle(
    PhantomToProbe: Array, plan: Plan, amplitude: NDArray[np.float32], low_mm: Array, high_mm: Array, seed: int
) -> NDArray[np.complex128]:
    """Complex polar image of all scatterers whose cell lies in a box of ``Phantom`` (no indentation).

    Args:
        amplitude: of the march, shape (lines, steps, slices).
        low_mm, high_mm: the box; it must hold the whole slab that is to be compared.
        seed: of the lattice, 32 bits.
    """
    grid = plan.grid
    ranges = [
        np.arange(int(np.floor(a / plan.cell_mm)), int(np.ceil(b / plan.cell_mm)))
        for a, b in zip(low_mm, high_mm, strict=True)
    ]
    cells = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    h = mixed(cells, seed)
    jitter = np.stack([((h >> np.uint32(8 * a)) & np.uint32(255)) + 0.5 for a in range(3)], axis=1) / 256
    probe = (cells + jitter) * plan.cell_mm @ PhantomToProbe[:3, :3].T + PhantomToProbe[:3, 3]
    line, depth = grid.polar(probe[:, 0], probe[:, 2])
    sample = depth / plan.sample_mm
    inside = (line >= 0) & (line < grid.lines) & (sample >= 0) & (sample < grid.samples - 2)
    h, line, sample, y = h[inside], line[inside], sample[inside], probe[inside, 1]
    i, row = sample.astype(int), line.astype(int)
    u2 = y**2 * plan.inverse_sigma2[i]
    thin = ((h * np.uint32(0x2C1B3C6D)) ^ h) >> np.uint32(16)
    kept = (u2 < CULL_U2) & (thin < plan.keep[i])
    h, line, sample, y, i, row, u2 = (a[kept] for a in (h, line, sample, y, i, row, u2))
    slices = np.asarray(grid.slices_mm)
    e = np.clip((y - slices[0]) / (slices[1] - slices[0]), 0, len(slices) - 1.001)
    g, e = e - e.astype(int), e.astype(int)
    near = np.minimum((line + 0.5).astype(int), grid.lines - 1)
    a = amplitude[near, i >> 1, e] * (1 - g) + amplitude[near, i >> 1, e + 1] * g
    value = a * (1 - u2 / EDGE_U2) ** 4 * plan.scatter_weight[i] * np.exp(2j * np.pi * (h >> np.uint32(24)) / 256)
    out = np.zeros((grid.lines + 1, grid.samples), complex)
    v, f = line - row, sample - i
    for dr, wr in ((0, 1 - v), (1, v)):
        for di, wi in ((0, 1 - f), (1, f)):
            np.add.at(out, (row + dr, i + di), value * wr * wi)
    return np.asarray(out[:-1], dtype=np.complex128)


def lateral(field: NDArray[np.complex128], half_kernel: NDArray[np.float32]) -> NDArray[np.complex128]:
    """Blur over lines with a kernel by sample (``half_kernel``: shape (taps, samples)); zero beyond the edges."""
    out = field * half_kernel[0]
    for j in range(1, len(half_kernel)):
        out[j:] += field[:-j] * half_kernel[j]
        out[:-j] += field[j:] * half_kernel[j]
    return np.asarray(out, dtype=np.complex128)


def grey(power: Array, scale: float, base: Array) -> NDArray[np.uint8]:
    """Grey values of a power image: ``scale`` per doubling, ``base`` at power 1."""
    return np.clip(scale * np.log2(power + 1e-12) + base + 0.5, 0, 255).astype(np.uint8)
