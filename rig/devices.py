"""The devices of an opened rig, with their lanes and frames of reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from hal.clock import Clock
from hal.errors import ConfigError
from hal.interfaces import (
    Balance,
    ContactSensor,
    Device,
    EStop,
    ForceSensor,
    NeedleCarrier,
    Operator,
    PressureSensor,
    ProbeHolder,
    Pump,
    TemperatureSensor,
    Tracker,
    Ultrasound,
)
from hal.types import Identity
from rig.config import ROLES, RigConfig
from rig.geometry.transforms import TransformGraph
from rig.lanes import Channel, Lane


@dataclass
class Rig:
    """An opened rig. A role that is None is absent: its quantity is reported as not measured."""

    config: RigConfig
    clock: Clock
    identities: dict[str, Identity]
    lanes: dict[str, Lane]
    """By role; roles on one link share their lane."""
    channels: dict[str, Channel[Any]]
    frames: TransformGraph = field(default_factory=TransformGraph)
    holder: ProbeHolder | None = None
    carrier: NeedleCarrier | None = None
    pump: Pump | None = None
    pressure: PressureSensor | None = None
    needle_force: ForceSensor | None = None
    probe_force: ForceSensor | None = None
    contact: ContactSensor | None = None
    ultrasound: Ultrasound | None = None
    tracker: Tracker | None = None
    temperature: TemperatureSensor | None = None
    balance: Balance | None = None
    operator: Operator | None = None
    estop: EStop | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        """Roles that this rig has."""
        return frozenset(self.channels)

    @property
    def simulated(self) -> bool:
        """True when any device is a simulator, or the file says so: the label of all data."""
        return self.config.rig.simulated or any(i.simulated for i in self.identities.values())

    @property
    def unmonitored(self) -> frozenset[str]:
        """Roles whose values come on demand only, so that no interlock can watch them."""
        return frozenset(role for role, channel in self.channels.items() if channel.period_ns == 0)

    def device(self, role: str) -> Device:
        """Device of a role; raises ``ConfigError`` when the rig has none."""
        device = getattr(self, role, None) if role in ROLES else None
        if device is None:
            raise ConfigError(f"this rig ({self.config.rig.name}) has no {role}")
        return cast(Device, device)

    def close(self) -> list[str]:
        """Stop the lanes and close every device; returns in words what did not close."""
        problems = [f"lane {lane.name} is still busy" for lane in dict.fromkeys(self.lanes.values()) if not lane.stop()]
        for role in self.channels:
            try:
                self.device(role).close()
            except Exception as error:  # one device that does not close must not keep the others open
                problems.append(f"{role}: {error}")
        return sorted(problems)
