"""Stated uncertainties of a rig, gathered in one place: certificate before rig file before assumption.

An assumption [A] may stand in for what nobody stated where a prediction rests on it, since the prediction is compared
with what is found. What a measurement rests on has no stand-in: nothing would ever show it to be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from hal.interfaces import Tracker
from hal.types import Vector
from rig.calibration.certificates.certificate import Certificate
from rig.calibration.certificates.in_force import InForce
from rig.calibration.certificates.values import GEL, INSTRUMENT
from rig.config import Placement, RigConfig
from rig.geometry.uncertain import UncertainTransform

IMAGE_MM, IMAGE_DEG = 0.5, 0.5
"""Probe calibration, per axis [A]: together 0.7 mm at 60 mm depth, within the 0.5 to 1.0 mm of an error budget for such
rigs (domain 7.3)."""
HOLDER_MM = 0.3 / math.sqrt(3.0)
"""Robot pose 0.3 mm (domain 7.3, [A]) taken as a length: per axis."""
LATENCY_HALF_S = 0.02
"""Frames and poses are asked to agree within 20 ms (domain 7.4) [A]."""
CERTIFICATE, RIG_FILE, ASSUMED, NOT_KNOWN = "certificate", "rig file", "default [A]", "not known"
PHANTOM_FRAMES = ("PhantomToReference", "PhantomToTracker")
"""Where the phantom stands in the reference instrument's frame."""


@dataclass(frozen=True)
class Stated:
    """One standard uncertainty (k = 1)."""

    name: str
    u: float | None
    """Per axis where it is a place; None when nobody stated it."""
    unit: str
    distribution: str
    """normal or rectangular."""
    dof: float | None
    """Degrees of freedom; None: without limit."""
    kind: str
    """One of the four words above."""
    source: str
    """Identity of the certificate, key of the rig file, or where the assumption comes from."""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def image_spread(config: RigConfig, in_force: InForce) -> tuple[Stated, NDArray[np.float64]]:
    """Uncertainty of ``ImageToProbe``: its source, and the (12, 12) spread (``UncertainTransform.spread``), frame
    Probe.

    A translation that the rig file states still needs a rotation: that is the assumed one.
    """
    certificate = _transform(in_force, "ImageToProbe")
    if certificate is not None and certificate.covariance:
        spread = certificate.step().transform.spread
        u = _translation_mm(spread)
        return Stated("image calibration", u, "mm", "normal", None, CERTIFICATE, certificate.identity), spread
    placement = config.frames.ImageToProbe
    stated_mm = placement.uncertainty_mm if placement is not None else 0.0
    stated_deg = placement.uncertainty_deg if placement is not None else 0.0
    u, u_deg = stated_mm or IMAGE_MM, stated_deg or IMAGE_DEG
    spread = UncertainTransform.rigid(np.eye(4), np.diag([np.radians(u_deg) ** 2] * 3 + [u**2] * 3)).spread
    turn = f"turn {u_deg:g} deg per axis {'stated' if stated_deg else 'assumed'}"
    if stated_mm:
        words = f"[frames].ImageToProbe.uncertainty_mm; {turn}"
        return Stated("image calibration", u, "mm", "normal", None, RIG_FILE, words), spread
    return Stated("image calibration", u, "mm", "normal", None, ASSUMED, turn), spread


def speed(config: RigConfig, in_force: InForce, u_m_s: float) -> Stated:
    """Uncertainty of the gel's speed of sound at its temperature."""
    certificate = _kind(in_force, GEL)
    if certificate is not None:
        return Stated("speed of sound", u_m_s, "m/s", "normal", None, CERTIFICATE, certificate.identity)
    given = "u_sound_speed_m_s" in config.gel.model_fields_set
    words = "[gel].u_sound_speed_m_s" if given else "recipe of the muscle gel"
    return Stated("speed of sound", u_m_s, "m/s", "normal", None, RIG_FILE if given else ASSUMED, words)


def latency(in_force: InForce) -> Stated:
    """Uncertainty of the time between a frame and the pose that belongs to it."""
    certificate = _kind(in_force, "temporal")
    lag = certificate.values.get("lag_s") if certificate is not None else None
    if certificate is not None and lag is not None:
        return Stated("latency", lag.standard_uncertainty, "s", "normal", None, CERTIFICATE, certificate.identity)
    u = LATENCY_HALF_S / math.sqrt(3.0)
    return Stated("latency", u, "s", "rectangular", None, ASSUMED, "frames and poses within 20 ms")


