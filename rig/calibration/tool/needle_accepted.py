"""Accepted needle-tip calibration from tips that a reference saw: fit, held-out poses, carrier in the rig."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.errors import CalibrationRefused
from hal.types import NeedlePose, Vector
from rig.calibration.tool.needle import NeedleTipCalibration, calibrate_needle_tip
from rig.geometry.transforms import from_needle_pose
from rig.geometry.uncertain import UncertainTransform
from rig.instruments.sights import STUCK_STEP_MM, spread_limit_mm, stuck

HOLD_OUT_EVERY = 4
CARRIER_REPEAT_MM = 0.05
"""Standard uncertainty of a pose that the carrier has reached, per axis: half of
``rig.instruments.jogs.ARRIVED_MM`` and play of the axes [A]."""


@dataclass(frozen=True)
class SeenTip:
    """One pose at rest and the mean of the tracker's readings there."""

    pose: NeedlePose
    tip_mm: Vector = field(repr=False)
    """``NeedleTipToTracker``, shape (3,)."""
    spread_mm: float
    """Root mean square distance of single readings from the mean; 0 for a single one."""
    readings_n: int


@dataclass(frozen=True)
class HeldOut:
    """The calibration at poses that it has not seen, mm, lengths."""

    n: int
    rms_mm: float
    max_mm: float
    expected_mm: float
    """From the fit's covariance and the scatter of a reading."""

    def as_json(self) -> dict[str, object]:
        return {"n": self.n, "rms_mm": self.rms_mm, "max_mm": self.max_mm, "expected_mm": self.expected_mm}


@dataclass(frozen=True)
class NeedleTipResult:
    """An accepted calibration."""

    calibration: NeedleTipCalibration
    held_out: HeldOut
    seen: tuple[SeenTip, ...]
    errors_mm: NDArray[np.float64] = field(repr=False)
    """(n, 3) seen minus predicted tip along the tracker's axes, held-out poses included."""
    tip_sd_mm: float
    """Standard uncertainty of the tracker's tip, per axis: what every reading has in common is in it."""

    def held(self, k: int) -> bool:
        """True when a pose was held out of the fit."""
        return k % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1

    def offset_u_mm(self) -> tuple[float, float, float]:
        """Standard uncertainty of the offset: of the fit and of the tracker's tip."""
        x, y, z = np.sqrt(np.diag(self.calibration.covariance) + self.tip_sd_mm**2)
        return float(x), float(y), float(z)

    def tip_u_mm(self, TrackerToRig: UncertainTransform) -> float:
        """Largest standard uncertainty per axis of a calibrated tip in the Rig frame, over the poses seen."""
        own = self.tip_sd_mm**2 * np.eye(3)
        worst = 0.0
        for one in self.seen:
            tip, spread = self.calibration.predicted(one.pose)
            _, covariance = TrackerToRig.point(tip, spread + own)
            worst = max(worst, float(np.linalg.eigvalsh(covariance)[-1]))
        return float(np.sqrt(worst))

    def as_json(self) -> dict[str, object]:
        c = self.calibration
        return {
            "ok": True,
            "kind": "needle_tip",
            "CarrierToTracker": c.CarrierToReference.matrix.tolist(),
            "CarrierToTracker_covariance": c.CarrierToReference.covariance.tolist(),
            "offset_mm": c.offset_mm.tolist(),
            "offset_u_mm": list(self.offset_u_mm()),
            "run_out_mm": c.as_json()["run_out_mm"],
            "run_out_u_mm": c.as_json()["run_out_sd_mm"],
            "rms_mm": c.rms_mm,
            "fitted_n": c.poses_n,
            "held_out": self.held_out.as_json(),
            "tracker_tip_u_mm": self.tip_sd_mm,
            "poses": [
                {
                    "pose": list(one.pose.as_tuple()),
                    "tip_tracker_mm": one.tip_mm.tolist(),
                    "spread_mm": one.spread_mm,
                    "readings_n": one.readings_n,
                    "error_mm": self.errors_mm[k].tolist(),
                    "held_out": self.held(k),
                }
                for k, one in enumerate(self.seen)
            ],
        }


