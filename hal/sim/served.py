"""Put a simulated bench on real ports, so that foreign clients and the rig itself can talk to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from hal.clock import Clock
from hal.links.wire import WireCore
from hal.sim.mounts import Clients, Lock, Mount, SharedLine, mount_pty, mount_tcp

_CHECK_S = 0.1
"""How often a serving bench looks whether it should stop or lost a mount."""
STREAMED = ("ultrasound", "tracker")
"""Roles whose TCP port is OpenIGTLink: several clients may listen."""


class SimDevice(Protocol):
    """One simulated device of a bench."""

    @property
    def role(self) -> str: ...

    @property
    def driver(self) -> str: ...

    @property
    def core(self) -> WireCore: ...

    @property
    def tcp_core(self) -> WireCore | None:
        """Core for the TCP port when it speaks differently there (Modbus TCP); None: the same one."""

    @property
    def kinds(self) -> frozenset[str]:
        """Out of ``pty`` and ``tcp``."""


class BenchWithDevices(Protocol):
    """A simulated bench as seen from here."""

    @property
    def lock(self) -> Lock: ...

    def cores(self) -> Sequence[SimDevice]: ...


Row = dict[str, str]
"""``device``, ``driver``, ``mount``, ``url``."""


class Served:
    """All mounts of a bench; closes them on leaving."""

    def __init__(self, bench: BenchWithDevices, clock: Clock) -> None:
        self.rows: list[Row] = []
        self._mounts: list[Mount] = []
        try:
            for device in bench.cores():
                self._mount(device, bench, clock)
        except BaseException:
            self.close()
            raise

    def _mount(self, device: SimDevice, bench: BenchWithDevices, clock: Clock) -> None:
        line = SharedLine(device.core)
        if "pty" in device.kinds:
            self._add(device, "pty", mount_pty(line.port(), clock, bench.lock))
        if "tcp" in device.kinds:
            scheme = tcp_scheme(device)
            core = device.tcp_core or line.port()
            clients: Clients = "all" if scheme == "igtl" else "one"
            self._add(device, "tcp", mount_tcp(core, clock, bench.lock, scheme=scheme, clients=clients))

    def _add(self, device: SimDevice, kind: str, mount: Mount) -> None:
        self._mounts.append(mount)
        self.rows.append({"device": device.role, "driver": device.driver, "mount": kind, "url": mount.url})

    def check(self) -> None:
        """Raise what ended a mount, if one ended."""
        for mount in self._mounts:
            if mount.error is not None:
                raise mount.error

    def close(self) -> None:
        for mount in self._mounts:
            mount.close()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def tcp_scheme(device: SimDevice) -> str:
    """Scheme of the URL of a device's TCP port."""
    if device.role in STREAMED:
        return "igtl"
    return "socket" if device.tcp_core is None else "modbus+tcp"


def serve(
    bench: BenchWithDevices, clock: Clock, stop: threading.Event, started: Callable[[], None] | None = None
) -> Iterator[Row]:
    """Yield one row per mount, then keep serving until ``stop`` is set; all mounts are closed at the end.

    Raises what ended a mount, if one ended by itself.
    """
    with Served(bench, clock) as served:
        yield from served.rows
        if started is not None:
            started()
        while not stop.is_set():
            clock.sleep(_CHECK_S)
            served.check()
