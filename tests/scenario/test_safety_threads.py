"""The same controller on the wall clock: lanes are threads, Ctrl-C is a signal."""

from __future__ import annotations

import os
import signal

import pytest
from tiny_devices import Bench

from hal.clock import WallClock
from hal.errors import SafetyStop
from hal.types import Pose6
from rig.motion import move_probe


def test_a_device_that_hangs_in_its_thread_does_not_keep_another_from_tripping():
    bench = Bench(WallClock())
    with pytest.raises(SafetyStop, match="axial needle force"), bench.controller() as controller:
        bench.pump.latency_s = 2.0
        bench.needle_force.force_n = 11.0
        controller.wait(1.0)
    assert "carrier.make_safe" in bench.log and "holder.make_safe" in bench.log
    assert bench.rig is not None
    bench.rig.close()


def test_a_move_in_real_time_arrives():
    bench = Bench(WallClock())
    bench.holder.latency_s = 0.002
    with bench.controller() as controller:
        # the fake checks the 200 ms queue; a machine that is slow only makes the jogs come later
        state = move_probe(controller, Pose6(3.0, 0.0, 0.0), 10.0)
    assert state.pose.x_mm == pytest.approx(3.0)
    assert bench.rig is not None
    assert bench.rig.close() == []


def test_sigint_is_an_orderly_stop_and_the_handler_is_given_back():
    before = signal.getsignal(signal.SIGINT)
    bench = Bench(WallClock())
    with pytest.raises(SafetyStop, match="operator"), bench.controller() as controller:
        os.kill(os.getpid(), signal.SIGINT)
        controller.wait(5.0)
    assert signal.getsignal(signal.SIGINT) is before
    assert [line for line in bench.log if "make_safe" in line] == [
        "pump.make_safe", "carrier.make_safe", "holder.make_safe",
    ]  # fmt: skip
    assert bench.rig is not None
    bench.rig.close()