def fit_needle_tip(seen: Sequence[SeenTip], tip_sd_mm: float) -> NeedleTipResult:
    """Fit three of four poses, predict the fourth. ``tip_sd_mm``: the tracker's tip, standard, per axis.

    Raises ``CalibrationRefused``: ``unsteady``, ``frozen``, those of ``calibrate_needle_tip``, and ``held out`` when
    the poses left out are missed by more than fit and tracker explain.
    """
    for k, one in enumerate(seen):
        if one.spread_mm > spread_limit_mm(tip_sd_mm, one.readings_n):
            raise CalibrationRefused(
                "unsteady",
                f"pose {k + 1}: readings of the resting tip scatter by {one.spread_mm:.2f} mm, the tracker is good for "
                f"{tip_sd_mm:g} mm per axis",
                advice="Something shakes or disturbs the tracker; let it settle, look for metal and loose parts",
                figures={"pose": k + 1, "spread_mm": one.spread_mm},
            )
    _refuse_frozen(seen)
    fitted = [one for k, one in enumerate(seen) if k % HOLD_OUT_EVERY != HOLD_OUT_EVERY - 1]
    held = [one for k, one in enumerate(seen) if k % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1]
    means = [one.spread_mm**2 / (3.0 * one.readings_n) for one in fitted]
    repeat_sd = float(np.sqrt(np.mean(means) + CARRIER_REPEAT_MM**2))
    calibration = calibrate_needle_tip(
        [one.pose for one in fitted],
        np.array([one.tip_mm for one in fitted]),
        tip_sd_mm=float(np.hypot(tip_sd_mm, CARRIER_REPEAT_MM)),
        repeat_sd_mm=repeat_sd,
    )
    errors = np.array([one.tip_mm - calibration.predicted(one.pose)[0] for one in seen])
    missed = np.array([errors[k] for k in range(len(seen)) if k % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1])
    length = np.linalg.norm(missed, axis=1)
    scatter = 3.0 * max(repeat_sd**2, calibration.rms_mm**2 / 3.0)
    expected = float(np.sqrt(np.mean([np.trace(calibration.predicted(one.pose)[1]) + scatter for one in held])))
    freedom = missed.size
    allowed = np.mean([np.trace(calibration.predicted(one.pose)[1]) for one in held]) / 3.0 + tip_sd_mm**2
    if float((missed**2).sum()) / allowed > freedom + 4.0 * np.sqrt(2.0 * freedom):
        raise CalibrationRefused(
            "held out",
            f"poses that the fit has not seen are missed by {np.sqrt(np.mean(length**2)):.2f} mm (rms), "
            f"{np.sqrt(3.0 * allowed):.2f} mm is what fit and tracker explain",
            advice="A bent needle, play, or an axis whose zero was lost on the way; home the carrier and repeat",
            figures={"rms_mm": float(np.sqrt(np.mean(length**2))), "explained_mm": float(np.sqrt(3.0 * allowed))},
        )
    outcome = HeldOut(len(held), float(np.sqrt(np.mean(length**2))), float(length.max()), expected)
    return NeedleTipResult(calibration, outcome, tuple(seen), errors, tip_sd_mm)


def _refuse_frozen(seen: Sequence[SeenTip]) -> None:
    """Refuse a tracker that repeats its last pose; ``seen`` in the order of measuring."""
    for k, (a, b) in enumerate(zip(seen, list(seen)[1:], strict=False)):
        went = float(np.linalg.norm(from_needle_pose(a.pose)[:3, 3] - from_needle_pose(b.pose)[:3, 3]))
        if went > STUCK_STEP_MM and stuck(a.tip_mm, b.tip_mm):
            raise CalibrationRefused(
                "frozen",
                f"the tracker shows the tip at one and the same place at poses {k + 1} and {k + 2}, "
                "between which the carrier moved",
                advice="The tracker repeats an old pose: restart it, check that it sees the tip's sensor",
            )
