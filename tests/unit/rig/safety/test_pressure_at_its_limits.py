"""The pressure rule exactly at each of its limits, on readings that floating point holds without rounding.

Readings come every 1/32 s and volumes in 1/1024 mL, so that rates, slopes and means are exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rig.safety.limits import PressureLimits
from rig.safety.pressure import LineModel, PressureWatch, TipReading, Verdict
from rig.safety.stop import Severity, Trip

STEP_NS, STEP_ML = 31_250_000, 1 / 1024
RATE = 60.0 * STEP_ML * 32
"""1.875 mL/min: one step of volume a step of time."""
NO_LOSS = LineModel(0.5, 0.0, 1.5)
"""Tip and sensor read the same."""


def fed(
    kpa: Sequence[float], ml: Sequence[float], *, line: LineModel = NO_LOSS, rate: float = RATE, rest_kpa: float = 0.0
) -> PressureWatch:
    watch = PressureWatch(line, PressureLimits(), rest_kpa)
    for k, (p, v) in enumerate(zip(kpa, ml, strict=True)):
        watch.update(k * STEP_NS, p, rate, v)
    return watch


def steady(kpa: float, n: int = 12, *, line: LineModel = NO_LOSS, rate: float = RATE) -> PressureWatch:
    """A level, with all that is pumped going through."""
    return fed([kpa] * n, [1.0 + k * STEP_ML for k in range(n)], line=line, rate=rate)


def newest(watch: PressureWatch) -> TipReading:
    assert watch.newest is not None
    return watch.newest


# ---- when something has begun to be pumped -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("kpa", "ml", "begun"), [(0.0, 0.05, False), (0.0, 0.0501, True), (1.0, 0.0, False), (1.01, 0.0, True)]
)
def test_pumping_has_begun_above_one_kilopascal_or_a_twentieth_of_a_millilitre(
    kpa: float, ml: float, begun: bool
) -> None:
    watch = fed([kpa, kpa], [ml, ml + STEP_ML])
    # Flow is judged from the onset on: a reading that is itself the onset has none.
    assert newest(watch).flow_ml_min == (pytest.approx(RATE) if begun else 0.0)


def test_the_onset_is_counted_from_the_pressure_at_rest() -> None:
    assert newest(fed([21.0, 21.0], [0.0, STEP_ML], rest_kpa=20.0)).flow_ml_min == 0.0
    assert newest(fed([21.01, 21.01], [0.0, STEP_ML], rest_kpa=20.0)).flow_ml_min == pytest.approx(RATE)


def test_readings_from_before_the_onset_are_not_in_the_slope() -> None:
    watch = fed([0.0, 0.0, 8.0], [0.0, 0.0, 0.0])
    assert (newest(watch).slope_kpa_s, newest(watch).tip_kpa) == (0.0, 8.0)


# ---- one reading -------------------------------------------------------------------------------------------


def test_the_window_holds_readings_up_to_120_milliseconds_old() -> None:
    for ns, kpa in ((120_000_000, 6.0), (120_000_001, 12.0)):
        watch = PressureWatch(NO_LOSS, PressureLimits())
        watch.update(0, 0.0, RATE, 1.0)
        watch.update(ns, 12.0, RATE, 1.0)
        assert newest(watch).tip_kpa == kpa  # mean of 0 and 12, or 12 alone


def test_two_readings_have_a_slope() -> None:
    watch = fed([10.0, 11.0], [1.0, 1.0])
    assert newest(watch).slope_kpa_s == 32.0


def test_flow_is_the_rate_without_what_the_line_takes_up_and_the_tip_has_no_line_loss() -> None:
    soft = LineModel(2.0, 2.0, 1.5)  # 3 kPa per mL/min, 0.002 mL/kPa
    watch = fed([10.0, 10.25, 10.5], [1.0, 1.0 + STEP_ML, 1.0 + 2 * STEP_ML], line=soft)
    assert newest(watch).slope_kpa_s == 8.0
    flow = RATE - 60.0 * 0.002 * 8.0
    assert newest(watch).flow_ml_min == pytest.approx(flow)
    assert newest(watch).tip_kpa == pytest.approx(10.25 - 3.0 * flow)


def test_a_line_that_takes_up_more_than_is_pumped_has_no_flow_and_no_negative_one() -> None:
    assert newest(fed([10.0, 20.0], [1.0, 1.0 + STEP_ML], line=LineModel(2.0, 2.0))).flow_ml_min == 0.0


# ---- when tissue has opened --------------------------------------------------------------------------------


def test_tissue_counts_as_open_after_four_readings_with_flow() -> None:
    # The first reading is the onset and has no flow.
    assert steady(9.0, 4).opening_kpa is None
    assert steady(9.0, 5).opening_kpa == 9.0


def test_a_reading_without_flow_begins_the_four_anew() -> None:
    ml = [1.0, 1.0 + STEP_ML, 1.0 + 2 * STEP_ML, 1.0 + 3 * STEP_ML]
    jump = [9.0, 9.0, 9.0, 9.0, 90.0]  # what is pumped goes into the line
    more = [*ml, *[1.0 + k * STEP_ML for k in range(4, 12)]]
    watch = fed([*jump, *[90.0] * 7], more, line=LineModel(2.0, 0.0))
    flows = [r.flow_ml_min for r in watch.readings]
    assert flows[4] == 0.0 and all(f > 0.0 for f in flows[9:])
    assert flows.index(0.0, 1) == 4
    first = next(k for k in range(5, 12) if flows[k] > 0.0)
    assert fed([*jump, *[90.0] * (first - 2)], more[: first + 3], line=LineModel(2.0, 0.0)).opening_kpa is None
    assert fed([*jump, *[90.0] * (first - 1)], more[: first + 4], line=LineModel(2.0, 0.0)).opening_kpa is not None


def test_open_is_a_flow_of_three_tenths_of_the_rate() -> None:
    assert steady(9.0, rate=6.25).opening_kpa == 9.0  # 1.875 of 6.25 mL/min
    assert steady(9.0, rate=6.26).opening_kpa is None
    assert steady(9.0, rate=0.0).opening_kpa is None  # a pump that stands opens nothing


def test_the_opening_pressure_is_that_of_the_tip_and_never_below_rest() -> None:
    lossy = LineModel(0.5, 2.0, 1.5)  # 3 kPa per mL/min
    kpa, ml = [20.0] * 8, [1.0 + k * STEP_ML for k in range(8)]
    assert fed(kpa, ml, line=lossy).opening_kpa == pytest.approx(20.0 - 3.0 * RATE)
    assert fed(kpa, ml, line=lossy, rest_kpa=18.0).opening_kpa == 18.0


def test_the_opening_pressure_is_reported_once_and_the_peak_is_the_highest_tip() -> None:
    kpa = [9.0] * 8 + [30.0] * 8 + [12.0] * 8
    watch = fed(kpa, [1.0 + k * STEP_ML for k in range(24)])
    assert watch.opening_kpa == 9.0 and watch.peak_kpa == 30.0


# ---- what is still in the line -----------------------------------------------------------------------------


def test_the_share_that_escaped_is_what_the_line_does_not_hold() -> None:
    watch = fed([30.0, 50.0], [0.0625, 0.125], rest_kpa=10.0)  # 40 kPa x 0.5 uL/kPa of 0.125 mL
    assert watch.escaped_share() == pytest.approx(1.0 - 0.02 / 0.125)
    assert fed([30.0], [0.0]).escaped_share() == 1.0


def test_a_standing_line_that_holds_seven_tenths_is_closed() -> None:
    assert fed([0.0, 100.0], [0.0, 0.0714]).nothing_leaves(0.0)  # 0.05 of 0.0714 mL: 0.2997 escaped
    assert not fed([0.0, 100.0], [0.0, 0.0715]).nothing_leaves(0.0)


def test_the_slope_of_a_closed_line_may_be_down_to_six_tenths_of_the_full_one() -> None:
    stiff = LineModel(0.5, 0.0)
    kpa = [2.0 + 2.0 * k for k in range(5)]  # 64 kPa/s
    full = 0.6 * stiff.blocked_slope_kpa_s(3.2)
    assert full == 64.0
    watch = fed(kpa, [k * 0.001 for k in range(5)], line=stiff, rate=3.2)
    assert watch.nothing_leaves(3.2) and not watch.nothing_leaves(3.21)


def test_a_line_that_closes_late_is_counted_from_the_last_flow() -> None:
    # 1 mL has long gone; then 2 kPa a step against 1 uL a step: all of it stays in the line.
    kpa = [5.0] * 12 + [5.0 + 2.0 * k for k in range(1, 9)]
    ml = [1.0 + k * STEP_ML for k in range(20)]
    watch = fed(kpa, ml)
    assert watch.escaped_share() > 0.9
    assert watch.nothing_leaves(RATE) and not watch.nothing_leaves(0.0)


# ---- a sensor that does not answer -------------------------------------------------------------------------

THIN = LineModel(0.5, 13.4, 1.5)
"""20.1 kPa per mL/min; time constant 0.603 s."""


def silent(kpa: float, ml: float, *, line: LineModel = THIN, rate: float = 3.0, rest_kpa: float = 0.0) -> Trip | None:
    """Onset at 0 mL by pressure, then this reading at this volume."""
    watch = PressureWatch(line, PressureLimits(), rest_kpa)
    watch.update(0, rest_kpa + 1.5, rate, 0.0)
    watch.update(10 * STEP_NS, kpa, rate, ml)
    trip = watch.judge(rate)[1]
    return trip if trip is not None and trip.source == "pressure_silent" else None


def test_the_answer_is_due_after_eighty_microlitres() -> None:
    assert silent(5.0, 0.0799) is None
    trip = silent(5.0, 0.08)
    assert trip is not None and trip.severity is Severity.HOLD


def test_half_of_the_loss_is_due_as_far_as_the_line_has_filled() -> None:
    least = 0.5 * 60.3 * (1.0 - 2.718281828459045 ** (-1.6 / 0.603))  # 0.08 mL at 3 mL/min are 1.6 s
    trip = silent(least - 0.01, 0.08)
    assert trip is not None
    assert (trip.value, trip.limit) == (pytest.approx(least - 0.01), pytest.approx(least))
    assert "line and needle alone take 56.1 kPa" in trip.reason
    assert silent(least + 0.01, 0.08) is None


def test_a_zero_that_reads_low_is_allowed_for_and_one_that_reads_high_is_not() -> None:
    assert silent(26.1, 0.08, rest_kpa=-2.0) is None  # 28.1 above rest
    assert silent(25.9, 0.08, rest_kpa=-2.0) is not None
    assert silent(28.1, 0.08, rest_kpa=2.0) is None
    assert silent(27.9, 0.08, rest_kpa=2.0) is not None


def test_half_of_what_is_due_must_be_a_rise() -> None:
    assert silent(44.1, 0.08, rest_kpa=30.0) is None  # half of 28.02 is 14.01
    assert silent(43.9, 0.08, rest_kpa=30.0) is not None


def test_the_highest_reading_counts_as_the_rise() -> None:
    watch = PressureWatch(THIN, PressureLimits(), 30.0)
    for k, (kpa, ml) in enumerate([(31.5, 0.0), (50.0, 0.02), (40.0, 0.08)]):
        watch.update(10 * k * STEP_NS, kpa, 3.0, ml)
    assert watch.judge(3.0) == (Verdict.FLOWING, None)


def test_a_loss_whose_half_is_one_and_a_half_kilopascals_must_show() -> None:
    for resistance, expected in ((2.0, True), (1.99, False)):
        watch = PressureWatch(LineModel(0.5, resistance, 1.5), PressureLimits())
        watch.update(0, 0.0, 1.0, 1.0)
        watch.update(STEP_NS, 0.0, 1.0, 9.0)  # long since filled
        assert (watch.judge(1.0)[0] is Verdict.STOPPED) is expected


def test_a_line_without_loss_and_a_pump_that_stands_are_not_asked() -> None:
    assert silent(5.0, 0.5, line=NO_LOSS) is None
    assert silent(5.0, 0.5, rate=0.0) is None


# ---- the fall after the stop -------------------------------------------------------------------------------

LOSSY = LineModel(0.5, 4.0, 1.0)
"""4 kPa per mL/min: 7.5 kPa at 1.875 mL/min, of which 3.75 must go."""


def fall(
    *, after: Sequence[float] = (26.25,) * 4, flowing_n: int = 8, line: LineModel = LOSSY, rate: float = RATE,
    share: float = 1.0,
) -> Trip | None:  # fmt: skip
    """30 kPa while it flows, then these readings."""
    watch = PressureWatch(line, PressureLimits())
    for k in range(flowing_n):
        watch.update(k * STEP_NS, 30.0, rate, 1.0 + k * STEP_ML * share)
    for k, kpa in enumerate(after, start=flowing_n):
        watch.update(k * STEP_NS, kpa, 0.0, 1.0 + flowing_n * STEP_ML)
    return watch.fall_fault(rate, (flowing_n - 1) * STEP_NS)


def test_a_fall_of_half_the_loss_is_enough_and_less_is_not() -> None:
    assert fall() is None
    trip = fall(after=[26.5] * 4)
    assert trip is not None and (trip.source, trip.severity) == ("pressure_fall", Severity.HOLD)
    assert (trip.value, trip.limit) == (3.5, 3.75)
    assert "fell by 3.5 kPa" in trip.reason and "took 7.5 kPa at 1.875 mL/min" in trip.reason


def test_the_fall_is_between_the_means_of_four_readings() -> None:
    assert fall(after=[30.0, 30.0, 27.25, 26.25, 26.25, 25.25]) is None
    assert fall(after=[20.0, 20.0, 27.25, 26.25, 26.25, 25.5]) is not None


def test_a_fall_needs_four_readings_on_either_side() -> None:
    assert fall(after=[30.0] * 4) is not None and fall(after=[30.0] * 3) is None
    # The onset has no flow, so that five readings are needed for four with flow.
    assert fall(after=[30.0] * 4, flowing_n=5) is not None and fall(after=[30.0] * 4, flowing_n=4) is None
    assert fall(after=[30.0] * 4, flowing_n=3) is None


def test_a_loss_whose_half_is_one_and_a_half_kilopascals_must_fall() -> None:
    assert fall(after=[30.0] * 4, line=LineModel(0.5, 1.6, 1.0)) is not None  # 3 kPa at 1.875 mL/min
    assert fall(after=[30.0] * 4, line=LineModel(0.5, 1.59, 1.0)) is None


def test_a_line_must_have_taken_seven_tenths_of_the_flow_to_the_end() -> None:
    assert fall(after=[30.0] * 4, share=0.71) is not None
    assert fall(after=[30.0] * 4, share=0.69) is None


# ---- the ladder --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kpa", "warned", "verdict", "source", "limit"),
    [
        (49.5, False, Verdict.FLOWING, "", 0.0),
        (50.0, True, Verdict.FLOWING, "", 0.0),
        (74.5, True, Verdict.FLOWING, "", 0.0),
        (75.0, True, Verdict.OVER_PRESSURE, "tip_pressure", 75.0),
        (99.5, True, Verdict.OVER_PRESSURE, "tip_pressure", 75.0),
        (100.0, True, Verdict.OVER_PRESSURE, "tip_pressure", 100.0),
        (137.5, True, Verdict.OVER_PRESSURE, "tip_pressure", 100.0),
        (138.0, True, Verdict.OVER_PRESSURE, "tip_pressure_hard", 138.0),
    ],
)
def test_each_step_of_the_ladder_begins_at_its_figure(
    kpa: float, warned: bool, verdict: Verdict, source: str, limit: float
) -> None:
    watch = steady(kpa)
    found, trip = watch.judge(RATE)
    assert (watch.warned, found) == (warned, verdict)
    assert (trip is None) is (source == "")
    if trip is not None:
        assert (trip.source, trip.value, trip.limit) == (source, kpa, limit)
        assert trip.severity is (Severity.HARD if source == "tip_pressure_hard" else Severity.HOLD)
        named = "hard" if kpa >= 138.0 else "stop" if kpa >= 100.0 else "hold"
        assert f"{named} limit {limit:g}" in trip.reason


def test_a_warning_stays_when_the_pressure_has_fallen() -> None:
    watch = steady(60.0)
    watch.judge(RATE)
    watch.update(100 * STEP_NS, 10.0, RATE, 1.1)
    watch.judge(RATE)
    assert watch.warned


def test_a_closed_line_is_judged_by_its_sensor_and_reported_with_its_figures() -> None:
    stiff = LineModel(0.5, 3.1, 1.5)
    watch = PressureWatch(stiff, PressureLimits())
    for k in range(41):  # 100 kPa/s: what 3 mL/min do to a closed line of 0.5 uL/kPa
        watch.update(k * 20_000_000, 2.0 * k, 3.0, 0.001 * k)
    verdict, trip = watch.judge(3.0)
    assert verdict is Verdict.BLOCKED and trip is not None
    assert (trip.source, trip.value, trip.limit) == ("line_blocked", 80.0, 75.0)
    assert "rising 100 kPa/s of 100 for a closed line, 0 % of the last volume left it" in trip.reason


def test_what_left_a_closed_line_is_reported_in_per_cent() -> None:
    watch = PressureWatch(LineModel(0.4, 3.1, 1.5), PressureLimits())
    for k in range(41):  # only 0.8 of what is pumped stays
        watch.update(k * 20_000_000, 2.0 * k, 3.0, 0.001 * k)
    trip = watch.judge(3.0)[1]
    assert trip is not None and "rising 100 kPa/s of 125 for a closed line, 18 % of the last volume" in trip.reason


def test_a_slow_pump_opens_tissue_as_well() -> None:
    slow = 0.9375  # half a step of volume a step of time
    watch = fed([9.0] * 8, [1.0 + k * STEP_ML / 2 for k in range(8)], rate=slow)
    assert watch.opening_kpa == 9.0


def test_the_answer_is_due_from_the_onset_on_whenever_that_was() -> None:
    for ml, least in ((0.1399, None), (0.141, 0.5 * 60.3 * (1.0 - 2.718281828459045 ** (-1.62 / 0.603)))):
        watch = PressureWatch(THIN, PressureLimits())
        watch.update(0, 0.0, 3.0, 0.06)  # slack: begun by volume
        watch.update(10 * STEP_NS, 1.0, 3.0, ml)
        trip = watch.judge(3.0)[1]
        assert (None if trip is None else trip.limit) == (least if least is None else pytest.approx(least))
