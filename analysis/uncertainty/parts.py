"""Parts of a trial's two budgets, from its journal entries ``uncertainty`` and ``reference``.

Places have three components. In the budget of the measurement a part counts per axis (the error is measured along one
direction, its own); in that of the prediction with all three together (the length of the error vector is predicted).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.uncertainty.budget import NOT_KNOWN, Part
from rig.record import Entry, Row

MEASURAND = "measured distance from tip to aim point"
PREDICTED = "predicted error of the tip, three components"
INSTRUMENT, PHANTOM = "reference instrument, one reading", "phantom in the instrument's frame"
THIS_RUN = "this run"
SIMULATED = "simulated truth"
MOVED_MM = 0.05
"""A needle whose feed changed by less since its confirmation stands where it was confirmed."""
BASES = ("HolderToRig", "CarrierToRig", "TrackerToRig", "PhantomToRig")
AT_RECORD, BEFORE = "at_injection", "before_test"
_THREE = np.eye(3)


@dataclass(frozen=True)
class TrialInputs:
    """Inputs that one trial recorded for its budgets."""

    row: Row
    recorded: Mapping[str, Any]
    """Entry ``uncertainty``; empty for a trial that left none."""
    readings: Mapping[str, Mapping[str, Any]]
    """Entries ``reference`` that measured a tip, by moment."""

    @property
    def seen(self) -> Mapping[str, Any] | None:
        """Record of how aim point and tip were seen; None where no image guided the needle."""
        found = self.recorded.get("seen")
        return found if isinstance(found, Mapping) else None

    @property
    def error_mm(self) -> NDArray[np.float64] | None:
        """(3,) found error along the axes of the Phantom frame."""
        values = [self.row[name] for name in ("err_x_mm", "err_y_mm", "err_z_mm")]
        if not all(isinstance(v, float) for v in values):
            return None
        return np.array([float(str(v)) for v in values])

    @property
    def drift_mm(self) -> NDArray[np.float64] | None:
        """(3,) shift of the reference tip between rest at the target and the moment of record; None where
        the needle was moved on purpose in between, or was not read twice."""
        first, last, seen = self.readings.get(BEFORE), self.readings.get(AT_RECORD), self.seen
        if first is None or last is None or (seen is not None and abs(float(seen["moved_since_mm"])) > MOVED_MM):
            return None
        return _vector(last["tip_phantom_mm"]) - _vector(first["tip_phantom_mm"])


def inputs_of(row: Row, events: Sequence[Entry]) -> TrialInputs:
    """Gather the inputs from the journal entries of one trial; the last ``uncertainty`` counts.

    Entries that cannot be read (damaged, or of another version) count as absent: their content is not known.
    """
    recorded: Mapping[str, Any] = {}
    readings: dict[str, Mapping[str, Any]] = {}
    for entry in events:
        if entry.kind == "uncertainty":
            recorded = entry.data
        elif entry.kind == "reference" and entry.data.get("measured") is True:
            readings[str(entry.data.get("moment"))] = entry.data
        elif entry.kind == "reference":  # a reading may be taken back when the needle has moved
            readings.pop(str(entry.data.get("moment")), None)
    found = TrialInputs(row, recorded, readings)
    try:
        measurement = measurement_parts(found, simulated=True)
        prediction_parts(found, None, 0.0)
        shared_roots(found, measurement)
        drift_of([found])
    except (KeyError, TypeError, ValueError, AttributeError):  # LinAlgError is a ValueError
        return TrialInputs(row, {}, {})
    return found


# ---- the measurement -------------------------------------------------------------------------------------------


def measurement_parts(trial: TrialInputs, *, simulated: bool) -> tuple[Part, ...]:
    """Uncertainty of ``tte_mm``: the instrument, its readings, the phantom's place and the aim point."""
    stated = _stated(trial)
    return (
        _per_axis(INSTRUMENT, stated.get("reference instrument")),
        _readings(trial),
        _per_axis(PHANTOM, stated.get("phantom in the instrument")),
        _aim(trial, simulated=simulated),
        _bending(trial),
    )


def _readings(trial: TrialInputs) -> Part:
    """Type A: spread of the readings that were averaged."""
    name, at = "repeated readings, mean of", trial.readings.get(AT_RECORD)
    n = int(at["readings_n"]) if at is not None else 0
    if at is None or n < 2:
        return _unknown(name, "the tip was read less than twice")
    u = float(at["spread_mm"]) / math.sqrt(3.0 * (n - 1))  # rms length of n deviations -> sd of a mean, per axis
    return Part(
        name, float(n), "", u, "mm", "normal", 3.0 * (n - 1), u**2, THIS_RUN, "journal: reference", u**2 * _THREE
    )


