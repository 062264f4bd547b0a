"""The line at rest, the ladder of the tip pressure and the ledger of volumes; a case on either side of every limit."""

from __future__ import annotations

import pytest

from hal.errors import LimitViolation
from rig.safety.limits import PressureLimits, VolumeLimits
from rig.safety.line_at_rest import LineAtRest
from rig.safety.pressure import LineModel, PressureWatch, Verdict
from rig.safety.run_on import check_run_on, run_on_kpa, run_on_ml
from rig.safety.stop import Severity
from rig.safety.volume import PumpedVolume, VolumeLedger

LINE = LineModel(0.5, 3.1, 1.5)
LADDER = PressureLimits()


def test_a_line_at_rest_reads_its_zero_within_five_kilopascals() -> None:
    rest = LineAtRest(LADDER)
    assert rest.evaluate(5.0) is None and rest.evaluate(-5.0) is None
    for kpa in (5.1, -5.1, float("nan")):
        trip = rest.evaluate(kpa)
        assert trip is not None and trip.source == "pressure_at_rest" and trip.severity is Severity.HOLD


def test_what_an_infusion_left_may_still_be_there_and_can_only_leave() -> None:
    rest = LineAtRest(LADDER)
    rest.left(30.0)
    assert rest.evaluate(35.0) is None and rest.evaluate(-4.0) is None
    assert rest.evaluate(35.1) is not None and rest.evaluate(-5.1) is not None
    rest.left(-3.0)
    assert rest.left_kpa == 0.0
    rest.left(30.0)
    rest.zeroed()
    assert rest.evaluate(6.0) is not None


def level(tip_kpa: float) -> tuple[Verdict, str, Severity | None]:
    """A steady tip pressure with full flow at 3 mL/min: the line loses 3.1 x 1.5 x 3 = 13.95 kPa."""
    watch = PressureWatch(LINE, LADDER)
    for k in range(30):
        watch.update(k * 20_000_000, tip_kpa + 13.95, 3.0, 1.0 + k * 0.001)
    verdict, trip = watch.judge(3.0)
    assert watch.warned is (tip_kpa >= 50.0)
    return verdict, "" if trip is None else trip.source, None if trip is None else trip.severity


@pytest.mark.parametrize(
    ("tip_kpa", "expected"),
    [
        (49.9, (Verdict.FLOWING, "", None)),
        (50.1, (Verdict.FLOWING, "", None)),
        (74.9, (Verdict.FLOWING, "", None)),
        (75.1, (Verdict.OVER_PRESSURE, "tip_pressure", Severity.HOLD)),
        (100.1, (Verdict.OVER_PRESSURE, "tip_pressure", Severity.HOLD)),
        (137.9, (Verdict.OVER_PRESSURE, "tip_pressure", Severity.HOLD)),
        (138.1, (Verdict.OVER_PRESSURE, "tip_pressure_hard", Severity.HARD)),
    ],
)
def test_the_ladder_of_the_tip_pressure(tip_kpa: float, expected: tuple[Verdict, str, Severity | None]) -> None:
    assert level(tip_kpa) == expected


def test_the_step_of_the_ladder_that_was_passed_is_the_one_that_is_reported() -> None:
    for tip_kpa, limit_kpa in ((90.0, 75.0), (110.0, 100.0)):
        watch = PressureWatch(LINE, LADDER)
        for k in range(30):
            watch.update(k * 20_000_000, tip_kpa + 13.95, 3.0, 1.0 + k * 0.001)
        trip = watch.judge(3.0)[1]
        assert trip is not None and trip.limit == limit_kpa and trip.value == pytest.approx(tip_kpa, abs=0.1)


def test_a_line_model_says_loss_time_and_slope() -> None:
    assert LINE.compliance_ml_kpa == pytest.approx(0.0005)
    assert LINE.loss_kpa_min_ml == pytest.approx(4.65)
    assert LINE.tau_s == pytest.approx(4.65 * 60 * 0.0005)
    assert LINE.blocked_slope_kpa_s(3.0) == pytest.approx(100.0)
    assert LINE.stored_ml(40.0) == pytest.approx(0.02) and LINE.stored_ml(-40.0) == 0.0


