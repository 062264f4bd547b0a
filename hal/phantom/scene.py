"""All bones of a phantom in place: distances, ray casting, names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hal.phantom import shapes
from hal.phantom.bone_model import BoneShape
from hal.phantom.chain import BoneFrame


@dataclass(frozen=True, eq=False)
class BoneScene:
    """Bones with their frames, ordered cranial to caudal."""

    bones: tuple[BoneShape, ...]
    frames: tuple[BoneFrame, ...]

    @cached_property
    def packed(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """``parts, starts, frames, bounds`` as the kernels of ``hal.phantom.shapes`` take them."""
        parts = np.ascontiguousarray(np.concatenate([bone.parts for bone in self.bones]))
        starts = np.cumsum([0, *(len(bone.parts) for bone in self.bones)]).astype(np.int64)
        frames = np.array([np.concatenate([f.rotation.ravel(), f.origin_mm]) for f in self.frames])
        bounds = np.array([bone.bounds_mm for bone in self.bones])
        return parts, starts, frames, bounds

    def subset(self, names: tuple[str, ...]) -> BoneScene:
        """Only the named bones."""
        keep = [i for i, bone in enumerate(self.bones) if bone.name in names]
        return BoneScene(tuple(self.bones[i] for i in keep), tuple(self.frames[i] for i in keep))

    def distance_mm(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signed distance (negative inside bone) of points (n, 3) to the nearest bone; (n,) mm."""
        points = np.ascontiguousarray(points_mm, dtype=np.float64)
        out: NDArray[np.float64] = shapes.scene_distances(*self.packed, points)
        return out

    def depth_mm(
        self, xy_mm: NDArray[np.float64], far_mm: float = 120.0
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """First bone below skin positions (n, 2): depth (n,) mm or NaN, bone index, part index (-1 = none)."""
        depth, bone, part = shapes.cast_down(*self.packed, np.ascontiguousarray(xy_mm, dtype=np.float64), far_mm)
        return depth, bone, part

    @cached_property
    def structure_names(self) -> tuple[tuple[str, ...], ...]:
        """Names ``L4.lamina`` by bone and part index."""
        return tuple(tuple(f"{bone.name}.{part}" for part in bone.part_names) for bone in self.bones)

    def structure_at(self, point_mm: NDArray[np.float64]) -> str | None:
        """Name of the bone part at a point of Phantom coordinates, None outside bone."""
        p = np.asarray(point_mm, dtype=np.float64)
        d, b = shapes.scene_distance(*self.packed, float(p[0]), float(p[1]), float(p[2]))
        if d > 0.35:
            return None
        local = (p - self.frames[b].origin_mm) @ self.frames[b].rotation
        return self.structure_names[b][shapes.nearest_part(self.bones[b].parts, *local)]
