"""Digital inputs on Modbus (function 2): conductive nerve and vessel inserts, and the foot pedal.

An input may be wired normally closed: then the current flows at rest, and an open circuit, also a broken wire,
counts as contact or as a pressed pedal.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hal.drivers.modbus_sensor import ModbusSensor, ModbusSettings
from hal.links.modbus import ModbusLink
from hal.types import ContactReading, Identity


class Input(BaseModel):
    """One digital input."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    address: int = Field(ge=0, le=0xFFFF)
    """On the wire, 0-based."""
    normally_closed: bool = False


class Settings(ModbusSettings):
    """Connection and wiring of the input module."""

    nerve: Input = Input(address=0)
    vessel: Input = Input(address=1)
    pedal: Input = Input(address=2, normally_closed=True)

    @property
    def first(self) -> int:
        return min(self.nerve.address, self.vessel.address, self.pedal.address)

    @property
    def count(self) -> int:
        return max(self.nerve.address, self.vessel.address, self.pedal.address) - self.first + 1


class Driver(ModbusSensor[Settings]):
    """Implements ``hal.interfaces.ContactSensor``; one request reads all inputs, none of which identifies the
    module."""

    role = "contact"
    what = "contact sensor"

    @property
    def like(self) -> str:
        return f"a module with {self._settings.count} digital inputs from address {self._settings.first}"

    def recognise(self, link: ModbusLink) -> Identity:
        """Require that the module has as many inputs."""
        self.read()
        return Identity(
            role=self.role, driver="modbus_contact", model="digital inputs on Modbus", simulated=link.simulated
        )

    def read(self) -> ContactReading:
        """All three circuits in one request."""
        settings, link = self._settings, self._opened()
        bits = link.read_discrete_inputs(settings.first, settings.count)

        def active(wired: Input) -> bool:
            return bits[wired.address - settings.first] != wired.normally_closed

        return ContactReading(link.asked_ns, active(settings.nerve), active(settings.vessel), active(settings.pedal))