def holder(in_force: InForce) -> Stated:
    """Repeatability of the probe holder at one pose, per axis."""
    certificate = _kind(in_force, "holder_pose")
    value = certificate.values.get("pose_uncertainty_mm") if certificate is not None else None
    if certificate is not None and value is not None:
        u, word = value.standard_uncertainty, certificate.identity
        return Stated("holder pose", u, "mm", "normal", None, CERTIFICATE, word)
    return Stated("holder pose", HOLDER_MM, "mm", "normal", None, ASSUMED, "robot pose 0.3 mm")


def bases(config: RigConfig, in_force: InForce) -> tuple[Stated, ...]:
    """Uncertainties of the frames of the bases (``[frames].*.uncertainty_mm``), by name."""
    found = []
    for name in ("HolderToRig", "CarrierToRig", "TrackerToRig", "PhantomToRig"):
        placement: Placement = getattr(config.frames, name)
        certificate = _transform(in_force, name)
        if certificate is not None:
            kind, source = CERTIFICATE, certificate.identity
        elif placement.uncertainty_mm:
            kind, source = RIG_FILE, "[frames]"
        else:
            kind, source = NOT_KNOWN, "[frames] states none"
        found.append(Stated(name, placement.uncertainty_mm or None, "mm", "normal", None, kind, source))
    return tuple(found)


def instrument(config: RigConfig, in_force: InForce, tracker: Tracker | None) -> Stated:
    """Uncertainty of one reading of the tip by the reference instrument, per axis; a driver's default does not
    count."""
    certificate = _kind(in_force, INSTRUMENT)
    if tracker is None:
        return Stated("reference instrument", None, "mm", "normal", None, NOT_KNOWN, "no reference instrument")
    u = tracker.tip_uncertainty_mm
    if certificate is not None:
        n = certificate.result.get("straight_n")
        dof = float(n - 1) if isinstance(n, int) and n > 1 else None
        return Stated("reference instrument", u, "mm", "normal", dof, CERTIFICATE, certificate.identity)
    table: Mapping[str, object] = config.devices.get("tracker", {})
    key = next((name for name in ("tip_uncertainty_mm", "uncertainty_mm") if name in table), None)
    if key is None:
        return Stated("reference instrument", None, "mm", "normal", None, NOT_KNOWN, "[devices.tracker] states none")
    return Stated("reference instrument", u, "mm", "normal", None, RIG_FILE, f"[devices.tracker].{key}")


def bending_included(in_force: InForce) -> bool:
    """True when the instrument's figure already includes the needle bend that it does not see."""
    return _kind(in_force, INSTRUMENT) is not None


def phantom_in_instrument(config: RigConfig, in_force: InForce, point_phantom_mm: Vector) -> Stated:
    """Uncertainty of a point of the phantom in the reference instrument's frame, per axis at that point."""
    name = "phantom in the instrument"
    for frame in PHANTOM_FRAMES:
        certificate = _transform(in_force, frame)
        if certificate is not None and certificate.covariance:
            _, at = certificate.step().transform.point(point_phantom_mm)
            n = certificate.result.get("points_n")
            dof = float(3 * n - 6) if isinstance(n, int) and n > 2 else None
            u = float(np.sqrt(np.trace(at) / 3.0))
            return Stated(name, u, "mm", "normal", dof, CERTIFICATE, certificate.identity)
    placement = config.frames.PhantomToReference
    if placement.uncertainty_mm or placement.uncertainty_deg:
        _, at = UncertainTransform.rigid(placement.as_matrix(), placement.covariance()).point(point_phantom_mm)
        u = float(np.sqrt(np.trace(at) / 3.0))
        return Stated(name, u, "mm", "normal", None, RIG_FILE, "[frames].PhantomToReference")
    return Stated(name, None, "mm", "normal", None, NOT_KNOWN, "PhantomToReference: nobody stated it")


def _translation_mm(spread: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean([spread[k, k] for k in (3, 7, 11)])))


def _kind(in_force: InForce, kind: str) -> Certificate | None:
    return next((c for c in in_force.certificates if c.kind == kind), None)


def _transform(in_force: InForce, name: str) -> Certificate | None:
    return next((c for c in in_force.certificates if c.transform == name), None)
