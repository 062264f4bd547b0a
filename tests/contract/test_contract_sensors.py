"""Contract of every pressure, force and contact driver, over every mount."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from device_mounts import MODBUS_MOUNTS, Mounted, mounted

from hal.drivers import contact_modbus, force_modbus, pressure_keller
from hal.errors import DeviceError, LinkError
from hal.interfaces import ContactSensor, ForceSensor, PressureSensor
from hal.sim.devices.contact_modbus import ContactInputs
from hal.sim.devices.force_modbus import ForceAmplifier
from hal.sim.devices.pressure_keller import KellerPressure


@dataclass
class World:
    pressure_kpa: float = 0.0
    needle_n: float = 0.0
    touching: tuple[bool, bool, bool] = (False, False, False)

    def line_pressure_kpa(self, now_ns: int) -> float:
        return self.pressure_kpa

    def temperature_c(self, now_ns: int) -> float:
        return 22.0

    def needle_force_n(self, now_ns: int) -> float:
        return self.needle_n

    def probe_force_n(self, now_ns: int) -> float:
        return 4.0

    def touches(self, now_ns: int) -> tuple[bool, bool, bool]:
        return self.touching


@dataclass
class Pressure:
    driver: pressure_keller.Driver
    device: KellerPressure
    world: World
    at: Mounted


@dataclass
class Force:
    driver: force_modbus.Driver
    device: ForceAmplifier
    world: World
    at: Mounted


@dataclass
class Contact:
    driver: contact_modbus.Driver
    device: ContactInputs
    world: World
    at: Mounted


@pytest.fixture(params=MODBUS_MOUNTS)
def pressure(request: pytest.FixtureRequest) -> Iterator[Pressure]:
    world, built = World(), []
    with mounted(request.param, lambda mbap: built.append(KellerPressure(world, seed=2, mbap=mbap)) or built[0]) as at:
        driver = pressure_keller.Driver(pressure_keller.Settings(url=at.url, **at.patience), at.clock)
        driver.open()
        yield Pressure(driver, built[0], world, at)
        driver.close()


@pytest.fixture(params=MODBUS_MOUNTS)
def force(request: pytest.FixtureRequest) -> Iterator[Force]:
    world, built = World(), []
    with mounted(
        request.param, lambda mbap: built.append(ForceAmplifier(world, "needle", seed=2, mbap=mbap)) or built[0]
    ) as at:
        driver = force_modbus.Driver(force_modbus.Settings(url=at.url, role="needle_force", **at.patience), at.clock)
        driver.open()
        yield Force(driver, built[0], world, at)
        driver.close()


@pytest.fixture(params=MODBUS_MOUNTS)
def contact(request: pytest.FixtureRequest) -> Iterator[Contact]:
    world, built = World(), []
    with mounted(request.param, lambda mbap: built.append(ContactInputs(world, mbap=mbap)) or built[0]) as at:
        driver = contact_modbus.Driver(contact_modbus.Settings(url=at.url, **at.patience), at.clock)
        driver.open()
        yield Contact(driver, built[0], world, at)
        driver.close()


def test_drivers_fill_their_roles(pressure: Pressure, force: Force, contact: Contact) -> None:
    assert isinstance(pressure.driver, PressureSensor)
    assert isinstance(force.driver, ForceSensor)
    assert isinstance(contact.driver, ContactSensor)


def test_pressure_follows_the_line(pressure: Pressure) -> None:
    for kpa in (0.0, 40.0, 250.0):
        pressure.world.pressure_kpa = kpa
        pressure.at.clock.sleep(0.1)
        pressure.driver.read()
        pressure.at.clock.sleep(0.1)
        reading = pressure.driver.read()
        assert reading.pressure_kpa == pytest.approx(kpa, abs=1.5)
        assert reading.temperature_c == pytest.approx(22.0, abs=1.5)


def test_pressure_readings_carry_the_time_of_the_clock(pressure: Pressure) -> None:
    before_ns = pressure.at.clock.now_ns()
    assert before_ns <= pressure.driver.read().time_ns <= pressure.at.clock.now_ns()


def test_zero_makes_the_present_pressure_read_zero(pressure: Pressure) -> None:
    pressure.world.pressure_kpa = 4.0
    pressure.at.clock.sleep(0.1)
    pressure.driver.read()
    pressure.at.clock.sleep(0.1)
    pressure.driver.zero()
    assert pressure.driver.read().pressure_kpa == pytest.approx(0.0, abs=0.8)


def test_a_line_under_pressure_is_not_made_to_read_zero(pressure: Pressure) -> None:
    pressure.world.pressure_kpa = 40.0
    pressure.at.clock.sleep(0.1)
    pressure.driver.read()
    pressure.at.clock.sleep(0.1)
    with pytest.raises(DeviceError, match="open the line to air"):
        pressure.driver.zero()
    assert pressure.driver.read().pressure_kpa == pytest.approx(40.0, abs=1.5)


def test_a_broken_pressure_cell_is_a_device_error(pressure: Pressure) -> None:
    pressure.device.channel_error = True
    with pytest.raises(DeviceError, match="channel error"):
        pressure.driver.read()
    assert not pressure.driver.make_safe(pressure.at.clock.deadline(10.0)).safe


def test_an_overload_is_a_device_error(pressure: Pressure) -> None:
    pressure.world.pressure_kpa = 900.0
    pressure.at.clock.sleep(0.2)
    with pytest.raises(DeviceError, match="overload"):
        pressure.driver.read()


def test_force_follows_the_cell(force: Force) -> None:
    for newtons in (0.0, 3.0, -1.0):
        force.world.needle_n = newtons
        force.at.clock.sleep(0.05)
        force.driver.read()
        force.at.clock.sleep(0.05)
        assert force.driver.read().force_n == pytest.approx(newtons, abs=0.3)


def test_tare_makes_the_present_force_read_zero(force: Force) -> None:
    force.world.needle_n = 2.0
    force.at.clock.sleep(0.05)
    force.driver.tare()
    assert force.driver.read().force_n == pytest.approx(0.0, abs=0.1)


def test_a_broken_wire_of_the_load_cell_is_a_device_error(force: Force) -> None:
    force.device.broken_wire = True
    with pytest.raises(DeviceError, match="check the load cell"):
        force.driver.read()


def test_contacts_are_distinguished(contact: Contact) -> None:
    for touching in ((False, False, False), (True, False, False), (False, True, False), (False, False, True)):
        contact.world.touching = touching
        reading = contact.driver.read()
        assert (reading.nerve, reading.vessel, reading.pedal) == touching


def test_a_broken_pedal_wire_counts_as_pressed(contact: Contact) -> None:
    assert not contact.driver.read().pedal
    contact.device.broken_wires.add(2)
    assert contact.driver.read().pedal


def test_sensors_prove_that_they_answer(pressure: Pressure, force: Force, contact: Contact) -> None:
    for sensor in (pressure, force, contact):
        assert sensor.driver.make_safe(sensor.at.clock.deadline(10.0)).safe


def test_a_closed_sensor_says_so(pressure: Pressure, force: Force, contact: Contact) -> None:
    for sensor in (pressure, force, contact):
        sensor.driver.close()
        sensor.driver.close()
        with pytest.raises(LinkError, match="not open"):
            sensor.driver.read()
