"""A technique: one approach (level, view, needle plane) written down as data, so that a machine can check it.

Techniques are TOML files; the shipped ones stand in ``experiments/techniques``, the user's own are found by
path. Numbers come from ``facts`` sections named in the files; whatever is an assumption says so there.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hal.errors import ConfigError
from hal.files import Id, read, refusal, validated, within
from hal.phantom.needles import load_needle

ANGLE_MAX_DEG = 65.0
"""Largest angle of a path against straight down: the default of the rig's own limit
(``limits.motion.needle_angle_deg``)."""
CORRIDOR_LEAST_DEG = 2.0
"""A corridor narrower than this, or an angle smaller than it that is not 0, is no angle in degrees but one in radians
(the widest possible, 65 deg, is 1.13 rad), and finer than a hand sets one (3 to 6 deg, domain 6)."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Range(_Data):
    """A preferred angle between two bounds, in degrees."""

    preferred: float = within(-ANGLE_MAX_DEG, ANGLE_MAX_DEG)
    lo: float = within(-ANGLE_MAX_DEG, ANGLE_MAX_DEG)
    hi: float = within(-ANGLE_MAX_DEG, ANGLE_MAX_DEG)

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.lo <= self.preferred <= self.hi:
            text = f"needs lo <= preferred <= hi, got {self.lo} <= {self.preferred} <= {self.hi}"
            raise refusal(("preferred", text))
        if self.hi - self.lo < CORRIDOR_LEAST_DEG:
            text = f"the corridor from {self.lo:g} to {self.hi:g} is narrower than {CORRIDOR_LEAST_DEG:g} deg; is it"
            raise refusal(("hi", f"{text} in radians?"))
        return self


class Scan(_Data):
    """ST1-ST4: places of the probe, as offsets from the nominal phantom."""

    longitudinal_x_mm: Annotated[
        tuple[Annotated[float, Field(ge=-150.0, le=150.0)], ...], Field(min_length=1, max_length=8)
    ] = (33.0, 20.0)
    """Lateral positions of the two longitudinal sweeps (transverse processes, articular processes)."""
    sweep_y_mm: tuple[Annotated[float, Field(ge=-300.0, le=300.0)], Annotated[float, Field(ge=-300.0, le=300.0)]] = (
        -95.0,
        87.0,
    )
    """From well caudal on the sacrum to L2."""
    sweep_step_mm: float = within(1.0, 50.0, 13.0)
    transverse_span_mm: float = within(0.0, 60.0, 18.0)
    """Transverse frames are taken this far to both sides of the level."""
    transverse_step_mm: float = within(1.0, 30.0, 6.0)
    clear_aperture: float = within(0.0, 1.0, 0.5)
    """Share of unobstructed rays to the target that ends ST4."""
    optimise_moves_n: int = within(0, 100, 8)
    """Probe moves that ST4 may try before it gives up."""
    speed_mm_s: float = within(0.5, 100.0, 30.0)
    indentation_mm: float = within(0.0, 10.0, 3.0)
    """Depth to which the probe is pressed into the gel; a centimetre is more than any view needs [A]."""

    @model_validator(mode="after")
    def _sweeps(self) -> Scan:
        if self.sweep_y_mm[1] - self.sweep_y_mm[0] < self.sweep_step_mm:
            raise refusal(
                (
                    "sweep_y_mm",
                    f"the sweep must end at least one step ({self.sweep_step_mm:g} mm) cranial of where it starts",
                )
            )
        return self


class Path_(_Data):
    """ST5: the corridor in which the path is planned."""

    lateral_deg: Range
    tilt_deg: Range
    depth_beyond_mm: float = within(0.0, 20.0, 5.0)
    """Advance past the planned depth that stops the trial step (domain 4.2)."""
    bone_clearance_mm: float = within(0.0, 20.0, 1.5)
    nerve_clearance_mm: float = within(0.0, 20.0, 1.0)
    vessel_clearance_mm: float = within(0.0, 20.0, 2.0)


