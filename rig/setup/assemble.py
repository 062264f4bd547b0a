"""Opening a rig from its file: drivers built, devices opened all at once, failures reported together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from hal import registry
from hal.clock import Clock
from hal.errors import ConfigError, DeviceError, LinkError
from hal.interfaces import (
    Device,
)
from hal.types import Frame, Identity, Matrix
from rig.config import ROLES, RigConfig
from rig.devices import Rig
from rig.lanes import Channel, Lane

OPEN_S = 20.0
"""Longest time for all devices to open; a KELLER or a Grbl needs about 2 s after power-up."""


class RigNotOpened(LinkError):
    """One or more devices could not be opened; ``failures`` has every one by role. Nothing is left open."""

    def __init__(self, failures: Mapping[str, Exception]) -> None:
        lines = [f"  {role}: {error}" for role, error in failures.items()]
        super().__init__(f"{len(failures)} of the rig's devices did not open:\n" + "\n".join(lines))
        self.failures = dict(failures)


def _at_bench(value: Any, bench_id: str) -> Any:
    if isinstance(value, str) and value.startswith("rigsim://"):
        return f"rigsim://{bench_id}/{value.removeprefix('rigsim://')}"
    if isinstance(value, dict):
        return {key: _at_bench(inner, bench_id) for key, inner in value.items()}
    if isinstance(value, list):
        return [_at_bench(inner, bench_id) for inner in value]
    return value


def _link_of(role: str, settings: BaseModel | None) -> str:
    """Link of a device; devices on one port share one lane, and a device without a port has its own."""
    for key in ("port", "url", "host"):
        value = getattr(settings, key, None)
        if isinstance(value, str) and value:
            number = getattr(settings, "tcp_port", None)
            return f"{value}:{number}" if number else value
    return role


def _open_all(clock: Clock, groups: Mapping[str, list[tuple[str, Device]]]) -> dict[str, Identity]:
    """Open the devices of all links in parallel; raises ``RigNotOpened`` after closing those that opened."""
    identities: dict[str, Identity] = {}
    failures: dict[str, Exception] = {}
    waiting = set(groups)
    """Links that still have a device to open."""

    def opener(link: str, members: list[tuple[str, Device]]) -> None:
        try:
            for role, device in members:
                try:
                    identities[role] = device.open()
                except Exception as error:  # reported together with the others
                    failures[role] = error
        finally:
            waiting.discard(link)
        for role, device in members:
            if role in identities:
                keep_awake(device)

    def keep_awake(device: Device) -> None:
        """Read a device that stops after a silence, until the slowest of the others is open."""
        watchdog_s: float | None = getattr(device, "watchdog_s", None)
        read = getattr(device, "read", None)
        while watchdog_s and read is not None and waiting:
            with suppress(LinkError, DeviceError):  # the lane's first reading tells it
                read()
            clock.sleep(watchdog_s / 4.0)

    tasks = {
        link: clock.spawn(f"open-{link}", lambda k=link, m=members: opener(k, m))  # type: ignore[misc]
        for link, members in groups.items()
    }
    deadline = clock.deadline(OPEN_S)
    while any(task.alive for task in tasks.values()) and not deadline.expired:
        clock.sleep(0.01)
    for link, task in tasks.items():
        if task.alive:
            task.stop()
        for role, _ in groups[link]:
            if role not in identities and role not in failures:
                failures[role] = task.error if isinstance(task.error, Exception) else LinkError(
                    f"{role} did not answer within {OPEN_S:g} s of opening; check its power and its cable", port=link
                )  # fmt: skip
    if failures:
        for members in groups.values():
            for role, device in members:
                if role in identities:
                    try:
                        device.close()
                    except Exception as error:
                        failures[role] = error
        raise RigNotOpened({role: failures[role] for role in ROLES if role in failures})
    return identities


def _calibrated(read: Callable[[], Frame | None], ImageToProbe: Matrix) -> Callable[[], Frame | None]:
    """Frames with the rig's own calibration instead of the one that the link declares."""

    def frame() -> Frame | None:
        found = read()
        return None if found is None else replace(found, ImageToProbe=ImageToProbe)

    return frame


def open_rig(config: RigConfig, clock: Clock, bench_id: str = "", provided: Mapping[str, Device] | None = None) -> Rig:
    """Build all drivers, open all devices at once, start the lanes.

    ``bench_id`` puts ``rigsim://pump`` on one of several simulated benches: ``rigsim://<bench_id>/pump``.
    ``provided`` are devices by role that the caller built (the simulated operator). Raises ``ConfigError``
    for settings that do not fit and ``RigNotOpened`` with every failure.
    """
    provided = provided or {}
    devices: dict[str, Device] = {}
    links: dict[str, str] = {}
    if bench_id:
        config = config.model_copy(update={"devices": _at_bench(config.devices, bench_id)})
    for role in ROLES:
        if role in provided:
            devices[role], links[role] = provided[role], role
        elif role in config.devices:
            settings = config.driver_settings(role)
            if settings is None:
                raise ConfigError(f"devices.{role}: the simulated bench provides no {config.devices[role]['driver']}")
            entry = registry.driver(str(config.devices[role]["driver"]))
            device = entry.build(settings, clock)
            device.role = role
            devices[role], links[role] = device, _link_of(role, settings)
    groups: dict[str, list[tuple[str, Device]]] = {}
    for role, device in devices.items():
        groups.setdefault(links[role], []).append((role, device))
    identities = _open_all(clock, groups)

    lanes: dict[str, Lane] = {}
    channels: dict[str, Channel[Any]] = {}
    for link, members in groups.items():
        lane = Lane(link, clock)
        for role, device in members:
            polled = getattr(device, "polled", True) and role != "operator"
            estop = polled and role in config.safety.estop_inputs
            period_s = config.limits.period_s(role, attended=False, estop=estop) if polled else 0.0
            read = getattr(device, "read", None) or (lambda: None)
            if role == "ultrasound" and config.frames.ImageToProbe is not None:
                read = _calibrated(read, config.frames.ImageToProbe.as_matrix())
            channels[role] = Channel(role, read, period_s, urgent=estop)
            lane.add(channels[role])
            lanes[role] = lane
    rig = Rig(config, clock, identities, lanes, channels, config.frames.graph())
    for role, device in devices.items():
        setattr(rig, role, device)
    for lane in dict.fromkeys(lanes.values()):
        lane.start()
    return rig