def _aim(trial: TrialInputs, *, simulated: bool) -> Part:
    name = "aim point in the cartridge"
    if trial.row["target_source"] == "as_built" and simulated:
        return _exact(name, SIMULATED, "the poured geometry is known")
    if trial.row["target_source"] == "as_built":
        return _unknown(name, "the measurement of the cartridge states none")
    return _unknown(name, "by the drawing: nobody measured the cartridge")


def _bending(trial: TrialInputs) -> Part:
    """Whole expected deflection, as the rig charges it before a study (``experiments.decidable``)."""
    name, sees = "needle bend, not seen", trial.recorded.get("sees_bending")
    if not trial.recorded or sees is None:
        return _unknown(name, "no reference instrument")
    bend_mm = float(trial.recorded["expected_deflection_mm"])
    if sees:
        return _exact(name, "rig file", "the instrument sees the needle bend", bend_mm)
    if trial.recorded.get("bending_included"):
        return _exact(name, "certificate", "within the figure of the instrument", bend_mm)
    source = "bend of the needle by its data sheet, in full"
    return Part(name, bend_mm, "mm", bend_mm, "mm", "normal", None, bend_mm**2, "rig file", source, bend_mm**2 * _THREE)


def _per_axis(name: str, stated: Mapping[str, Any] | None) -> Part:
    if stated is None or stated["u"] is None:
        return _unknown(name, "not recorded" if stated is None else str(stated["source"]))
    u, dof = float(stated["u"]), stated["dof"]
    how, kind, source = str(stated["distribution"]), str(stated["kind"]), str(stated["source"])
    return Part(name, None, "", u, "mm", how, None if dof is None else float(dof), u**2, kind, source, u**2 * _THREE)


# ---- the prediction --------------------------------------------------------------------------------------------


def prediction_parts(trial: TrialInputs, drift_u_mm: float | None, drift_dof: float) -> tuple[Part, ...]:
    """Uncertainty of the error vector, from the image and stated values alone; empty where no image guided the needle.

    ``drift_u_mm``: per axis, of the run's needles that were held as this one.
    """
    seen = trial.seen
    if seen is None:
        return ()
    stated = _stated(trial)
    registration, look = _matrix(seen["registration_mm2"]), _matrix(seen["look_mm2"])
    normal = _vector(seen["elevation_axis"])
    flat = np.eye(3) - np.outer(normal, normal)
    beside = float(normal @ look @ normal)
    build, sound, holder, lag = (
        float(trial.recorded["build_sd_mm"]),
        stated["speed of sound"],
        stated["holder pose"],
        stated["latency"],
    )
    axis, velocity = _vector(seen["needle_axis"]), _vector(seen["velocity_mm_s"])
    moved = float(seen["moved_since_mm"])
    tip_sound, aim_sound = _vector(seen["sound_tip_mm_per_m_s"]), _vector(seen["sound_aim_mm_per_m_s"])
    dof = float(seen["registration_dof"])
    parts = [
        _place("registration of the target, at random", registration, "normal", dof, THIS_RUN, "bone registration"),
        _axes("root in its bone, as poured", build, "normal", "default [A]", "pouring tolerance"),
        _shared(stated["image calibration"], trial),
        _axes("holder pose", float(holder["u"]), str(holder["distribution"]), str(holder["kind"]), holder["source"]),
        replace(
            _scalar("speed of sound", float(seen["sound_speed_m_s"]), "m/s", sound, tip_sound - aim_sound),
            alone_mm=float(sound["u"]) * float(np.linalg.norm(tip_sound)),
        ),
        _place("tip in the image plane", flat @ look @ flat, "normal", None, THIS_RUN, f"look: {seen['method']}"),
        _place(
            "tip across the slice", beside * np.outer(normal, normal), "rectangular", None, THIS_RUN,
            f"slice thickness; look: {seen['method']}",
        ),
        _feed(moved, float(seen["feed_sd_mm"]), axis),
        _scalar("latency x speed", float(np.linalg.norm(velocity)), "mm/s", lag, velocity),
        _drift(drift_u_mm, drift_dof),
    ]  # fmt: skip
    for name in BASES:
        parts.append(_cancelled(stated[name]))
    return tuple(parts)


def seen_mm(trial: TrialInputs) -> NDArray[np.float64] | None:
    """(3,) tip minus aim point as both were seen with the needle at rest: known, so not an uncertainty."""
    return None if trial.seen is None else _vector(trial.seen["tip_minus_aim_mm"])


def drift_of(trials: Sequence[TrialInputs]) -> tuple[float | None, float]:
    """Root mean square per axis of the drifts of some trials, and its degrees of freedom."""
    found = [d for d in (t.drift_mm for t in trials) if d is not None]
    if not found:
        return None, 0.0
    return float(np.sqrt(np.mean(np.square(found)))), 3.0 * len(found)


