"""Pour a nominal phantom: the cartridge as built, which only the world knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from hal.phantom.bone_model import BoneShape
from hal.phantom.chain import BoneFrame
from hal.phantom.cords import Canal, Cord, axis_at
from hal.phantom.materials import Material, by_label, materials
from hal.phantom.nominal import NominalPhantom
from hal.phantom.scene import BoneScene
from hal.phantom.target import Cylinder, Target
from hal.sim import raster
from hal.sim.volume import LabelVolume
from hal.types import Vector

VOXEL_MM = 0.5
RIM_MM = 0.6
"""Thickness of the bright outer layer of a nerve insert [A]."""
SPEED_PER_C = 2.5
"""Water gels: +2..+3 m/s per degree (facts 2.1, recalled)."""
REFERENCE_C = 22.0
SPEED_PER_DAY_OPEN = 0.5
"""Drying of an open block, m/s per day (facts 2.3, assumed)."""


@dataclass(frozen=True)
class BuildErrors:
    """Deviations of a pour from its design (standard deviations) and its state; assumed values."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    vertebra_sd_mm: Annotated[float, Field(ge=0.0, le=10.0)] = 0.4
    vertebra_sd_deg: Annotated[float, Field(ge=0.0, le=20.0)] = 0.5
    nerve_sd_mm: Annotated[float, Field(ge=0.0, le=10.0)] = 0.3
    layer_sd_mm: Annotated[float, Field(ge=0.0, le=10.0)] = 0.5
    swelling_fraction: Annotated[float, Field(ge=-0.1, le=0.1)] = 0.003
    """Mean linear growth of the whole block; the pour scatters by a third of it."""
    swelling_per_day: Annotated[float, Field(ge=-0.01, le=0.01)] = 0.0
    sound_speed_sd_m_s: Annotated[float, Field(ge=0.0, le=100.0)] = 4.0
    age_days: Annotated[float, Field(ge=0.0, le=365.0)] = 1.0
    sealed: bool = True
    temperature_c: Annotated[float, Field(ge=5.0, le=35.0)] = REFERENCE_C
    voxel_mm: Annotated[float, Field(ge=0.2, le=2.0)] = VOXEL_MM

    @classmethod
    def none(cls) -> BuildErrors:
        """Built exactly as designed."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class BlockAsBuilt:
    """What only a QA block has."""

    wires_mm: NDArray[np.float64]
    """End points, shape (n, 2, 3)."""
    well_mm: float
    """Water over the window. The window itself is stiff: it does not yield to the probe [A]."""


@dataclass(frozen=True, eq=False)
class AsBuilt:
    """The truth about one cartridge, in Phantom coordinates (the bench adds the pose)."""

    nominal: NominalPhantom
    seed: int
    errors: BuildErrors
    volume: LabelVolume
    scene: BoneScene
    nerves: tuple[Cord, ...]
    vessels: tuple[Cord, ...]
    targets: dict[tuple[str, str], Target]
    sound_speed_m_s: float
    """Mean over the gel at its temperature and age."""
    scale: float
    """As-built size over designed size."""
    materials: Mapping[int, Material] = field(default_factory=by_label)
    """By label of the volume."""
    block: BlockAsBuilt | None = None
    """Set for a QA block, which has neither bones nor roots."""

    def target(self, level: str, side: str) -> Target:
        """The true root of a level and side; raises ``ConfigError`` through the nominal phantom when unknown."""
        self.nominal.target(level, side)
        return self.targets[level, side]

    def structure_at(self, point_mm: Vector) -> str:
        """Structure at a point: ``L4.lamina``, ``L4_left.nerve``, ``L4_left.artery``, or a material's name."""
        point = np.asarray(point_mm, dtype=np.float64)
        label = int(self.volume.label_at(point[None, :])[0])
        name = self.materials[label].name if label in self.materials else "couplant"
        if name == "bone":
            return self.scene.structure_at(point) or "bone"
        if name in ("nerve_rim", "nerve_core"):
            return f"{_nearest(self.nerves, point).name}.nerve"
        if name in ("artery", "vein"):
            cord = _nearest(tuple(c for c in self.vessels if c.kind == name), point)
            return f"{cord.level}_{cord.side}.{name}"
        return name


