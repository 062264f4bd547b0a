"""KELLER X-line pressure transmitters (Series 30: 30X, 33X, 35X, 36X) on Modbus RTU or TCP.

Source: KELLER Series 30 communication protocol (Modbus), registers on the wire, 0-based, floats upper half first.
One request of four registers at 0x0100 returns pressure P1 (bar) and the temperature of its cell (degC).
"""

from __future__ import annotations

import math

from pydantic import Field

from hal.clock import Clock
from hal.drivers.modbus_sensor import ModbusSensor, ModbusSettings
from hal.errors import BadReply, DeviceError, LinkError, NoReply
from hal.links.modbus import ModbusLink
from hal.types import Identity, PressureReading

KPA_PER_BAR = 100.0
P1_AND_TEMPERATURE = 0x0100
FIRMWARE = 0x020F
P1_RANGE = 0x03A0
SET_ZERO = 0xFF00
ECHO_PATTERN = b"\x12\x34"
QUIET_BITS = 240
"""The manual's pause between requests: 25 ms at 9600 and 12.5 ms at 19200 baud are 240 bit times; at least 5 ms."""
QUIET_LEAST_S = 0.005
ZERO_TOLERANCE_KPA = 1.5
"""A reading after zeroing that is further from zero than this (three times the usual drift and noise) was not taken."""
ZERO_FROM_KPA = 5.0
"""A line that reads more is not open to air: drift and noise make 0.5 kPa (0.1 % of the range), a column of fluid up to
the needle 10 kPa per metre, and bench lines are shorter than half of one [A]."""


class Settings(ModbusSettings):
    """How the transmitter is connected."""

    unit: int = Field(default=1, ge=1, le=250)
    """250 is transparent: whatever transmitter is there answers."""


class Driver(ModbusSensor[Settings]):
    """Implements ``hal.interfaces.PressureSensor``; 100 readings per second are possible at 115200 baud."""

    role = "pressure"
    what = "pressure sensor"
    like = "a KELLER X-line transmitter"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.range_kpa = (math.nan, math.nan)

    @property
    def quiet_s(self) -> float:
        return max(QUIET_LEAST_S, QUIET_BITS / self._settings.baudrate)

    def recognise(self, link: ModbusLink) -> Identity:
        """Echo, range and firmware of a KELLER."""
        echoed = link.echo(ECHO_PATTERN)
        if echoed != ECHO_PATTERN:
            raise BadReply(f"echo test returned {echoed.hex(' ')}", port=link.url, raw=echoed)
        low_bar, high_bar = link.read_float32(P1_RANGE, 2)
        if not (math.isfinite(low_bar) and math.isfinite(high_bar) and low_bar < high_bar <= 3000.0):
            raise BadReply(f"pressure range reads {low_bar:g}..{high_bar:g} bar", port=link.url)
        self.range_kpa = (low_bar * KPA_PER_BAR, high_bar * KPA_PER_BAR)
        word = link.read_registers(FIRMWARE, 1)[0]
        return Identity(
            role=self.role,
            driver="keller_pressure",
            model=f"KELLER X-line {self.range_kpa[0]:g}..{self.range_kpa[1]:g} kPa",
            firmware=f"{word >> 8}.{word & 0xFF}",
            simulated=link.simulated,
        )

    def read(self) -> PressureReading:
        """Gauge pressure and temperature of the cell; ``DeviceError`` when the channel is broken or overloaded."""
        bar, temperature_c = self._opened().read_float32(P1_AND_TEMPERATURE, 2)
        if not math.isfinite(bar):
            cause = "channel error" if math.isnan(bar) else "overload" if bar > 0 else "below its range"
            raise DeviceError(
                f"pressure sensor on {self._settings.url} reports {bar} ({cause}); check cell and line pressure",
                device=self.role,
                code=str(bar),
            )
        return PressureReading(self._clock.now_ns(), bar * KPA_PER_BAR, temperature_c)

    def zero(self) -> None:
        """Make the present pressure read zero; sent once, proven by reading.

        Raises ``DeviceError`` (code ``zero``) when it reads more than 5 kPa before: a line under pressure would then
        read too low ever after. Nothing is sent in that case.
        """
        link = self._opened()
        before_kpa = self.read().pressure_kpa
        if abs(before_kpa) > ZERO_FROM_KPA:
            raise DeviceError(
                f"pressure sensor on {self._settings.url} reads {before_kpa:.1f} kPa and is not zeroed from more than"
                f" {ZERO_FROM_KPA:g} kPa: open the line to air, look for a clot; an absolute transmitter does not fit",
                device=self.role,
                code="zero",
            )
        lost: LinkError | None = None
        try:
            link.write_float32(SET_ZERO, 0.0)
        except (NoReply, BadReply) as error:
            lost = error
        after_kpa = self.read().pressure_kpa
        if abs(after_kpa) > ZERO_TOLERANCE_KPA:
            raise DeviceError(
                f"pressure sensor on {self._settings.url} reads {after_kpa:.2f} kPa after zeroing"
                + (" (the reply to the zero command was lost)" if lost else "; is the line open to air?"),
                device=self.role,
                code="zero",
            ) from lost

    def shown(self, reading: PressureReading) -> str:
        return f"reads {reading.pressure_kpa:.1f} kPa"
