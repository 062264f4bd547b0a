"""Contract of every pump driver, over every mount and in every mode (``pump_table``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from device_mounts import SERIAL_MOUNTS, Mounted, mounted
from pump_table import PUMPS, PumpCase
from waiting import PATIENCE_S, until

from hal.errors import DeviceAlarm, DeviceError, LimitViolation, LinkError
from hal.interfaces import Pump
from hal.sim.faults import Fault, FaultKind, FaultyCore

OFF_ML = 0.3 * 0.05 + 0.004
"""Count and truth differ by the error of delivery and the play before the plunger follows."""


@dataclass
class Bench:
    case: PumpCase
    driver: Any
    pump: Any
    at: Mounted


@pytest.fixture(
    params=[(m, case) for case in PUMPS for m in case.mounts if m in SERIAL_MOUNTS], ids=lambda p: f"{p[0]}, {p[1]}"
)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    kind, case = request.param
    if kind != "rigsim":  # real time: a busy machine may answer late (after an alarm the driver always waits a quarter)
        monkeypatch.setattr(case.module, "STOP_S", 10.0)
    pump = case.core()
    with mounted(kind, lambda mbap: pump) as at:
        driver = case.build(at.url, at.clock, **({} if kind == "rigsim" else {"timeout_s": 2.0}))
        driver.open()
        yield Bench(case, driver, pump, at)
        driver.close()


def _until_done(bench: Bench) -> None:
    until(lambda: not bench.driver.read().running, "the infusion ends", bench.at.clock)


def _most_ml(bench: Bench, rate_ml_min: float, since_ns: int) -> float:
    """Largest volume that a pump switched on since then can have pushed, however slow the machine is."""
    return rate_ml_min / 60.0 * (bench.at.clock.now_ns() - since_ns) / 1e9


def test_it_is_a_pump(bench: Bench) -> None:
    assert isinstance(bench.driver, Pump)
    assert bench.driver.role == "pump"


def test_it_says_what_it_is(bench: Bench) -> None:
    bench.driver.close()
    identity = bench.driver.open()
    assert (identity.role, identity.driver, identity.verified) == ("pump", bench.case.driver, False)
    assert identity.model == bench.case.model
    assert identity.firmware
    assert identity.simulated == bench.at.url.startswith("rigsim")


def test_an_infusion_ends_by_itself_at_its_volume(bench: Bench) -> None:
    deadline = bench.at.clock.deadline(PATIENCE_S)
    while True:  # it pushes for half a second: a reading that came later says nothing about its beginning
        begun_ns = bench.at.clock.now_ns()
        bench.driver.infuse(0.05, 6.0)
        started = bench.driver.read()
        if bench.at.clock.now_ns() - begun_ns < 450_000_000 or deadline.expired:
            break
        _until_done(bench)
        bench.driver.clear()
    assert started.running
    assert started.rate_ml_min == 6.0
    _until_done(bench)
    done = bench.driver.read()
    assert done.dispensed_ml == pytest.approx(0.05)
    assert done.rate_ml_min == 0.0


def test_volumes_add_up_until_cleared(bench: Bench) -> None:
    for volume_ml in (0.02, 0.03):
        bench.driver.infuse(volume_ml, 8.0)
        _until_done(bench)
    assert bench.driver.read().dispensed_ml == pytest.approx(0.05)
    bench.driver.clear()
    assert bench.driver.read().dispensed_ml == 0.0


def test_stop_ends_an_infusion_and_the_next_one_starts_afresh(bench: Bench) -> None:
    begun_ns = bench.at.clock.now_ns()
    bench.driver.infuse(2.0, 3.0)
    bench.at.clock.sleep(0.1)
    bench.driver.stop()
    stopped, at_most_ml = bench.driver.read(), _most_ml(bench, 3.0, begun_ns)
    bench.at.clock.sleep(0.1)
    assert not stopped.running
    assert 0.0 < bench.driver.read().dispensed_ml == stopped.dispensed_ml < at_most_ml < 2.0
    bench.driver.infuse(0.02, 6.0)
    _until_done(bench)
    assert bench.driver.read().dispensed_ml == pytest.approx(stopped.dispensed_ml + 0.02, abs=2e-4)


def test_stopping_a_stopped_pump_is_no_error(bench: Bench) -> None:
    bench.driver.stop()
    bench.driver.stop()


def test_make_safe_is_proven_by_reading_back(bench: Bench) -> None:
    bench.driver.infuse(2.0, 3.0)
    report = bench.driver.make_safe(bench.at.clock.deadline(10.0))
    assert report.safe
    assert not bench.driver.read().running


def test_a_second_infusion_is_refused_while_one_runs(bench: Bench) -> None:
    begun_ns = bench.at.clock.now_ns()
    bench.driver.infuse(1.0, 3.0)
    with pytest.raises(DeviceError, match="still running"):
        bench.driver.infuse(0.1, 3.0)
    bench.driver.stop()
    assert bench.driver.read().dispensed_ml < _most_ml(bench, 3.0, begun_ns) + 0.01


def test_clear_is_refused_while_running(bench: Bench) -> None:
    bench.driver.infuse(1.0, 3.0)
    with pytest.raises(DeviceError, match="running"):
        bench.driver.clear()


@pytest.mark.parametrize(("volume_ml", "rate_ml_min"), [(0.0, 1.0), (-1.0, 1.0), (6.0, 1.0), (1.0, 0.0), (1.0, 99.0)])
def test_what_is_outside_the_limits_is_never_sent(bench: Bench, volume_ml: float, rate_ml_min: float) -> None:
    with pytest.raises(LimitViolation):
        bench.driver.infuse(volume_ml, rate_ml_min)
    assert not bench.driver.read().running


def test_a_rate_that_the_pump_cannot_do_is_reported_by_name(bench: Bench) -> None:
    with pytest.raises(DeviceError, match="out of range"):
        bench.driver.infuse(0.1, bench.case.too_fast_ml_min)
    assert not bench.driver.read().running


def test_a_stall_stays_visible_until_it_is_cleared(bench: Bench) -> None:
    bench.driver.infuse(1.0, 3.0)
    bench.pump.jam = True
    bench.at.clock.sleep(0.1)
    for _ in range(3):
        state = bench.driver.read()
        assert not state.running
        assert "stall" in state.alarm
    with pytest.raises(DeviceAlarm, match="stall"):
        bench.driver.infuse(0.1, 3.0)
    bench.pump.jam = False
    bench.driver.clear()
    bench.driver.infuse(0.02, 6.0)
    assert bench.driver.read().alarm == ""


def test_left_alone_it_pumps_no_longer_than_it_declares(bench: Bench) -> None:
    if not bench.at.clock.virtual:
        pytest.skip("counts seconds, which a busy machine does not")
    bench.driver.infuse(0.9, 3.0)
    before_ml = bench.pump.displaced_ml(bench.at.clock.now_ns())
    bench.at.clock.sleep(20.0)
    alone_ml = bench.pump.displaced_ml(bench.at.clock.now_ns()) - before_ml
    watchdog_s = bench.driver.watchdog_s
    if watchdog_s is None:
        assert alone_ml == pytest.approx(0.9, rel=0.03)  # the pump's own error of delivery
        return
    assert 0.7 * watchdog_s < alone_ml / (3.0 / 60.0) < 1.03 * (watchdog_s + 0.1)
    state = bench.driver.read()
    assert not state.running
    assert state.alarm
    bench.at.clock.sleep(5.0)
    assert not bench.driver.read().running
    assert bench.pump.displaced_ml(bench.at.clock.now_ns()) - before_ml == pytest.approx(alone_ml)


def test_an_infusion_that_is_watched_is_whole_whatever_the_pump_does_alone(bench: Bench) -> None:
    volume_ml, most_s = (0.3, 6.0 * 1.1) if bench.at.clock.virtual else (0.03, PATIENCE_S)
    bench.driver.infuse(volume_ml, 3.0)
    deadline = bench.at.clock.deadline(most_s)
    seen_ml = [0.0]
    while (state := bench.driver.read()).running:
        assert not deadline.expired
        assert state.rate_ml_min == 3.0
        seen_ml.append(state.dispensed_ml)
        bench.at.clock.sleep(0.1)
    assert state.alarm == ""
    assert state.dispensed_ml == pytest.approx(volume_ml, abs=1e-3)
    assert seen_ml == sorted(seen_ml)
    assert bench.pump.displaced_ml(bench.at.clock.now_ns()) == pytest.approx(volume_ml, rel=0.05, abs=0.005)


def test_an_interrupted_infusion_does_not_begin(bench: Bench) -> None:
    bench.driver.interrupt()
    with pytest.raises(DeviceError, match="cancelled before it began"):
        bench.driver.infuse(0.2, 3.0)
    assert not bench.driver.read().running
    assert bench.driver.read().dispensed_ml == 0.0
    bench.driver.infuse(0.02, 6.0)
    _until_done(bench)


@pytest.mark.parametrize("kind", [FaultKind.DROP_REPLY, FaultKind.CORRUPT, FaultKind.DUPLICATE, FaultKind.DELAY])
@pytest.mark.parametrize("case", PUMPS, ids=str)
def test_on_a_bad_line_a_count_is_true_or_an_error(case: PumpCase, kind: FaultKind) -> None:
    """A quarter of the answers is hit: whatever is reported lies between what was pumped before and after."""
    shown_n = 0
    for seed in range(6):
        pump = case.core()
        core = FaultyCore(pump, (), seed)
        with mounted("rigsim", lambda mbap, core=core: core) as at:
            driver = case.build(at.url, at.clock)
            driver.open()
            core.schedule = (Fault(kind, at.clock.now_ns(), None, probability=0.25, delay_s=0.35),)
            core.hits = [0]
            try:
                driver.infuse(0.3, 3.0)
            except (LinkError, DeviceError):
                pass
            for _ in range(30):
                before_ml = pump.displaced_ml(at.clock.now_ns())
                try:
                    state = driver.read()
                except (LinkError, DeviceError):
                    continue
                shown_n += 1
                after_ml = pump.displaced_ml(at.clock.now_ns())
                assert before_ml - OFF_ML <= state.dispensed_ml <= after_ml + OFF_ML
                at.clock.sleep(0.1)
            core.schedule = ()
            assert driver.make_safe(at.clock.deadline(5.0)).safe
            stands_ml = pump.displaced_ml(at.clock.now_ns())
            at.clock.sleep(2.0)
            assert pump.displaced_ml(at.clock.now_ns()) == stands_ml <= 0.3 * 1.03
    assert shown_n > 20


def test_a_closed_driver_says_so(bench: Bench) -> None:
    bench.driver.close()
    bench.driver.close()
    with pytest.raises(LinkError, match="not open"):
        bench.driver.read()
