"""Check that techniques fit the rig, its needle and the phantom: every number of one file against the others.

Files are right in themselves by then; here two of them contradict each other, and it is found before anything moves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from experiments.protocol.technique import Technique, technique_file
from hal.files import read
from hal.phantom.needles import load_needle
from hal.phantom.nominal import WALL_MM, NominalPhantom
from hal.phantom.target import AIM_GAP_MM, Target
from rig.config import RigConfig

Misfit = tuple[str, str]
"""Key of the technique, and what is wrong."""


def misfits(techniques: dict[str, Technique], config: RigConfig, phantom: NominalPhantom) -> list[str]:
    """Numbers that do not fit, one line each, with the file and line of the key."""
    lines = []
    for name, technique in techniques.items():
        found = [*_beyond_limits(technique, config), *_off_phantom(technique, phantom)]
        if found:
            document = read(technique_file(name))
            lines += [f"{document.place(tuple(key.split('.')))}{_value(technique, key)}: {text}" for key, text in found]
    return lines


def _value(technique: Technique, key: str) -> str:
    value: object = technique
    for part in key.split("."):
        value = getattr(value, part, None)
    return f" = {value!r}" if isinstance(value, int | float | str) else ""


def _beyond_limits(technique: Technique, config: RigConfig) -> Iterator[Misfit]:
    """Values that the rig would refuse, or its pump cannot achieve, during the trial."""
    motion, volume, advance, inject = config.limits.motion, config.limits.volume, technique.advance, technique.injection
    rig = str(config.path or "the rig file")
    pump = config.driver_settings("pump") if "pump" in config.devices else None
    pump_ml, pump_rate = (float(getattr(pump, key, math.inf)) for key in ("max_volume_ml", "max_rate_ml_min"))
    upper: list[tuple[str, float, str, float]] = [
        ("injection.test_ml", inject.test_ml, "limits.volume.test_ml", volume.test_ml),
        ("injection.test_total_max_ml", inject.test_total_max_ml, "limits.volume.test_total_ml", volume.test_total_ml),
        ("injection.volume_ml", inject.volume_ml, "limits.volume.injection_ml", volume.injection_ml),
        ("injection.rate_ml_min", inject.rate_ml_min, "limits.volume.rate_ml_min", volume.rate_ml_min),
        ("injection.volume_ml", inject.volume_ml, "devices.pump.max_volume_ml", pump_ml),
        ("injection.rate_ml_min", inject.rate_ml_min, "devices.pump.max_rate_ml_min", pump_rate),
        ("advance.speed_mm_s", advance.speed_mm_s, "limits.motion.needle_speed_mm_s", motion.needle_speed_mm_s),
        ("advance.near_speed_mm_s", advance.near_speed_mm_s, "limits.motion.bone_speed_mm_s", motion.bone_speed_mm_s),
    ]
    if technique.plane != "landmark":
        upper += [
            ("advance.fluid_ml", advance.fluid_ml, "limits.volume.test_ml", volume.test_ml),
            ("advance.fluid_rate_ml_min", advance.fluid_rate_ml_min, "limits.volume.rate_ml_min", volume.rate_ml_min),
            ("advance.fluid_rate_ml_min", advance.fluid_rate_ml_min, "devices.pump.max_rate_ml_min", pump_rate),
            ("advance.far_step_mm", advance.far_step_mm, "limits.motion.blind_advance_mm", motion.blind_advance_mm),
        ]
    if technique.scan is not None:
        speed = technique.scan.speed_mm_s
        upper.append(("scan.speed_mm_s", speed, "limits.motion.probe_speed_mm_s", motion.probe_speed_mm_s))
    for key, value, limit, most in upper:
        if value > most:
            yield key, f"is more than {limit} = {most:g} of {rig}"
    for key, angle_deg in _angles(technique):
        if abs(angle_deg) > motion.needle_angle_deg:
            yield key, f"is beyond limits.motion.needle_angle_deg = {motion.needle_angle_deg:g} of {rig}"


def _angles(technique: Technique) -> Iterator[tuple[str, float]]:
    if technique.path is not None:
        for name, span in (("lateral_deg", technique.path.lateral_deg), ("tilt_deg", technique.path.tilt_deg)):
            yield f"path.{name}.lo", span.lo
            yield f"path.{name}.hi", span.hi
    if technique.landmark is not None:
        yield "landmark.lateral_deg", technique.landmark.lateral_deg
        yield "landmark.tilt_deg", technique.landmark.tilt_deg


def _off_phantom(technique: Technique, phantom: NominalPhantom) -> Iterator[Misfit]:
    low, high = phantom.box_low_mm, phantom.box_high_mm
    if technique.scan is not None:
        for key, axis, values in (
            ("scan.longitudinal_x_mm", 0, technique.scan.longitudinal_x_mm),
            ("scan.sweep_y_mm", 1, technique.scan.sweep_y_mm),
        ):
            outside = [v for v in values if not low[axis] <= v <= high[axis]]
            if outside:
                where = f"{'XY'[axis]} {low[axis]:g} to {high[axis]:g} mm"
                yield key, f"{', '.join(f'{v:g}' for v in outside)} is beside the phantom {phantom.name}, {where}"
    if technique.landmark is not None:
        mark = technique.landmark
        if not any(name.startswith(mark.palpate) for name in phantom.landmarks):
            yield "landmark.palpate", f"the phantom {phantom.name} has no such landmark"
        down_mm = mark.depth_mm * math.cos(math.radians(mark.lateral_deg)) * math.cos(math.radians(mark.tilt_deg))
        if down_mm > high[2] - WALL_MM:
            yield "landmark.depth_mm", f"ends {down_mm:.0f} mm deep; the phantom {phantom.name} is {high[2]:g} mm deep"
    if technique.path is not None:
        usable_mm = load_needle(technique.needle).usable_mm - technique.path.depth_beyond_mm
        shortest_mm = min(_shortest_mm(technique, target) for target in _targets(technique, phantom))
        if shortest_mm > usable_mm:
            text = f"reaches {usable_mm:g} mm with path.depth_beyond_mm in reserve; the shortest path to "
            yield "needle", f"{text}{technique.level} of {phantom.name} is {shortest_mm:.0f} mm"
        elif technique.advance.superficial_mm >= shortest_mm:
            text = f"is beyond the target: the shortest path to {technique.level} of {phantom.name} is "
            yield "advance.superficial_mm", f"{text}{shortest_mm:.0f} mm"


def _targets(technique: Technique, phantom: NominalPhantom) -> list[Target]:
    return [target for (level, _), target in phantom.targets.items() if level == technique.level]


def _shortest_mm(technique: Technique, target: Target) -> float:
    """Least length of a path from the skin to the aim point within the technique's corridor."""
    assert technique.path is not None
    cosine = 1.0
    for span in (technique.path.lateral_deg, technique.path.tilt_deg):
        least = 0.0 if span.lo <= 0.0 <= span.hi else min(abs(span.lo), abs(span.hi))
        cosine *= math.cos(math.radians(least))
    return (float(target.nerve_centre_mm[2]) - target.nerve_radius_mm - AIM_GAP_MM) / cosine
