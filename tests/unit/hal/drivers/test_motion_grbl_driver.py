"""The Grbl driver on a good day and on bad ones; time is virtual, the device is the simulated controller."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from hal.clock import NS_PER_S, VirtualClock
from hal.drivers import carrier_grbl, holder_grbl
from hal.errors import DeviceAlarm, DeviceError, LimitViolation, NoReply, RigError
from hal.links.wire import Endpoint, WireCore, publish, withdraw
from hal.sim.devices.motion_config import Axis, Firmware, GrblConfig, carrier_config, holder_config
from hal.sim.devices.motion_grbl import GrblCore
from hal.sim.faults import Fault, FaultKind, FaultyCore
from hal.types import MotionMode, Pose6

URL = "rigsim://motion-unit"


class Tap:
    """Remembers what the host sent."""

    def __init__(self, core: WireCore) -> None:
        self.core = core
        self.log = b""

    def receive(self, data: bytes, now_ns: int) -> None:
        self.log += data
        self.core.receive(data, now_ns)

    def transmit(self, now_ns: int) -> bytes:
        return self.core.transmit(now_ns)

    def next_ns(self, now_ns: int) -> int | None:
        return self.core.next_ns(now_ns)


class Bench:
    def __init__(self, config: GrblConfig) -> None:
        self.clock = VirtualClock()
        self.core = GrblCore(config)
        self.tap = Tap(self.core)
        self.plug(self.tap)

    def plug(self, core: WireCore) -> None:
        publish("motion-unit", Endpoint(core, self.clock))

    def fault(self, kind: FaultKind, count: int | None = None, seconds: float | None = None) -> FaultyCore:
        """From now on; the driver must be opened anew or re-use the endpoint, so the core is swapped in place."""
        now = self.clock.now_ns()
        end = None if seconds is None else now + int(seconds * NS_PER_S)
        faulty = FaultyCore(self.core, [Fault(kind, now, end, count=count)])
        self.tap.core = faulty
        return faulty

    def arrive(self, driver: holder_grbl.Driver) -> Pose6:
        for _ in range(500):
            state = driver.read()
            if state.mode is not MotionMode.MOVING:
                return state.pose
            self.clock.sleep(0.01)
        raise AssertionError("never arrived")


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield Bench(holder_config())
    withdraw("motion-unit")


def holder(bench: Bench, **changes: object) -> holder_grbl.Driver:
    driver = holder_grbl.Driver(holder_grbl.Settings(url=URL, **changes), bench.clock)  # type: ignore[arg-type]
    driver.open()
    return driver


def test_opening_sends_only_questions(bench: Bench) -> None:
    holder(bench)
    asked = bench.tap.log
    for listing in (b"$I\n", b"$$\n", b"$#\n", b"$G\n", b"$N\n"):
        assert listing in asked
        asked = asked.replace(listing, b"")
    assert set(asked) == {ord("?")}


def test_a_jog_is_one_absolute_line_with_units_and_feed(bench: Bench) -> None:
    driver = holder(bench)
    bench.tap.log = b""
    driver.jog(Pose6(1.0, 0.0, -30.0), 10.0)
    assert bench.tap.log == b"$J=G90 G21 X1.000 F600.0\n"


@pytest.mark.parametrize(
    "move",
    [(1.0, 0.0, 0.0, 0.0, 0.0, 0.0), (0.6, 0.0, 0.4, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 2.0, 0.0, 1.0)],
    ids=["shift", "shift and turn", "turn"],
)
def test_the_face_moves_at_the_speed_asked_for_whatever_the_mix_of_axes(bench: Bench, move: tuple[float, ...]) -> None:
    driver = holder(bench)
    driver.jog(Pose6(*np.array([0.0, 0.0, -30.0, 0.0, 0.0, 0.0]) + np.array(move)), 8.0)
    times = bench.clock.now_ns() + np.arange(0, 400) * 1_000_000
    axes = np.array([bench.core.axes_at(int(t)) for t in times])
    shift = np.linalg.norm(np.diff(axes[:, :3], axis=0), axis=1)
    turn = 30.0 * np.radians(np.linalg.norm(np.diff(axes[:, 3:], axis=0), axis=1))
    fastest = float(np.max((shift + turn) * 1000.0))
    assert fastest == pytest.approx(8.0, rel=0.02)


def test_an_axis_that_cannot_keep_up_slows_the_move(bench: Bench) -> None:
    driver = holder(bench, lever_mm=0.0)
    bench.tap.log = b""
    driver.jog(Pose6(0.1, 0.0, -30.0, 0.0, 0.0, 4.0), 50.0)  # C turns at most 30 deg/s: 4 deg take 0.133 s
    feed = float(bench.tap.log.split(b"F")[1])
    assert feed == pytest.approx(60.0 * math.hypot(0.1, 4.0) / (4.0 / 30.0), rel=1e-3)


def test_for_a_firmware_that_measures_linear_axes_only_the_feed_is_the_linear_one(bench: Bench) -> None:
    driver = holder(bench, feed_metric="linear", lever_mm=0.0)
    bench.tap.log = b""
    driver.jog(Pose6(1.0, 0.0, -30.0, 0.0, 0.0, 2.0), 10.0)
    assert float(bench.tap.log.split(b"F")[1]) == pytest.approx(600.0)


def test_streamed_jogs_join_without_stopping_and_never_queue_more_than_200_ms(bench: Bench) -> None:
    driver = holder(bench)
    speeds = []
    for k in range(1, 21):
        driver.jog(Pose6(k * 1.0, 0.0, -30.0), 10.0)
        bench.clock.sleep(0.095)
        a = bench.core.axes_at(bench.clock.now_ns() - 2_000_000)[0]
        speeds.append((bench.core.axes_at(bench.clock.now_ns())[0] - a) / 0.002)
        assert 100 - bench.core._planner.queued(bench.clock.now_ns()) >= 97
    assert min(speeds[1:]) > 9.9
    with pytest.raises(LimitViolation, match="queued"):
        for k in range(21, 26):
            driver.jog(Pose6(k * 1.0, 0.0, -30.0), 10.0)


def test_step_toward_gives_the_farthest_pose_that_one_jog_may_reach(bench: Bench) -> None:
    driver = holder(bench)
    goal = (20.0, 5.0, -30.0, 0.0, 0.0, 10.0)
    count = 0
    while True:
        at = driver.read().pose.as_tuple()
        if max(abs(a - b) for a, b in zip(at, goal, strict=True)) < 0.002:
            break
        driver.jog(Pose6(*driver.step_toward(goal, 20.0)), 20.0)
        bench.arrive(driver)
        count += 1
        assert count < 30
    assert count >= 6  # 25.9 mm of path at 20 mm/s in pieces of at most 200 ms


def test_a_lost_acknowledgement_is_resolved_by_looking_and_the_jog_is_sent_once(bench: Bench) -> None:
    driver = holder(bench)
    bench.tap.log = b""
    bench.fault(FaultKind.DROP_REPLY, count=1)
    driver.jog(Pose6(1.0, 0.0, -30.0), 10.0)
    assert bench.tap.log.count(b"$J=") == 1
    assert bench.arrive(driver).x_mm == pytest.approx(1.0)
    driver.jog(Pose6(1.5, 0.0, -30.0), 10.0)  # the late replies are not taken for this one's
    assert bench.arrive(driver).x_mm == pytest.approx(1.5)


def test_a_jog_that_never_reached_the_controller_is_reported_and_not_sent_again(bench: Bench) -> None:
    driver = holder(bench)
    bench.tap.log = b""
    bench.fault(FaultKind.DROP_COMMAND, count=1)
    with pytest.raises(NoReply, match="was not sent again"):
        driver.jog(Pose6(1.0, 0.0, -30.0), 10.0)
    assert bench.tap.log.count(b"$J=") == 1
    assert driver.read().pose.x_mm == 0.0


def test_a_damaged_report_is_asked_for_again(bench: Bench) -> None:
    driver = holder(bench)
    bench.fault(FaultKind.TRUNCATE, count=1)
    assert driver.read().pose == Pose6(0.0, 0.0, -30.0)


def test_a_late_report_is_not_taken_for_a_newer_one(bench: Bench) -> None:
    driver = holder(bench)
    now = bench.clock.now_ns()
    bench.tap.core = FaultyCore(bench.core, [Fault(FaultKind.DELAY, now, count=1, delay_s=0.1)])
    driver.read()
    driver.jog(Pose6(1.0, 0.0, -30.0), 10.0)
    bench.clock.sleep(0.5)
    assert driver.read().pose.x_mm == pytest.approx(1.0)


def test_silence_of_250_ms_is_a_fault(bench: Bench) -> None:
    driver = holder(bench)
    bench.fault(FaultKind.SILENT)
    before = bench.clock.now_ns()
    with pytest.raises(NoReply, match="250 ms"):
        driver.read()
    assert (bench.clock.now_ns() - before) / NS_PER_S == pytest.approx(0.25, abs=0.01)


def test_how_long_a_reply_may_take_is_a_setting_of_the_rig_file(bench: Bench) -> None:
    driver = holder(bench, timeout_s=0.6)
    bench.fault(FaultKind.SILENT)
    before = bench.clock.now_ns()
    with pytest.raises(NoReply, match="600 ms"):
        driver.read()
    assert (bench.clock.now_ns() - before) / NS_PER_S == pytest.approx(0.6, abs=0.01)
    for wrong in (0.0, 6.0):
        with pytest.raises(ValidationError):
            holder_grbl.Settings(url=URL, timeout_s=wrong)


def test_how_long_a_board_may_take_to_start_is_a_setting_too(bench: Bench) -> None:
    bench.fault(FaultKind.SILENT)
    before = bench.clock.now_ns()
    with pytest.raises(NoReply):
        holder(bench, start_s=1.0)
    assert 1.0 <= (bench.clock.now_ns() - before) / NS_PER_S < 1.5


def test_make_safe_without_an_answer_says_that_it_is_not_safe(bench: Bench) -> None:
    driver = holder(bench)
    bench.fault(FaultKind.SILENT)
    report = driver.make_safe(bench.clock.deadline(0.5))
    assert not report.safe
    assert "did not answer" in report.detail


def test_a_stop_that_is_lost_ends_in_a_reset_and_an_error(bench: Bench) -> None:
    driver = holder(bench)
    bench.core.receive(b"$J=G90 G21 X100 F600\n", bench.clock.now_ns())  # somebody else's long move
    bench.clock.sleep(0.2)
    bench.fault(FaultKind.DROP_COMMAND, count=2)  # jog cancel and hold
    with pytest.raises(DeviceError, match="still moves"):
        driver.stop()
    bench.clock.sleep(0.05)
    state = driver.read()
    assert state.mode is MotionMode.ALARM  # the position is lost, and said to be
    assert b"\x18" in bench.tap.log and set(bench.tap.log.split(b"\x18")[1]) == {ord("?")}


def test_a_move_left_over_by_another_host_is_stopped_when_opening(bench: Bench) -> None:
    bench.core.receive(b"$J=G90 G21 X100 F600\n", bench.clock.now_ns())
    bench.clock.sleep(0.2)
    driver = holder(bench)
    assert driver.read().mode is not MotionMode.MOVING
    assert driver.read().pose.x_mm < 5.0


def test_hold_is_left_by_a_reset_and_never_by_resume(bench: Bench) -> None:
    driver = holder(bench)
    driver.stop()
    assert driver.read().mode is MotionMode.HOLD
    driver.jog(Pose6(0.5, 0.0, -30.0), 10.0)
    assert bench.arrive(driver).x_mm == pytest.approx(0.5)
    assert b"\x18" in bench.tap.log and b"~" not in bench.tap.log


def test_a_controller_that_restarts_by_itself_reads_as_an_alarm_until_it_is_homed(bench: Bench) -> None:
    driver = holder(bench)
    bench.core.receive(b"\x18", bench.clock.now_ns())  # a brown-out looks like this on the wire
    bench.clock.sleep(0.01)
    state = driver.read()
    assert state.mode is MotionMode.ALARM and "restarted" in state.alarm
    with pytest.raises(DeviceAlarm):
        driver.jog(Pose6(0.5, 0.0, -30.0), 10.0)
    driver.home()
    assert driver.read().mode is MotionMode.IDLE


def test_an_unhomed_grbl_is_refused_and_can_then_be_homed() -> None:
    bench = Bench(holder_config(Firmware.GRBL, homed=False))
    driver = holder_grbl.Driver(holder_grbl.Settings(url=URL, axes="XYZ"), bench.clock)
    with pytest.raises(DeviceAlarm, match="home it"):
        driver.open()
    driver.home()
    driver.open()
    assert driver.read().mode is MotionMode.IDLE
    withdraw("motion-unit")


def test_a_controller_locked_by_a_hard_limit_is_a_silent_one() -> None:
    bench = Bench(holder_config(Firmware.GRBL))
    driver = holder(bench, axes="XYZ")
    bench.core.trip_limit("X", bench.clock.now_ns())
    with pytest.raises(NoReply, match="locked after a hard alarm"):
        driver.read()
    bench.core.release_limit("X")
    driver.unlock()
    assert driver.read().mode is MotionMode.IDLE
    withdraw("motion-unit")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"soft_limits": False}, "soft limits are off"),
        ({"homing": False, "soft_limits": False}, "homing is off"),
        ({"axes": tuple(Axis(c, -10.0, 10.0, 600.0, 100.0) for c in "XYZABC"), "start": (0.0,) * 6}, "limits ask for"),
    ],
)
def test_a_controller_set_up_otherwise_is_refused(changes: dict[str, object], complaint: str) -> None:
    bench = Bench(replace(holder_config(), **changes))  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match=complaint):
        holder(bench)
    withdraw("motion-unit")


def test_a_controller_that_reports_inches_is_refused(bench: Bench) -> None:
    bench.core._settings[13] = 1
    with pytest.raises(DeviceError, match="inches"):
        holder(bench)


def test_a_work_offset_that_somebody_changes_is_a_stop_and_positions_stay_in_the_frame_of_the_calibration(
    bench: Bench,
) -> None:
    driver = holder(bench)
    bench.core.receive(b"G10 L20 P1 X7\n", bench.clock.now_ns())
    bench.clock.sleep(0.05)
    state = driver.read()
    assert state.mode is MotionMode.ALARM and "work offset" in state.alarm
    assert state.pose.x_mm == pytest.approx(0.0)
    with pytest.raises(DeviceAlarm, match="work offset"):
        driver.jog(Pose6(0.5, 0.0, -30.0), 10.0)


def test_positions_are_the_same_when_the_controller_reports_work_positions(bench: Bench) -> None:
    bench.core._settings[10] = 510
    assert holder(bench).read().pose == Pose6(0.0, 0.0, -30.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 151.0])
def test_a_target_that_is_no_place_is_refused(bench: Bench, bad: float) -> None:
    driver = holder(bench)
    bench.tap.log = b""
    with pytest.raises(LimitViolation):
        driver.jog(Pose6(bad, 0.0, -30.0), 10.0)
    assert bench.tap.log == b""


@pytest.mark.parametrize("speed", [0.0, -1.0, 51.0, math.nan])
def test_a_speed_outside_the_limits_is_refused(bench: Bench, speed: float) -> None:
    driver = holder(bench)
    with pytest.raises(LimitViolation, match="speed"):
        driver.jog(Pose6(0.1, 0.0, -30.0), speed)


def test_a_jog_to_where_it_stands_sends_nothing(bench: Bench) -> None:
    driver = holder(bench)
    bench.tap.log = b""
    driver.jog(Pose6(0.0, 0.0002, -30.0), 10.0)
    assert bench.tap.log == b""


def test_equal_pieces_of_a_turn_take_no_longer_together_than_the_whole() -> None:
    driver = carrier_grbl.Driver(carrier_grbl.Settings(url=URL), VirtualClock())
    a, b = (0.0, 0.0, -40.0, 5.0, -12.0, 0.0), (30.0, 10.0, 35.0, -5.0, -12.0, 0.0)
    points = [tuple(x + (y - x) * k / 40 for x, y in zip(a, b, strict=True)) for k in range(41)]
    pieces = sum(driver.path_mm(p, q) for p, q in itertools.pairwise(points))
    assert pieces == pytest.approx(driver.path_mm(a, b), rel=2e-3)


def test_a_jog_that_comes_a_little_early_waits_for_room_in_the_queue(bench: Bench) -> None:
    driver = holder(bench)
    driver.jog(Pose6(2.0, 0.0, -30.0), 10.0)
    bench.clock.sleep(0.17)
    driver.jog(Pose6(4.0, 0.0, -30.0), 10.0)  # 30 ms too early, less what the line takes
    assert bench.arrive(driver).x_mm == pytest.approx(4.0)
    driver.jog(Pose6(6.0, 0.0, -30.0), 10.0)
    with pytest.raises(LimitViolation, match="queued"):
        driver.jog(Pose6(8.0, 0.0, -30.0), 10.0)


def test_the_needle_tip_moves_at_the_speed_asked_for_when_an_angle_changes() -> None:
    bench = Bench(carrier_config())
    driver = carrier_grbl.Driver(carrier_grbl.Settings(url=URL), bench.clock)
    driver.open()
    pose = driver.read().pose  # 40 mm above the skin: the tip is 40 mm from the entry point
    driver.jog(replace(pose, lateral_deg=1.0), 5.0)
    times = bench.clock.now_ns() + np.arange(400) * 1_000_000
    turn = np.radians([bench.core.axes_at(int(t))[3] for t in times])
    assert float(np.max(np.diff(40.0 * turn)) * 1000.0) == pytest.approx(5.0, rel=0.03)
    withdraw("motion-unit")


@pytest.mark.parametrize(
    "changes",
    [
        {"axes": "XX"},
        {"axes": "XYQ"},
        {"baudrate": 0},
        {"set_by_hand": {"Q": 1.0}},
        {"limits": {"X": {"low": 1, "high": 0, "max_speed": 1, "acceleration": 1}}},
        {"limits": {}},
        {"colour": "red"},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        holder_grbl.Settings.model_validate({"url": URL, **changes})


@pytest.mark.parametrize("kind", [FaultKind.CORRUPT, FaultKind.TRUNCATE, FaultKind.DROP_REPLY, FaultKind.DUPLICATE])
@pytest.mark.parametrize("seed", [1, 2])
def test_on_a_noisy_line_no_jog_is_sent_twice_and_nothing_but_rig_errors_come_out(
    bench: Bench, kind: FaultKind, seed: int
) -> None:
    driver = holder(bench)
    now = bench.clock.now_ns()
    bench.tap.core = FaultyCore(bench.core, [Fault(kind, now, probability=0.1, keep_n=5)], seed)
    failed = 0
    for k in range(60):
        bench.tap.log = b""
        try:
            at = driver.read().pose
            goal = Pose6(at.x_mm + (0.5 if k % 2 else -0.4), *at.as_tuple()[1:])
            driver.jog(goal, 10.0)
        except RigError:
            failed += 1
        assert bench.tap.log.count(b"$J=") <= 1
        bench.clock.sleep(0.2)
    assert failed < 20  # one damaged reply in ten is survived mostly
    bench.tap.core = bench.core
    driver.stop()
    assert driver.make_safe(bench.clock.deadline(1.0)).safe


def test_after_a_noisy_line_reading_and_truth_agree(bench: Bench) -> None:
    driver = holder(bench)
    now = bench.clock.now_ns()
    bench.tap.core = FaultyCore(bench.core, [Fault(FaultKind.DROP_REPLY, now, probability=0.3)], 7)
    for _ in range(20):
        with contextlib.suppress(RigError):
            at = driver.read().pose
            driver.jog(Pose6(at.x_mm + 0.5, *at.as_tuple()[1:]), 10.0)
        bench.clock.sleep(0.3)
    bench.tap.core = bench.core
    bench.clock.sleep(1.0)
    true = bench.core.axes_at(bench.clock.now_ns())
    assert driver.read().pose.as_tuple() == pytest.approx(true, abs=0.02)