class Advance(_Data):
    """ST7: stepwise advance with the tip confirmed before each step."""

    superficial_mm: float = within(0.0, 60.0, 15.0)
    """Depth above which no probe position can show the tip; advanced by encoder, counted as unconfirmed."""
    far_step_mm: float = within(0.1, 2.0, 2.0)
    near_step_mm: float = within(0.1, 1.0, 1.0)
    near_zone_mm: float = within(0.0, 50.0, 5.0)
    speed_mm_s: float = within(0.1, 10.0, 3.0)
    near_speed_mm_s: float = within(0.1, 1.0, 1.0)
    """Where bone may be met: 20-60 N/mm leaves no time at higher speed."""
    near_bone_zone_mm: float = within(5.0, 200.0, 15.0)
    """Last part of the planned path, where bone may be met; the rig refuses a faster advance there."""
    confirm_order: Annotated[tuple[Literal["direct", "motion", "fluid"], ...], Field(min_length=1, max_length=3)] = (
        "direct",
        "motion",
        "fluid",
    )
    motion_mm: float = within(0.5, 1.0, 0.8)
    fluid_ml: float = within(0.01, 0.3, 0.1)
    fluid_rate_ml_min: float = within(0.1, 10.0, 3.0)
    fan_tilt_deg: float = within(0.0, 25.0, 0.0)
    """Out of plane: tilt of the fanned planes against the needle; the steeper they cross it, the sharper its end."""
    recovery_cycles_n: int = within(0, 20, 2)
    redirections_max_n: int = within(0, 50, 6)
    time_max_s: float = within(1.0, 7200.0, 900.0)

    @model_validator(mode="after")
    def _steps(self) -> Advance:
        faults = []
        if self.near_step_mm > self.far_step_mm:
            faults.append(("near_step_mm", f"must not be longer than far_step_mm = {self.far_step_mm:g}"))
        if self.near_speed_mm_s > self.speed_mm_s:
            faults.append(("near_speed_mm_s", f"must not be faster than speed_mm_s = {self.speed_mm_s:g}"))
        if len(set(self.confirm_order)) < len(self.confirm_order):
            faults.append(("confirm_order", "names a way of confirming twice"))
        faults += _radians("fan_tilt_deg", self.fan_tilt_deg)
        if faults:
            raise refusal(*faults)
        return self


class Injection(_Data):
    """ST9-ST10."""

    test_ml: float = within(0.01, 0.3, 0.2)
    test_total_max_ml: float = within(0.01, 5.0, 1.0)
    volume_ml: float = within(0.01, 20.0, 0.5)
    rate_ml_min: float = within(0.05, 20.0, 3.0)

    @model_validator(mode="after")
    def _tests(self) -> Injection:
        if self.test_total_max_ml < self.test_ml:
            raise refusal(
                ("test_total_max_ml", f"must not be less than one test injection, test_ml = {self.test_ml:g}")
            )
        return self


class Landmark(_Data):
    """Arm without ultrasound: entry and path relative to the palpated point (nominal population values)."""

    palpate: str = Field(pattern=r"^(L[1-5]|S1)\.[a-z_]+$")
    """Bony landmark that the operator palpates, e.g. ``L4.spinous``."""
    entry_offset_mm: tuple[Annotated[float, Field(ge=-150.0, le=150.0)], Annotated[float, Field(ge=-150.0, le=150.0)]]
    """Entry from the palpated point: lateral (towards the target side), cranial."""
    lateral_deg: float = within(-ANGLE_MAX_DEG, ANGLE_MAX_DEG)
    tilt_deg: float = within(-ANGLE_MAX_DEG, ANGLE_MAX_DEG)
    depth_mm: float = within(5.0, 250.0)
    """Path length to the expected target; at most what the needle reaches."""

    @model_validator(mode="after")
    def _degrees(self) -> Landmark:
        faults = [*_radians("lateral_deg", self.lateral_deg), *_radians("tilt_deg", self.tilt_deg)]
        if faults:
            raise refusal(*faults)
        return self


class Acceptance(_Data):
    """Limits of ``facts/domain.md`` 7.2."""

    radius_mm: float = within(0.5, 20.0, 5.0)
    strict_mm: float = within(0.1, 20.0, 3.0)
    gap_lo_mm: float = within(-10.0, 20.0, 0.0)
    gap_hi_mm: float = within(-10.0, 20.0, 3.0)
    channel_radius_mm: Annotated[float, Field(ge=0.5, le=20.0)] | None = None
    """S1: the tip must lie in the channel cylinder instead of the sphere."""
    channel_depth_mm: (
        tuple[Annotated[float, Field(ge=-20.0, le=40.0)], Annotated[float, Field(ge=-20.0, le=40.0)]] | None
    ) = None

    @model_validator(mode="after")
    def _nested(self) -> Acceptance:
        faults = []
        if self.strict_mm > self.radius_mm:
            faults.append(("strict_mm", f"must not be above radius_mm = {self.radius_mm:g}"))
        if self.gap_lo_mm >= self.gap_hi_mm:
            faults.append(("gap_lo_mm", f"must be below gap_hi_mm = {self.gap_hi_mm:g}"))
        if self.channel_depth_mm is not None and self.channel_depth_mm[0] >= self.channel_depth_mm[1]:
            faults.append(("channel_depth_mm", "must begin before it ends"))
        if (self.channel_radius_mm is None) != (self.channel_depth_mm is None):
            given = "channel_radius_mm" if self.channel_depth_mm is None else "channel_depth_mm"
            faults.append((given, "a channel has both a radius and a depth"))
        if faults:
            raise refusal(*faults)
        return self


