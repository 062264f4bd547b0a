"""Registration of a phantom by fiducials, and its accuracy at the targets.

The residual at the fiducials (FRE) says whether the fiducials fit each other; it is not accuracy and is never called
so. Accuracy is the error at check points that took no part, and until those are measured it is predicted (TRE).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from hal.errors import CalibrationRefused
from hal.types import Matrix
from rig.calibration.phantom.diagnosis import AxisScale, axis_scales, explain, residual_p, rigid_rest
from rig.geometry.fiducials import Fiducials, fit_orders
from rig.geometry.tre import expected_fre_mm, fit_covariance, fit_rigid_many, predicted_tre_mm, simulated_tre_mm
from rig.geometry.uncertain import UncertainTransform

REFUSE_P = 0.001
"""Residuals rarer than this are beyond the localisation error: one good registration in a thousand is refused."""
MAX_ROTATION_SD_DEG = 1.0
"""A turn less certain than this moves a target 100 mm away by 1.7 mm: the points lie (nearly) on a line [A]."""
SMALLEST_MM = 1.0
"""Root mean square distance of landmarks along their longest direction; below it the file is in metres [A]."""
SCALE_SIGMAS = 4.0
"""One axis off by this many standard uncertainties is refused although the residuals agree [A]."""


@dataclass(frozen=True)
class LandmarkResult:
    """One fiducial of the fit, mm, in the measured frame."""

    name: str
    residual_mm: NDArray[np.float64]
    """(3,) measured minus fitted."""
    left_out_mm: float
    """Distance from where the fit of all others puts it; NaN with three points."""
    left_out_expected_mm: float
    """Expected value of that distance (root mean square) from FLE and the prediction error of the others."""

    @property
    def residual_length_mm(self) -> float:
        return float(np.linalg.norm(self.residual_mm))


@dataclass(frozen=True)
class CheckPoints:
    """Held-out points: the measured error of the registration (the points' own localisation error included)."""

    errors_mm: Mapping[str, float]
    rms_mm: float
    max_mm: float
    expected_rms_mm: float
    """From predicted TRE and FLE."""
    p_value: float
    """Chance of errors at least as large if the predictions hold."""


@dataclass(frozen=True)
class TargetError:
    """Predicted error at one target, root mean square, mm."""

    name: str
    closed_mm: float
    simulated_mm: float

    @property
    def difference_percent(self) -> float:
        return 100.0 * (self.simulated_mm / self.closed_mm - 1.0)


@dataclass(frozen=True)
class FiducialRegistration:
    """Result of ``register_fiducials``; ``A`` is the nominal frame, ``B`` the measured one."""

    transform: UncertainTransform = field(repr=False)
    fle_mm: float
    fre_rms_mm: float
    fre_expected_mm: float
    fit_p_value: float
    landmarks: tuple[LandmarkResult, ...]
    targets: tuple[TargetError, ...]
    checks: CheckPoints | None
    scales: tuple[AxisScale, ...]
    next_best_order_rms_mm: float
    """Residual of the second best assignment of names: near ``fre_expected_mm`` the names cannot be distinguished."""
    notes: tuple[str, ...] = ()
    """Faults that these landmarks cannot show, for a person."""

    @property
    def AToB(self) -> Matrix:
        return self.transform.matrix

    def as_json(self) -> dict[str, object]:
        checks = self.checks
        return {
            "ok": True,
            "matrix": self.AToB.tolist(),
            "covariance": self.transform.covariance.tolist(),
            "fle_mm": self.fle_mm,
            "fre_rms_mm": self.fre_rms_mm,
            "fre_expected_mm": self.fre_expected_mm,
            "fre_note": "residual at the fitted landmarks: a test of the landmarks, not accuracy",
            "fit_p_value": self.fit_p_value,
            "landmarks": [
                {
                    "name": m.name,
                    "residual_mm": m.residual_mm.tolist(),
                    "residual_length_mm": m.residual_length_mm,
                    "left_out_mm": m.left_out_mm,
                    "left_out_expected_mm": m.left_out_expected_mm,
                }
                for m in self.landmarks
            ],
            "predicted_tre_mm": {
                t.name: {"closed": t.closed_mm, "simulated": t.simulated_mm, "difference_percent": t.difference_percent}
                for t in self.targets
            },
            "accuracy": "not measured: no check points were held out"
            if checks is None
            else {
                "errors_mm": dict(checks.errors_mm),
                "rms_mm": checks.rms_mm,
                "max_mm": checks.max_mm,
                "expected_rms_mm": checks.expected_rms_mm,
                "p_value": checks.p_value,
            },
            "axis_scales": [s.as_json() for s in self.scales],
            "next_best_order_rms_mm": self.next_best_order_rms_mm,
            "notes": list(self.notes),
        }


def register_fiducials(
    nominal: Fiducials,
    measured: Fiducials,
    *,
    fle_mm: float,
    check_names: tuple[str, ...] = (),
    targets: Mapping[str, ArrayLike] | None = None,
    draws: int = 100_000,
    seed: int = 1,
) -> FiducialRegistration:
    """Rigid registration of ``nominal`` (frame A) to ``measured`` (frame B) by the names that both have.

    ``fle_mm`` is the localisation error of one measured point, root of its mean square length, from repeats (not from
    this fit). ``check_names`` are held out of the fit and measure its error. ``targets`` are points of A.

    Raises ``CalibrationRefused`` with code ``too few``, ``units``, ``collinear``, ``constant input``, ``mirrored``,
    ``swapped``, ``axis scale``, ``scale``, ``bad point``, ``residual`` or ``check points``. A scale is never fitted.
    """
    if not (np.isfinite(fle_mm) and fle_mm > 0.0):
        raise CalibrationRefused(
            "no localisation error",
            f"the localisation error must be a length > 0, got {fle_mm} mm",
            advice="Localise a fiducial some ten times and take the spread",
        )
    common = tuple(n for n in nominal.names if n in measured.names)
    held = tuple(n for n in common if n in check_names)
    strange = sorted(set(check_names) - set(held))
    if strange:
        raise CalibrationRefused(
            "unknown check point",
            f"check points {', '.join(strange)} are not in both sets, which share {', '.join(common) or 'none'}",
        )
    used = tuple(n for n in common if n not in held)
    _enough(used, nominal, measured)
    a, b = nominal.only(used), measured.only(used)
    _spread(a, fle_mm)
    _refuse_constant(b, a, fle_mm)
    rest = rigid_rest(a.points_mm, b.points_mm)
    rms = float(np.sqrt((rest**2).sum(axis=1).mean()))
    expected = expected_fre_mm(len(a), fle_mm)
    p = residual_p(rest, fle_mm)
    figures: dict[str, object] = {
        "fre_rms_mm": rms,
        "fre_expected_mm": expected,
        "fle_mm": fle_mm,
        "p_value": p,
        "residuals_mm": {n: float(np.linalg.norm(r)) for n, r in zip(a.names, rest, strict=True)},
    }
    scales = axis_scales(a, b, fle_mm)
    if p < REFUSE_P:
        _refuse_residual(a, b, fle_mm, figures)
    off = [s for s in scales if s.sigmas > SCALE_SIGMAS]
    if off:
        worst = max(off, key=lambda s: s.sigmas)
        raise CalibrationRefused(
            "axis scale",
            f"axis {worst.axis} is out of scale by {100 * (worst.scale - 1):+.2f} % (standard uncertainty "
            f"{100 * worst.standard_uncertainty:.2f} %), hidden in residuals that agree with the localisation error",
            advice="Check that axis's steps per mm, or the nominal drawing",
            figures=figures | worst.as_json(),
        )
    rotation, shift = fit_rigid_many(a.points_mm[None], b.points_mm[None])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation[0], shift[0]
    covariance = fit_covariance(a.points_mm @ rotation[0].T + shift[0], np.eye(3) * fle_mm**2 / 3.0)
    transform = UncertainTransform.rigid(matrix, covariance)
    _, order_rms = fit_orders(a.points_mm, b.points_mm)
    next_rms = float(order_rms[1]) if len(order_rms) > 1 else float("inf")
    checks = _checks(nominal, measured, held, a, transform, fle_mm)
    if checks is not None and checks.p_value < REFUSE_P:
        raise CalibrationRefused(
            "check points",
            f"held-out points miss by {checks.rms_mm:.2f} mm (rms), {checks.expected_rms_mm:.2f} mm was predicted",
            advice="The landmarks fit each other and not the rest of the phantom: look for a shift between the two",
            figures=figures | {"check_errors_mm": dict(checks.errors_mm)},
        )
    return FiducialRegistration(
        transform,
        fle_mm,
        rms,
        expected,
        p,
        _landmarks(a, b, rest, fle_mm),
        _targets(a, targets or {}, fle_mm, draws, seed),
        checks,
        scales,
        next_rms,
        _unseen(a, fle_mm, rms, p, next_rms),
    )


def _unseen(a: Fiducials, fle_mm: float, rms_mm: float, p_value: float, next_rms_mm: float) -> tuple[str, ...]:
    """Faults that a good fit of these landmarks cannot show."""
    notes = []
    if next_rms_mm < max(3.0 * rms_mm, 2.0 * fle_mm):
        notes.append(
            f"the landmarks fit in another order as well ({next_rms_mm:.2f} mm): that each was touched under its own "
            "name is not tested"
        )
    if a.principal_spread_mm[2] < 3.0 * fle_mm:
        notes.append("the landmarks lie in one plane: an axis with the wrong sign would not show")
    if len(a) == 3:
        notes.append("three landmarks hardly test each other: a fourth would tell a bad one")
    if p_value > 1.0 - REFUSE_P:
        notes.append(
            f"the residual of {rms_mm:.3f} mm is far below what a localisation error of {fle_mm:g} mm gives: the "
            "localisation error is overstated, or the points were not measured"
        )
    return tuple(notes)


def _enough(used: tuple[str, ...], nominal: Fiducials, measured: Fiducials) -> None:
    if len(used) < 3:
        raise CalibrationRefused(
            "too few",
            f"{len(used)} landmarks are in both sets after holding out; three are the least",
            advice="Touch more of " + ", ".join(n for n in nominal.names if n not in measured.names)
            if any(n not in measured.names for n in nominal.names)
            else "",
            figures={"used": list(used)},
        )


def _spread(a: Fiducials, fle_mm: float) -> None:
    spread = a.principal_spread_mm
    if spread[0] < SMALLEST_MM:
        raise CalibrationRefused(
            "units",
            f"the nominal landmarks lie within {spread[0]:.3f} mm of their centre: no phantom is so small, they look "
            "like metres",
            advice="Give lengths in mm",
            figures={"spread_mm": spread.tolist()},
        )
    line_off = spread[1]
    turn = np.degrees(fle_mm / np.sqrt(3.0 * len(a)) / max(float(line_off), 1e-9))
    if line_off < 1e-3 * max(float(spread[0]), 1e-9) or turn > MAX_ROTATION_SD_DEG:
        raise CalibrationRefused(
            "collinear",
            f"the landmarks {', '.join(a.names)} lie nearly on one line (spread {spread[0]:.1f} mm along, "
            f"{line_off:.2f} mm across): the turn about the line is known to {min(turn, 180.0):.1f} deg only, "
            f"limit {MAX_ROTATION_SD_DEG} deg",
            advice="Add a landmark away from the line",
            figures={"spread_mm": spread.tolist(), "turn_sd_deg": float(turn)},
        )


def _refuse_constant(b: Fiducials, a: Fiducials, fle_mm: float) -> None:
    """Refuse measured points that are one and the same place: a frozen tracker, and no scale of the phantom."""
    apart = float(np.linalg.norm(b.points_mm - b.points_mm.mean(axis=0), axis=1).max())
    if apart <= 5.0 * fle_mm and apart < 1e-2 * float(a.principal_spread_mm[0]):
        raise CalibrationRefused(
            "constant input",
            f"all {len(b)} measured points are one place (within {apart:.2f} mm) and the nominal ones are not",
            advice="The tracker was frozen, one point was copied, or the lengths are not in mm",
            figures={"extent_mm": apart},
        )


def _refuse_residual(a: Fiducials, b: Fiducials, fle_mm: float, figures: dict[str, object]) -> None:
    reasons = explain(a, b, fle_mm)
    start = (
        f"the landmarks do not fit: residual {figures['fre_rms_mm']:.2f} mm where a localisation error "
        f"of {fle_mm:.2f} mm lets {figures['fre_expected_mm']:.2f} mm be expected"
    )
    listed = [{"code": e.code, "text": e.text, "rms_mm": e.rms_mm, "p_value": e.p_value, **e.figures} for e in reasons]
    if not reasons:
        raise CalibrationRefused(
            "residual",
            f"{start}; no single cause explains it",
            advice="Localise again; look at the residual picture",
            figures=figures,
        )
    code = reasons[0].code
    if len(reasons) > 1:
        start += f"; {len(reasons)} causes would explain it"
    raise CalibrationRefused(
        code,
        f"{start}: {'; or '.join(e.text for e in reasons[:3])}",
        advice="Nothing was corrected: remove the cause and measure again",
        figures=figures | {"explanations": listed},
    )


def _landmarks(a: Fiducials, b: Fiducials, rest: NDArray[np.float64], fle_mm: float) -> tuple[LandmarkResult, ...]:
    out = []
    for k, name in enumerate(a.names):
        keep = np.arange(len(a)) != k
        left, expected = float("nan"), float("nan")
        if len(a) > 3 and np.linalg.svd(a.points_mm[keep] - a.points_mm[keep].mean(axis=0), compute_uv=False)[1] > 1e-6:
            rotation, shift = fit_rigid_many(a.points_mm[keep][None], b.points_mm[keep][None])
            left = float(np.linalg.norm(b.points_mm[k] - (rotation[0] @ a.points_mm[k] + shift[0])))
            tre = predicted_tre_mm(a.points_mm[keep], a.points_mm[k], fle_mm)[0]
            expected = float(np.hypot(tre, fle_mm))
        out.append(LandmarkResult(name, rest[k], left, expected))
    return tuple(out)


def _targets(
    a: Fiducials, targets: Mapping[str, ArrayLike], fle_mm: float, draws: int, seed: int
) -> tuple[TargetError, ...]:
    if not targets:
        return ()
    points = np.array([np.asarray(p, dtype=np.float64) for p in targets.values()])
    closed = predicted_tre_mm(a.points_mm, points, fle_mm)
    sampled = simulated_tre_mm(a.points_mm, points, np.eye(3) * fle_mm**2 / 3.0, draws, seed)
    return tuple(TargetError(n, float(c), float(d)) for n, c, d in zip(targets, closed, sampled, strict=True))


def _checks(
    nominal: Fiducials,
    measured: Fiducials,
    held: tuple[str, ...],
    used: Fiducials,
    transform: UncertainTransform,
    fle_mm: float,
) -> CheckPoints | None:
    if not held:
        return None
    a, b = nominal.only(held), measured.only(held)
    away = b.points_mm - (a.points_mm @ transform.matrix[:3, :3].T + transform.matrix[:3, 3])
    jac = np.concatenate([np.kron(np.eye(3), (transform.matrix @ np.append(p, 1.0))[None, :]) for p in a.points_mm])
    cov = jac @ transform.spread @ jac.T + np.eye(len(jac)) * fle_mm**2 / 3.0
    e = away.ravel()
    lengths = np.linalg.norm(away, axis=1)
    expected = np.sqrt(np.mean(predicted_tre_mm(used.points_mm, a.points_mm, fle_mm) ** 2 + fle_mm**2))
    return CheckPoints(
        {n: float(d) for n, d in zip(held, lengths, strict=True)},
        float(np.sqrt(np.mean(lengths**2))),
        float(lengths.max()),
        float(expected),
        float(chi2.sf(e @ np.linalg.solve(cov, e), len(e))),
    )
