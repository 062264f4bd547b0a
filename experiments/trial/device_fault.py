"""When a device's fault ended a trial: by rules that stand in the plan, without a look at how well the trial went.

A device fault is a normal event and no failure of a technique. Its trial is closed as ``device_fault``, and repeated as
a new one. So that nobody can call a bad trial a device's fault, the rules name devices and kinds of fault beforehand
and leave out what a technique could have caused: alarms of a drive that ran against something, a blocked line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hal.errors import LinkError, SafetyStop
from rig.safety.stop import HoldRequested

DEVICE_FAULT = "device_fault"
"""The outcome of such a trial."""
KINDS: Mapping[str, str] = {
    "fault": "gives no answer, or one that no device of its kind gives",
    "stale": "gives no new reading",
    "frozen": "gives the same reading to the last digit again and again",
    "stop": "does not stop when told",
    "uncommanded": "moves or delivers what nobody ordered",
    "astray": "is somewhere else than its orders and its own last report allow",
    "beyond": "delivers more than was ordered",
    "ahead": "delivers faster than was ordered",
}
"""Kinds of fault, as the interlocks name them, and what the device does."""
_SENSOR = ("fault", "stale", "frozen")
_AXES = ("fault", "stale", "stop", "uncommanded", "astray")
RULES: Mapping[str, tuple[str, ...]] = {
    "holder": _AXES,
    "carrier": _AXES,
    "pump": ("fault", "stale", "stop", "uncommanded", "beyond", "ahead"),
    "pressure": _SENSOR,
    "needle_force": _SENSOR,
    "probe_force": _SENSOR,
    "contact": ("fault", "stale"),
    "ultrasound": ("fault", "stale"),
    "tracker": ("fault", "stale"),
    "temperature": ("fault", "stale"),
}
"""Devices and the kinds of fault that end a trial as ``device_fault``; written into the record with the plan."""
NO_PICTURE = "image_lost"
"""Hold that fires when the scanner sends no picture."""


@dataclass(frozen=True)
class Ports:
    """Which role is at the other end of which line."""

    roles: Mapping[str, str]

    @staticmethod
    def of(devices: Mapping[str, Mapping[str, object]]) -> Ports:
        """From the ``[devices]`` of a rig file; a line that several roles share names none of them."""
        found: dict[str, list[str]] = {}
        for role, table in devices.items():
            found.setdefault(str(table.get("url", "")), []).append(role)
        return Ports({url: roles[0] for url, roles in found.items() if url and len(roles) == 1})


def fault_of(error: BaseException | None, ports: Ports, broken: Sequence[str] = ()) -> str:
    """Device and kind of the fault that ended a trial (``pressure: frozen``); empty when no rule names it.

    ``broken``: roles that answer no more. An emergency-stop input that is one of theirs counts as pressed; then it was
    the device, and not a person, that stopped the rig.
    """
    if isinstance(error, SafetyStop) and error.source == "estop":
        return next((named for role in sorted(broken) if (named := _by_rule(role, "fault"))), "")
    if isinstance(error, HoldRequested) and error.source == NO_PICTURE:
        return _by_rule("ultrasound", "stale")
    if isinstance(error, SafetyStop | HoldRequested):
        role = next((role for role in RULES if error.source.startswith(f"{role}_")), "")
        return _by_rule(role, error.source.removeprefix(f"{role}_"))
    if isinstance(error, LinkError):
        return _by_rule(ports.roles.get(error.port, ""), "fault")
    return ""  # a device that answers and refuses: it may be the technique's doing


def _by_rule(role: str, kind: str) -> str:
    return f"{role}: {kind}" if kind in RULES.get(role, ()) else ""
