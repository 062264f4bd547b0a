"""Motion after the host has died: then only the pump's own watchdog or the end of its volume stops it.

The dose beyond that moment stays below ``DOSE_ML`` and the line below its rating, also when the needle has just been
blocked. Motion needs no such rule: never more than 200 ms of it are queued (``rig.instruments.jogs``).
"""

from __future__ import annotations

from hal.errors import LimitViolation
from rig.safety.limits import PressureLimits, VolumeLimits
from rig.safety.pressure import LineModel

DOSE_ML = 0.3
"""Most that may go in once nobody watches: the bolus after an occlusion of a good syringe pump (device QA, 0.3 mL)."""
COMPLIANCE_SHARE = 0.75
"""The compliance of a line is known to about 25 %, and a stiffer one rises faster [A]."""
NOTICE_S = 0.1
"""From the limit's crossing to the stop, which the host may have been about to send (domain 3.2)."""


class Undeclared:
    """A driver does not declare what its pump does when the host dies."""


def run_on_ml(volume_ml: float, rate_ml_min: float, watchdog_s: float | None) -> float:
    """Volume that still goes in after the host has died; without a watchdog all of it."""
    if watchdog_s is None:
        return volume_ml
    return min(volume_ml, rate_ml_min / 60.0 * (watchdog_s + NOTICE_S))


def run_on_kpa(line: LineModel, ladder: PressureLimits, rate_ml_min: float, more_ml: float) -> float:
    """Highest line pressure: at the hold limit when the host dies, and nothing leaves from then on."""
    before_kpa = ladder.hold_kpa + line.loss_kpa_min_ml * rate_ml_min
    return before_kpa + more_ml / (COMPLIANCE_SHARE * line.compliance_ml_kpa)


def dose_problem(limits: VolumeLimits, watchdog_s: float | None) -> str:
    """Fault of a rig's volume limits together with its pump's watchdog; empty when there is none."""
    more_ml = run_on_ml(limits.injection_ml, limits.rate_ml_min, watchdog_s)
    if more_ml <= DOSE_ML:
        return ""
    has = "has no watchdog" if watchdog_s is None else f"stops by itself after {watchdog_s:g} s"
    return (
        f"the pump {has}: at limits.volume.rate_ml_min = {limits.rate_ml_min:g} up to {more_ml:.2f} mL go in after the "
        f"host has died; at most {DOSE_ML:g} mL are allowed; set a shorter watchdog (safe_mode_s of a New Era pump, "
        "portion_s of a Harvard pump) or a lower rate"
    )


def check_run_on(
    line: LineModel,
    rating_kpa: float,
    ladder: PressureLimits,
    volume_ml: float,
    rate_ml_min: float,
    watchdog_s: float | None,
) -> None:
    """Raise ``LimitViolation`` for an infusion that would be unsafe unwatched at some moment."""
    more_ml = run_on_ml(volume_ml, rate_ml_min, watchdog_s)
    if more_ml > DOSE_ML:
        raise LimitViolation("volume that goes in after the host has died (mL)", more_ml, f"0 to {DOSE_ML:g} mL")
    top_kpa = run_on_kpa(line, ladder, rate_ml_min, more_ml)
    if top_kpa > rating_kpa:
        raise LimitViolation(
            f"line pressure after the host has died during {rate_ml_min:g} mL/min, needle blocked (kPa)",
            top_kpa,
            f"the line's rating of {rating_kpa:g} kPa (line.rating_kpa); go slower or set a shorter watchdog",
        )