def shared_roots(trial: TrialInputs, measurement: Sequence[Part]) -> dict[str, NDArray[np.float64]]:
    """Errors that trials of one run share, by cause: (3, k) roots B, so that trials i and j have covariance B_i B_j'.

    One probe calibration serves the run, one gel a cartridge; one instrument and its registration serve the run too,
    since what scatters from reading to reading is a row of its own.
    """
    seen = trial.seen
    if seen is None:
        return {}
    values, axes = np.linalg.eigh(np.asarray(trial.recorded["image_spread"], dtype=np.float64))
    root = axes * np.sqrt(np.clip(values, 0.0, None))
    sound = _vector(seen["sound_tip_mm_per_m_s"]) - _vector(seen["sound_aim_mm_per_m_s"])
    u_m_s = float(_stated(trial)["speed of sound"]["u"])
    found = {
        "image": np.asarray(seen["image_shifts"], dtype=np.float64) @ root,
        f"gel {trial.row['cartridge_id']}": u_m_s * sound[:, None],
    }
    for part in measurement:
        if part.quantity in (INSTRUMENT, PHANTOM) and part.u:
            found[part.quantity] = part.u * _THREE
    return found


def _shared(stated: Mapping[str, Any], trial: TrialInputs) -> Part:
    """Image calibration: the part of its error at the tip that the aim point does not share."""
    seen = trial.seen or {}
    shifts = np.asarray(seen["image_shifts"], dtype=np.float64)
    left = shifts @ np.asarray(trial.recorded["image_spread"], dtype=np.float64) @ shifts.T
    whole = _matrix(seen["image_tip_mm2"])
    u = math.sqrt(float(np.trace(whole)))
    return Part(
        "image calibration, at the tip", None, "", u, "mm", str(stated["distribution"]), stated["dof"],
        float(np.trace(left)), str(stated["kind"]), str(stated["source"]), left, u,
    )  # fmt: skip


def _scalar(name: str, value: float, unit: str, stated: Mapping[str, Any], per_unit: NDArray[np.float64]) -> Part:
    """One number times a direction: ``per_unit`` (3,) mm per unit of the stated uncertainty."""
    u = float(stated["u"])
    covariance = u**2 * np.outer(per_unit, per_unit)
    return Part(
        name, value, unit, u, str(stated["unit"]), str(stated["distribution"]), stated["dof"],
        float(np.trace(covariance)), str(stated["kind"]), str(stated["source"]), covariance,
    )  # fmt: skip


def _feed(moved_mm: float, sd_mm: float, axis: NDArray[np.float64]) -> Part:
    """A tip confirmed where it stands has no feed error; one withdrawn since then has."""
    used = 1.0 if abs(moved_mm) > MOVED_MM else 0.0
    covariance = used * sd_mm**2 * np.outer(axis, axis)
    name, source = "needle feed since its confirmation", "carrier, or the marks of a hand [A]"
    return Part(name, moved_mm, "mm", sd_mm, "mm", "normal", None, used * sd_mm**2, "default [A]", source, covariance)


def _drift(u_mm: float | None, dof: float) -> Part:
    name = "needle drift until it is read"
    if u_mm is None:
        return _unknown(name, "the tip was not read twice at rest")
    covariance = u_mm**2 * _THREE
    return Part(
        name, None, "", u_mm, "mm", "normal", dof, 3.0 * u_mm**2, THIS_RUN, "reference tip, read twice", covariance
    )


def _cancelled(stated: Mapping[str, Any]) -> Part:
    """Place of a base: aim point and tip are both seen through it, so it drops out of their difference."""
    name, u = f"place of {stated['name']}", stated["u"]
    source = f"{stated['source']}, shared by aim and tip"
    return Part(
        name, None, "", None if u is None else float(u), "mm", "normal", None, 0.0, str(stated["kind"]), source,
        np.zeros((3, 3)),
    )  # fmt: skip


def _axes(name: str, u_mm: float, how: str, kind: str, source: str) -> Part:
    return Part(name, None, "", u_mm, "mm", how, None, 3.0 * u_mm**2, kind, source, u_mm**2 * _THREE)


def _place(name: str, covariance: NDArray[np.float64], how: str, dof: float | None, kind: str, source: str) -> Part:
    variance = float(np.trace(covariance))
    return Part(name, None, "", math.sqrt(variance), "mm", how, dof, variance, kind, source, covariance)


def _exact(name: str, kind: str, source: str, value_mm: float | None = None) -> Part:
    unit = "" if value_mm is None else "mm"
    return Part(name, value_mm, unit, 0.0, "mm", "normal", None, 0.0, kind, source, np.zeros((3, 3)))


def _unknown(name: str, source: str) -> Part:
    return Part(name, None, "", None, "mm", "normal", None, None, NOT_KNOWN, source)


def _stated(trial: TrialInputs) -> dict[str, Mapping[str, Any]]:
    return {str(one["name"]): one for one in trial.recorded.get("inputs", [])}


def _vector(values: object) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(3)


def _matrix(values: object) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(3, 3)