def silent(kpa: float, rate_ml_min: float = 3.0, seconds: float = 3.0, baseline_kpa: float = 0.0) -> bool:
    watch = PressureWatch(LINE, LADDER, baseline_kpa)
    for k in range(1, int(seconds * 50) + 1):
        watch.update(k * 20_000_000, baseline_kpa + kpa, rate_ml_min, rate_ml_min / 60.0 * 0.02 * k)
        trip = watch.judge(rate_ml_min)[1]
        if trip is not None:
            assert trip.source == "pressure_silent" and trip.severity is Severity.HOLD
            return True
    return False


def test_a_sensor_must_show_half_of_what_line_and_needle_take() -> None:
    assert not silent(7.1)  # half of 13.95 kPa is 6.98
    assert silent(6.8)
    assert silent(0.0)
    assert not silent(0.0, seconds=1.5)  # 0.075 mL: not yet due


def test_a_soft_line_takes_its_time_to_answer() -> None:
    soft = LineModel(5.0, 3.1, 1.5)  # time constant 1.4 s: 70 % of the answer after 1.68 s
    watch = PressureWatch(soft, LADDER)
    for k in range(1, 87):
        watch.update(k * 20_000_000, 5.2, 3.0, 0.001 * k)
        assert watch.judge(3.0)[1] is None
    for k in range(87, 300):
        watch.update(k * 20_000_000, 5.2, 3.0, 0.001 * k)
    trip = watch.judge(3.0)[1]
    assert trip is not None and trip.source == "pressure_silent" and trip.limit == pytest.approx(6.975, abs=0.15)


def test_a_steady_pressure_is_no_closed_line_while_the_pump_runs() -> None:
    watch = PressureWatch(LINE, LADDER)
    for k in range(20):  # 0.1 mL of the 0.12 mL pumped would be in the line, but nothing rises any more
        watch.update(k * 20_000_000, 200.0, 3.0, 0.1 + 0.001 * k)
    assert not watch.nothing_leaves(3.0)
    assert watch.nothing_leaves(0.0)


def test_two_readings_of_one_moment_have_no_slope() -> None:
    watch = PressureWatch(LINE, LADDER)
    watch.update(0, 10.0, 3.0, 0.1)
    assert watch.update(0, 20.0, 3.0, 0.1).slope_kpa_s == 0.0


def test_a_loss_too_small_to_show_proves_nothing() -> None:
    assert not silent(0.0, rate_ml_min=0.6, seconds=20.0)  # half of 2.8 kPa is 1.4
    assert silent(0.0, rate_ml_min=0.7, seconds=20.0)  # half of 3.3 kPa is 1.6


def test_the_answer_counts_from_the_line_at_rest() -> None:
    assert silent(6.8, baseline_kpa=-5.0) and not silent(7.1, baseline_kpa=-5.0)
    # What the last infusion left may be going while this one comes: half of the answer must be a rise.
    assert silent(3.4, baseline_kpa=20.0) and not silent(3.6, baseline_kpa=20.0)


def fall(before_kpa: float, after_kpa: float, flow_share: float = 1.0) -> str:
    watch = PressureWatch(LINE, LADDER)
    for k in range(30):
        watch.update(k * 20_000_000, before_kpa, 3.0, 1.0 + k * 0.001 * flow_share)
    end_ns = 29 * 20_000_000
    for k in range(30, 60):
        watch.update(k * 20_000_000, after_kpa, 0.0, 1.029)
    trip = watch.fall_fault(3.0, end_ns)
    return "" if trip is None else trip.source


def test_the_loss_in_the_line_goes_when_the_pump_stops() -> None:
    assert fall(40.0, 32.9) == ""
    assert fall(40.0, 33.1) == "pressure_fall"
    assert fall(40.0, 33.1, flow_share=0.6) == ""  # a line that did not take the flow to the end proves nothing


def test_no_reading_is_no_verdict() -> None:
    watch = PressureWatch(LINE, LADDER)
    assert watch.judge(3.0) == (Verdict.FLOWING, None)
    assert watch.newest is None and watch.escaped_share() == 1.0 and not watch.nothing_leaves(3.0)
    assert watch.fall_fault(3.0, 0) is None


