"""The seam between drivers and simulated devices: bytes in, bytes out.

A simulated device is a ``WireCore``: sans-I/O, driven with the time of the clock. ``Endpoint`` puts one
core behind an in-process address ``rigsim://NAME`` that links open like a port. The same cores are mounted
on ptys and TCP ports elsewhere (``hal.sim.mounts``); links know nothing of simulators beyond this file.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol

from hal.clock import Clock
from hal.errors import LinkError


class WireCore(Protocol):
    """One device as seen from its line."""

    def receive(self, data: bytes, now_ns: int) -> None:
        """Bytes arrive at the device."""

    def transmit(self, now_ns: int) -> bytes:
        """Take the bytes that the device has sent up to now (each byte once)."""

    def next_ns(self, now_ns: int) -> int | None:
        """When the device will send more by itself; None when it waits for input."""


@dataclass
class Endpoint:
    """A core on an in-process line."""

    core: WireCore
    clock: Clock
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Shared by all cores of one world: on the wall clock lanes are threads."""
    connected: bool = True
    """False = the cable is pulled (fault injection)."""


_endpoints: dict[str, Endpoint] = {}


def publish(name: str, endpoint: Endpoint) -> None:
    """Make a core reachable as ``rigsim://name`` within this process."""
    _endpoints[name] = endpoint


def withdraw(name: str) -> None:
    """Withdraw a published address."""
    _endpoints.pop(name, None)


def endpoint(url: str) -> Endpoint:
    """Look up ``rigsim://name``; raises ``LinkError`` when nothing is published there."""
    name = url.removeprefix("rigsim://").rstrip("/")
    if name not in _endpoints:
        raise LinkError(f"no simulated device is published as {url}", port=url)
    return _endpoints[name]
