"""Reports of the devices during a trial, as streams of the record.

Lanes hand over samples in their own tasks (threads on the wall clock); they are kept in queues and written by the
scan, so that one task writes the file and a kill loses no more than the last scan.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hal.types import (
    BalanceReading,
    CarrierState,
    ContactReading,
    ForceReading,
    HolderState,
    PressureReading,
    PumpState,
    TemperatureReading,
)
from rig.control.controller import Controller
from rig.lanes import Sample
from rig.record import Field, TrialRecord
from rig.safety.stop import Trip


@dataclass(frozen=True)
class Source:
    """How a role's readings become numbers."""

    fields: tuple[Field, ...]
    values: Callable[[Any], tuple[float, ...]]


def _pose(state: HolderState | CarrierState) -> tuple[float, ...]:
    return state.pose.as_tuple()


def _force(reading: ForceReading) -> tuple[float, ...]:
    return (reading.force_n,)


def _contact(reading: ContactReading) -> tuple[float, ...]:
    return (float(reading.nerve), float(reading.vessel), float(reading.pedal))


def _pressure(reading: PressureReading) -> tuple[float, ...]:
    return (reading.pressure_kpa, reading.temperature_c)


def _pump(state: PumpState) -> tuple[float, ...]:
    return (float(state.running), state.dispensed_ml, state.rate_ml_min)


def _temperature(reading: TemperatureReading) -> tuple[float, ...]:
    return (reading.temperature_c,)


def _balance(reading: BalanceReading) -> tuple[float, ...]:
    return (reading.mass_g, float(reading.stable), float(reading.overload) - float(reading.underload))


def _fields(*names: tuple[str, str]) -> tuple[Field, ...]:
    return tuple(Field(name, unit) for name, unit in names)


SOURCES: dict[str, Source] = {
    "holder": Source(
        _fields(("x_mm", "mm"), ("y_mm", "mm"), ("z_mm", "mm"), ("a_deg", "deg"), ("b_deg", "deg"), ("c_deg", "deg")),
        _pose,
    ),
    "carrier": Source(
        _fields(
            ("x_mm", "mm"), ("y_mm", "mm"), ("lateral_deg", "deg"), ("tilt_deg", "deg"), ("feed_mm", "mm"),
            ("bevel_deg", "deg"),
        ),
        _pose,
    ),
    "needle_force": Source(_fields(("force_n", "N")), _force),
    "probe_force": Source(_fields(("force_n", "N")), _force),
    "pressure": Source(_fields(("pressure_kpa", "kPa"), ("temperature_c", "degC")), _pressure),
    "pump": Source(_fields(("running", ""), ("dispensed_ml", "mL"), ("rate_ml_min", "mL/min")), _pump),
    "temperature": Source(_fields(("temperature_c", "degC")), _temperature),
    "balance": Source(_fields(("mass_g", "g"), ("stable", ""), ("beyond", "")), _balance),
    "contact": Source(_fields(("nerve", ""), ("vessel", ""), ("pedal", "")), _contact),
}  # fmt: skip


@dataclass
class Streaming:
    """Queues of one trial."""

    record: TrialRecord
    queues: dict[str, deque[Sample[Any]]] = field(default_factory=dict)
    open: bool = True

    def rule(self, now_ns: int) -> Trip | None:
        """Called by every scan; never trips."""
        self.flush()
        return None

    def flush(self) -> None:
        """Write what has come in."""
        if not self.open:
            return
        for role, queue in self.queues.items():
            values = SOURCES[role].values
            while queue:
                sample = queue.popleft()
                self.record.streams.sample(role, sample.time_ns, values(sample.value))

    def finish(self) -> None:
        """The record is about to be closed: write the rest, take no more."""
        self.flush()
        self.open = False


@contextmanager
def streaming(controller: Controller, record: TrialRecord) -> Iterator[Streaming]:
    """Record the readings of all roles that the rig has, inside the block."""
    stream = Streaming(record)
    listeners = []
    for role, source in SOURCES.items():
        channel = controller.rig.channels.get(role)
        if channel is None:
            continue
        record.streams.declare(role, source.fields)
        queue: deque[Sample[Any]] = deque()
        stream.queues[role] = queue
        channel.listeners.append(queue.append)
        listeners.append((channel, queue.append))
    try:
        with controller.watching(stream.rule):
            yield stream
    finally:
        stream.open = False
        for channel, listener in listeners:
            channel.listeners.remove(listener)
