"""Simulated load-cell amplifier: a float in newtons at register 0, upper half first, tare by coil 0."""

from __future__ import annotations

import math
from typing import Literal

from hal.sim.devices.modbus_slave import ILLEGAL_ADDRESS, ModbusFault, ModbusSlave, float_words
from hal.sim.devices.sensor_noise import Channel, Imperfection, SensorError
from hal.sim.ports import ForcePort
from hal.sim.simulators import BOTH, SimDevice, SimPlace

NEEDLE = Imperfection(noise_sd=0.015, offset_sd=0.05, drift_per_h=0.05, low_pass_hz=50.0)
"""Newtons; a 20 N cell with 0.1 % noise and 0.25 % zero error (assumed)."""
PROBE = Imperfection(noise_sd=0.04, offset_sd=0.1, drift_per_h=0.1, low_pass_hz=50.0)
"""Newtons; a 50 N cell (assumed)."""
RANGE_N = {"needle": 20.0, "probe": 50.0}
VALUE, STATUS, TARE_REGISTER, TARE_COIL = 0, 2, 16, 0


class ForceAmplifier(ModbusSlave):
    """One amplifier for needle or probe. ``broken_wire`` (a fault) makes the value NaN."""

    def __init__(
        self,
        port: ForcePort,
        which: Literal["needle", "probe"],
        *,
        seed: int = 0,
        unit: int = 1,
        mbap: bool = False,
        imperfection: Imperfection | None = None,
        error: SensorError | None = None,
    ) -> None:
        super().__init__(self, unit=unit, mbap=mbap, turnaround_s=0.001)
        self.functions = frozenset((1, 3, 4, 5, 6, 16))
        self.broken_wire = False
        self.tare_n = 0.0
        self._force = port.needle_force_n if which == "needle" else port.probe_force_n
        self._range_n = RANGE_N[which]
        self._channel = Channel(imperfection or (NEEDLE if which == "needle" else PROBE), seed, error)

    def _measure(self, now_ns: int) -> float:
        if self.broken_wire:
            return math.nan
        gross_n = self._channel.sample(self._force(now_ns), now_ns)
        return max(-self._range_n, min(self._range_n, gross_n)) - self.tare_n

    def _tare(self, now_ns: int) -> None:
        if not self.broken_wire:
            self.tare_n += self._measure(now_ns)

    def read_words(self, function: int, address: int, count: int, now_ns: int) -> list[int]:
        table = [*float_words(self._measure(now_ns)), int(self.broken_wire)]
        if address + count > len(table):
            raise ModbusFault(ILLEGAL_ADDRESS)
        return table[address : address + count]

    def read_bits(self, function: int, address: int, count: int, now_ns: int) -> list[bool]:
        if address != TARE_COIL or count != 1:
            raise ModbusFault(ILLEGAL_ADDRESS)
        return [False]  # a button, not a switch

    def write_words(self, address: int, words: list[int], now_ns: int) -> None:
        if address != TARE_REGISTER or len(words) != 1:
            raise ModbusFault(ILLEGAL_ADDRESS)
        if words[0] == 1:
            self._tare(now_ns)

    def write_bits(self, address: int, bits: list[bool], now_ns: int) -> None:
        if address != TARE_COIL or len(bits) != 1:
            raise ModbusFault(ILLEGAL_ADDRESS)
        if bits[0]:
            self._tare(now_ns)


def simulator(place: SimPlace) -> SimDevice:
    """Amplifier of the needle's load cell or the probe's, by its role."""
    which: Literal["needle", "probe"] = "probe" if place.role == "probe_force" else "needle"
    core = ForceAmplifier(place.surroundings, which, seed=place.seed, error=place.error)
    tcp_core = ForceAmplifier(place.surroundings, which, seed=place.seed, mbap=True, error=place.error)
    return SimDevice(place.role, place.driver, core, tcp_core, BOTH)
