"""Simulated module of eight digital inputs: 0 nerve insert, 1 vessel insert, 2 foot pedal (wired normally closed)."""

from __future__ import annotations

from hal.sim.devices.modbus_slave import ILLEGAL_ADDRESS, ModbusFault, ModbusSlave
from hal.sim.ports import ContactPort
from hal.sim.simulators import BOTH, SimDevice, SimPlace

INPUTS = 8


class ContactInputs(ModbusSlave):
    """The module. ``broken_wires`` (a fault) names inputs whose circuit is open."""

    def __init__(
        self,
        port: ContactPort,
        *,
        unit: int = 1,
        mbap: bool = False,
        normally_closed: frozenset[int] = frozenset((2,)),
    ) -> None:
        super().__init__(self, unit=unit, mbap=mbap, turnaround_s=0.001)
        self.functions = frozenset((2,))
        self.normally_closed = normally_closed
        self.broken_wires: set[int] = set()
        self._port = port

    def read_bits(self, function: int, address: int, count: int, now_ns: int) -> list[bool]:
        if address + count > INPUTS:
            raise ModbusFault(ILLEGAL_ADDRESS)
        touched = (*self._port.touches(now_ns), *(False,) * (INPUTS - 3))
        closed = [touched[i] != (i in self.normally_closed) for i in range(INPUTS)]
        return [closed[i] and i not in self.broken_wires for i in range(address, address + count)]

    def read_words(self, function: int, address: int, count: int, now_ns: int) -> list[int]:
        raise ModbusFault(ILLEGAL_ADDRESS)

    def write_words(self, address: int, words: list[int], now_ns: int) -> None:
        raise ModbusFault(ILLEGAL_ADDRESS)

    def write_bits(self, address: int, bits: list[bool], now_ns: int) -> None:
        raise ModbusFault(ILLEGAL_ADDRESS)


def simulator(place: SimPlace) -> SimDevice:
    """This device on a simulated bench."""
    core = ContactInputs(place.contacts)
    return SimDevice(place.role, place.driver, core, ContactInputs(place.contacts, mbap=True), BOTH)
