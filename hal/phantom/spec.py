"""The file of a phantom: its keys and their checks."""

from __future__ import annotations

import math
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hal.errors import ConfigError
from hal.files import Document, Id, Offset, read, refusal, validated

Variant = Literal["none", "sacralised_L5", "lumbarised_S1"]
Triple = tuple[Offset, Offset, Offset]
SAME_MM = 0.05
"""`s0_mm` beside a `bmi` says the same when both give the same depth to a tenth."""
SIDE_LEAST_MM = 50.0
"""Shortest side of a block that holds a lumbar spine [A]."""
ON_RIM_MM = 20.0
"""A fiducial is on the box or on a bracket at its rim, not further off [A]."""
APART_MM = 5.0
"""Two fiducials (spheres of 4 mm) nearer than this are one [A]."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AnatomySpec(_Strict):
    """Shape and pose of the spine; defaults and ranges of the reference anatomy."""

    s0_mm: float | None = Field(default=None, ge=4, le=45)
    bmi: float = Field(default=24.5, ge=15, le=45)
    lordosis_factor: float = Field(default=0.6, ge=0.3, le=1.0)
    disc_l1_l2_mm: float = Field(default=9.0, ge=3, le=16)
    disc_l2_l3_mm: float = Field(default=9.5, ge=3, le=16)
    disc_l3_l4_mm: float = Field(default=10.0, ge=3, le=16)
    disc_l4_l5_mm: float = Field(default=11.0, ge=3, le=16)
    disc_l5_s1_mm: float = Field(default=10.0, ge=3, le=16)
    sacral_tilt_deg: float | None = Field(default=None, ge=5, le=42)
    crest_y_mm: float = Field(default=0.0, ge=-20, le=30)
    scale: float = Field(default=1.0, ge=0.85, le=1.15)
    variant: Variant = "none"

    @property
    def skin_to_tips_mm(self) -> float:
        """``s0``: given, or from the BMI."""
        return self._s0_of_bmi_mm if self.s0_mm is None else self.s0_mm

    @property
    def _s0_of_bmi_mm(self) -> float:
        """facts 0: clip(12 + 1.2 (bmi - 24.5), 4, 45)."""
        return min(max(12.0 + 1.2 * (self.bmi - 24.5), 4.0), 45.0)

    @model_validator(mode="after")
    def _one_depth(self) -> AnatomySpec:
        both = self.s0_mm is not None and "bmi" in self.model_fields_set
        if both and abs(self.skin_to_tips_mm - self._s0_of_bmi_mm) > SAME_MM:
            text = f"bmi = {self.bmi:g} means {self._s0_of_bmi_mm:g} mm: leave one of the two out, or make them agree"
            raise refusal(("s0_mm", text))
        return self


class LayersSpec(_Strict):
    """Thickness of the soft layers."""

    skin_mm: float = Field(default=2.3, ge=0.2, le=5)
    fascia_mm: float = Field(default=1.0, ge=0.2, le=3)
    nerve_sheath_mm: float = Field(default=3.0, ge=2.0, le=6)


class BoxSpec(_Strict):
    """Corners of the gel block in Phantom coordinates."""

    low_mm: Triple = (-95.0, -105.0, 0.0)
    high_mm: Triple = (95.0, 125.0, 120.0)

    @model_validator(mode="after")
    def _has_sides(self) -> BoxSpec:
        faults = []
        for axis, low, high in zip("XYZ", self.low_mm, self.high_mm, strict=True):
            if high - low < SIDE_LEAST_MM:
                text = (
                    f"{axis} ends at {high:g} mm, which is not {SIDE_LEAST_MM:g} mm beyond where it begins, {low:g} mm"
                )
                faults.append(("high_mm", text))
        if self.low_mm[2] != 0.0:
            faults.append(("low_mm", "Z begins at 0, the skin: depths are measured from there"))
        if faults:
            raise refusal(*faults)
        return self


class FiducialSpec(_Strict):
    """One marker on the box."""

    name: Id
    at_mm: Triple


class PhantomSpec(_Strict):
    """A whole phantom file."""

    name: Id
    anatomy: AnatomySpec = AnatomySpec()
    layers: LayersSpec = LayersSpec()
    box: BoxSpec = BoxSpec()
    fiducial: tuple[FiducialSpec, ...] = ()

    @model_validator(mode="after")
    def _fiducials_fit(self) -> PhantomSpec:
        faults = []
        for i, one in enumerate(self.fiducial):
            for other in self.fiducial[:i]:
                if other.name == one.name:
                    faults.append((f"fiducial.{i}.name", "another fiducial has the same name"))
                elif math.dist(other.at_mm, one.at_mm) < APART_MM:
                    faults.append((f"fiducial.{i}.at_mm", f"lies within {APART_MM:g} mm of {other.name}"))
            for axis, at, low, high in zip("XYZ", one.at_mm, self.box.low_mm, self.box.high_mm, strict=True):
                if not low - ON_RIM_MM <= at <= high + ON_RIM_MM:
                    text = f"{axis} = {at:g} lies off the box, whose {axis} goes from {low:g} to {high:g} mm"
                    faults.append((f"fiducial.{i}.at_mm", text))
        if faults:
            raise refusal(*faults)
        return self


def phantom_names() -> tuple[str, ...]:
    """Names of the phantoms that ship with the package."""
    folder = files("hal.phantom").joinpath("data")
    stems = (entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return tuple(sorted(stem for stem in stems if stem.startswith("lumbar")))


def phantom_file(name_or_path: str) -> Path:
    """Path of a phantom's file; raises ``ConfigError`` when there is none."""
    if name_or_path in phantom_names():
        return Path(str(files("hal.phantom").joinpath(f"data/{name_or_path}.toml")))
    path = Path(name_or_path)
    if not path.is_file():
        raise ConfigError(
            f"phantom {name_or_path!r}: no such file and no phantom of that name (known: {', '.join(phantom_names())})"
        )
    return path


def read_spec(name_or_path: str) -> PhantomSpec:
    """Read a shipped phantom by name or a file by path; raises ``ConfigError`` with all faults and their places."""
    return validated(read_phantom(name_or_path), PhantomSpec)


def read_phantom(name_or_path: str) -> Document:
    """The file of a phantom, not yet checked."""
    path = phantom_file(name_or_path)
    return read(path, f"phantom {path if path == Path(name_or_path) else name_or_path}")
