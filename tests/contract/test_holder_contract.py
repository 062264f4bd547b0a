"""Contract of every probe holder, on every mount."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from waiting import PATIENCE_S, REPLY_S, ended_patiently

from hal.clock import Clock, VirtualClock, WallClock
from hal.drivers.holder_grbl import Driver, Settings
from hal.errors import DeviceAlarm, LimitViolation, LinkError
from hal.interfaces import Device, ProbeHolder
from hal.links.wire import Endpoint, publish, withdraw
from hal.sim.devices.motion_config import Firmware, holder_config
from hal.sim.devices.motion_grbl import GrblCore
from hal.sim.mounts import mount_pty, mount_tcp
from hal.types import MotionMode, Pose6


class Button:
    """The emergency stop."""

    def __init__(self) -> None:
        self.pressed = False

    def estop_pressed(self, now_ns: int) -> bool:
        return self.pressed


@dataclass
class Bench:
    driver: Driver
    core: GrblCore
    button: Button
    clock: Clock

    def arrive(self) -> Pose6:
        """Wait until nothing moves."""
        deadline = self.clock.deadline(PATIENCE_S)
        while True:
            state = self.driver.read()
            if state.mode is not MotionMode.MOVING:
                return state.pose
            assert not deadline.expired
            self.clock.sleep(0.01)


Make = Callable[[Firmware], Bench]


@pytest.fixture(params=["in-process", "pty", "tcp"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    # A quarter of a second for every reply is a safety figure of a rig, not one of a busy machine that tests.
    patience = {} if request.param == "in-process" else {"timeout_s": REPLY_S}
    with ExitStack() as stack:

        def build(firmware: Firmware) -> Bench:
            button = Button()
            core = GrblCore(holder_config(firmware), button, seed=3)
            clock: Clock
            if request.param == "in-process":
                clock = VirtualClock()
                publish("holder-contract", Endpoint(core, clock))
                stack.callback(withdraw, "holder-contract")
                url = "rigsim://holder-contract"
            else:
                clock = WallClock()
                serve = mount_pty if request.param == "pty" else mount_tcp
                url = stack.enter_context(ended_patiently(serve(core, clock, threading.RLock()))).url
                url = url.replace("tcp://", "socket://")
            axes = core.config.letters
            driver = Driver(
                Settings(url=url, axes=axes, set_by_hand={} if len(axes) == 6 else {"C": 90.0}, **patience), clock
            )
            stack.callback(driver.close)
            return Bench(driver, core, button, clock)

        yield build


BOTH = pytest.mark.parametrize("firmware", list(Firmware), ids=lambda f: f.name.lower())


@BOTH
def test_it_is_a_probe_holder_and_says_what_it_is(make: Make, firmware: Firmware) -> None:
    bench = make(firmware)
    assert isinstance(bench.driver, ProbeHolder) and isinstance(bench.driver, Device)
    identity = bench.driver.open()
    assert identity.role == "holder"
    assert identity.simulated and not identity.verified
    assert firmware.value.split()[0] in identity.model


@BOTH
def test_a_short_jog_arrives_and_reads_back_to_a_thousandth(make: Make, firmware: Firmware) -> None:
    bench = make(firmware)
    bench.driver.open()
    target = replace(bench.driver.read().pose, x_mm=1.234, y_mm=-0.5, z_mm=-29.0)
    bench.driver.jog(target, 20.0)
    assert bench.arrive().as_tuple() == pytest.approx(target.as_tuple(), abs=0.0011)


@BOTH
def test_a_jog_longer_than_200_ms_is_refused_and_nothing_moves(make: Make, firmware: Firmware) -> None:
    bench = make(firmware)
    bench.driver.open()
    before = bench.driver.read().pose
    with pytest.raises(LimitViolation, match="queued"):
        bench.driver.jog(replace(before, x_mm=before.x_mm + 5.0), 10.0)
    bench.clock.sleep(0.05)
    assert bench.driver.read().pose == before


@BOTH
def test_a_jog_beyond_the_travel_is_refused_before_anything_is_sent(make: Make, firmware: Firmware) -> None:
    bench = make(firmware)
    bench.driver.open()
    with pytest.raises(LimitViolation, match="axis X"):
        bench.driver.jog(replace(bench.driver.read().pose, x_mm=150.5), 10.0)
    assert bench.driver.read().mode is MotionMode.IDLE


@BOTH
def test_stop_ends_a_jog_and_the_next_jog_is_carried_out(make: Make, firmware: Firmware) -> None:
    bench = make(firmware)
    bench.driver.open()
    start = bench.driver.read().pose
    bench.driver.jog(replace(start, x_mm=start.x_mm + 2.0), 10.0)
    bench.driver.stop()
    stopped = bench.driver.read()
    assert stopped.mode is not MotionMode.MOVING
    bench.clock.sleep(0.1)
    assert bench.driver.read().pose == stopped.pose
    bench.driver.jog(replace(stopped.pose, y_mm=stopped.pose.y_mm + 0.5), 10.0)
    assert bench.arrive().y_mm == pytest.approx(stopped.pose.y_mm + 0.5, abs=0.0011)


@BOTH
def test_make_safe_stops_where_it_is_and_proves_it(make: Make, firmware: Firmware) -> None:
    bench = make(firmware)
    bench.driver.open()
    start = bench.driver.read().pose
    bench.driver.jog(replace(start, z_mm=start.z_mm + 2.0), 10.0)
    report = bench.driver.make_safe(bench.clock.deadline(10.0))
    assert report.safe and report.device == "holder"
    assert bench.driver.read().mode is not MotionMode.MOVING


@BOTH
def test_a_pressed_emergency_stop_is_reported_and_locks_motion(make: Make, firmware: Firmware) -> None:
    bench = make(firmware)
    bench.driver.open()
    start = bench.driver.read().pose
    bench.driver.jog(replace(start, x_mm=start.x_mm + 2.0), 10.0)
    bench.button.pressed = True
    bench.clock.sleep(0.5)
    state = bench.driver.read()
    assert state.estop
    assert state.mode in (MotionMode.HOLD, MotionMode.ALARM)
    with pytest.raises(DeviceAlarm):
        bench.driver.jog(replace(state.pose, x_mm=state.pose.x_mm + 0.1), 10.0)


@BOTH
def test_before_it_is_opened_a_read_raises_a_link_error(make: Make, firmware: Firmware) -> None:
    bench = make(firmware)
    with pytest.raises(LinkError):
        bench.driver.read()


@BOTH
def test_after_an_emergency_stop_a_person_releases_and_unlocks_and_it_moves_again(
    make: Make, firmware: Firmware
) -> None:
    bench = make(firmware)
    bench.driver.open()
    bench.button.pressed = True
    bench.clock.sleep(0.3)
    assert bench.driver.read().estop
    bench.button.pressed = False
    bench.clock.sleep(0.1)
    assert not bench.driver.read().estop
    bench.driver.unlock()
    pose = bench.driver.read().pose
    bench.driver.jog(replace(pose, x_mm=pose.x_mm + 0.5), 10.0)
    assert bench.arrive().x_mm == pytest.approx(pose.x_mm + 0.5, abs=0.0011)
