"""The bones of the reference anatomy as tables of shapes (``data/bone_model.toml``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hal.files import data_file, read, validated
from hal.phantom.shape_files import BoneFile
from hal.phantom.shapes import COLUMNS

KINDS = {"box": 0, "capsule": 1, "body": 2, "ellipsoid": 3}


@dataclass(frozen=True)
class BoneShape:
    """One bone in its own frame (x anterior, y lateral, z cranial, mm)."""

    name: str
    parts: NDArray[np.float64]
    """Shape (n, 24), see ``hal.phantom.shapes``."""
    part_names: tuple[str, ...]

    @property
    def bounds_mm(self) -> NDArray[np.float64]:
        """Shape (6,): low corner, high corner; symmetric in y."""
        solid = self.parts[self.parts[:, 1] == 0.0]
        low = np.min([_extent(row)[0] for row in solid], axis=0) - 0.5
        high = np.max([_extent(row)[1] for row in solid], axis=0) + 0.5
        return np.array([low[0], -high[1], low[2], high[0], high[1], high[2]])

    def scaled(self, factor: float, name: str | None = None) -> BoneShape:
        """The same bone with all lengths times ``factor``."""
        parts = self.parts.copy()
        parts[:, 3:6] *= factor
        body = parts[:, 0] == KINDS["body"]
        parts[:, 15:20] *= factor
        parts[~body, 20:] *= factor
        parts[body, 21:] *= factor
        return BoneShape(name or self.name, parts, self.part_names)


def _extent(row: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Axis-aligned box of one part."""
    at = row[3:6]
    if row[0] == KINDS["capsule"]:
        end = at + row[15:18]
        return np.minimum(at - row[18], end - row[19]), np.maximum(at + row[18], end + row[19])
    half = np.array([row[15], row[17], max(row[18], row[19])]) if row[0] == KINDS["body"] else row[15:18]
    reach = np.abs(row[6:15].reshape(3, 3)).T @ half
    return at - reach, at + reach


def shape_from_parts(name: str, parts: list[dict[str, Any]]) -> BoneShape:
    """Pack the rows of one bone; ``turn`` are Euler angles about the bone's x, y, z axes in degrees."""
    names = tuple(dict.fromkeys(str(part["name"]) for part in parts))
    table = np.zeros((len(parts), COLUMNS))
    for row, part in zip(table, parts, strict=True):
        row[0] = KINDS[part["kind"]]
        row[1] = 1.0 if part.get("cut", False) else 0.0
        row[2] = names.index(part["name"])
        row[3:6] = part["at"]
        row[6:15] = Rotation.from_euler("xyz", part.get("turn", (0.0, 0.0, 0.0)), degrees=True).as_matrix().T.ravel()
        row[15 : 15 + len(part["size"])] = part["size"]
    order = np.argsort(table[:, 1], kind="stable")  # cuts come last
    return BoneShape(name, np.ascontiguousarray(table[order]), names)


@cache
def reference_bones() -> dict[str, BoneShape]:
    """L1..L5 and the sacrum (``S1``). L1 and L2 are L3 scaled 0.94 and 0.97 (assumed)."""
    file = validated(read(data_file("hal.phantom", "bone_model.toml")), BoneFile)
    bones = {name: shape_from_parts(name, [p.model_dump() for p in bone.parts]) for name, bone in file.bone.items()}
    bones["L2"] = bones["L3"].scaled(0.97, "L2")
    bones["L1"] = bones["L3"].scaled(0.94, "L1")
    return bones


def ilium(crest_y_mm: float) -> BoneShape:
    """Iliac crests as plates 10 mm thick, in a frame whose axes are those of the phantom (x = Z, y = X, z = Y).

    The dorsal edge runs from the PSIS (X 42, Y -75, Z 18) to the crest top (X 88, Y crest, Z 45); the wing goes on
    ventrally and a little laterally (facts 1.6, assumed model).
    """
    edge = np.array([6.5, 2.5, 0.0])  # the published line is the medial dorsal edge; this is from it to the middle
    psis = np.array([18.0, 42.0, -75.0]) + edge
    top = np.array([45.0, 88.0, crest_y_mm]) + edge
    along = top - psis
    length = float(np.linalg.norm(along))
    u = along / length
    w = np.array([1.0, 0.30, -0.25])
    w -= u * float(w @ u)
    w /= np.linalg.norm(w)
    n = np.cross(u, w)
    table = np.zeros((2, COLUMNS))
    table[0, 0] = KINDS["capsule"]
    table[0, 3:6] = psis
    table[0, 6:15] = np.eye(3).ravel()
    table[0, 15:18] = along
    table[0, 18:20] = 5.0
    table[1, 0] = KINDS["box"]
    table[1, 3:6] = (psis + top) / 2 + w * 27.0
    table[1, 6:15] = np.stack([u, w, n]).ravel()
    table[1, 15:19] = (length / 2, 27.0, 4.5, 3.0)
    return BoneShape("ilium", table, ("iliac_crest",))
