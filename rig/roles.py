"""The roles of a rig by name, each with the type of what its device reads.

A role is a string, as it stands in rig files, records and messages; the type is for who reads it:
``controller.read(PUMP)`` is a ``PumpState``.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from hal.types import (
    BalanceReading,
    CarrierState,
    ContactReading,
    ForceReading,
    HolderState,
    PressureReading,
    PumpState,
    TemperatureReading,
    TrackedPose,
)

T_co = TypeVar("T_co", covariant=True)


class Role(str, Generic[T_co]):
    """Name of a part that a device can play; what it reads is a ``T_co``."""

    __slots__ = ()


HOLDER: Role[HolderState] = Role("holder")
CARRIER: Role[CarrierState] = Role("carrier")
PUMP: Role[PumpState] = Role("pump")
PRESSURE: Role[PressureReading] = Role("pressure")
NEEDLE_FORCE: Role[ForceReading] = Role("needle_force")
PROBE_FORCE: Role[ForceReading] = Role("probe_force")
CONTACT: Role[ContactReading] = Role("contact")
TRACKER: Role[tuple[TrackedPose, ...]] = Role("tracker")
TEMPERATURE: Role[TemperatureReading] = Role("temperature")
BALANCE: Role[BalanceReading] = Role("balance")
