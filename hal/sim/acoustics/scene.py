"""The gel as the beam sees it: labels, materials, and values computed from them once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hal.phantom.materials import Material
from hal.sim.acoustics.texture import LEVELS_DB, bake

OUTSIDE = 31
"""Dense label of everything outside the volume (five bits of a code hold the label)."""
COUPLANT_MRAYL = 1.52
COUPLANT_DB_CM_MHZ = 0.002
ANECHOIC_DB = -60.0


class LabelVolume(Protocol):
    """Labels on a regular grid; voxel (i, j, k) is centred at ``origin_mm + (i, j, k) * spacing_mm``."""

    @property
    def labels(self) -> NDArray[np.uint8]: ...

    @property
    def origin_mm(self) -> NDArray[np.float64]: ...

    @property
    def spacing_mm(self) -> float: ...


@dataclass(frozen=True)
class Scene:
    """Scene of the scanner: labels and materials."""

    labels: NDArray[np.uint8]
    """Shape (nx, ny, nz), axes along the ``Phantom`` axes."""
    origin_mm: NDArray[np.float64]
    """Centre of voxel (0, 0, 0) in ``Phantom``, shape (3,)."""
    spacing_mm: NDArray[np.float64]
    """Shape (3,)."""
    materials: dict[int, Material]
    """By label; a label that is not listed is couplant."""

    @classmethod
    def of(cls, volume: LabelVolume, materials: dict[int, Material]) -> Scene:
        spacing = np.full(3, float(volume.spacing_mm))
        return cls(volume.labels, np.asarray(volume.origin_mm, dtype=float), spacing, materials)


@dataclass(frozen=True)
class PreparedScene:
    """Arrays that the kernels read."""

    codes: NDArray[np.uint8]
    """Dense label (low five bits) and texture level (high three bits) of each voxel."""
    smooth: NDArray[np.uint8]
    """Blurred monotone function of impedance; its gradient is the normal of an interface."""
    origin_mm: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    backscatter: NDArray[np.float32]
    """Amplitude by code, 1 = muscle gel; shape (256,)."""
    attenuation_db_cm_mhz: NDArray[np.float64]
    """By dense label, shape (32,)."""
    impedance_mrayl: NDArray[np.float32]
    rank: NDArray[np.float32]
    """The value in ``smooth`` that each dense label has far from interfaces."""


@njit(cache=True, nogil=True)
def _blur_last(source: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Five-tap box along the last axis of a (n, m) array, edges repeated."""
    n, m = source.shape
    for i in range(n):
        total = 3 * np.int32(source[i, 0]) + np.int32(source[i, min(1, m - 1)]) + np.int32(source[i, min(2, m - 1)])
        for k in range(m):
            out[i, k] = np.uint8((total + 2) // 5)
            total += np.int32(source[i, min(k + 3, m - 1)]) - np.int32(source[i, max(k - 2, 0)])


@njit(cache=True, nogil=True)
def _blur_first(source: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Five-tap box along the first axis of a (n, m) array, edges repeated."""
    n, m = source.shape
    for i in range(n):
        a, b, c, d = max(i - 2, 0), max(i - 1, 0), min(i + 1, n - 1), min(i + 2, n - 1)
        for k in range(m):
            total = (
                np.int32(source[a, k]) + np.int32(source[b, k]) + np.int32(source[i, k])
                + np.int32(source[c, k]) + np.int32(source[d, k])
            )  # fmt: skip
            out[i, k] = np.uint8((total + 2) // 5)


def _rank(impedance_mrayl: NDArray[np.float32]) -> NDArray[np.float32]:
    # Soft tissues differ by hundredths of a MRayl and bone by five: compress the top of the scale to 8 bits.
    ratio = np.clip(1.30 / np.maximum(impedance_mrayl, 1e-3), 0.0, 1.0)
    return np.round(255 * (1 - ratio**3)).astype(np.float32)


def prepare(scene: Scene, seed: int) -> PreparedScene:
    """Bake textures into the labels and smooth the impedance (once per scene, about 20 ns per voxel).

    Raises:
        ValueError: more than 31 different labels.
    """
    present = sorted(set(np.unique(scene.labels).tolist()) & set(scene.materials))
    if len(present) > OUTSIDE:
        raise ValueError(f"the label volume holds {len(present)} materials; at most {OUTSIDE} can be imaged")
    dense = np.full(256, OUTSIDE, np.uint8)
    attenuation = np.full(32, COUPLANT_DB_CM_MHZ)
    impedance = np.full(32, COUPLANT_MRAYL, np.float32)
    level_db = np.full(32, ANECHOIC_DB)
    names = [""] * 32
    for index, label in enumerate(present):
        material = scene.materials[label]
        dense[label] = index
        attenuation[index] = material.attenuation_db_cm_mhz
        impedance[index] = material.impedance_mrayl
        level_db[index] = material.backscatter_db
        names[index] = material.name
    codes = bake(np.ascontiguousarray(scene.labels), dense, names, scene.spacing_mm, seed)
    backscatter = np.zeros(256, np.float32)
    for code in range(256):
        db = level_db[code & 31]
        if db > ANECHOIC_DB:
            backscatter[code] = 10 ** ((db + LEVELS_DB[code >> 5]) / 20)
    rank = _rank(impedance)
    table = rank.astype(np.uint8)[np.arange(256) & 31]
    nx, ny, nz = codes.shape
    a = table[codes]
    b = np.empty_like(a)
    _blur_last(a.reshape(nx * ny, nz), b.reshape(nx * ny, nz))
    for i in range(nx):
        _blur_first(b[i], a[i])
    _blur_first(a.reshape(nx, ny * nz), b.reshape(nx, ny * nz))
    return PreparedScene(codes, b, scene.origin_mm, scene.spacing_mm, backscatter, attenuation, impedance, rank)
