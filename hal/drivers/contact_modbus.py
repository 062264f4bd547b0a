"""Digital inputs on Modbus (function 2): conductive nerve and vessel inserts, and the foot pedal.

An input may be wired normally closed: then the current flows at rest, and an open circuit, also a broken wire,
counts as contact or as a pressed pedal.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hal.clock import Clock, Deadline
from hal.errors import BadReply, DeviceError, LinkError, NoReply, RigError
from hal.links.modbus import PATIENCE_S, ModbusLink, open_modbus
from hal.types import ContactReading, Identity, SafeReport


class Input(BaseModel):
    """One digital input."""

    model_config = ConfigDict(extra="forbid")

    address: int = Field(ge=0, le=0xFFFF)
    """On the wire, 0-based."""
    normally_closed: bool = False


class Settings(BaseModel):
    """How the input module is connected and wired."""

    model_config = ConfigDict(extra="forbid")

    url: str
    baudrate: int = Field(default=115200, gt=0)
    unit: int = Field(default=1, ge=1, le=247)
    timeout_s: float = Field(default=PATIENCE_S, gt=0, le=5)
    nerve: Input = Input(address=0)
    vessel: Input = Input(address=1)
    pedal: Input = Input(address=2, normally_closed=True)

    @property
    def first(self) -> int:
        return min(self.nerve.address, self.vessel.address, self.pedal.address)

    @property
    def count(self) -> int:
        return max(self.nerve.address, self.vessel.address, self.pedal.address) - self.first + 1


class Driver:
    """Implements ``hal.interfaces.ContactSensor``; all inputs come in one request."""

    role = "contact"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._link: ModbusLink | None = None

    def open(self) -> Identity:
        """Connect and read once; an input module has no identity to ask for."""
        settings = self._settings
        self._link = open_modbus(
            settings.url, settings.unit, settings.baudrate, self._clock, timeout_s=settings.timeout_s
        )
        try:
            self.read()
        except (NoReply, BadReply, DeviceError) as error:
            self.close()
            raise LinkError(
                f"the device on {settings.url} does not answer like a module with {settings.count} digital inputs "
                f"from address {settings.first}: {error}",
                port=settings.url,
                command="identify",
            ) from error
        except BaseException:
            self.close()
            raise
        simulated = self._link.simulated
        return Identity(role=self.role, driver="modbus_contact", model="digital inputs on Modbus", simulated=simulated)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def read(self) -> ContactReading:
        settings = self._settings
        if self._link is None:
            raise LinkError(f"contact sensor on {settings.url} is not open", port=settings.url)
        bits = self._link.read_discrete_inputs(settings.first, settings.count)

        def active(wired: Input) -> bool:
            return bits[wired.address - settings.first] != wired.normally_closed

        return ContactReading(
            self._clock.now_ns(), active(settings.nerve), active(settings.vessel), active(settings.pedal)
        )

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """A sensor moves nothing: safe means that it still answers."""
        try:
            self.read()
        except RigError as error:
            return SafeReport(self.role, False, str(error))
        return SafeReport(self.role, not deadline.expired, "passive; answers")
