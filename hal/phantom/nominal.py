"""The nominal phantom: the anatomy as designed, before anybody pours it.

Frame Phantom: X lateral, + = the phantom's left; Y cranial, 0 = centre of the L4-5 disc; Z depth below the skin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from hal.errors import ConfigError
from hal.files import data_file, read, validated
from hal.phantom.bone_model import BoneShape, ilium, reference_bones
from hal.phantom.chain import BoneFrame, axes, pose_chain
from hal.phantom.cords import SIDES, Canal, Cord, axis_at, canal_line, mirrored, root_cord, smooth_line
from hal.phantom.scene import BoneScene
from hal.phantom.shape_files import AnatomyFile
from hal.phantom.spec import PhantomSpec, read_phantom
from hal.phantom.target import Cylinder, Target
from hal.types import Vector

CHANNEL_RADIUS_MM = 4.2
"""Radius of the S1 dorsal channel (facts 7.2; foramen width 8.5 +- 1.6)."""
CANAL_KEYS = ("half_ap_mm", "half_width_mm", "sac_half_ap_mm", "sac_half_width_mm", "dura_mm", "flavum_mm")
WALL_MM = 5.0
"""Gel between a target and every wall: less, and the needle's end meets the mould before the nerve is passed [A]."""
GRID_MM = 1.5
"""Pitch of the cached distance grid: trilinear error below 0.4 mm outside bone."""


@dataclass(frozen=True)
class Layers:
    """Soft layers from the skin down; depths are those over the L4 facet, the sheath is around roots."""

    skin_mm: float
    fat_mm: float
    fascia_mm: float
    nerve_sheath_mm: float

    @property
    def muscle_depth_mm(self) -> float:
        return self.skin_mm + self.fat_mm + self.fascia_mm


