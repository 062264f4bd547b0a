"""Structure inside one material: fibres of muscle, septa of fat, fascicles of nerve.

A texture is a small periodic block of levels that is baked into the label volume, so it belongs to the
material and costs nothing per frame. Which material carries which texture goes by its name.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEVELS_DB = (0.0, -9.0, -6.0, -3.0, 3.0, 6.0, 9.0, 12.0)
"""Change of backscatter by texture level (three bits of a voxel's code); level 0 = none."""
BLOCK = 128
"""Edge of a texture block in voxels (periodic)."""


def _noise(rng: np.random.Generator, width: tuple[float, float, float]) -> NDArray[np.float64]:
    """Periodic Gaussian noise of unit variance with the given correlation lengths in voxels."""
    spectrum = np.fft.rfftn(rng.standard_normal((BLOCK, BLOCK, BLOCK)).astype(np.float32))
    f = [np.fft.fftfreq(BLOCK), np.fft.fftfreq(BLOCK), np.fft.rfftfreq(BLOCK)]
    for axis, (freq, w) in enumerate(zip(f, width, strict=True)):
        shape = [1, 1, 1]
        shape[axis] = -1
        spectrum *= np.exp(-2 * (np.pi * freq * w) ** 2).reshape(shape)
    field = np.fft.irfftn(spectrum, s=(BLOCK, BLOCK, BLOCK), axes=(0, 1, 2))
    return np.asarray(field / field.std())


def _levels(db: NDArray[np.float64]) -> NDArray[np.uint8]:
    order = np.argsort(LEVELS_DB)
    sorted_db = np.asarray(LEVELS_DB)[order]
    edges = (sorted_db[1:] + sorted_db[:-1]) / 2
    return np.asarray(order[np.digitize(db, edges)], dtype=np.uint8)


def _widths(mm: tuple[float, float, float], spacing_mm: NDArray[np.float64]) -> tuple[float, float, float]:
    return (mm[0] / spacing_mm[0], mm[1] / spacing_mm[1], mm[2] / spacing_mm[2])


def muscle_block(rng: np.random.Generator, spacing_mm: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Bright perimysium between darker fascicles, running cranio-caudally (Y)."""
    ridge = np.abs(_noise(rng, _widths((1.1, 14.0, 0.8), spacing_mm)))
    return _levels(np.where(ridge < 0.13, 6.0, np.where(ridge < 0.3, 1.0, -2.5)))


def fat_block(rng: np.random.Generator, spacing_mm: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Dark lobules with bright septa, flattened along the skin."""
    ridge = np.abs(_noise(rng, _widths((4.5, 4.5, 1.1), spacing_mm)))
    return _levels(np.where(ridge < 0.09, 12.0, np.where(ridge < 0.2, 3.0, -3.0)))


def nerve_block(rng: np.random.Generator, spacing_mm: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Honeycomb: dark fascicles of about 1 mm in bright connective tissue."""
    field = _noise(rng, _widths((0.45, 4.0, 0.45), spacing_mm))
    return _levels(np.where(field > 0.3, -9.0, 3.0))


BLOCKS = {"muscle": muscle_block, "fat": fat_block, "nerve_core": nerve_block}


@njit(cache=True, nogil=True)
def _bake(
    labels: NDArray[np.uint8], dense: NDArray[np.uint8], which: NDArray[np.int64], blocks: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:  # fmt: skip
    nx, ny, nz = labels.shape
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                d = dense[labels[i, j, k]]
                w = which[d]
                level = blocks[w, i & 127, j & 127, k & 127] if w >= 0 else np.uint8(0)
                out[i, j, k] = d | (level << 5)


def bake(
    labels: NDArray[np.uint8], dense: NDArray[np.uint8], names: list[str], spacing_mm: NDArray[np.float64], seed: int
) -> NDArray[np.uint8]:
    """Codes of all voxels: dense label in the low five bits, texture level in the high three."""
    used = [key for key in BLOCKS if any(key in name for name in names)]
    which = np.full(32, -1, np.int64)
    for index, name in enumerate(names):
        for position, key in enumerate(used):
            if key in name:
                which[index] = position
    blocks = np.zeros((max(1, len(used)), BLOCK, BLOCK, BLOCK), np.uint8)
    for position, key in enumerate(used):
        blocks[position] = BLOCKS[key](np.random.default_rng([seed, position]), spacing_mm)
    out = np.empty_like(labels)
    _bake(labels, dense, which, blocks, out)
    return out
