"""Simulated KELLER X-line pressure transmitter behind its Modbus register map.

Our reading of the Series 30 protocol document: floats in bar and degC, upper half first, NaN for a channel error,
infinity beyond the range; zero by function 16 to 0xFF00; address 250 is transparent.
"""

from __future__ import annotations

import math

from hal.sim.devices.modbus_slave import (
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    ModbusFault,
    ModbusSlave,
    float_words,
    words_float,
)
from hal.sim.devices.sensor_noise import Channel, Imperfection, SensorError
from hal.sim.ports import PressurePort
from hal.sim.simulators import BOTH, SimDevice, SimPlace

KPA_PER_BAR = 100.0
TRANSPARENT_UNIT = 250

PRESSURE = Imperfection(noise_sd=0.1, offset_sd=0.3, drift_per_h=0.2, low_pass_hz=20.0)
"""kPa. Noise and filter: the rig's sensor specification; offset and drift assumed (0.1 % of 350 kPa)."""
TEMPERATURE = Imperfection(noise_sd=0.05, offset_sd=0.3, drift_per_h=0.0, low_pass_hz=0.1)

P1, P1_TEMPERATURE, FIRMWARE = 0x0002, 0x0008, 0x020F
SECOND_MAP = {0x0100: "p1", 0x0102: "tob1", 0x0108: "p1", 0x010A: "t"}
FIRST_MAP = {0x0000: "p1", 0x0002: "p1", 0x0006: "t", 0x0008: "tob1"}
UNFITTED = (0x0004, 0x000A, 0x0104, 0x0106)
"""Channels P2 and TOB2 of a transmitter with one pressure cell: they read NaN."""
WHOLE_MAP = {0x0020: "p1", 0x0022: "p1", 0x0026: "t", 0x0028: "tob1"}
"""The first map as whole numbers: Pa and hundredths of a degree; the largest and smallest for over- and underflow."""
WHOLE_PER_BAR, WHOLE_PER_C = 1e5, 100.0
ZERO, GAIN, RANGE = 0x0380, 0x0382, 0x03A0
"""Coefficients 64, 65 and 80 (81 follows): offset and gain of P1, ends of its range."""
SET_ZERO, RESET_ZERO = 0xFF00, 0xFF02


class KellerPressure(ModbusSlave):
    """The transmitter. ``channel_error`` (a fault) makes its channels NaN."""

    def __init__(
        self,
        port: PressurePort,
        *,
        seed: int = 0,
        unit: int = 1,
        mbap: bool = False,
        range_kpa: float = 350.0,
        imperfection: Imperfection = PRESSURE,
        error: SensorError | None = None,
    ) -> None:
        super().__init__(self, unit=unit, mbap=mbap, turnaround_s=0.003, any_unit=TRANSPARENT_UNIT)
        self.functions = frozenset((3, 6, 8, 16))
        self.range_kpa = range_kpa
        self.channel_error = False
        self.zero_shift_kpa = 0.0
        self.coefficients = {GAIN: 1.0, RANGE: 0.0, RANGE + 2: range_kpa / KPA_PER_BAR}
        """By address; a test sets what an earlier user may have left. The zero follows ``zero_shift_kpa``."""
        self._port = port
        self._pressure = Channel(imperfection, seed, error)
        self._temperature = Channel(TEMPERATURE, seed + 1)
        self._config = {0x0200: unit, FIRMWARE: 16 << 8 | 27}

    def read_words(self, function: int, address: int, count: int, now_ns: int) -> list[int]:
        words: list[int] = []
        values: dict[str, float] = {}
        while len(words) < count:
            at = address + len(words)
            if at in self._config or 0x0200 <= at <= 0x020F:
                words.append(self._config.get(at, 0))
                continue
            if count - len(words) < 2:
                raise ModbusFault(ILLEGAL_ADDRESS)
            words += self._pair(at, values, now_ns)
        return words

    def _pair(self, address: int, values: dict[str, float], now_ns: int) -> list[int]:
        """Two registers that start a 32-bit value; ``values`` keeps one sample per request."""
        name = FIRST_MAP.get(address) or SECOND_MAP.get(address)
        if name is not None:
            if name not in values:
                values[name] = self._measure(name, now_ns)
            return float_words(values[name])
        whole = WHOLE_MAP.get(address)
        if whole is not None:
            if whole not in values:
                values[whole] = self._measure(whole, now_ns)
            return _whole_words(values[whole] * (WHOLE_PER_BAR if whole == "p1" else WHOLE_PER_C))
        if address in UNFITTED:
            return float_words(math.nan)
        if address == ZERO and ZERO not in self.coefficients:
            return float_words(0.0 - self.zero_shift_kpa / KPA_PER_BAR)
        if address in self.coefficients:
            return float_words(self.coefficients[address])
        raise ModbusFault(ILLEGAL_ADDRESS)

    def _measure(self, name: str, now_ns: int) -> float:
        if self.channel_error:
            return math.nan
        if name != "p1":
            return self._temperature.sample(self._port.temperature_c(now_ns), now_ns)
        reading_kpa = self._pressure.sample(self._port.line_pressure_kpa(now_ns), now_ns) - self.zero_shift_kpa
        if reading_kpa > 1.1 * self.range_kpa:
            return math.inf
        if reading_kpa < -1.1 * KPA_PER_BAR:
            return -math.inf
        return reading_kpa / KPA_PER_BAR

    def write_words(self, address: int, words: list[int], now_ns: int) -> None:
        if address in (SET_ZERO, RESET_ZERO):
            if len(words) != 2:
                raise ModbusFault(ILLEGAL_VALUE)
            if address == RESET_ZERO:
                self.zero_shift_kpa = 0.0
                return
            target = words_float(words)
            present = self._measure("p1", now_ns)
            if not math.isfinite(target) or not math.isfinite(present):
                raise ModbusFault(ILLEGAL_VALUE)
            self.zero_shift_kpa += (present - target) * KPA_PER_BAR
            return
        if 0x0200 <= address <= 0x020F and len(words) == 1:
            self._config[address] = words[0]
            return
        raise ModbusFault(ILLEGAL_ADDRESS)

    def read_bits(self, function: int, address: int, count: int, now_ns: int) -> list[bool]:
        raise ModbusFault(ILLEGAL_ADDRESS)

    def write_bits(self, address: int, bits: list[bool], now_ns: int) -> None:
        raise ModbusFault(ILLEGAL_ADDRESS)


def _whole_words(value: float) -> list[int]:
    """A 32-bit whole number in two registers, upper half first. Decided here: a channel error reads as an overflow."""
    number = 0x7FFFFFFF if math.isnan(value) else round(max(-(2.0**31), min(2.0**31 - 1, value)))
    return [number >> 16 & 0xFFFF, number & 0xFFFF]


def simulator(place: SimPlace) -> SimDevice:
    """This device on a simulated bench."""
    core = KellerPressure(place.surroundings, seed=place.seed, error=place.error)
    tcp_core = KellerPressure(place.surroundings, seed=place.seed, mbap=True, error=place.error)
    return SimDevice(place.role, place.driver, core, tcp_core, BOTH)
