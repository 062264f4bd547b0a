"""Schemas of the files that describe the design: ``data/anatomy.toml`` and ``data/bone_model.toml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hal.files import Degrees, Offset, within

Triple = tuple[Offset, Offset, Offset]
Length = Annotated[float, Field(ge=0.0, le=200.0)]
Landmarks = dict[str, Triple]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Nerves(_Strict):
    """Courses and thickness of the roots."""

    radius_mm: dict[str, Length]
    proximal_share: float = within(0.1, 1.0)
    drg_half_mm: dict[str, tuple[Length, Length, Length]]
    proximal_mm: tuple[Triple, ...]
    distal_mm: dict[str, tuple[Triple, ...]]
    s1_path_mm: tuple[Triple, ...]


class Vessels(_Strict):
    """The foraminal artery and vein, set off from the root."""

    artery_radius_mm: Length
    artery_offset_mm: Triple
    vein_radius_mm: Length
    vein_offset_mm: Triple


class CanalShape(_Strict):
    """The vertebral canal with its sac."""

    offset_mm: Offset
    half_ap_mm: Length
    half_width_mm: Length
    sac_half_ap_mm: Length
    sac_half_width_mm: Length
    dura_mm: Length
    flavum_mm: Length


class AnatomyFile(_Strict):
    """``data/anatomy.toml``."""

    height_mm: dict[str, Length]
    supine_tilt_deg: dict[str, Degrees]
    landmark: dict[str, Landmarks]
    nerve: Nerves
    vessel: Vessels
    canal: CanalShape


class BonePart(_Strict):
    """One shape of a bone; ``turn`` are Euler angles about the bone's x, y, z axes in degrees."""

    name: str
    kind: str
    at: Triple
    turn: tuple[Degrees, Degrees, Degrees] = (0.0, 0.0, 0.0)
    size: tuple[Offset, ...]
    cut: bool = False


class Bone(_Strict):
    """A bone as a union of shapes."""

    parts: tuple[BonePart, ...]


class BoneFile(_Strict):
    """``data/bone_model.toml``."""

    bone: dict[str, Bone]
