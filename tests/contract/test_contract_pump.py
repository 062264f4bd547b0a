"""What every pump driver must do, over every mount and in both modes of the New Era protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from device_mounts import SERIAL_MOUNTS, Mounted, mounted
from waiting import PATIENCE_S, until

from hal.drivers import pump_new_era
from hal.drivers.pump_new_era import Driver, Settings
from hal.errors import DeviceAlarm, DeviceError, LimitViolation, LinkError
from hal.interfaces import Pump
from hal.sim.devices.pump_new_era import NewEraPump


@dataclass
class Bench:
    driver: Driver
    pump: NewEraPump
    at: Mounted


MODES = {"rigsim": (0, 5), "pty": (60,), "socket": (0,)}
"""Seconds of the watchdog; in real time long enough that it is not a pause of the machine that trips it."""


@pytest.fixture(params=[(mount, safe_s) for mount in SERIAL_MOUNTS for safe_s in MODES[mount]], ids=str)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    kind, safe_s = request.param
    patience = {}
    if kind != "rigsim":  # real time: a busy machine may answer late (after an alarm the driver always waits a quarter)
        patience = {"timeout_s": 2.0}
        monkeypatch.setattr(pump_new_era, "STOP_S", 10.0)
    pump = NewEraPump(seed=4)
    with mounted(kind, lambda mbap: pump) as at:
        driver = Driver(Settings(url=at.url, diameter_mm=14.43, safe_mode_s=safe_s, **patience), at.clock)
        driver.open()
        yield Bench(driver, pump, at)
        driver.close()


def _until_done(bench: Bench) -> None:
    until(lambda: not bench.driver.read().running, "the infusion ends", bench.at.clock)


def _most_ml(bench: Bench, rate_ml_min: float, since_ns: int) -> float:
    """What a pump that was switched on since then can have pushed at most, however slow the machine is."""
    return rate_ml_min / 60.0 * (bench.at.clock.now_ns() - since_ns) / 1e9


def test_it_is_a_pump(bench: Bench) -> None:
    assert isinstance(bench.driver, Pump)
    assert bench.driver.role == "pump"


def test_it_says_what_it_is(bench: Bench) -> None:
    bench.driver.close()
    identity = bench.driver.open()
    assert (identity.model, identity.firmware, identity.verified) == ("NE1000", "3.928", False)
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
        bench.driver.infuse(0.1, 12.0)  # a 14.43 mm syringe goes up to 8.34 mL/min
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


def test_a_closed_driver_says_so(bench: Bench) -> None:
    bench.driver.close()
    bench.driver.close()
    with pytest.raises(LinkError, match="not open"):
        bench.driver.read()
