"""Load-cell amplifiers on Modbus with a register map from the configuration.

There is no common map: value register, number format, word order, scale and the way to tare are settings. The
defaults are a single float in newtons at register 0, upper half first, and a tare coil 0.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, field_validator

from hal.clock import Clock
from hal.drivers.modbus_sensor import ModbusSensor, ModbusSettings
from hal.errors import BadReply, DeviceError, LinkError, NoReply
from hal.links.modbus import ModbusLink, unpack
from hal.types import ForceReading, Identity


class Settings(ModbusSettings):
    """Connection of the amplifier, and the register of the force."""

    role: Literal["needle_force", "probe_force"] = "needle_force"
    value_address: int = Field(default=0, ge=0, le=0xFFFF)
    """Address on the wire (0-based) of the value."""
    function: Literal[3, 4] = 3
    """3 = holding registers, 4 = input registers."""
    format: Literal["float32", "int32", "int16"] = "float32"
    word_order: Literal["big", "little"] = "big"
    scale_n: float = Field(default=1.0, ge=-1000, le=1000)
    """Newtons per unit of the value; negative reverses the sign."""
    range_n: float = Field(default=50.0, gt=0, le=1000)
    """A reading beyond this is an overload or a broken cell."""
    tare_by: Literal["coil", "register", "host"] = "coil"
    """``host``: the amplifier cannot tare, the driver subtracts."""
    tare_address: int = Field(default=0, ge=0, le=0xFFFF)
    tare_value: int = Field(default=1, ge=0, le=0xFFFF)
    """Written to the tare register."""
    tare_tolerance_n: float = Field(default=0.2, gt=0, le=10)

    @field_validator("scale_n")
    @classmethod
    def _tells_force(cls, value: float) -> float:
        if abs(value) < 1e-9:
            raise ValueError("must not be 0: every force would read as none")
        return value


class Driver(ModbusSensor[Settings]):
    """Implements ``hal.interfaces.ForceSensor``; the amplifiers have no common identity to ask for."""

    what = "force sensor"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.role = settings.role
        self._host_tare_n = 0.0

    @property
    def like(self) -> str:
        return f"a load-cell amplifier with a {self._settings.format} at register {self._settings.value_address}"

    def recognise(self, link: ModbusLink) -> Identity:
        """Require a plausible force."""
        self._value_n()
        driver = f"modbus_{self.role}"
        return Identity(role=self.role, driver=driver, model="load cell on Modbus", simulated=link.simulated)

    def read(self) -> ForceReading:
        """Force in newtons, tared; ``DeviceError`` when it is no number or beyond the range."""
        value_n = self._value_n()
        return ForceReading(self._clock.now_ns(), value_n - self._host_tare_n)

    def tare(self) -> None:
        """Make the present force read as zero; sent once, proven by reading."""
        settings, link = self._settings, self._opened()
        lost: LinkError | None = None
        try:
            if settings.tare_by == "host":
                self._host_tare_n = self._value_n()
            elif settings.tare_by == "coil":
                link.write_coil(settings.tare_address, True)
            else:
                link.write_register(settings.tare_address, settings.tare_value)
        except (NoReply, BadReply) as error:
            lost = error
        after_n = self.read().force_n
        if abs(after_n) > settings.tare_tolerance_n:
            raise DeviceError(
                f"{self.role} on {settings.url} reads {after_n:.2f} N after taring"
                + ("; the reply to the tare command was lost" if lost else "; is something touching the sensor?"),
                device=self.role,
                code="tare",
            ) from lost

    def shown(self, reading: ForceReading) -> str:
        return f"reads {reading.force_n:.2f} N"

    def _value_n(self) -> float:
        settings, link = self._settings, self._opened()
        words = link.read_registers(
            settings.value_address, 1 if settings.format == "int16" else 2, function=settings.function
        )
        if settings.format == "int16":
            value: float = words[0] - 0x10000 if words[0] & 0x8000 else words[0]
        else:
            value = unpack("f" if settings.format == "float32" else "i", words, settings.word_order)[0]
        force_n = value * settings.scale_n
        if not math.isfinite(force_n) or abs(force_n) > settings.range_n:
            raise DeviceError(
                f"{self.role} on {settings.url} reads {force_n:g} N, outside +-{settings.range_n:g} N; "
                "check the load cell, its cable and the register map",
                device=self.role,
                code="range",
            )
        return force_n
