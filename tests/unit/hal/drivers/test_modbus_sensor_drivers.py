"""Pressure, force and contact drivers: strangers, register maps, lost answers, rates."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

import pytest
from lossy_line import LossyLine
from pydantic import ValidationError
from scripted_line import AnsweringLine, on_line

from hal.clock import VirtualClock
from hal.drivers import contact_modbus, force_modbus, pressure_keller
from hal.errors import DeviceError, LinkError
from hal.links.wire import Endpoint, publish
from hal.sim.devices.contact_modbus import ContactInputs
from hal.sim.devices.modbus_slave import ILLEGAL_ADDRESS, ModbusFault, ModbusSlave, crc16
from hal.sim.devices.pressure_keller import KellerPressure


@dataclass
class World:
    kpa: float = 0.0

    def line_pressure_kpa(self, now_ns: int) -> float:
        return self.kpa

    def temperature_c(self, now_ns: int) -> float:
        return 22.0

    def touches(self, now_ns: int) -> tuple[bool, bool, bool]:
        return (True, False, False)


@dataclass
class Table:
    """Any amplifier: registers and what was written."""

    words: dict[int, int]
    functions: frozenset[int] = frozenset((3, 4, 5, 6))
    written: list[tuple[int, list[Any]]] = field(default_factory=list)

    def read_words(self, function: int, address: int, count: int, now_ns: int) -> list[int]:
        if any(address + i not in self.words for i in range(count)):
            raise ModbusFault(ILLEGAL_ADDRESS)
        return [self.words[address + i] for i in range(count)]

    def read_bits(self, function: int, address: int, count: int, now_ns: int) -> list[bool]:
        raise ModbusFault(ILLEGAL_ADDRESS)

    def write_words(self, address: int, words: list[int], now_ns: int) -> None:
        self.written.append((address, words))
        for key in self.words:
            self.words[key] = 0

    def write_bits(self, address: int, bits: list[bool], now_ns: int) -> None:
        self.written.append((address, bits))
        for key in self.words:
            self.words[key] = 0


def _pressure() -> tuple[pressure_keller.Driver, LossyLine, VirtualClock]:
    line = LossyLine(KellerPressure(World(), seed=3))
    clock = on_line("keller", line)
    driver = pressure_keller.Driver(pressure_keller.Settings(url="rigsim://keller"), clock)
    driver.open()
    return driver, line, clock


def test_a_hundred_pressure_readings_fit_into_a_second() -> None:
    driver, _, clock = _pressure()
    start_ns = clock.now_ns()
    for _ in range(100):
        driver.read()
    assert clock.now_ns() - start_ns <= 1_000_000_000


def test_the_range_is_read_from_the_transmitter() -> None:
    driver, _, _ = _pressure()
    assert driver.range_kpa == (0.0, 350.0)


def test_a_lost_answer_to_zero_is_resolved_by_reading() -> None:
    driver, line, _ = _pressure()
    line.spoil = lambda request, answer: b"" if request[1] == 16 else answer
    driver.zero()
    assert line.count(b"\x01\x10\xff\x00") == 1


def test_a_zero_that_was_not_taken_is_an_error() -> None:
    driver, line, clock = _pressure()
    line.core._port.kpa = 4.0  # type: ignore[attr-defined]
    clock.sleep(0.2)
    line.deaf = lambda request: request[1] == 16
    with pytest.raises(DeviceError, match="after zeroing"):
        driver.zero()


def test_a_pressure_is_as_old_as_its_question() -> None:
    driver, line, clock = _pressure()
    clock.sleep(1.0)
    asked_ns = clock.now_ns()
    lost_n = len(line.requests)
    line.deaf = lambda request: len(line.requests) == lost_n + 1
    assert driver.read().time_ns == asked_ns
    assert clock.now_ns() - asked_ns > 50_000_000


@pytest.mark.parametrize(
    ("zero_bar", "gain", "complaint"),
    [
        (0.05, 1.0, ""),
        (0.6, 1.0, "zero of 60.0 kPa"),
        (-0.6, 1.0, "zero of -60.0 kPa"),
        (math.nan, 1.0, "zero of nan"),
        (0.0, 0.5, "gain 0.5"),
        (0.0, -1.0, "gain -1"),
        (0.0, math.nan, "gain nan"),
    ],
)
def test_what_an_earlier_user_left_in_the_transmitter_is_found_when_opening(
    zero_bar: float, gain: float, complaint: str
) -> None:
    device = KellerPressure(World(), seed=3)
    device.coefficients.update({0x0380: zero_bar, 0x0382: gain})
    clock = on_line("keller", device)
    driver = pressure_keller.Driver(pressure_keller.Settings(url="rigsim://keller"), clock)
    if not complaint:
        driver.open()
        return
    with pytest.raises(LinkError, match=complaint):
        driver.open()


def test_a_transmitter_of_another_range_than_the_rig_file_says_is_refused() -> None:
    clock = on_line("keller", KellerPressure(World(), seed=3, range_kpa=1000.0))
    settings = pressure_keller.Settings(url="rigsim://keller", range_kpa=(0.0, 350.0))
    with pytest.raises(LinkError, match="measures 0 to 1000 kPa, not 0 to 350"):
        pressure_keller.Driver(settings, clock).open()
    assert pressure_keller.Driver(settings.model_copy(update={"range_kpa": (0.0, 1000.0)}), clock).open().role


@pytest.mark.parametrize(
    ("bar", "temperature_c", "complaint"),
    [
        (3.84, 21.0, ""),
        (-1.0, 21.0, ""),
        (3.86, 21.0, "range 0 to 350 kPa does not allow"),
        (-1.02, 21.0, "range 0 to 350 kPa does not allow"),
        (1e30, 21.0, "does not allow"),
        (math.nan, 21.0, "channel error"),
        (math.inf, 21.0, "overload"),
        (1.0, math.nan, "nan degC in its cell"),
        (1.0, 1e30, "degC in its cell"),
        (1.0, -60.0, "degC in its cell"),
    ],
)
def test_a_pressure_that_cannot_be_is_an_error(bar: float, temperature_c: float, complaint: str) -> None:
    driver, line, _ = _pressure()
    words = struct.pack(">ff", bar, temperature_c)

    def spoil(request: bytes, answer: bytes) -> bytes:
        body = answer[:3] + words
        return body + struct.pack("<H", crc16(body))

    line.spoil = spoil
    if not complaint:
        assert driver.read().pressure_kpa == pytest.approx(bar * 100.0)
        return
    with pytest.raises(DeviceError, match=complaint):
        driver.read()


@pytest.mark.parametrize(
    "stranger",
    [AnsweringLine(lambda request: b"\x0200S\x03"), AnsweringLine(lambda request: b"")],
    ids=["pump", "silence"],
)
def test_a_stranger_is_not_taken_for_a_pressure_transmitter(stranger: AnsweringLine) -> None:
    clock = on_line("stranger-p", stranger)
    with pytest.raises(LinkError, match="does not answer like a KELLER X-line"):
        pressure_keller.Driver(pressure_keller.Settings(url="rigsim://stranger-p"), clock).open()


def test_another_modbus_device_is_not_taken_for_a_pressure_transmitter() -> None:
    clock = on_line("other-p", ContactInputs(World()))
    with pytest.raises(LinkError, match=r"does not answer like a KELLER X-line.*illegal function"):
        pressure_keller.Driver(pressure_keller.Settings(url="rigsim://other-p"), clock).open()


@pytest.mark.parametrize(
    ("words", "settings", "force_n"),
    [
        ({0: 0x40A0, 1: 0}, {}, 5.0),
        ({0: 0, 1: 0x40A0}, {"word_order": "little"}, 5.0),
        ({180: 0xFF38}, {"value_address": 180, "format": "int16", "scale_n": 0.01}, -2.0),
        ({8: 0xFFFF, 9: 0xFC18}, {"value_address": 8, "format": "int32", "scale_n": -0.001, "function": 4}, 1.0),
    ],
)
def test_register_maps_are_configurable(words: dict[int, int], settings: dict[str, Any], force_n: float) -> None:
    clock = on_line("amp", ModbusSlave(Table(words)))
    driver = force_modbus.Driver(force_modbus.Settings(url="rigsim://amp", role="probe_force", **settings), clock)
    assert driver.open().role == "probe_force"
    assert driver.read().force_n == pytest.approx(force_n)


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({"tare_by": "coil", "tare_address": 7}, [(7, [True])]),
        ({"tare_by": "register", "tare_address": 9, "tare_value": 3}, [(9, [3])]),
        ({"tare_by": "host"}, []),
    ],
)
def test_there_are_three_ways_to_tare(settings: dict[str, Any], written: list[tuple[int, list[Any]]]) -> None:
    table = Table({0: 0x40A0, 1: 0})
    clock = on_line("amp", ModbusSlave(table))
    driver = force_modbus.Driver(force_modbus.Settings(url="rigsim://amp", **settings), clock)
    driver.open()
    driver.tare()
    assert driver.read().force_n == 0.0
    assert table.written == written


def test_no_number_at_the_register_is_found_out_when_opening() -> None:
    nan = {0: 0x7FC0, 1: 0}
    clock = on_line("amp", ModbusSlave(Table(nan)))
    with pytest.raises(LinkError, match="does not answer like a load-cell amplifier"):
        force_modbus.Driver(force_modbus.Settings(url="rigsim://amp"), clock).open()


def test_inputs_may_be_wired_anywhere_and_either_way() -> None:
    clock = VirtualClock()
    publish("inputs", Endpoint(ContactInputs(World(), normally_closed=frozenset((0,))), clock))
    settings = contact_modbus.Settings(
        url="rigsim://inputs",
        nerve=contact_modbus.Input(address=0, normally_closed=True),
        vessel=contact_modbus.Input(address=5),
        pedal=contact_modbus.Input(address=7),
    )
    driver = contact_modbus.Driver(settings, clock)
    driver.open()
    reading = driver.read()
    assert (reading.nerve, reading.vessel, reading.pedal) == (True, False, False)


def test_a_module_with_too_few_inputs_is_found_out_when_opening() -> None:
    clock = on_line("inputs", ContactInputs(World()))
    settings = contact_modbus.Settings(url="rigsim://inputs", pedal=contact_modbus.Input(address=12))
    with pytest.raises(LinkError, match="module with 13 digital inputs"):
        contact_modbus.Driver(settings, clock).open()


@pytest.mark.parametrize("module", [pressure_keller, force_modbus, contact_modbus])
def test_misspelt_settings_are_refused(module: Any) -> None:
    with pytest.raises(ValidationError, match="baudrat"):
        module.Settings(url="rigsim://x", baudrat=9600)