@dataclass(frozen=True, eq=False)
class NominalPhantom:
    """The nominal phantom in Phantom coordinates, mm; compare by identity. See ``load_phantom``."""

    spec: PhantomSpec
    frames: dict[str, BoneFrame]
    """Frames by bone: L1..L5, ``S1`` (the sacrum, or the lumbarised segment), then ``sacrum``, ``ilium``."""
    scene: BoneScene
    landmarks: dict[str, Vector]
    """``L4.tp_tip.left`` and so on; midline landmarks have no side (``L4.spinous_tip``)."""
    nerves: tuple[Cord, ...]
    vessels: tuple[Cord, ...]
    canal: Canal
    targets: dict[tuple[str, str], Target]
    layers: Layers
    fiducials: dict[str, Vector]
    box_low_mm: Vector
    box_high_mm: Vector

    @property
    def name(self) -> str:
        return self.spec.name

    def target(self, level: str, side: str) -> Target:
        """The root of a level (``L2``..``L5``, ``S1``) on a side (``left``, ``right``); raises ``ConfigError``."""
        if (level, side) not in self.targets:
            known = ", ".join(sorted({key[0] for key in self.targets}))
            raise ConfigError(
                f"phantom {self.name!r} has no target {level!r} {side!r} (levels: {known}; sides: left, right)"
            )
        return self.targets[level, side]

    def bones(self) -> BoneScene:
        """Bones and their frames."""
        return self.scene

    def bone_depth_mm(self, xy_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Depth (n,) of the first bone straight below skin positions (n, 2); NaN where there is none."""
        depth, _, _ = self.scene.depth_mm(xy_mm, float(self.box_high_mm[2]))
        return depth

    def dorsal_bone_points(self, spacing_mm: float = 2.0) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
        """Bone points seen from the skin on a grid: points (n, 3) mm and names (n,) like ``L4.lamina``."""
        xs = np.arange(self.box_low_mm[0] + 1, self.box_high_mm[0], spacing_mm)
        ys = np.arange(self.box_low_mm[1] + 1, self.box_high_mm[1], spacing_mm)
        xy = np.stack(np.meshgrid(xs, ys, indexing="ij"), axis=-1).reshape(-1, 2)
        depth, bone, part = self.scene.depth_mm(xy, float(self.box_high_mm[2]))
        hit = np.isfinite(depth)
        names = [self.scene.structure_names[b][p] for b, p in zip(bone[hit], part[hit], strict=True)]
        return np.column_stack([xy[hit], depth[hit]]), np.array(names)

    @cached_property
    def _distance_grid(self) -> NDArray[np.float32]:
        counts = [int(np.ceil((h - lo) / GRID_MM)) + 1 for lo, h in zip(self.box_low_mm, self.box_high_mm, strict=True)]
        ticks = [lo + GRID_MM * np.arange(n) for lo, n in zip(self.box_low_mm, counts, strict=True)]
        points = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 3)
        return self.scene.distance_mm(points).astype(np.float32).reshape(counts)

    def bone_distance(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signed distance (negative inside) of points (n, 3) to nominal bone, (n,) mm; trilinear in a cached grid.

        Values saturate at about 30 mm; outside the box the nearest wall's value is taken.
        """
        index = (np.atleast_2d(np.asarray(points_mm, dtype=np.float64)) - self.box_low_mm).T / GRID_MM
        out: NDArray[np.float64] = map_coordinates(
            self._distance_grid, index, order=1, mode="nearest", output=np.float64
        )
        return out


@cache
def _anatomy() -> dict[str, Any]:
    return validated(read(data_file("hal.phantom", "anatomy.toml")), AnatomyFile).model_dump()


def _posed(spec: PhantomSpec) -> tuple[dict[str, BoneFrame], dict[str, BoneShape]]:
    """Frames and shapes by name, for the requested variant."""
    anatomy, a = _anatomy(), spec.anatomy
    shapes = {name: bone.scaled(a.scale) for name, bone in reference_bones().items()}
    heights = {name: h * a.scale for name, h in anatomy["height_mm"].items()}
    tilts = {name: t * a.lordosis_factor for name, t in anatomy["supine_tilt_deg"].items()}
    if a.sacral_tilt_deg is not None:
        tilts["S1"] = -a.sacral_tilt_deg
    discs = {
        "L1": a.disc_l1_l2_mm, "L2": a.disc_l2_l3_mm, "L3": a.disc_l3_l4_mm, "L4": a.disc_l4_l5_mm,
        "L5": a.disc_l5_s1_mm,
    }  # fmt: skip
    discs = {name: d * a.scale for name, d in discs.items()}
    bones = ["L1", "L2", "L3", "L4", "L5", "sacrum"]
    shapes["sacrum"] = BoneShape("sacrum", shapes["S1"].parts, shapes["S1"].part_names)
    del shapes["S1"]
    tilts["sacrum"] = tilts.pop("S1")
    if a.variant == "sacralised_L5":  # Castellvi III/IV: broad transverse processes reach the ala, thin disc
        discs["L5"] = min(discs["L5"], 5.0 * a.scale)
        shapes["L5"] = _with_broad_processes(shapes["L5"], a.scale)
    if a.variant == "lumbarised_S1":  # S1 is free: a sixth lumbar-type vertebra above the sacrum
        bones.insert(5, "S1")
        shapes["S1"] = shapes["L5"].scaled(0.95, "S1")
        heights["S1"] = heights["L5"] * 0.95
        discs["S1"] = 7.0 * a.scale
        tilts["S1"] = 0.5 * (tilts["L5"] + tilts["sacrum"])
    frames = pose_chain(tilts, heights, discs, tuple(bones))
    tips = np.array([
        frames[k].to_phantom(np.array(anatomy["landmark"][k]["spinous_tip"]) * a.scale)[2] for k in ("L3", "L4", "L5")
    ])  # fmt: skip
    down = np.array([0.0, 0.0, max(a.skin_to_tips_mm - float(tips.mean()), 2.5 - float(tips.min()))])
    frames = {name: frame.turned(np.eye(3), down) for name, frame in frames.items()}
    frames["ilium"] = BoneFrame(axes(0.0), np.array([0.0, 0.0, a.skin_to_tips_mm - 12.0]))
    shapes["ilium"] = ilium(a.crest_y_mm)
    return frames, shapes


def _with_broad_processes(bone: BoneShape, scale: float) -> BoneShape:
    """L5 with transverse processes that reach down to the sacral ala."""
    row = np.zeros((1, bone.parts.shape[1]))
    row[0, 2] = bone.part_names.index("transverse")
    row[0, 3:6] = np.array([-16.0, 40.0, -10.0]) * scale
    row[0, 6:15] = np.eye(3).ravel()
    row[0, 15:19] = np.array([7.0, 11.0, 17.0, 5.0]) * scale
    return BoneShape(bone.name, np.concatenate([row, bone.parts]), bone.part_names)


def _landmarks(frames: dict[str, BoneFrame], scale: float) -> dict[str, Vector]:
    out: dict[str, Vector] = {}
    for level, rows in _anatomy()["landmark"].items():
        frame = frames["sacrum" if level == "S1" else level]
        out[f"{level}.origin"] = frame.origin_mm
        for name, at in rows.items():
            local = np.array(at) * scale
            if local[1] == 0.0:
                out[f"{level}.{name}"] = frame.to_phantom(local)
            else:
                for side in SIDES:
                    out[f"{level}.{name}.{side}"] = frame.to_phantom(mirrored(local, side))
    return out


def _cords(frames: dict[str, BoneFrame], scale: float) -> tuple[tuple[Cord, ...], tuple[Cord, ...]]:
    anatomy = _anatomy()
    nerve, vessel, rows = anatomy["nerve"], anatomy["vessel"], anatomy["landmark"]
    nerves, vessels = [], []
    for level, radius in nerve["radius_mm"].items():
        frame = frames["sacrum" if level == "S1" else level]
        drg: NDArray[np.float64] | None = None
        half: NDArray[np.float64] | None = None
        if level == "S1":
            points = np.array(nerve["s1_path_mm"]) * scale
        else:
            drg, root = np.array(rows[level]["drg"]) * scale, np.array(rows[level]["root"]) * scale
            half = np.array(nerve["drg_half_mm"][level])
            points = np.array([
                *(np.array(nerve["proximal_mm"]) * scale), drg, root, *(root + np.array(nerve["distal_mm"][level])),
            ])  # fmt: skip
        for side in SIDES:
            cord = root_cord(f"{level}_{side}", level, side, frame, points, radius, drg, half, nerve["proximal_share"])
            nerves.append(cord)
            if level == "S1":
                continue
            for kind in ("artery", "vein"):
                offset = np.array(vessel[f"{kind}_offset_mm"])
                line = frame.to_phantom(mirrored(smooth_line(points[3:6] + offset), side))
                width = np.full(len(line), vessel[f"{kind}_radius_mm"])
                vessels.append(Cord(f"{level}_{side}_{kind}", kind, level, side, line, width))
    return tuple(nerves), tuple(vessels)


def _targets(frames: dict[str, BoneFrame], nerves: tuple[Cord, ...], scale: float) -> dict[tuple[str, str], Target]:
    anatomy, out = _anatomy(), {}
    for cord in nerves:
        rows = anatomy["landmark"][cord.level]
        frame = frames["sacrum" if cord.level == "S1" else cord.level]
        centre = frame.to_phantom(mirrored(np.array(rows["root"]) * scale, cord.side))
        channel = None
        if cord.level == "S1":
            rim = frame.to_phantom(mirrored(np.array(rows["s1_foramen"]) * scale, cord.side))
            channel = Cylinder(rim, centre, CHANNEL_RADIUS_MM * scale)
        radius = float(anatomy["nerve"]["radius_mm"][cord.level])
        out[cord.level, cord.side] = Target(
            cord.level, cord.side, centre, axis_at(cord.line_mm, centre), radius, channel
        )
    return out


def nominal_phantom(spec: PhantomSpec) -> NominalPhantom:
    """Compute the whole phantom from its file."""
    scale = spec.anatomy.scale
    frames, shapes = _posed(spec)
    names = [name for name in ("L1", "L2", "L3", "L4", "L5", "S1", "sacrum", "ilium") if name in frames]
    scene = BoneScene(tuple(shapes[name] for name in names), tuple(frames[name] for name in names))
    nerves, vessels = _cords(frames, scale)
    canal = _anatomy()["canal"]
    layers = spec.layers
    # 8 mm at s0 = 12 (facts 1.8): the rest over the spinous tips is supraspinous tissue
    fat = max(spec.anatomy.skin_to_tips_mm - layers.skin_mm - layers.fascia_mm - 0.7, 0.5)
    return NominalPhantom(
        spec=spec,
        frames=frames,
        scene=scene,
        landmarks=_landmarks(frames, scale),
        nerves=nerves,
        vessels=vessels,
        canal=Canal(
            canal_line({name: frames[name] for name in names}, canal["offset_mm"]),
            *(canal[key] for key in CANAL_KEYS),
        ),
        targets=_targets(frames, nerves, scale),
        layers=Layers(layers.skin_mm, fat, layers.fascia_mm, layers.nerve_sheath_mm),
        fiducials={f.name: np.array(f.at_mm) for f in spec.fiducial},
        box_low_mm=np.array(spec.box.low_mm),
        box_high_mm=np.array(spec.box.high_mm),
    )


@cache
def _load(name_or_path: str) -> NominalPhantom:
    document = read_phantom(name_or_path)
    phantom = nominal_phantom(validated(document, PhantomSpec))
    outside = _outside(phantom)
    if outside:
        raise ConfigError("\n".join(f"{document.place((table,))}: {text}" for table, text in outside))
    return phantom


def _outside(phantom: NominalPhantom) -> list[tuple[str, str]]:
    """Parts of the design that do not fit into the block: for each fault its table and the message."""
    low, high = phantom.box_low_mm, phantom.box_high_mm
    found = []
    for (level, side), target in sorted(phantom.targets.items()):
        room = float(np.min(np.minimum(target.nerve_centre_mm - low, high - target.nerve_centre_mm)))
        if room < WALL_MM:
            x, y, z = target.nerve_centre_mm
            found.append((
                "box", f"the target {level} {side} at X {x:.0f}, Y {y:.0f}, Z {z:.0f} mm would lie outside the block "
                f"(X {low[0]:g} to {high[0]:g}, Y {low[1]:g} to {high[1]:g}, Z {low[2]:g} to {high[2]:g}) or within "
                f"{WALL_MM:g} mm of its walls and floor",
            ))  # fmt: skip
    return found


def load_phantom(name_or_path: str = "lumbar_ref") -> NominalPhantom:
    """Load a phantom by name (``lumbar_ref``) or from a TOML file; raises ``ConfigError`` with the wrong key."""
    return _load(str(name_or_path))
