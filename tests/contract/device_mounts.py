"""Three ways to reach one simulated device: in this process on virtual time, on a pty, and over TCP."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from waiting import REPLY_S, ended_patiently

from hal.clock import Clock, VirtualClock, WallClock
from hal.links.wire import Endpoint, WireCore, publish, withdraw
from hal.sim.mounts import mount_pty, mount_tcp

SERIAL_MOUNTS = ("rigsim", "pty", "socket")
MODBUS_MOUNTS = ("rigsim", "pty", "modbus+tcp", "rtu+tcp")
if sys.platform == "win32":
    SERIAL_MOUNTS, MODBUS_MOUNTS = ("rigsim", "socket"), ("rigsim", "modbus+tcp", "rtu+tcp")


@dataclass
class Mounted:
    """Where a driver finds the device, and the clock that both live on."""

    url: str
    clock: Clock
    lock: threading.RLock

    @property
    def patience(self) -> dict[str, Any]:
        """Settings of a driver here: its own patience on virtual time, more where a busy machine answers."""
        return {} if self.clock.virtual else {"timeout_s": REPLY_S}


@contextmanager
def mounted(kind: str, build: Callable[[bool], WireCore]) -> Iterator[Mounted]:
    """Mount ``build(mbap)`` as ``kind``."""
    core = build(kind == "modbus+tcp")
    lock = threading.RLock()
    if kind == "rigsim":
        clock = VirtualClock()
        publish("contract", Endpoint(core, clock, lock))
        try:
            yield Mounted("rigsim://contract", clock, lock)
        finally:
            withdraw("contract")
        return
    wall = WallClock()
    mount = mount_pty(core, wall, lock) if kind == "pty" else mount_tcp(core, wall, lock, scheme=kind)
    with ended_patiently(mount):
        yield Mounted(mount.url, wall, lock)
    assert mount.error is None
