"""Bone surfaces from STL and OBJ files, and their voxels.

Files come in metres, centimetres or millimetres and do not say so: ``unit_mm`` does (1000 for metres).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.sim.volume import LabelVolume
from hal.types import Matrix


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """Triangles: ``vertices_mm`` (n, 3) and ``faces`` (m, 3) vertex indices, shared vertices merged."""

    name: str
    vertices_mm: NDArray[np.float64]
    faces: NDArray[np.int64]

    @property
    def volume_ml(self) -> float:
        """Enclosed volume by the divergence theorem; positive when faces look outwards."""
        a, b, c = (self.vertices_mm[self.faces[:, i]] for i in range(3))
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6000.0)

    @property
    def is_watertight(self) -> bool:
        """Every edge is used once in each direction."""
        edges = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        n = len(self.vertices_mm)
        forward = np.sort(edges[:, 0] * n + edges[:, 1])
        backward = np.sort(edges[:, 1] * n + edges[:, 0])
        return bool(np.array_equal(forward, backward) and (np.diff(forward) > 0).all())

    def moved(self, MeshToPhantom: Matrix) -> SurfaceMesh:
        """The mesh in another frame."""
        moved = self.vertices_mm @ MeshToPhantom[:3, :3].T + MeshToPhantom[:3, 3]
        faces = self.faces if np.linalg.det(MeshToPhantom[:3, :3]) > 0 else self.faces[:, ::-1]
        return SurfaceMesh(self.name, moved, np.ascontiguousarray(faces))


def read_mesh(path: Path, unit_mm: float = 1.0) -> SurfaceMesh:
    """Read an ``.stl`` (binary or text) or ``.obj`` file; raises ``ConfigError`` saying what is wrong with it."""
    readers = {".stl": _read_stl, ".obj": _read_obj}
    if path.suffix.lower() not in readers:
        raise ConfigError(f"bone surface {path}: only .stl and .obj are read")
    try:
        vertices, faces = readers[path.suffix.lower()](path.read_bytes())
    except OSError as error:
        raise ConfigError(f"bone surface {path}: cannot be read ({error})") from error
    except (ValueError, IndexError, struct.error) as error:
        raise ConfigError(f"bone surface {path}: damaged or not a mesh ({error})") from error
    if len(faces) == 0:
        raise ConfigError(f"bone surface {path}: holds no triangles")
    if faces.min() < 0 or faces.max() >= len(vertices) or not np.isfinite(vertices).all():
        raise ConfigError(f"bone surface {path}: faces point to vertices that do not exist")
    unique, inverse = np.unique(vertices, axis=0, return_inverse=True)
    faces = inverse.reshape(-1)[faces]
    real = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return SurfaceMesh(path.stem, unique * unit_mm, np.ascontiguousarray(faces[real]))


def _read_obj(data: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    for line in data.decode("utf-8", errors="replace").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "f":
            corner = [int(word.split("/")[0]) for word in words[1:]]
            corner = [i - 1 if i > 0 else len(vertices) + i for i in corner]
            faces.extend((corner[0], corner[k], corner[k + 1]) for k in range(1, len(corner) - 1))
    return np.array(vertices, dtype=np.float64).reshape(-1, 3), np.array(faces, dtype=np.int64).reshape(-1, 3)


def _read_stl(data: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if len(data) >= 84:
        count = int(struct.unpack_from("<I", data, 80)[0])
        if 84 + 50 * count == len(data):
            record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
            corners = np.frombuffer(data, record, count, 84)["corners"].astype(np.float64)
            return corners.reshape(-1, 3), np.arange(3 * count, dtype=np.int64).reshape(-1, 3)
    if not data.lstrip().startswith(b"solid"):
        raise ValueError("neither a complete binary STL nor a text STL")
    rows = [line.split()[1:4] for line in data.decode("ascii", errors="replace").splitlines() if "vertex" in line]
    corners = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return corners, np.arange(len(corners) // 3 * 3, dtype=np.int64).reshape(-1, 3)


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
