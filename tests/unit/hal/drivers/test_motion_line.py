"""Which answer belongs to which question on a line to Grbl, and how old a report is said to be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from grbl_line import GrblBench
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.clock import NS_PER_S
from hal.drivers.holder_grbl import Driver
from hal.drivers.motion_line import SLOW_S
from hal.errors import DeviceError, RigError
from hal.sim.devices.motion_config import Firmware, holder_config
from hal.sim.faults import Fault, FaultKind, FaultyCore
from hal.types import HolderState, MotionMode, Pose6


@pytest.fixture
def bench() -> Iterator[GrblBench]:
    with GrblBench() as made:
        yield made


def _opened(bench: GrblBench, **changes: object) -> Driver:
    driver = bench.holder(**changes)
    driver.open()
    return driver


def test_reports_that_nobody_waited_for_do_not_hide_a_door_that_opened_after_them() -> None:
    with GrblBench(holder_config(Firmware.GRBL)) as bench:
        driver = _opened(bench)
        for _ in range(10):
            bench.stranger(b"?")
            bench.wait(0.05)
        bench.stranger(b"\x84")
        bench.wait(0.5)
        state = driver.read()
        assert state.mode is MotionMode.HOLD
        assert bench.age_s(state.time_ns) < 0.05


def test_a_report_that_is_coming_in_when_the_question_is_asked_is_not_its_answer(bench: GrblBench) -> None:
    driver = _opened(bench)
    bench.stranger(b"?")
    bench.wait(0.004)  # 0.7 ms to the report, then its bytes are on the line for 9 ms: half of them are here
    bench.core._planner.settle(bench.core._planner.position(bench.clock.now_ns()) + 3.0, bench.clock.now_ns())
    assert driver.read().pose.x_mm == pytest.approx(3.0)


def test_on_a_quiet_line_a_report_is_as_old_as_its_question_and_nothing_else_is_sent(bench: GrblBench) -> None:
    driver = _opened(bench)
    for _ in range(20):
        bench.line.sent = b""
        asked_ns = bench.clock.now_ns()
        state = driver.read()
        assert bench.line.sent == b"?"
        assert state.time_ns - asked_ns < 0.0002 * NS_PER_S
        bench.wait(0.1)


def test_with_a_stranger_on_the_line_a_report_is_dated_before_an_empty_line_that_was_acknowledged_first(
    bench: GrblBench,
) -> None:
    driver = _opened(bench)
    bench.stranger(b"?")
    bench.wait(0.05)
    bench.line.sent = b""
    asked_ns = bench.clock.now_ns()
    state = driver.read()
    assert bench.line.sent == b"\n?"
    assert state.time_ns - asked_ns < 0.0002 * NS_PER_S


def test_a_device_that_answers_later_than_it_is_asked_again_is_read_with_its_true_age(bench: GrblBench) -> None:
    driver = _opened(bench)
    bench.line.core = FaultyCore(bench.core, [Fault(FaultKind.DELAY, bench.clock.now_ns(), delay_s=0.12)])
    for _ in range(10):
        state = driver.read()
        assert 0.12 <= bench.age_s(state.time_ns) <= 0.4
        bench.wait(0.1)


def test_a_late_acknowledgement_is_not_taken_for_that_of_the_next_command(bench: GrblBench) -> None:
    driver = _opened(bench)
    bench.core._within = lambda target: False  # type: ignore[method-assign]  # it refuses every jog
    bench.stranger(b"G4 P0.2\n")  # and somebody's ok will come
    bench.wait(0.3)
    with pytest.raises(DeviceError, match="error:15"):
        driver.jog(Pose6(1.0, 0.0, -30.0), 10.0)


def test_somebody_who_gives_commands_is_noticed_by_the_answers_and_what_he_changed_is_a_stop(bench: GrblBench) -> None:
    driver = _opened(bench)
    bench.stranger(b"$100=400\n")
    bench.wait(0.1)
    state = driver.read()
    assert state.mode is MotionMode.ALARM
    assert "$100 was 800 and is 400" in state.alarm


def test_somebody_who_only_asked_changes_nothing(bench: GrblBench) -> None:
    driver = _opened(bench)
    bench.stranger(b"$G\n")
    bench.wait(0.1)
    assert driver.read().mode is MotionMode.IDLE
    assert driver.read().alarm == ""


@pytest.mark.parametrize(
    ("command", "expected"),
    [(b"G55\n", "coordinate system G55"), (b"G92 X5\n", "work offset"), (b"G43.1 Z2\n", "work offset")],
)
def test_modes_that_a_stranger_changes_are_a_stop_even_when_a_stray_report_took_the_announcement(
    bench: GrblBench, command: bytes, expected: str
) -> None:
    driver = _opened(bench)
    bench.stranger(command)
    bench.wait(0.02)
    bench.stranger(b"?")  # the report that tells it once
    bench.wait(0.05)
    state = driver.read()
    assert state.mode is MotionMode.ALARM and expected in state.alarm
    assert driver.read().mode is MotionMode.ALARM


def test_a_controller_that_reports_by_itself_is_read_with_honest_ages(bench: GrblBench) -> None:
    driver = _opened(bench)
    bench.stranger(b"$481=100\n")
    bench.wait(0.02)
    bench.stranger(b"\x8c")
    bench.wait(3.0)
    bench.core._planner.settle(bench.core._planner.position(bench.clock.now_ns()) + 3.0, bench.clock.now_ns())
    bench.wait(0.02)
    state = driver.read()
    assert state.pose.x_mm == pytest.approx(3.0)
    assert "$481" in state.alarm  # and it is a stop: somebody switched it on


@settings(max_examples=60, deadline=None)
@given(
    strays=st.lists(st.tuples(st.floats(0.0, 0.2), st.sampled_from([b"?", b"\x80", b"\x87"])), max_size=12),
    polls=st.lists(st.floats(0.0, 0.15), min_size=1, max_size=8),
    fault=st.sampled_from([None, FaultKind.DELAY, FaultKind.DROP_REPLY, FaultKind.DUPLICATE, FaultKind.TRUNCATE]),
    delay_s=st.floats(0.0, 0.2),
    chance=st.floats(0.1, 1.0),
    seed=st.integers(0, 99),
)
def test_no_report_is_older_than_its_stamp(
    strays: list[tuple[float, bytes]],
    polls: list[float],
    fault: FaultKind | None,
    delay_s: float,
    chance: float,
    seed: int,
) -> None:
    """An axis moves at a steady 10 mm/s, so every position has its moment."""
    with GrblBench() as bench:
        driver = _opened(bench)
        bench.stranger(b"$J=G90 G21 X140 F600\n")
        bench.wait(0.3)
        if fault is not None:
            now = bench.clock.now_ns()
            faults = [Fault(fault, now, probability=chance, delay_s=delay_s, keep_n=20)]
            bench.line.core = FaultyCore(bench.core, faults, seed)
            driver_reads(driver)  # on a line that became slow the first answer can be another's
        now_s, moments = 0.0, [(moment, stray) for moment, stray in strays]
        moments += [(sum(polls[: i + 1]), b"") for i in range(len(polls))]
        for moment_s, stray in sorted(moments):
            bench.wait(max(0.0, moment_s - now_s))
            now_s = max(now_s, moment_s)
            if stray:
                bench.stranger(stray)
                continue
            state = driver_reads(driver)
            if state is None:
                continue
            reported = state.pose.x_mm
            newest = bench.commanded(bench.clock.now_ns())[0]
            # A stray answer that is on a fast line at this very moment is not told apart.
            assert bench.commanded(state.time_ns)[0] <= reported + 10.0 * SLOW_S, "dated later than it was read"
            assert reported <= newest + 0.002


def driver_reads(driver: Driver) -> HolderState | None:
    try:
        return driver.read()
    except RigError:
        return None
