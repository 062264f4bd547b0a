"""Motion that goes on after the host has died."""

import pytest

from hal.errors import LimitViolation
from rig.safety.limits import PressureLimits, VolumeLimits
from rig.safety.pressure import LineModel
from rig.safety.run_on import check_run_on, dose_problem, run_on_kpa, run_on_ml

LINE, LADDER = LineModel(0.5, 3.1, 1.5), PressureLimits()


def test_a_pump_runs_on_for_its_watchdog_but_never_beyond_its_volume():
    assert run_on_ml(0.5, 3.0, 1.0) == pytest.approx(3.0 / 60.0 * 1.1)
    assert run_on_ml(0.02, 3.0, 1.0) == 0.02
    assert run_on_ml(5.0, 3.0, None) == 5.0


def test_the_shipped_rate_stays_below_the_rating_with_a_watchdog_of_one_second_and_not_with_five():
    check_run_on(LINE, 300.0, LADDER, 0.5, 3.0, 1.0)
    with pytest.raises(LimitViolation, match="line pressure after the host has died"):
        check_run_on(LINE, 300.0, LADDER, 0.5, 3.0, 5.0)


def test_a_pump_without_a_watchdog_may_be_given_little_at_a_time_only():
    with pytest.raises(LimitViolation, match=r"volume that goes in after the host has died \(mL\) = 0.5"):
        check_run_on(LINE, 300.0, LADDER, 0.5, 3.0, None)
    check_run_on(LINE, 300.0, LADDER, 0.05, 3.0, None)


def test_a_stiffer_line_rises_faster():
    assert run_on_kpa(LineModel(0.3, 3.1, 1.5), LADDER, 3.0, 0.05) > run_on_kpa(LINE, LADDER, 3.0, 0.05)
    with pytest.raises(LimitViolation):
        check_run_on(LineModel(0.2, 3.1, 1.5), 300.0, LADDER, 0.5, 3.0, 1.0)


def test_the_dose_is_judged_at_the_highest_rate_that_the_rig_allows():
    assert dose_problem(VolumeLimits(), 2.0) == ""
    assert "0.31 mL" in dose_problem(VolumeLimits(), 3.0)
    assert "has no watchdog" in dose_problem(VolumeLimits(), None)
