import pytest

from hal.errors import LimitViolation
from rig.safety.estop import EStopLatch, EStopState
from rig.safety.interrupt import Interrupt
from rig.safety.limits import Box, Limits, VolumeLimits
from rig.safety.travel import NeedleTravel
from rig.safety.volume import PumpedVolume, VolumeLedger


def test_the_latch_knows_four_states():
    latch = EStopLatch()
    assert latch.state is EStopState.ABSENT and not latch.acknowledge()
    assert latch.update(False) is EStopState.DISENGAGED
    assert latch.update(True) is EStopState.PRESSED and not latch.acknowledge()
    assert latch.update(False) is EStopState.LATCHED
    assert latch.update(False) is EStopState.LATCHED
    assert latch.acknowledge() and latch.state is EStopState.DISENGAGED


def test_an_input_that_vanishes_counts_as_pressed():
    latch = EStopLatch()
    latch.update(False)
    assert latch.update(None) is EStopState.PRESSED
    assert latch.update(False) is EStopState.LATCHED


def test_force_limits_follow_the_gauge_and_an_unknown_gauge_takes_the_finer_one():
    limits = Limits()
    assert [limits.needle_force_n(g) for g in (22, 25)] == [5.0, 3.0]
    assert limits.needle_force_n(24) == limits.needle_force_n(25)
    assert limits.needle_force_n(30) == min(limits.needle_force_n(g) for g in (18, 20, 22, 25, 27))


def test_a_box_names_the_axis_that_leaves_it():
    with pytest.raises(LimitViolation, match=r"probe y \(mm\) = 300"):
        Box().check("probe", 0.0, 300.0, 0.0)


def test_travel_counts_from_the_last_confirmation_and_not_on_the_way_back():
    travel = NeedleTravel(2.0)
    travel.check(2.0)
    travel.moved_to(2.0)
    with pytest.raises(LimitViolation):
        travel.check(2.1)
    travel.confirm()
    travel.moved_to(1.0)
    assert travel.since_confirmed_mm == 0.0
    travel.check(4.0)
    travel.moved_to(-12.0)  # out: a new track begins
    with pytest.raises(LimitViolation):
        travel.check(2.1)


def test_volumes_are_limited_and_reset_with_the_trial():
    ledger = VolumeLedger(VolumeLimits())
    for bad in ((0.0, 3.0, True), (0.31, 3.0, True), (0.1, 7.0, True), (5.1, 3.0, False), (float("nan"), 3.0, False)):
        with pytest.raises(LimitViolation):
            ledger.check(bad[0], bad[1], test=bad[2])
    ledger.add(PumpedVolume.counted(0.9), test=True)
    with pytest.raises(LimitViolation):
        ledger.check(0.2, 3.0, test=True)
    ledger.check(2.0, 3.0, test=False)
    ledger.reset()
    ledger.check(0.2, 3.0, test=True)


def test_limits_hold_for_what_may_have_gone_in_where_only_bounds_are_known():
    ledger = VolumeLedger(VolumeLimits())
    ledger.add(PumpedVolume(0.1, 0.9), test=True)
    with pytest.raises(LimitViolation):
        ledger.check(0.2, 3.0, test=True)
    ledger.add(PumpedVolume(0.0, 4.8), test=False)
    with pytest.raises(LimitViolation):
        ledger.check(0.3, 3.0, test=False)
    assert str(ledger.injected) == "at least 0, at most 4.8 mL" and ledger.injected.ml is None


def test_no_number_of_interrupts_cuts_into_a_stop():
    interrupt = Interrupt()
    for _ in range(5):
        interrupt._handle(2, None)
    assert interrupt.count == 5