def _nearest(cords: tuple[Cord, ...], point: Vector) -> Cord:
    return min(cords, key=lambda cord: float(np.min(np.linalg.norm(cord.line_mm - point, axis=1) - cord.radius_mm)))


def build(nominal: NominalPhantom, seed: int, errors: BuildErrors | None = None) -> AsBuilt:
    """Pour one cartridge. The same phantom, seed and errors give the same voxels."""
    errors = errors or BuildErrors()
    rng = np.random.default_rng([0x9E47, seed])
    scale = 1.0 + errors.swelling_fraction * (1.0 + rng.normal() / 3.0) + errors.swelling_per_day * errors.age_days
    shifts, frames, bones = {}, [], []
    for bone, frame in zip(nominal.scene.bones, nominal.scene.frames, strict=True):
        shift = rng.normal(0.0, 1.0, 3) * errors.vertebra_sd_mm
        turn = Rotation.from_rotvec(rng.normal(0.0, 1.0, 3) * errors.vertebra_sd_deg, degrees=True).as_matrix()
        moved = frame.turned(turn, shift)
        shifts[bone.name] = (frame, moved)
        frames.append(BoneFrame(moved.rotation, moved.origin_mm * scale))
        bones.append(bone.scaled(scale))
    scene = BoneScene(tuple(bones), tuple(frames))
    nerves, offsets = [], {}
    for cord in nominal.nerves:
        offset = rng.normal(0.0, 1.0, 3) * errors.nerve_sd_mm
        offsets[cord.level, cord.side] = offset
        line = _carried(cord.line_mm, *shifts[_host(cord.level)]) + offset
        nerves.append(replace(cord, line_mm=line * scale, radius_mm=cord.radius_mm * scale))
    vessels = []
    for cord in nominal.vessels:
        line = _carried(cord.line_mm, *shifts[_host(cord.level)]) + offsets[cord.level, cord.side]
        vessels.append(replace(cord, line_mm=line * scale, radius_mm=cord.radius_mm * scale))
    targets = {}
    for cord in nerves:
        key = cord.level, cord.side
        targets[key] = _as_built_target(nominal.targets[key], cord, shifts[_host(cord.level)], offsets[key], scale)
    speed = materials()["muscle"].sound_speed_m_s + SPEED_PER_C * (errors.temperature_c - REFERENCE_C)
    speed += float(rng.normal()) * errors.sound_speed_sd_m_s
    if not errors.sealed:
        speed += SPEED_PER_DAY_OPEN * errors.age_days
    volume = _pour(nominal, errors, rng, scene, tuple(nerves), tuple(vessels), scale)
    return AsBuilt(
        nominal, seed, errors, volume, scene, tuple(nerves), tuple(vessels), targets, float(speed), float(scale)
    )


def _host(level: str) -> str:
    """Bone that carries a root's insert."""
    return "sacrum" if level == "S1" else level


def _carried(points_mm: NDArray[np.float64], before: BoneFrame, after: BoneFrame) -> NDArray[np.float64]:
    """Points that move with a bone."""
    return after.to_phantom((points_mm - before.origin_mm) @ before.rotation)


def _as_built_target(
    nominal: Target, cord: Cord, frames: tuple[BoneFrame, BoneFrame], offset: NDArray[np.float64], scale: float
) -> Target:
    centre = (_carried(nominal.nerve_centre_mm, *frames) + offset) * scale
    channel = None
    if nominal.channel is not None:
        rim = _carried(nominal.channel.rim_mm, *frames) * scale
        inner = _carried(nominal.channel.inner_mm, *frames) * scale
        channel = Cylinder(rim, inner, nominal.channel.radius_mm * scale)
    return Target(
        nominal.level, nominal.side, centre, axis_at(cord.line_mm, centre), nominal.nerve_radius_mm * scale, channel
    )


