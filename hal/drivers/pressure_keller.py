"""KELLER X-line pressure transmitters (Series 30: 30X, 33X, 35X, 36X) on Modbus RTU or TCP.

Source: KELLER Series 30 communication protocol (Modbus), registers on the wire, 0-based, floats upper half first.
One request of four registers at 0x0100 returns pressure P1 (bar) and the temperature of its cell (degC).
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from hal.clock import Clock
from hal.drivers.modbus_sensor import ModbusSensor, ModbusSettings
from hal.errors import BadReply, DeviceError, LinkError, NoReply
from hal.links.modbus import ModbusLink
from hal.types import Identity, PressureReading

KPA_PER_BAR = 100.0
P1_AND_TEMPERATURE = 0x0100
FIRMWARE = 0x020F
P1_ZERO_AND_GAIN = 0x0380
"""Offset (bar) that a user's zero has set, and gain: kept in the transmitter over power cuts."""
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


KEPT_ZERO_KPA = 10.0
"""A transmitter whose kept zero is further away than twice what this driver zeroes from was zeroed on a line under
pressure, or is worn out [A]."""
GAIN_TOLERANCE = 0.01
"""A gain further from 1 was set by somebody; ten times the 0.1 % of a transmitter's accuracy [A]."""
SINGLE_FLOAT_KPA = 0.01
"""Two ends of a range are the same when they differ by less: single floats of at most 300 bar."""
MARGIN = 0.1
"""Part of the range beyond its ends that a transmitter still measures; beyond it reports an overload [A]."""
VACUUM_KPA = -101.325
"""No gauge pressure is lower."""
CELL_C = (-50.0, 150.0)
"""Temperatures at which a cell of this series can be and work [A]."""


Pressure = Annotated[float, Field(ge=-1000.0, le=300_000.0)]


class Settings(ModbusSettings):
    """Connection of the transmitter, and its expected properties."""

    unit: int = Field(default=1, ge=1, le=250)
    """250 is the transparent address: any transmitter answers it."""
    range_kpa: tuple[Pressure, Pressure] | None = None
    """Measuring range on the label; any other is refused. None accepts the range that it reports."""


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
        link.echo(ECHO_PATTERN)
        low_bar, high_bar = link.read_float32(P1_RANGE, 2)
        if not (math.isfinite(low_bar) and math.isfinite(high_bar) and low_bar < high_bar <= 3000.0):
            raise BadReply(f"pressure range reads {low_bar:g}..{high_bar:g} bar", port=link.url)
        self.range_kpa = (low_bar * KPA_PER_BAR, high_bar * KPA_PER_BAR)
        self._check_kept(link)
        word = link.read_registers(FIRMWARE, 1)[0]
        return Identity(
            role=self.role,
            driver="keller_pressure",
            model=f"KELLER X-line {self.range_kpa[0]:g}..{self.range_kpa[1]:g} kPa",
            firmware=f"{word >> 8}.{word & 0xFF}",
            simulated=link.simulated,
        )

    def _check_kept(self, link: ModbusLink) -> None:
        """Check zero, gain and range as an earlier user may have left them; a reading does not show them."""
        low, high = self.range_kpa
        wanted = self._settings.range_kpa
        if wanted is not None and max(abs(wanted[0] - low), abs(wanted[1] - high)) > SINGLE_FLOAT_KPA:
            raise self._fault(
                "range", f"measures {low:g} to {high:g} kPa, not {wanted[0]:g} to {wanted[1]:g} as the rig file says;"
                " is it the right transmitter?"
            )  # fmt: skip
        zero_bar, gain = link.read_float32(P1_ZERO_AND_GAIN, 2)
        if not abs(gain - 1.0) <= GAIN_TOLERANCE:
            raise self._fault("gain", f"has the gain {gain:g} instead of 1; set it back with the maker's program")
        if not abs(zero_bar * KPA_PER_BAR) <= KEPT_ZERO_KPA:
            raise self._fault(
                "zero", f"keeps a zero of {zero_bar * KPA_PER_BAR:.1f} kPa, more than {KEPT_ZERO_KPA:g}: it was zeroed"
                " on a line under pressure, or is worn out; set its zero back with the maker's program"
            )  # fmt: skip

    def read(self) -> PressureReading:
        """Gauge pressure and temperature of the cell, as old as the question.

        ``DeviceError`` when the channel is broken or overloaded, or when it cannot be that pressure or temperature.
        """
        link = self._opened()
        bar, temperature_c = link.read_float32(P1_AND_TEMPERATURE, 2)
        if not math.isfinite(bar):
            cause = "channel error" if math.isnan(bar) else "overload" if bar > 0 else "below its range"
            raise self._fault(str(bar), f"reports {bar} ({cause}); check cell and line pressure")
        kpa = bar * KPA_PER_BAR
        low, high = self.range_kpa
        if not VACUUM_KPA <= kpa <= high + MARGIN * (high - low):
            raise self._fault(
                "range", f"reads {kpa:g} kPa, which its range {low:g} to {high:g} kPa does not allow; check cell and"
                " cable"
            )  # fmt: skip
        if not CELL_C[0] <= temperature_c <= CELL_C[1]:
            raise self._fault(
                "temperature", f"reads {temperature_c:g} degC in its cell, by which it corrects the pressure; check the"
                " cell"
            )  # fmt: skip
        return PressureReading(link.asked_ns, kpa, temperature_c)

    def _fault(self, code: str, what: str) -> DeviceError:
        return DeviceError(f"pressure sensor on {self._settings.url} {what}", device=self.role, code=code)

    def zero(self) -> None:
        """Make the present pressure read as zero; sent once, proven by reading.

        Raises ``DeviceError`` (code ``zero``) when it reads more than 5 kPa before: a line under pressure would then
        read too low ever after. Nothing is sent in that case.
        """
        link = self._opened()
        before_kpa = self.read().pressure_kpa
        if abs(before_kpa) > ZERO_FROM_KPA:
            raise self._fault(
                "zero", f"reads {before_kpa:.1f} kPa and is not zeroed from more than {ZERO_FROM_KPA:g} kPa: open the"
                " line to air, look for a clot; an absolute transmitter does not fit"
            )  # fmt: skip
        lost: LinkError | None = None
        try:
            link.write_float32(SET_ZERO, 0.0)
        except (NoReply, BadReply) as error:
            lost = error
        after_kpa = self.read().pressure_kpa
        if abs(after_kpa) > ZERO_TOLERANCE_KPA:
            raise self._fault(
                "zero", f"reads {after_kpa:.2f} kPa after zeroing"
                + (" (the reply to the zero command was lost)" if lost else "; is the line open to air?")
            ) from lost  # fmt: skip

    def shown(self, reading: PressureReading) -> str:
        return f"reads {reading.pressure_kpa:.1f} kPa"
