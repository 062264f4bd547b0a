"""Surfaces from STL and OBJ files.

Files come in metres, centimetres or millimetres and do not say so: ``unit_mm`` does (1000 for metres).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
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
        """True when every edge is used once in each direction."""
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
    """Read an ``.stl`` (binary or text) or ``.obj`` file; raises ``ConfigError`` with the fault."""
    readers = {".stl": _read_stl, ".obj": _read_obj}
    if path.suffix.lower() not in readers:
        raise ConfigError(f"surface {path}: only .stl and .obj are read")
    try:
        vertices, faces = readers[path.suffix.lower()](path.read_bytes())
    except OSError as error:
        raise ConfigError(f"surface {path}: cannot be read ({error})") from error
    except (ValueError, IndexError) as error:
        raise ConfigError(f"surface {path}: damaged or not a mesh ({error})") from error
    if len(faces) == 0:
        raise ConfigError(f"surface {path}: holds no triangles (a closed one has at least 4)")
    if faces.min() < 0 or faces.max() >= len(vertices) or not np.isfinite(vertices).all():
        raise ConfigError(f"surface {path}: faces point to vertices that do not exist")
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


_STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_STL_HEAD_BYTES = 84


def _read_stl(data: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Binary or text; a binary file's own header may begin with ``solid``, and bytes may follow its triangles."""
    count = int.from_bytes(data[80:84], "little") if len(data) >= _STL_HEAD_BYTES else -1
    whole = _STL_HEAD_BYTES + count * _STL.itemsize
    if data.lstrip()[:5].lower() == b"solid" and len(data) != whole:
        words = data.decode("ascii").split()
        rows = [words[n + 1 : n + 4] for n, word in enumerate(words) if word.lower() == "vertex"]
        corners = np.array(rows, dtype=np.float64).reshape(-1, 3, 3)
        if not words or not any(word.lower() == "endsolid" for word in words):
            raise ValueError("the text was cut off before its endsolid")
    elif count < 0 or len(data) < whole:
        raise ValueError("no STL file, or cut off")
    else:
        corners = np.frombuffer(data, _STL, count, _STL_HEAD_BYTES)["corners"].astype(np.float64)
    return corners.reshape(-1, 3), np.arange(3 * len(corners), dtype=np.int64).reshape(-1, 3)


def surface_points(mesh: SurfaceMesh, spacing_mm: float) -> NDArray[np.float64]:
    """Points (n, 3) mm spread over all triangles, no two neighbours farther apart than about ``spacing_mm``."""
    out = [mesh.vertices_mm]
    corners = mesh.vertices_mm[mesh.faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.maximum(np.ceil(longest / spacing_mm).astype(np.int64), 1)
    for n in np.unique(parts[parts > 1]):
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
        inside = (i + j <= n) & ~((i == n) | (j == n) | (i + j == 0))
        weights = np.column_stack([i[inside], j[inside], n - i[inside] - j[inside]]) / n
        out.append(np.einsum("wk,tkd->twd", weights, corners[parts == n]).reshape(-1, 3))
    return np.concatenate(out)
