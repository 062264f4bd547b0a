"""Causes of fiducials that do not fit: mirrored, swapped, one axis out of scale, or one bad point.

An explanation counts when the residuals that it leaves agree with the localisation error; when none does, the one that
predicts points which it was not fitted to clearly better than its rivals is still named. The explanations are for a
person; none of them is ever applied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from rig.geometry.fiducials import Fiducials, fit_orders
from rig.geometry.tre import fit_rigid_many

AGREES_P = 0.01
"""An explanation holds when its residuals are not rarer than this."""
AXES = ("x", "y", "z")
_UNSEEN = 0.5
"""Share of the error at left-out points that an explanation may leave to be named without explaining all [A]."""
_CLEARLY = 1.4
"""The next one must leave this many times as much [A]."""


@dataclass(frozen=True)
class Explanation:
    """One thing that would account for the residuals."""

    code: str
    text: str
    rms_mm: float
    """Residual that it would leave."""
    p_value: float
    figures: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class AxisScale:
    """Best scale of one axis of the nominal points, the others left at 1."""

    axis: str
    scale: float
    standard_uncertainty: float
    rms_mm: float

    @property
    def sigmas(self) -> float:
        return abs(self.scale - 1.0) / self.standard_uncertainty if self.standard_uncertainty > 0 else 0.0

    def as_json(self) -> dict[str, object]:
        return {
            "axis": self.axis,
            "scale": self.scale,
            "standard_uncertainty": self.standard_uncertainty,
            "sigmas": self.sigmas,
            "rms_mm": self.rms_mm,
        }


def residual_p(rest_mm: NDArray[np.float64], fle_mm: float, parameters: int = 6) -> float:
    """Chance of residuals (n, 3) at least as large when the localisation error is as stated."""
    freedom = rest_mm.size - parameters
    if freedom <= 0:
        return 1.0
    return float(chi2.sf((rest_mm**2).sum() / (fle_mm**2 / 3.0), freedom))


def rigid_rest(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Residual vectors (n, 3) in B of the rigid fit A -> B, measured minus fitted."""
    rotation, shift = fit_rigid_many(a[None], b[None])
    return np.asarray(b - (a @ rotation[0].T + shift[0]))


def axis_scales(nominal: Fiducials, measured: Fiducials, fle_mm: float) -> tuple[AxisScale, ...]:
    """The scale of each nominal axis by itself; an axis along which the points hardly spread is left out."""
    a, b = nominal.points_mm, measured.points_mm
    out = []
    for k, axis in enumerate(AXES):
        spread = float(np.std(a[:, k]))
        if spread < 3.0 * fle_mm or 3 * len(a) <= 7:
            continue

        def cost(s: float, k: int = k) -> float:
            stretched = a.copy()
            stretched[:, k] *= s
            return float((rigid_rest(stretched, b) ** 2).sum())

        found = minimize_scalar(cost, bounds=(0.5, 2.0), method="bounded", options={"xatol": 1e-7})
        s, h = float(found.x), 1e-3
        curvature = (cost(s + h) - 2.0 * cost(s) + cost(s - h)) / h**2
        u = fle_mm / np.sqrt(3.0) * np.sqrt(2.0 / curvature) if curvature > 0 else float("inf")
        out.append(AxisScale(axis, s, float(u), float(np.sqrt(found.fun / len(a)))))
    return tuple(out)


def explain(nominal: Fiducials, measured: Fiducials, fle_mm: float) -> tuple[Explanation, ...]:
    """Explanations that hold for a set of fiducials whose plain rigid fit does not, best first."""
    a, b = nominal.points_mm, measured.points_mm
    found = [*_mirrors(a, b, fle_mm), *_orders(nominal, measured, fle_mm), *_scales(nominal, measured, fle_mm)]
    found += _bad_points(nominal, measured, fle_mm)
    whole = tuple(sorted((e for e in found if e.p_value > AGREES_P), key=lambda e: -e.p_value))
    return whole or _clear(found, a, b)