def _radians(key: str, angle_deg: float) -> list[tuple[str, str]]:
    """Angle that is too small to be in degrees."""
    if 0.0 < abs(angle_deg) < CORRIDOR_LEAST_DEG:
        return [(key, f"an angle below {CORRIDOR_LEAST_DEG:g} deg is set as 0; is it in radians?")]
    return []


class ChecklistItem(_Data):
    """One preparation or closing item."""

    id: Id
    text: str = Field(min_length=1)
    when: Literal["before", "after"]
    contact_s: float = within(0.0, 3600.0, 0.0)
    """Time for which the agent must act."""
    wait_s: float = within(0.0, 7200.0, 0.0)
    """Waiting time afterwards (drying)."""
    source: str = ""


class Technique(_Data):
    """One technique."""

    id: Id
    name: str = Field(min_length=1)
    level: Literal["L2", "L3", "L4", "L5", "S1"]
    view: str
    plane: Literal["in_plane", "out_of_plane", "landmark"]
    needle: str = "22G_quincke_120"
    procedure: str = Field("", pattern=r"^(script/[A-Za-z0-9_./-]+\.py:[A-Za-z_][A-Za-z0-9_]*)?$")
    """For a script: the function that conducts the trial instead of the states, `script/FILE.py:NAME`; only the script
    itself can set it."""
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
        faults = []
        if self.plane == "landmark" and self.landmark is None:
            faults.append(("plane", "a landmark technique needs a [landmark] table"))
        if self.plane != "landmark" and (self.scan is None or self.path is None):
            faults.append(("plane", "an ultrasound technique needs [scan] and [path] tables"))
        if self.injection.test_total_max_ml < self.advance.fluid_ml and "fluid" in self.advance.confirm_order:
            text = f"must not be less than one confirmation by fluid, advance.fluid_ml = {self.advance.fluid_ml:g}"
            faults.append(("injection.test_total_max_ml", text))
        faults += [*self._needle_faults(), *self._checklist_faults()]
        if faults:
            raise refusal(*faults)
        return self

    def _needle_faults(self) -> list[tuple[str, str]]:
        try:
            usable_mm = load_needle(self.needle).usable_mm
        except ConfigError as error:
            return [("needle", str(error))]
        reach = f"the needle {self.needle} reaches {usable_mm:g} mm"
        faults = []
        if self.landmark is not None and self.landmark.depth_mm > usable_mm:
            faults.append(("landmark.depth_mm", f"must lie between 5 and {usable_mm:g}: {reach}"))
        if self.plane != "landmark" and self.advance.superficial_mm >= usable_mm:
            faults.append(("advance.superficial_mm", f"must be less than {usable_mm:g}: {reach}"))
        if self.advance.near_bone_zone_mm > usable_mm:
            faults.append(("advance.near_bone_zone_mm", f"must lie between 5 and {usable_mm:g}: {reach}"))
        return faults

    def _checklist_faults(self) -> list[tuple[str, str]]:
        ids = [item.id for item in self.checklist]
        return [
            (f"checklist.{i}.id", "another item of this checklist has the same id")
            for i, name in enumerate(ids)
            if name in ids[:i]
        ]

    def approach(self, side: str) -> str:
        """The approach in words, e.g. ``L4 left, transverse (TF), in-plane``."""
        if self.plane == "landmark":
            return f"{self.level} {side}, surface landmarks"
        return f"{self.level} {side}, {self.view}, {self.plane.replace('_', '-')}"


@cache
def shipped() -> dict[str, Path]:
    """Names and paths of the techniques that come with the project."""
    folder = files("experiments").joinpath("techniques")
    return {p.stem: p for p in sorted(Path(str(folder)).glob("*.toml"))}


def technique_file(name_or_path: str) -> Path:
    """Path of a technique, shipped by name or the user's own by path; raises ``ConfigError``."""
    if name_or_path in shipped():
        return shipped()[name_or_path]
    if name_or_path.endswith(".toml"):
        return Path(name_or_path)
    close = difflib.get_close_matches(name_or_path, shipped(), n=3, cutoff=0.4)
    hint = f"; did you mean {', '.join(close)}?" if close else f"; known: {', '.join(shipped())}"
    raise ConfigError(f"unknown technique {name_or_path!r}{hint}")


def load_technique(name_or_path: str) -> Technique:
    """Load a technique by name or path; raises ``ConfigError`` with everything that is wrong in its file."""
    return validated(read(technique_file(name_or_path)), Technique)
