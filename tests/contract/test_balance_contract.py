"""Contract of every balance, over every mount; a new one is a line in ``BALANCES``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from device_mounts import SERIAL_MOUNTS, Mounted, mounted

from hal import registry
from hal.errors import DeviceError, LinkError
from hal.interfaces import Balance
from hal.sim.devices.weigh_cell import BalanceFigures
from hal.sim.simulators import SimPlace, simulator_of

BALANCES = ("mtsics_balance",)


class Pan:
    load_g = 60.0

    def pan(self, now_ns: int) -> tuple[float, float]:
        return self.load_g, 0.0


@dataclass
class Weighed:
    driver: Any
    pan: Pan
    at: Mounted

    def settle(self) -> None:
        self.driver.read_stable()


@pytest.fixture(params=[(name, kind) for name in BALANCES for kind in SERIAL_MOUNTS], ids="-".join)
def balance(request: pytest.FixtureRequest) -> Iterator[Weighed]:
    name, kind = request.param
    pan, nothing = Pan(), cast(Any, None)

    figures = BalanceFigures(time_constant_s=0.05)

    def core(mbap: bool) -> Any:
        return simulator_of(name)(
            SimPlace("balance", name, 4, cast(Any, pan), nothing, nothing, nothing, balance=figures)
        ).core

    with mounted(kind, core) as at:
        entry = registry.driver(name)
        driver = entry.build(entry.settings_model()(url=at.url, **at.patience), at.clock)
        driver.open()
        yield Weighed(driver, pan, at)
        driver.close()


def test_the_driver_fills_its_role(balance: Weighed) -> None:
    assert isinstance(balance.driver, Balance)
    assert registry.driver("mtsics_balance").role == balance.driver.role == "balance"


def test_weights_follow_the_load_with_the_time_of_the_clock(balance: Weighed) -> None:
    for load_g in (60.0, 61.5):
        balance.pan.load_g = load_g
        balance.settle()
        before_ns = balance.at.clock.now_ns()
        reading = balance.driver.read()
        assert before_ns <= reading.time_ns <= balance.at.clock.now_ns()
        assert reading.mass_g == pytest.approx(load_g, abs=2e-3)
        assert reading.stable and (reading.overload, reading.underload) == (False, False)
        assert 0.0 < reading.digit_g < 0.1


def test_a_weight_that_was_just_put_on_is_not_stable_yet(balance: Weighed) -> None:
    balance.settle()
    balance.pan.load_g = 100.0
    balance.driver.read()
    assert not balance.driver.read().stable
    assert balance.driver.read_stable().mass_g == pytest.approx(100.0, abs=2e-3)


def test_tare_makes_the_present_load_read_zero_and_takes_nothing_off_the_next(balance: Weighed) -> None:
    balance.driver.tare()
    assert balance.driver.read().mass_g == pytest.approx(0.0, abs=1e-3)
    balance.pan.load_g = 70.0
    assert balance.driver.read_stable().mass_g == pytest.approx(10.0, abs=2e-3)


def test_a_loaded_balance_is_not_zeroed(balance: Weighed) -> None:
    with pytest.raises(DeviceError) as caught:
        balance.driver.zero()
    assert caught.value.code == "range"


def test_an_unloaded_balance_is_zeroed(balance: Weighed) -> None:
    balance.pan.load_g = 0.3
    balance.driver.zero()
    assert balance.driver.read().mass_g == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(("load_g", "over"), [(1e6, True), (-1e6, False)])
def test_beyond_its_range_it_gives_no_number(balance: Weighed, load_g: float, over: bool) -> None:
    balance.pan.load_g = load_g
    balance.driver.read()
    balance.at.clock.sleep(1.5)
    reading = balance.driver.read()
    assert math.isnan(reading.mass_g)
    assert (reading.overload, reading.underload) == (over, not over)


def test_it_proves_that_it_answers_and_says_when_it_is_closed(balance: Weighed) -> None:
    assert balance.driver.make_safe(balance.at.clock.deadline(10.0)).safe
    balance.driver.close()
    balance.driver.close()
    with pytest.raises(LinkError, match="not open"):
        balance.driver.read()
