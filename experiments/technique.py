"""A technique: one approach (level, view, needle plane) written down as data, so that a machine can check it.

Techniques are TOML files; the shipped ones stand in ``experiments/techniques``, the user's own are found by
path. Numbers come from ``facts`` sections named in the files; whatever is an assumption says so there.
"""

from __future__ import annotations

import difflib
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hal.errors import ConfigError


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Data):
    """A preferred value between two bounds."""

    preferred: float
    lo: float
    hi: float

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.lo <= self.preferred <= self.hi:
            raise ValueError(f"needs lo <= preferred <= hi, got {self.lo} <= {self.preferred} <= {self.hi}")
        return self


class Scan(_Data):
    """ST1-ST4: where the probe looks, as offsets from the nominal phantom."""

    longitudinal_x_mm: tuple[float, ...] = (33.0, 20.0)
    """Lateral positions of the two longitudinal sweeps (transverse processes, articular processes)."""
    sweep_y_mm: tuple[float, float] = (-95.0, 87.0)
    """From well caudal on the sacrum to L2."""
    sweep_step_mm: float = Field(default=13.0, gt=0)
    transverse_span_mm: float = 18.0
    """Transverse frames are taken this far to both sides of the level."""
    transverse_step_mm: float = Field(default=6.0, gt=0)
    clear_aperture: float = Field(default=0.5, ge=0, le=1)
    """Share of unobstructed rays to the target that ends ST4."""
    optimise_moves_n: int = 8
    """Probe moves that ST4 may try before it gives up."""
    speed_mm_s: float = Field(default=30.0, gt=0)
    indentation_mm: float = 3.0


class Path_(_Data):
    """ST5: the corridor in which the path is planned."""

    lateral_deg: Range
    tilt_deg: Range
    depth_beyond_mm: float = 5.0
    """Advance past the planned depth that stops the trial step (domain 4.2)."""
    bone_clearance_mm: float = 1.5
    nerve_clearance_mm: float = 1.0
    vessel_clearance_mm: float = 2.0


class Advance(_Data):
    """ST7: stepwise advance with the tip confirmed before each step."""

    superficial_mm: float = 15.0
    """Depth above which no probe position can show the tip; advanced by encoder, counted as unconfirmed."""
    far_step_mm: float = Field(default=2.0, gt=0, le=2.0)
    near_step_mm: float = Field(default=1.0, gt=0, le=1.0)
    near_zone_mm: float = 5.0
    speed_mm_s: float = Field(default=3.0, gt=0)
    near_speed_mm_s: float = Field(default=1.0, gt=0, le=1.0)
    """Where bone may be met: 20-60 N/mm leaves no time at higher speed."""
    near_bone_zone_mm: float = Field(default=15.0, ge=5.0)
    """Last part of the planned path, where bone may be met; the rig refuses a faster advance there."""
    confirm_order: tuple[Literal["direct", "motion", "fluid"], ...] = ("direct", "motion", "fluid")
    motion_mm: float = Field(default=0.8, ge=0.5, le=1.0)
    fluid_ml: float = Field(default=0.1, gt=0, le=0.3)
    fluid_rate_ml_min: float = 3.0
    fan_tilt_deg: float = Field(default=0.0, ge=0.0, le=25.0)
    """Out of plane: tilt of the fanned planes against the needle; the steeper they cross it, the sharper its end."""
    recovery_cycles_n: int = 2
    redirections_max_n: int = 6
    time_max_s: float = 900.0


class Injection(_Data):
    """ST9-ST10."""

    test_ml: float = Field(default=0.2, gt=0, le=0.3)
    test_total_max_ml: float = 1.0
    volume_ml: float = Field(default=0.5, gt=0)
    rate_ml_min: float = Field(default=3.0, gt=0)


class Landmark(_Data):
    """Arm without ultrasound: entry and path relative to what is palpated (nominal population values)."""

    palpate: str
    """Which bony landmark the operator is asked for, e.g. ``L4.spinous``."""
    entry_offset_mm: tuple[float, float]
    """Entry from the palpated point: lateral (towards the target side), cranial."""
    lateral_deg: float
    tilt_deg: float
    depth_mm: float
    """Path length to the expected target."""


class Acceptance(_Data):
    """Limits of ``facts/domain.md`` 7.2."""

    radius_mm: float = 5.0
    strict_mm: float = 3.0
    gap_lo_mm: float = 0.0
    gap_hi_mm: float = 3.0
    channel_radius_mm: float | None = None
    """S1: the tip must lie in the channel cylinder instead of the sphere."""
    channel_depth_mm: tuple[float, float] | None = None


class ChecklistItem(_Data):
    """One preparation or closing item."""

    id: str
    text: str
    when: Literal["before", "after"]
    contact_s: float = 0.0
    """How long the agent must act."""
    wait_s: float = 0.0
    """How long to wait afterwards (drying)."""
    source: str = ""


class Technique(_Data):
    """One technique."""

    id: str
    name: str
    level: Literal["L4", "L5", "S1"]
    view: str
    plane: Literal["in_plane", "out_of_plane", "landmark"]
    needle: str = "22G_quincke_120"
    operator_side: Literal["target"] = "target"
    source: str = ""
    not_applicable: tuple[str, ...] = ()
    """Items of the clinical technique for which a bench has no device."""
    scan: Scan | None = None
    path: Path_ | None = None
    advance: Advance = Advance()
    injection: Injection = Injection()
    landmark: Landmark | None = None
    acceptance: Acceptance = Acceptance()
    checklist: tuple[ChecklistItem, ...]

    @model_validator(mode="after")
    def _complete(self) -> Technique:
        if self.plane == "landmark" and self.landmark is None:
            raise ValueError("a landmark technique needs a [landmark] table")
        if self.plane != "landmark" and (self.scan is None or self.path is None):
            raise ValueError("an ultrasound technique needs [scan] and [path] tables")
        return self

    def approach(self, side: str) -> str:
        """The approach in words, e.g. ``L4 left, transverse (TF), in-plane``."""
        if self.plane == "landmark":
            return f"{self.level} {side}, surface landmarks"
        return f"{self.level} {side}, {self.view}, {self.plane.replace('_', '-')}"


def read_toml(path: Path) -> dict[str, object]:
    """Parse one TOML file; raises ``ConfigError`` with the place of the mistake."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def explain(path: Path | str, error: ValidationError) -> ConfigError:
    """One clear message for what pydantic found, with the key and the nearest known name."""
    lines = []
    for item in error.errors():
        place = ".".join(str(p) for p in item["loc"]) or "file"
        lines.append(f"{place}: {item['msg']}")
    return ConfigError(f"{path}: " + "; ".join(lines))


@cache
def shipped() -> dict[str, Path]:
    """Names and paths of the techniques that come with the project."""
    folder = files("experiments").joinpath("techniques")
    return {p.stem: p for p in sorted(Path(str(folder)).glob("*.toml"))}


def load_technique(name_or_path: str) -> Technique:
    """Load a shipped technique by name or the user's own by path; raises ``ConfigError``."""
    if name_or_path in shipped():
        path = shipped()[name_or_path]
    elif name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    else:
        near = difflib.get_close_matches(name_or_path, shipped(), n=3, cutoff=0.4)
        hint = f"; did you mean {', '.join(near)}?" if near else f"; known: {', '.join(shipped())}"
        raise ConfigError(f"unknown technique {name_or_path!r}{hint}")
    try:
        return Technique.model_validate(read_toml(path))
    except ValidationError as error:
        raise explain(path, error) from None