def _clear(found: list[Explanation], a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[Explanation, ...]:
    """The explanation that predicts left-out points clearly better than nothing and than its rivals, alone; or none."""
    if len(a) < 5:
        return ()
    nothing = _unseen(a, b, lambda kept: np.ones(3))
    tried = []
    for e in found:
        if e.code == "mirrored":
            tried.append((_unseen(a, b, lambda kept: np.array([-1.0, 1.0, 1.0])), e))
        elif e.code == "axis scale":
            axis = AXES.index(str(e.figures["axis"]))
            tried.append((_unseen(a, b, _axis_of(a, b, axis)), e))
        elif e.code == "scale":
            tried.append((_unseen(a, b, lambda kept: np.full(3, _size(b[kept]) / _size(a[kept]))), e))
    tried.sort(key=lambda t: t[0])
    if not tried or tried[0][0] > _UNSEEN * nothing:
        return ()
    if len(tried) > 1 and tried[1][0] < _CLEARLY * tried[0][0]:
        return ()
    return (tried[0][1],)


def _unseen(
    a: NDArray[np.float64], b: NDArray[np.float64], factors: Callable[[NDArray[np.bool_]], NDArray[np.float64]]
) -> float:
    """Root mean square error at points left out one at a time; ``factors`` of the nominal axes from the others."""
    off = []
    for k in range(len(a)):
        kept = np.arange(len(a)) != k
        changed = a * factors(kept)
        rotation, shift = fit_rigid_many(changed[kept][None], b[kept][None])
        off.append(b[k] - (rotation[0] @ changed[k] + shift[0]))
    return _rms(np.array(off))


def _axis_of(
    a: NDArray[np.float64], b: NDArray[np.float64], axis: int
) -> Callable[[NDArray[np.bool_]], NDArray[np.float64]]:
    return lambda kept: _axis_factors(a[kept], b[kept], axis)


def _axis_factors(a: NDArray[np.float64], b: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    def cost(s: float) -> float:
        stretched = a.copy()
        stretched[:, axis] *= s
        return float((rigid_rest(stretched, b) ** 2).sum())

    out = np.ones(3)
    out[axis] = float(minimize_scalar(cost, bounds=(0.5, 2.0), method="bounded").x)
    return out


def _size(points: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.trace(np.cov(points.T))))


def _mirrors(a: NDArray[np.float64], b: NDArray[np.float64], fle_mm: float) -> list[Explanation]:
    """Any mirror equals flipping one axis and turning: one fit answers for all, the axis is named by its data."""
    flipped = a.copy()
    flipped[:, 0] *= -1.0
    rest = rigid_rest(flipped, b)
    p = residual_p(rest, fle_mm)
    rms = _rms(rest)
    axis = _flipped_axis(a, b)
    text = (
        "the measured points are a mirror image of the nominal ones: one axis has the wrong sign, most likely "
        f"{axis} (the flip that needs the smallest turn); rms {rms:.2f} mm if undone"
    )
    if np.linalg.svd(a - a.mean(axis=0), compute_uv=False)[2] < 3.0 * fle_mm * np.sqrt(len(a)):
        return []  # points in one plane have no handedness: their mirror image is a rotation
    return [Explanation("mirrored", text, rms, p, {"axis": axis})]


def _flipped_axis(a: NDArray[np.float64], b: NDArray[np.float64]) -> str:
    """The axis whose flip needs the smallest turn: most likely the one with the wrong sign."""
    turns = []
    for k in range(3):
        flipped = a.copy()
        flipped[:, k] *= -1.0
        rotation, _ = fit_rigid_many(flipped[None], b[None])
        turns.append(float(np.trace(rotation[0])))
    return AXES[int(np.argmax(turns))]


def _orders(nominal: Fiducials, measured: Fiducials, fle_mm: float) -> list[Explanation]:
    orders, rms = fit_orders(nominal.points_mm, measured.points_mm)
    best = orders[0]
    if np.array_equal(best, np.arange(len(best))):
        return []
    rest = rigid_rest(nominal.points_mm, measured.points_mm[best])
    swaps = {nominal.names[i]: measured.names[j] for i, j in enumerate(best) if i != j}
    second = float(rms[1]) if len(rms) > 1 else float("inf")
    words = ", ".join(f"{new} is really {old}" for old, new in swaps.items())
    text = (
        f"landmarks are swapped: what was touched as {words}; rms {rms[0]:.2f} mm in that order "
        f"(next best order {second:.2f} mm)"
    )
    return [
        Explanation(
            "swapped", text, float(rms[0]), residual_p(rest, fle_mm), {"touched_as": {v: k for k, v in swaps.items()}}
        )
    ]


def _scales(nominal: Fiducials, measured: Fiducials, fle_mm: float) -> list[Explanation]:
    out = []
    for scale in axis_scales(nominal, measured, fle_mm):
        stretched = nominal.points_mm.copy()
        stretched[:, AXES.index(scale.axis)] *= scale.scale
        p = residual_p(rigid_rest(stretched, measured.points_mm), fle_mm, 7)
        text = (
            f"axis {scale.axis} is out of scale: measured {100 * (scale.scale - 1):+.2f} % "
            f"(+-{100 * scale.standard_uncertainty:.2f} %) against nominal; rms {scale.rms_mm:.2f} mm if undone"
        )
        out.append(Explanation("axis scale", text, scale.rms_mm, p, scale.as_json()))
    a, b = nominal.points_mm, measured.points_mm
    ratio = float(np.sqrt(np.trace(np.cov(b.T)) / np.trace(np.cov(a.T))))
    rest = rigid_rest(a, b / ratio)  # in nominal lengths, so that micrometres are judged as mm are
    text = (
        f"all axes are out of scale alike, {100 * (ratio - 1):+.2f} % (units, or speed of sound); "
        f"rms {_rms(rest):.2f} mm if undone"
    )
    out.append(Explanation("scale", text, _rms(rest), residual_p(rest, fle_mm, 7), {"scale": ratio}))
    return out


def _bad_points(nominal: Fiducials, measured: Fiducials, fle_mm: float) -> list[Explanation]:
    n = len(nominal)
    if n < 4:
        return []
    out = []
    for k in range(n):
        keep = np.arange(n) != k
        a, b = nominal.points_mm, measured.points_mm
        rotation, shift = fit_rigid_many(a[keep][None], b[keep][None])
        rest = b - (a @ rotation[0].T + shift[0])
        away = rest[k]
        text = (
            f"{nominal.names[k]} lies {np.linalg.norm(away):.2f} mm from where the other {n - 1} put it "
            f"({away[0]:+.2f}, {away[1]:+.2f}, {away[2]:+.2f}); rms of the others {_rms(rest[keep]):.2f} mm"
        )
        p = residual_p(rest[keep], fle_mm)
        out.append(
            Explanation("bad point", text, _rms(rest[keep]), p, {"name": nominal.names[k], "away_mm": away.tolist()})
        )
    return out


def _rms(rest: NDArray[np.float64]) -> float:
    return float(np.sqrt((rest**2).sum(axis=1).mean()))