def _pour(
    nominal: NominalPhantom,
    errors: BuildErrors,
    rng: np.random.Generator,
    scene: BoneScene,
    nerves: tuple[Cord, ...],
    vessels: tuple[Cord, ...],
    scale: float,
) -> LabelVolume:
    h = errors.voxel_mm
    origin = nominal.box_low_mm + h / 2
    shape = tuple(int(n) for n in np.round((nominal.box_high_mm - nominal.box_low_mm) / h))
    labels = np.empty(shape, dtype=np.uint8)
    y = origin[1] + h * np.arange(shape[1])
    skin, fat, fascia = _layer_depths(nominal, errors, rng, shape[:2], y, h, scale)
    raster.pour_layers(labels, origin, h, skin, fat, fascia, _sheet_depth(nominal, y), _waves(rng))
    for row, frame in _discs(scene):
        raster.pour_shape(labels, origin, h, row, frame, 32.0, raster.DISC)
    _pour_canal(labels, origin, h, nominal.canal, scene, y, scale)
    keep = np.zeros(256, dtype=np.bool_)
    keep[[raster.CSF, raster.DURA, raster.EPIDURAL_FAT, raster.FLAVUM]] = True
    for cord in nerves:
        sheath = nominal.layers.nerve_sheath_mm * scale
        raster.pour_tube(labels, origin, h, cord.line_mm, cord.radius_mm, sheath, raster.PERINEURAL, keep)
    raster.pour_bones(labels, origin, h, *scene.packed)
    keep[raster.BONE] = True
    for cord in vessels:
        label = raster.ARTERY if cord.kind == "artery" else raster.VEIN
        raster.pour_tube(labels, origin, h, cord.line_mm, cord.radius_mm, 0.0, label, keep)
    keep[:] = False
    keep[raster.BONE] = True
    for cord in nerves:
        raster.pour_tube(labels, origin, h, cord.line_mm, cord.radius_mm, 0.0, raster.NERVE_RIM, keep)
        raster.pour_tube(labels, origin, h, cord.line_mm, cord.radius_mm, -RIM_MM, raster.NERVE_CORE, keep)
    return LabelVolume(labels, origin, h)


def _waves(rng: np.random.Generator) -> NDArray[np.float64]:
    """Wave vectors (rad/mm) and phases of the texture, (3, 3, 4): slow, bundles, breaks. Bundles run along Y."""
    out = np.empty((3, 3, 4))
    periods_mm = ((45.0, 60.0, 60.0), (16.0, 110.0, 13.0), (23.0, 40.0, 19.0))
    for row, period in zip(out, periods_mm, strict=True):
        for wave in row:
            wave[:3] = 2 * np.pi / np.array(period) * rng.uniform(0.6, 1.4, 3)
            wave[:3] *= rng.choice([-1.0, 1.0], 3)
            wave[3] = rng.uniform(0.0, 2 * np.pi)
    return out


