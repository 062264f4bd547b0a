"""The pressure rule on traces of one compliance, one resistance and a tissue, made here by integration."""

from __future__ import annotations

import math
import random

import pytest

from rig.safety.limits import PressureLimits
from rig.safety.pressure import LineModel, PressureWatch, Verdict
from rig.safety.stop import Severity

LIMITS = PressureLimits()
SOFT = LineModel(2.0, 3.1, 1.5)
STIFF = LineModel(0.5, 3.1, 1.5)


def inject(line, rate, volume, tissue, *, true=None, noise_kpa=0.0, after_s=0.0, seed=1):
    """Run a watch over a simulated injection; ``tissue(escaped_ml)`` is the tip back-pressure, inf = closed.

    ``true`` is the line as it really is. Returns watch, verdict, trip and time of the trip.
    """
    real = true or line
    rng = random.Random(seed)
    watch = PressureWatch(line, LIMITS)
    kpa = escaped = pumped = 0.0
    for step in range(int((volume / rate * 60.0 + after_s) * 1000) + 1):
        t = step / 1000.0
        q = rate if pumped < volume else 0.0
        back = tissue(escaped)
        flow = 0.0 if math.isinf(back) else max(0.0, (kpa - back) / real.loss_kpa_min_ml)
        pumped += q / 60.0 / 1000.0
        escaped += flow / 60.0 / 1000.0
        kpa = (pumped - escaped) / real.compliance_ml_kpa
        if step % 20 == 0:
            watch.update(step * 1_000_000, kpa + rng.gauss(0.0, noise_kpa), q, pumped)
            verdict, trip = watch.judge(q)
            if trip is not None:
                return watch, verdict, trip, t
    return watch, verdict, None, t


def perineural(escaped_ml):
    """Opens at 42 kPa, then falls to 70 % of it."""
    return 42.0 if escaped_ml < 0.02 else 29.0 + 13.0 * math.exp(-(escaped_ml - 0.02) / 0.1)


@pytest.mark.parametrize("line", [SOFT, STIFF], ids=["2 uL/kPa", "0.5 uL/kPa"])
@pytest.mark.parametrize("seed", range(5))
def test_an_acceptable_tissue_flows_to_the_end_although_it_first_rises_like_a_closed_line(line, seed):
    watch, verdict, trip, _ = inject(line, 3.0, 1.0, perineural, noise_kpa=0.3, seed=seed)
    assert (verdict, trip) == (Verdict.FLOWING, None)
    assert watch.opening_kpa == pytest.approx(42.0, abs=6.0)
    assert watch.readings[-1].tip_kpa == pytest.approx(29.0, abs=3.0)


@pytest.mark.parametrize("line", [SOFT, STIFF], ids=["2 uL/kPa", "0.5 uL/kPa"])
@pytest.mark.parametrize("rate", [1.0, 3.0, 6.0])
def test_a_closed_line_is_recognised_before_the_stop_limit(line, rate):
    _watch, verdict, trip, t = inject(line, rate, 1.0, lambda _: math.inf, noise_kpa=0.3)
    assert verdict is Verdict.BLOCKED
    assert trip.severity is Severity.HOLD and trip.source == "line_blocked"
    assert LIMITS.hold_kpa - 2.0 <= trip.value < LIMITS.stop_kpa
    assert t == pytest.approx(LIMITS.hold_kpa / line.blocked_slope_kpa_s(rate), abs=0.2)


def test_twenty_five_kilopascals_per_second_alone_are_not_a_blocked_line():
    assert SOFT.blocked_slope_kpa_s(3.0) == pytest.approx(25.0)
    watch, verdict, _, _ = inject(SOFT, 3.0, 0.05, lambda _: math.inf)
    assert max(r.slope_kpa_s for r in watch.readings) == pytest.approx(25.0, abs=0.5)
    assert verdict is Verdict.FLOWING


def test_a_test_injection_that_vanishes_in_a_soft_line_is_distinguished_from_one_that_flowed():
    closed, _, trip, _ = inject(SOFT, 3.0, 0.1, lambda _: math.inf, after_s=2.0)
    assert trip is None  # 0.1 mL in 2 uL/kPa is 50 kPa only
    assert closed.nothing_leaves(0.0)
    opened, _, _, _ = inject(SOFT, 3.0, 0.1, lambda _: 15.0, after_s=2.0)
    assert not opened.nothing_leaves(0.0)
    assert opened.escaped_share() == pytest.approx(1.0 - 2e-3 * 15.0 / 0.1, abs=0.05)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_compliance_known_to_a_quarter_is_good_enough(factor):
    real = LineModel(SOFT.compliance_ul_kpa * factor, SOFT.resistance_kpa_min_ml, SOFT.k_line)
    _, verdict, _, _ = inject(SOFT, 3.0, 1.0, lambda _: math.inf, true=real)
    assert verdict is Verdict.BLOCKED
    _, verdict, trip, _ = inject(SOFT, 3.0, 1.0, perineural, true=real)
    assert (verdict, trip) == (Verdict.FLOWING, None)


def test_line_loss_does_not_count_as_tip_pressure():
    thin = LineModel(0.5, 13.4, 1.5)  # 25G x 90: 60 kPa lost at 3 mL/min
    watch, verdict, trip, _ = inject(thin, 3.0, 1.0, lambda _: 20.0)
    assert trip is None and verdict is Verdict.FLOWING
    assert max(r.sensor_kpa for r in watch.readings) > LIMITS.hold_kpa
    assert watch.readings[-1].tip_kpa == pytest.approx(20.0, abs=1.0)


def test_pressure_that_rises_while_it_flows_is_over_pressure():
    _, verdict, trip, _ = inject(STIFF, 3.0, 2.0, lambda escaped: 20.0 + 60.0 * escaped)
    assert verdict is Verdict.OVER_PRESSURE and trip.source == "tip_pressure"
    assert trip.severity is Severity.HOLD


def test_the_hard_limit_is_a_hard_stop():
    watch = PressureWatch(STIFF, LIMITS)
    for i in range(10):
        watch.update(i * 20_000_000, 160.0, 3.0, 1.0 + 0.001 * i)
    _, trip = watch.judge(3.0)
    assert trip.severity is Severity.HARD


def test_air_has_no_opening_pressure_worth_the_name():
    watch, verdict, _, _ = inject(STIFF, 3.0, 0.5, lambda _: 0.0)
    assert verdict is Verdict.FLOWING
    assert watch.opening_kpa == pytest.approx(0.0, abs=4.0)
    assert watch.peak_kpa < 2.0


def test_what_a_line_still_gives_after_the_stop_is_compliance_times_pressure():
    assert SOFT.stored_ml(100.0) == pytest.approx(0.2)
    assert SOFT.tau_s == pytest.approx(3.1 * 1.5 * 60 * 2e-3)
