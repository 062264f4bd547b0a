"""Check that a rig's reference instrument can decide a study's criteria, before anything is made or moved.

An instrument that does not see the needle bend is charged with the whole deflection that is to be expected at the
target (``kappa s^2 / 2``, Rand 2016 as quoted in ``hal.phantom.needles``): a turned bevel makes it smaller, and nobody
can tell by how much.
"""

from __future__ import annotations

import math

import numpy as np

from analysis.criterion import Criterion
from experiments.protocol.study import Study
from experiments.protocol.technique import Technique
from hal import registry
from hal.clock import WallClock
from hal.interfaces import Tracker
from hal.phantom.needles import load_needle
from hal.phantom.nominal import load_phantom
from rig.calibration.instrument.decide import can_decide
from rig.config import RigConfig
from rig.geometry.uncertain import UncertainTransform

JUDGED = ("tte_mm", "tte_lat_mm", "tte_axial_mm")
"""Metrics whose tip comes from the reference instrument."""


def undecided(study: Study, techniques: dict[str, Technique], config: RigConfig) -> tuple[str, ...]:
    """One sentence per criterion that the rig's reference instrument cannot decide; none when there is no instrument
    (then nothing of it is measured, and the report says so)."""
    tracker = _tracker(config)
    if tracker is None:
        return ()
    bend_mm = 0.0 if tracker.sees_bending else expected_deflection_mm(study, techniques)
    body_mm = body_uncertainty_mm(study, techniques, config)
    u_mm = math.hypot(tracker.tip_uncertainty_mm, bend_mm, body_mm)
    blind = f", {bend_mm:.1f} mm of it because it does not see the needle bend" if bend_mm else ""
    if body_mm:
        blind += f", {body_mm:.2f} mm of it from the phantom's place in its tracked body"
    found = []
    for criterion in study.criteria:
        decision = None if not _by_instrument(criterion) else can_decide(criterion.limit, u_mm)
        if decision is not None and not decision.can_decide:
            found.append(
                f"criterion {criterion.id} ({criterion.metric} {criterion.comparison} {criterion.limit:g} mm): the "
                f"reference instrument's standard uncertainty is {u_mm:.2f} mm{blind}; {decision.reason}"
            )
    return tuple(found)


def _by_instrument(criterion: Criterion) -> bool:
    return criterion.metric in JUDGED and criterion.limit > 0.0


def _tracker(config: RigConfig) -> Tracker | None:
    """Instrument as its driver declares it; nothing is opened."""
    settings = config.driver_settings("tracker") if "tracker" in config.devices else None
    if settings is None:
        return None
    device: Tracker = registry.driver(str(config.devices["tracker"]["driver"])).build(settings, WallClock())
    return device


def expected_deflection_mm(study: Study, techniques: dict[str, Technique]) -> float:
    """Largest expected deflection at a target of the study if the bevel is never turned, mm."""
    phantom = load_phantom(study.design.phantom)
    largest = 0.0
    for technique in techniques.values():
        needle = load_needle(technique.needle)
        depths = [float(phantom.target(technique.level, side).nerve_centre_mm[2]) for side in study.design.sides]
        lateral, tilt = _angles_deg(technique)
        path_mm = max(depths) / float(np.cos(np.radians(lateral)) * np.cos(np.radians(tilt)))
        largest = max(largest, 0.5 * abs(needle.curvature_per_mm) * path_mm**2)
    return largest


def body_uncertainty_mm(study: Study, techniques: dict[str, Technique], config: RigConfig) -> float:
    """Largest standard uncertainty per axis that ``PhantomToReference`` leaves at a target of the study, mm."""
    placement = config.frames.PhantomToReference
    transform = UncertainTransform.rigid(placement.as_matrix(), placement.covariance())
    phantom = load_phantom(study.design.phantom)
    at = [
        transform.point(phantom.target(technique.level, side).nerve_centre_mm)[1]
        for technique in techniques.values()
        for side in study.design.sides
    ]
    return max((float(np.sqrt(max(np.linalg.eigvalsh(c)[-1], 0.0))) for c in at), default=0.0)


def target_depths_mm(study: Study, techniques: dict[str, Technique]) -> tuple[float, float]:
    """Shallowest and deepest target of the study below the skin, mm."""
    phantom = load_phantom(study.design.phantom)
    depths = [
        float(phantom.target(technique.level, side).nerve_centre_mm[2])
        for technique in techniques.values()
        for side in study.design.sides
    ]
    return min(depths), max(depths)


def judged_by_instrument(study: Study) -> tuple[Criterion, ...]:
    """The criteria of a study whose tip comes from the reference instrument."""
    return tuple(criterion for criterion in study.criteria if _by_instrument(criterion))


def _angles_deg(technique: Technique) -> tuple[float, float]:
    if technique.landmark is not None:
        return technique.landmark.lateral_deg, technique.landmark.tilt_deg
    assert technique.path is not None
    return technique.path.lateral_deg.preferred, technique.path.tilt_deg.preferred
