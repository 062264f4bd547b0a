"""Contract of every needle carrier, on every mount."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import pytest
from waiting import PATIENCE_S, REPLY_S, ended_patiently

from hal.clock import Clock, VirtualClock, WallClock
from hal.drivers.carrier_grbl import Driver, Settings
from hal.errors import DeviceError, LimitViolation
from hal.interfaces import NeedleCarrier
from hal.links.wire import Endpoint, publish, withdraw
from hal.sim.devices.motion_axes import CARRIER_ORDER, PoseAxes
from hal.sim.devices.motion_config import Firmware, carrier_config
from hal.sim.devices.motion_grbl import GrblCore
from hal.sim.mounts import mount_pty, mount_tcp
from hal.types import MotionMode

HAND = {"X": 12.0, "Y": -3.0, "A": 25.0, "B": 5.0, "C": 90.0}


@dataclass
class Bench:
    driver: Driver
    core: GrblCore
    axes: PoseAxes
    clock: Clock

    def arrive(self) -> tuple[float, ...]:
        deadline = self.clock.deadline(PATIENCE_S)
        while True:
            state = self.driver.read()
            if state.mode is not MotionMode.MOVING:
                return state.pose.as_tuple()
            assert not deadline.expired
            self.clock.sleep(0.01)


Make = Callable[[Firmware, str], Bench]


@pytest.fixture(params=["in-process", "pty", "tcp"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    # A quarter of a second for every reply is a safety figure of a rig, not one of a busy machine that tests.
    patience = {} if request.param == "in-process" else {"timeout_s": REPLY_S}
    with ExitStack() as stack:

        def build(firmware: Firmware, letters: str) -> Bench:
            core = GrblCore(carrier_config(firmware, letters), seed=5)
            clock: Clock
            if request.param == "in-process":
                clock = VirtualClock()
                publish("carrier-contract", Endpoint(core, clock))
                stack.callback(withdraw, "carrier-contract")
                url = "rigsim://carrier-contract"
            else:
                clock = WallClock()
                serve = mount_pty if request.param == "pty" else mount_tcp
                url = stack.enter_context(ended_patiently(serve(core, clock, threading.RLock()))).url
                url = url.replace("tcp://", "socket://")
            hand = {letter: value for letter, value in HAND.items() if letter not in letters}
            driver = Driver(Settings(url=url, axes=letters, set_by_hand=hand, **patience), clock)
            stack.callback(driver.close)
            return Bench(driver, core, PoseAxes(core, CARRIER_ORDER, hand), clock)

        yield build


KINDS = pytest.mark.parametrize(
    ("firmware", "letters"),
    [(Firmware.GRBLHAL, "XYZABC"), (Firmware.GRBL, "XYZ"), (Firmware.GRBL, "Z")],
    ids=["six axes", "three axes", "feed only"],
)


@KINDS
def test_a_feed_step_of_one_millimetre_arrives(make: Make, firmware: Firmware, letters: str) -> None:
    bench = make(firmware, letters)
    assert isinstance(bench.driver, NeedleCarrier)
    bench.driver.open()
    pose = bench.driver.read().pose
    bench.driver.jog(replace(pose, feed_mm=pose.feed_mm + 1.0), 5.0)
    assert bench.arrive()[4] == pytest.approx(pose.feed_mm + 1.0, abs=0.0011)


@KINDS
def test_what_the_driver_reads_is_where_the_axes_are_within_their_error(
    make: Make, firmware: Firmware, letters: str
) -> None:
    bench = make(firmware, letters)
    bench.driver.open()
    pose = bench.driver.read().pose
    bench.driver.jog(replace(pose, feed_mm=pose.feed_mm + 0.9), 5.0)
    read = np.array(bench.arrive())
    true = bench.axes.axes_at(bench.clock.now_ns())
    error = np.abs(true - read)
    assert np.all(error <= 0.011 + 4e-4 * np.abs(read))
    assert error[4] > 0.001  # backlash is real: the reading is not the truth


@KINDS
def test_a_longer_feed_step_is_refused(make: Make, firmware: Firmware, letters: str) -> None:
    bench = make(firmware, letters)
    bench.driver.open()
    pose = bench.driver.read().pose
    with pytest.raises(LimitViolation, match="feed step"):
        bench.driver.jog(replace(pose, feed_mm=pose.feed_mm - 1.1), 20.0)
    assert bench.driver.read().mode is MotionMode.IDLE


@KINDS
def test_stop_ends_an_advance_within_its_deceleration(make: Make, firmware: Firmware, letters: str) -> None:
    bench = make(firmware, letters)
    bench.driver.open()
    pose = bench.driver.read().pose
    bench.driver.jog(replace(pose, feed_mm=pose.feed_mm + 1.0), 5.0)
    bench.driver.stop()
    after = bench.driver.read()
    assert after.mode is not MotionMode.MOVING
    assert pose.feed_mm <= after.pose.feed_mm <= pose.feed_mm + 1.0
    bench.clock.sleep(0.3)
    assert bench.driver.read().pose == after.pose


def test_a_hand_set_axis_reads_its_scale_and_cannot_be_driven(make: Make) -> None:
    bench = make(Firmware.GRBL, "Z")
    bench.driver.open()
    pose = bench.driver.read().pose
    assert (pose.x_mm, pose.y_mm, pose.lateral_deg, pose.tilt_deg, pose.bevel_deg) == (12.0, -3.0, 25.0, 5.0, 90.0)
    with pytest.raises(LimitViolation, match="hand-set"):
        bench.driver.jog(replace(pose, bevel_deg=0.0), 5.0)


def test_a_controller_with_other_axes_is_refused(make: Make) -> None:
    bench = make(Firmware.GRBL, "XYZ")
    wrong = Driver(Settings(url=bench.driver._settings.url), bench.clock)
    with pytest.raises(DeviceError, match="should have 6 axes"):
        wrong.open()
    wrong.close()
