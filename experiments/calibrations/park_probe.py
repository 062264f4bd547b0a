"""The probe out of the way of a needle that turns in air."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from hal.errors import CalibrationRefused
from hal.types import Matrix, NeedlePose, Pose6, Vector
from rig.config import RigConfig
from rig.control.controller import Controller
from rig.geometry.transforms import apply, from_needle_pose, from_pose6
from rig.instruments.jogs import check_probe, move_probe
from rig.roles import HOLDER

PARK_MM_S = 10.0
CLEAR_MM = 40.0
"""Between the axes of needle and probe: half a footprint of 40 mm, the carrier's guide, and a margin [A]."""
STEP_MM = 5.0
"""Between points at which distances are taken."""
SHAFT_MM = 180.0
"""Length of needle and carrier beside it, from the tip up [A]."""
HOUSING_MM = 150.0
"""Length of the probe and its clamp, from the face up [A]."""


def parking_place(config: RigConfig, now: Pose6, poses: Sequence[NeedlePose]) -> Pose6:
    """Where the probe stands highest and farthest from a needle at any of the poses; its angles stay.

    The needle stands at the first of the poses while the probe goes there, and the probe comes no nearer to it on its
    way. Raises ``CalibrationRefused`` with code ``no room`` when no place of the workspace is clear.
    """
    graph = config.frames.graph()
    HolderToRig, CarrierToRig = graph.get("Holder", "Rig"), graph.get("Carrier", "Rig")
    needles = [_shaft(CarrierToRig @ from_needle_pose(pose)) for pose in poses]
    box = config.limits.motion.holder
    settings = config.driver_settings("holder") if "holder" in config.devices else None
    limits = getattr(settings, "limits", {})
    axes = str(getattr(settings, "axes", "XYZABC"))

    def ends(letter: str, allowed: tuple[float, float], here: float) -> tuple[float, float]:
        if letter not in axes:
            return here, here
        own = limits.get(letter)
        return allowed if own is None else (max(allowed[0], own.low), min(allowed[1], own.high))

    (x0, x1), (y0, y1) = ends("X", box.x_mm, now.x_mm), ends("Y", box.y_mm, now.y_mm)
    top = ends("Z", box.z_mm, now.z_mm)[0]
    best, clear = now, -1.0
    near_mm = min(CLEAR_MM, _gap_mm(_housing(HolderToRig @ from_pose6(now)), needles[0])) - STEP_MM
    for x, y in product((x0, 0.5 * (x0 + x1), x1), (y0, 0.5 * (y0 + y1), y1)):
        place = replace(now, x_mm=x, y_mm=y, z_mm=top)
        if any(_gap_mm(_housing(HolderToRig @ from_pose6(on)), needles[0]) < near_mm for on in _passed(now, place)):
            continue
        probe = _housing(HolderToRig @ from_pose6(place))
        gap = min(_gap_mm(probe, needle) for needle in needles)
        if gap > clear:
            best, clear = place, gap
    if clear < CLEAR_MM:
        raise CalibrationRefused(
            "no room",
            f"the probe cannot be parked clear of the turning needle: {max(clear, 0.0):.0f} mm between them at best, "
            f"{CLEAR_MM:g} mm are needed, and it must not pass the needle on its way",
            advice="Widen the holder's limits, or move the entry point (--x, --y) to the other side",
            figures={"clear_mm": clear},
        )
    return best


def check_parking(controller: Controller, here: Pose6, place: Pose6) -> None:
    """Limits of the way there, before anything moves; raises ``LimitViolation``."""
    for pose in _way(here, place):
        check_probe(pose, PARK_MM_S, controller.limits.motion, here)
        here = pose


def park(controller: Controller, place: Pose6) -> None:
    """Straight up, then aside."""
    here = controller.read(HOLDER)
    for pose in _way(here.pose, place):
        move_probe(controller, pose, PARK_MM_S)


def _way(here: Pose6, place: Pose6) -> tuple[Pose6, Pose6]:
    return replace(here, z_mm=min(here.z_mm, place.z_mm)), place


def _passed(here: Pose6, place: Pose6) -> list[Pose6]:
    """The way there in steps of at most ``STEP_MM``."""
    out: list[Pose6] = []
    start = here
    for end in _way(here, place):
        a, b = np.array(start.as_tuple()), np.array(end.as_tuple())
        count = max(1, int(np.ceil(np.linalg.norm((b - a)[:3]) / STEP_MM)))
        out += [Pose6(*(float(v) for v in a + (b - a) * k / count)) for k in range(1, count + 1)]
        start = end
    return out


def _shaft(NeedleToRig: Matrix) -> np.ndarray:
    return apply(NeedleToRig, np.linspace([0.0, 0.0, 0.0], [0.0, 0.0, -SHAFT_MM], 37))


def _housing(ProbeToRig: Matrix) -> np.ndarray:
    return apply(ProbeToRig, np.linspace([0.0, 0.0, 0.0], [0.0, 0.0, -HOUSING_MM], 31))


def _gap_mm(a: Vector, b: Vector) -> float:
    """Between two rows of points 5 mm apart."""
    return float(np.linalg.norm(a[:, None] - b[None], axis=2).min())
