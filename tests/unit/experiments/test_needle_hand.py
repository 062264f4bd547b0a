"""A person at the needle who answers that something cannot be done: nothing is believed to have happened."""

from __future__ import annotations

import pytest
from tiny_devices import Bench, TinyOperator

from experiments.trial.log import TrialLog
from experiments.trial.needle_hand import ABOVE_SKIN_MM, DECLINED, WITHDRAW_ASKED_N, GuidedHand, OperatorHand
from hal.clock import VirtualClock
from hal.errors import LimitViolation, SafetyStop
from hal.types import Instruction, InstructionKind, NeedlePose, OperatorResponse
from rig.safety.stop import HoldRequested

POSE = NeedlePose(10.0, 5.0, 20.0, 0.0, 0.0)


class Person(TinyOperator):
    """Does what is asked, but not what is in ``cannot``; reads the mark when asked for it."""

    def __init__(self, clock: VirtualClock, log: list[str]) -> None:
        super().__init__(clock, log)
        self.cannot: list[InstructionKind] = []
        """One refusal each."""
        self.mark_mm = 0.0
        self.asked: list[InstructionKind] = []

    def begin(self, instruction: Instruction) -> None:
        super().begin(instruction)
        self.asked.append(instruction.kind)

    def poll(self) -> OperatorResponse | None:
        answer = super().poll()
        if answer is None:
            return None
        kind = self.asked[-1]
        if kind in self.cannot:
            self.cannot.remove(kind)
            return OperatorResponse(answer.time_ns, False, "n")
        value = self.mark_mm if kind is InstructionKind.READ_VALUE else None
        return OperatorResponse(answer.time_ns, True, "", value)


class Freehand:
    def __init__(self, *, guided: bool = True) -> None:
        clock = VirtualClock()
        bench = Bench(clock)
        self.person = bench.operator = Person(clock, bench.log)
        self.controller = bench.controller()
        self.controller.start()
        self.hand = (GuidedHand if guided else OperatorHand)(self.controller, TrialLog())

    def at(self, feed_mm: float) -> Freehand:
        """With a needle that stands so deep."""
        self.hand.place_pose(POSE, "place it")
        self.hand.advance(feed_mm, 2.0, blind=True)
        assert self.hand.feed_mm == feed_mm
        self.person.asked.clear()
        return self


@pytest.fixture(params=[True, False], ids=["guided", "by feel"])
def freehand(request: pytest.FixtureRequest) -> Freehand:
    return Freehand(guided=request.param)


def test_a_needle_that_was_not_advanced_is_not_believed_deeper(freehand: Freehand) -> None:
    freehand.at(20.0)
    freehand.person.cannot = [InstructionKind.ADVANCE]
    with pytest.raises(HoldRequested, match=r"could not: Advance 2\.0 mm") as held:
        freehand.hand.advance(2.0, 1.0, blind=True)
    assert held.value.source == DECLINED
    freehand.person.mark_mm = 20.5
    assert freehand.hand.feed_mm == 20.5, "whoever began and stopped may have moved it: read off the shaft"


def test_a_needle_that_was_not_placed_is_nowhere_near_the_skin(freehand: Freehand) -> None:
    freehand.person.cannot = [InstructionKind.POSITION_NEEDLE]
    with pytest.raises(HoldRequested, match="could not: place it"):
        freehand.hand.place_pose(POSE, "place it")
    assert freehand.hand._feed_mm == -ABOVE_SKIN_MM
    assert freehand.hand._commanded is None


def test_angles_that_were_not_changed_are_not_believed_changed(freehand: Freehand) -> None:
    freehand.at(10.0)
    before = freehand.hand.line
    freehand.person.cannot = [InstructionKind.TURN_NEEDLE, InstructionKind.ROTATE_BEVEL]
    for turn in (lambda: freehand.hand.turn_needle(5.0, 0.0), lambda: freehand.hand.turn_bevel(180.0)):
        with pytest.raises(HoldRequested):
            turn()
    assert freehand.hand.line.direction == pytest.approx(before.direction)
    assert freehand.hand._commanded is not None and freehand.hand._commanded.bevel_deg == 0.0


def test_a_withdrawal_that_cannot_be_done_is_asked_for_again(freehand: Freehand) -> None:
    freehand.at(20.0)
    freehand.person.cannot = [InstructionKind.WITHDRAW] * (WITHDRAW_ASKED_N - 1)
    freehand.hand.out()
    assert freehand.person.asked.count(InstructionKind.WITHDRAW) == WITHDRAW_ASKED_N
    assert freehand.hand.feed_mm == -ABOVE_SKIN_MM


def test_a_needle_that_nobody_can_withdraw_stops_the_rig_and_is_believed_to_be_in(freehand: Freehand) -> None:
    freehand.at(20.0)
    freehand.person.cannot = [InstructionKind.WITHDRAW] * WITHDRAW_ASKED_N
    with pytest.raises(SafetyStop, match="still in the phantom") as stop:
        freehand.hand.out()
    assert stop.value.source == DECLINED
    assert freehand.hand._feed_mm == 20.0


def test_a_step_back_that_was_not_done_is_not_followed_by_a_step_forward() -> None:
    freehand = Freehand().at(20.0)
    freehand.person.cannot = [InstructionKind.WITHDRAW] * WITHDRAW_ASKED_N
    with pytest.raises(SafetyStop):
        freehand.hand.withdraw(1.0, 1.0)
    assert InstructionKind.ADVANCE not in freehand.person.asked


def test_a_depth_that_nobody_can_read_is_not_taken_for_known_but_the_needle_still_comes_out(freehand: Freehand) -> None:
    freehand.at(20.0)
    freehand.person.cannot = [InstructionKind.ADVANCE, *[InstructionKind.READ_VALUE] * 2]
    with pytest.raises(HoldRequested):
        freehand.hand.advance(1.0, 1.0, blind=True)
    with pytest.raises(HoldRequested, match="depth mark"):
        _ = freehand.hand.feed_mm
    freehand.hand.out()
    assert freehand.hand.feed_mm == -ABOVE_SKIN_MM


def test_nobody_is_asked_to_withdraw_a_needle_that_was_never_taken_up(freehand: Freehand) -> None:
    freehand.hand.out()
    assert freehand.person.asked == []


def test_a_hand_is_never_asked_to_push_a_needle_deeper_than_it_reaches(freehand):
    freehand.at(30.0)
    with pytest.raises(LimitViolation, match=r"needle depth \(mm\) = 130 is outside 0 to 110 mm: .* is 120 mm long"):
        freehand.hand.advance(100.0, 2.0, blind=True)
    assert freehand.person.asked == [], "the person was not asked"


@pytest.mark.parametrize("mark_mm", [310.0, -400.0])
def test_a_depth_that_the_needle_cannot_have_is_no_answer(mark_mm):
    freehand = Freehand().at(20.0)
    freehand.hand._stopped_midway = True
    freehand.person.mark_mm = mark_mm
    with pytest.raises(HoldRequested):
        _ = freehand.hand.feed_mm
    freehand.person.mark_mm = 31.0
    assert freehand.hand.feed_mm == 31.0
