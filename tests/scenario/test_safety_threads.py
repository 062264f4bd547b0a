"""The same controller on the wall clock: lanes are threads, Ctrl-C is a signal."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace

import pytest
from tiny_devices import Bench
from waiting import PATIENCE_S, until

from hal.clock import WallClock
from hal.errors import SafetyStop
from hal.types import Pose6
from rig.instruments.jogs import move_probe
from rig.safety import safe_state
from rig.safety.deadman import ScanDeadman
from rig.safety.limits import Limits
from rig.safety.polling import POLLING


@pytest.fixture(autouse=True)
def a_busy_machine_is_no_fault(monkeypatch):
    """How long nobody may watch, and how soon a device is told to stop, is tested on virtual time."""
    monkeypatch.setattr(ScanDeadman.__init__, "__defaults__", (PATIENCE_S,))


def bench_in_real_time():
    """Readings may be late: other programs run on a machine that tests. Their age too is tested on virtual time."""
    late = {role: replace(p, stale_idle_s=60.0, stale_attended_s=60.0) for role, p in POLLING.items() if p.idle_s > 0}
    bench = Bench(WallClock())
    bench.config = bench.config.model_copy(update={"limits": Limits(polling=late)})  # no rig file may ask for this
    return bench


def test_a_device_that_hangs_in_its_thread_does_not_keep_another_from_tripping():
    bench, hangs, released = bench_in_real_time(), threading.Event(), threading.Event()
    answer = bench.pump.call

    def hang(what):
        hangs.set()
        assert released.wait(2 * PATIENCE_S)
        answer(what)

    with pytest.raises(SafetyStop, match="axial needle force"), bench.controller() as controller:
        bench.pump.call = hang
        assert hangs.wait(PATIENCE_S)
        bench.needle_force.force_n = 11.0
        controller.wait(PATIENCE_S)
    until(lambda: "carrier.make_safe" in bench.log and "holder.make_safe" in bench.log, "both are made safe")
    assert "pump.make_safe" not in bench.log, "all that while the pump hung"
    released.set()
    assert bench.rig is not None
    bench.rig.close()


def test_a_move_in_real_time_arrives():
    bench = bench_in_real_time()
    bench.holder.latency_s = 0.002
    with bench.controller() as controller:
        # the fake checks the 200 ms queue; a machine that is slow only makes the jogs come later
        state = move_probe(controller, Pose6(3.0, 0.0, 0.0), 2.0)
    assert state.pose.x_mm == pytest.approx(3.0)
    assert bench.rig is not None
    assert bench.rig.close() == []


def test_sigint_is_an_orderly_stop_and_the_handler_is_given_back(monkeypatch):
    monkeypatch.setattr(safe_state, "HEAD_START_S", PATIENCE_S)  # the order is looked at, not how soon
    before = signal.getsignal(signal.SIGINT)
    bench = bench_in_real_time()
    with pytest.raises(SafetyStop, match="operator"), bench.controller() as controller:
        os.kill(os.getpid(), signal.SIGINT)
        controller.wait(PATIENCE_S)
    assert signal.getsignal(signal.SIGINT) is before
    assert [line for line in bench.log if "make_safe" in line] == [
        "operator.make_safe", "pump.make_safe", "carrier.make_safe", "holder.make_safe",
    ]  # fmt: skip
    assert bench.rig is not None
    bench.rig.close()