def test_run_on_counts_watchdog_and_notice() -> None:
    assert run_on_ml(1.0, 6.0, 1.0) == pytest.approx(0.11)
    # 75 kPa at the tip, 13.95 in the line, 0.055 mL into 0.75 x 0.5 uL/kPa.
    assert run_on_kpa(LINE, LADDER, 3.0, 0.055) == pytest.approx(75.0 + 13.95 + 0.055 / 0.000375)
    check_run_on(LINE, 300.0, LADDER, 0.0786, 3.0, None)
    with pytest.raises(LimitViolation, match="rating"):
        check_run_on(LINE, 298.0, LADDER, 0.0786, 3.0, None)
    soft = LineModel(5.0, 3.1, 1.5)
    check_run_on(soft, 300.0, LADDER, 0.3, 3.0, None)
    with pytest.raises(LimitViolation, match="host has died"):
        check_run_on(soft, 300.0, LADDER, 0.31, 3.0, None)


def test_volumes_add_up_with_their_bounds() -> None:
    total = PumpedVolume.counted(0.2) + PumpedVolume(0.1, 0.4)
    assert (total.min_ml, total.max_ml) == (pytest.approx(0.3), pytest.approx(0.6))
    assert not total.known and total.ml is None and str(total) == "at least 0.3, at most 0.6 mL"
    assert PumpedVolume.counted(0.2).ml == 0.2 and str(PumpedVolume.counted(0.2)) == "0.2 mL"


@pytest.mark.parametrize(
    ("volume_ml", "rate_ml_min", "test", "allowed"),
    [
        (0.3, 6.0, True, True),
        (0.3001, 6.0, True, False),
        (0.3, 6.0001, True, False),
        (5.0, 6.0, False, True),
        (5.0001, 6.0, False, False),
        (0.0, 6.0, False, False),
        (0.1, 0.0, False, False),
    ],
)
def test_an_infusion_is_held_against_its_limits(
    volume_ml: float, rate_ml_min: float, test: bool, allowed: bool
) -> None:
    ledger = VolumeLedger(VolumeLimits())
    if allowed:
        ledger.check(volume_ml, rate_ml_min, test=test)
        return
    with pytest.raises(LimitViolation):
        ledger.check(volume_ml, rate_ml_min, test=test)


def test_what_went_in_before_counts() -> None:
    ledger = VolumeLedger(VolumeLimits())
    ledger.add(PumpedVolume.counted(0.25), test=True)
    ledger.add(PumpedVolume.counted(0.5), test=True)
    assert (ledger.test_n, ledger.test_ml, ledger.injected_ml) == (2, 0.75, 0.0)
    ledger.check(0.25, 3.0, test=True)
    with pytest.raises(LimitViolation, match="a trial"):
        ledger.check(0.2501, 3.0, test=True)
    ledger.add(PumpedVolume.counted(4.5), test=False)
    assert ledger.injected_ml == 4.5 and ledger.test_n == 2
    ledger.check(0.5, 3.0, test=False)
    with pytest.raises(LimitViolation, match="injected volume"):
        ledger.check(0.5001, 3.0, test=False)
    ledger.reset()
    assert (ledger.test_n, ledger.test_ml, ledger.injected_ml) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("volume", "test", "over"), [(5.054, False, False), (5.056, False, True), (1.014, True, False), (1.016, True, True)]
)
def test_a_ledger_over_its_limit_is_a_hard_stop(volume: float, test: bool, over: bool) -> None:
    ledger = VolumeLedger(VolumeLimits())  # 1 % and 5 uL of the count's own error
    ledger.add(PumpedVolume(0.0, volume), test=test)
    trip = ledger.evaluate()
    assert (trip is not None) is over
    assert trip is None or (trip.source, trip.severity) == ("volume_ledger", Severity.HARD)


def test_a_volume_that_is_no_number_is_over_the_limit() -> None:
    ledger = VolumeLedger(VolumeLimits())
    ledger.add(PumpedVolume(0.0, float("nan")), test=False)
    assert ledger.evaluate() is not None
