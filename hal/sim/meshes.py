"""Voxels from bone surfaces."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.phantom.mesh import SurfaceMesh
from hal.sim.volume import LabelVolume


def voxelise(mesh: SurfaceMesh, volume: LabelVolume, label: int) -> int:
    """Fill the inside of a closed mesh with ``label``; returns the number of voxels filled.

    Lines along Z, even-odd rule at voxel centres. Raises ``ConfigError`` when the mesh is not watertight.
    """
    if not mesh.is_watertight:
        raise ConfigError(f"bone surface {mesh.name}: not watertight, its inside is undefined; repair the mesh")
    # A shift of a few nanometres keeps lines off vertices and edges.
    vertices = (mesh.vertices_mm - volume.origin_mm) / volume.spacing_mm + np.array([3.1e-7, 5.3e-7, 0.0])
    return int(_fill(volume.labels, np.ascontiguousarray(vertices), mesh.faces, label))


def voxel_volume(meshes: list[SurfaceMesh], spacing_mm: float, labels: list[int]) -> LabelVolume:
    """A volume just large enough for the meshes, each with its label."""
    low = np.min([mesh.vertices_mm.min(axis=0) for mesh in meshes], axis=0) - spacing_mm
    high = np.max([mesh.vertices_mm.max(axis=0) for mesh in meshes], axis=0) + spacing_mm
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing_mm) + 1)
    volume = LabelVolume(np.zeros(shape, dtype=np.uint8), low, spacing_mm)
    for mesh, label in zip(meshes, labels, strict=True):
        voxelise(mesh, volume, label)
    return volume


@njit(cache=True)
def _fill(labels: NDArray[np.uint8], vertices: NDArray[np.float64], faces: NDArray[np.int64], label: int) -> int:
    nx, ny, nz = labels.shape
    # Parity of crossings below each voxel: toggle at the crossing, then run along Z.
    toggles = np.zeros((nx, ny, nz + 1), dtype=np.bool_)
    for f in range(faces.shape[0]):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0.0:
            continue
        i0 = max(int(np.ceil(min(a[0], b[0], c[0]))), 0)
        i1 = min(int(np.floor(max(a[0], b[0], c[0]))), nx - 1)
        j0 = max(int(np.ceil(min(a[1], b[1], c[1]))), 0)
        j1 = min(int(np.floor(max(a[1], b[1], c[1]))), ny - 1)
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                u = ((b[0] - i) * (c[1] - j) - (b[1] - j) * (c[0] - i)) / area
                v = ((c[0] - i) * (a[1] - j) - (c[1] - j) * (a[0] - i)) / area
                w = 1.0 - u - v
                if u < 0.0 or v < 0.0 or w < 0.0:
                    continue
                k = int(np.ceil(u * a[2] + v * b[2] + w * c[2]))
                k = min(max(k, 0), nz)
                toggles[i, j, k] = not toggles[i, j, k]
    count = 0
    for i in range(nx):
        for j in range(ny):
            inside = False
            for k in range(nz):
                if toggles[i, j, k]:
                    inside = not inside
                if inside:
                    labels[i, j, k] = label
                    count += 1
    return count