def _layer_depths(
    nominal: NominalPhantom,
    errors: BuildErrors,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    y: NDArray[np.float64],
    h: float,
    scale: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Lower borders of skin, fat and fascia (nx, ny), mm; fat is up to 5 mm thicker over the sacrum (facts: 4-8)."""

    def bumpy(sd_mm: float) -> NDArray[np.float64]:
        white = rng.normal(size=(shape[0] // 8 + 2, shape[1] // 8 + 2))
        coarse = gaussian_filter(white, 20.0 / (8 * h), mode="nearest")
        coarse *= sd_mm / max(float(coarse.std()), 1e-9)
        i = np.minimum(np.arange(shape[0]) / 8.0, coarse.shape[0] - 1.001)
        j = np.minimum(np.arange(shape[1]) / 8.0, coarse.shape[1] - 1.001)
        i0, j0 = i.astype(int), j.astype(int)
        fi, fj = (i - i0)[:, None], (j - j0)[None, :]
        rows = coarse[i0] * (1 - fi) + coarse[i0 + 1] * fi
        out: NDArray[np.float64] = rows[:, j0] * (1 - fj) + rows[:, j0 + 1] * fj
        return out

    layers = nominal.layers
    caudal = 5.0 / (1.0 + np.exp((y + 48.0) / 5.0))
    skin = layers.skin_mm * scale + 0.3 * bumpy(errors.layer_sd_mm)
    fat = skin + np.maximum((layers.fat_mm + caudal) * scale + bumpy(errors.layer_sd_mm), 0.3)
    fascia = fat + np.maximum(layers.fascia_mm + 0.2 * bumpy(errors.layer_sd_mm), 0.5)
    return skin, fat, fascia


def _sheet_depth(nominal: NominalPhantom, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Depth of the intertransverse sheet by Y: through the transverse processes, from L1 to just below L5."""
    rows = sorted(
        (float(nominal.landmarks[f"{k}.tp_tip.left"][1]), float(nominal.landmarks[f"{k}.tp_tip.left"][2]) + 1.5)
        for k in ("L1", "L2", "L3", "L4", "L5")
    )
    at_y, depth = np.array(rows).T
    out: NDArray[np.float64] = np.interp(y, at_y, depth)
    out[y < at_y[0] - 14.0] = np.nan
    return out


def _discs(scene: BoneScene) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Discs between neighbouring bodies: a body-shaped row and its frame, drawn before the bones cover their part."""
    out = []
    names = [bone.name for bone in scene.bones]
    for upper in range(len(names) - 1):
        lower = upper + 1
        if names[lower] == "ilium":
            continue
        a, b = scene.frames[upper], scene.frames[lower]
        top = a.to_phantom(np.array([0.0, 0.0, -_half_height(scene.bones[upper])]))
        upper_end = 0.0 if names[lower] == "sacrum" else _half_height(scene.bones[lower])
        bottom = b.to_phantom(np.array([0.0, 0.0, upper_end]))
        half = 0.5 * float(np.linalg.norm(top - bottom)) + 4.0
        rotation = Rotation.from_matrix(np.stack([a.rotation, b.rotation])).mean().as_matrix()
        row = np.zeros(24)
        row[0] = 2
        row[6:15] = np.eye(3).ravel()
        row[15:23] = (18.0, 25.5, 25.5, half, half, 2.8, 1.0, 0.0)
        out.append((row, np.concatenate([rotation.ravel(), (top + bottom) / 2])))
    return out


def _half_height(bone: BoneShape) -> float:
    body = bone.parts[bone.parts[:, 0] == 2][0]
    return 0.5 * float(body[18] + body[19])


def _pour_canal(
    labels: NDArray[np.uint8],
    origin: NDArray[np.float64],
    h: float,
    canal: Canal,
    scene: BoneScene,
    y: NDArray[np.float64],
    scale: float,
) -> None:
    line = canal.line_mm[np.argsort(canal.line_mm[:, 1])] * scale
    centre = np.column_stack([np.interp(y, line[:, 1], line[:, i]) for i in (0, 2)])
    centre[(y < line[0, 1]) | (y > line[-1, 1])] = np.nan
    size = scale * np.array([
        canal.half_ap_mm, canal.half_width_mm, canal.sac_half_ap_mm, canal.sac_half_width_mm, canal.dura_mm,
        canal.flavum_mm,
    ])  # fmt: skip
    sacrum = next(f for bone, f in zip(scene.bones, scene.frames, strict=True) if bone.name == "sacrum")
    raster.pour_canal(labels, origin, h, centre, size, float(sacrum.origin_mm[1]) - 8.0)
