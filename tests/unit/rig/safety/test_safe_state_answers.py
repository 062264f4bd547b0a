"""Reports of the safe state: only a device's own report counts as safe; times are those that were given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hal.clock import VirtualClock
from hal.errors import LimitViolation
from hal.types import SafeReport
from rig.lanes import Ticket
from rig.safety.limits import PressureLimits
from rig.safety.pressure import LineModel
from rig.safety.run_on import check_run_on
from rig.safety.safe_state import DEADLINE_S, HEAD_START_S, Commanded, await_safe


def refuse() -> SafeReport:
    raise OSError("line broken")


def answered(action: Callable[[], Any]) -> SafeReport:
    clock = VirtualClock()
    ticket: Ticket[Any] = Ticket(action, "make safe")
    ticket.run()
    (report,) = await_safe([Commanded("pump", ticket, clock.deadline(DEADLINE_S))], clock)
    assert clock.now_ns() == 0  # nobody is waited for who has answered
    return report


def test_a_devices_own_report_is_passed_on() -> None:
    for safe in (True, False):
        report = SafeReport("pump", safe, "read back")
        assert answered(lambda report=report: report) is report


def test_an_error_and_no_report_are_not_safe() -> None:
    assert answered(refuse) == SafeReport("pump", False, "OSError: line broken")
    assert answered(lambda: None) == SafeReport("pump", False, "the driver gave no report")


@pytest.mark.parametrize(("started", "words"), [(False, "has not begun"), (True, "is still busy")])
def test_a_device_that_is_silent_is_waited_for_until_its_deadline_and_is_not_safe(started: bool, words: str) -> None:
    clock = VirtualClock()
    ticket: Ticket[Any] = Ticket(lambda: None, "make safe")
    ticket.started = started
    (report,) = await_safe([Commanded("carrier", ticket, clock.deadline(DEADLINE_S))], clock)
    assert not report.safe and f"the carrier {words} after 3 s" in report.detail
    assert clock.now_ns() == pytest.approx(3e9, abs=1e7)
    assert (DEADLINE_S, HEAD_START_S) == (3.0, 0.01)


def test_a_line_may_rise_to_its_rating_and_no_further() -> None:
    line, ladder = LineModel(1.0, 0.0, 1.0), PressureLimits()  # 75 kPa at the limit, then 0.075 mL into 0.75 uL/kPa
    check_run_on(line, 175.0, ladder, 0.075, 3.0, None)
    with pytest.raises(LimitViolation, match="during 3 mL/min"):
        check_run_on(line, 174.9, ladder, 0.075, 3.0, None)
