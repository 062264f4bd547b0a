"""Deadman: when the scan stands still, each lane stops its own actuator.

The scan evaluates every interlock. If its thread hangs (a record on a disk that does not answer, a fault of our own),
no interlock trips, while the lanes' polling keeps the pump's watchdog content. So each attended actuator is stopped
from its own lane, once, and its channel is failed: the scan, should it come back, makes the whole rig safe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hal.clock import NS_PER_S
from hal.errors import DeviceError
from rig.lanes import Channel

SCAN_LOST_S = 0.5
"""25 missed scans of 20 ms; above what a loaded computer delays a thread, and as long as a tip confirmed by the image
is trusted at 3 mm/s [A]."""


class ScanDeadman:
    """The deadman of one actuator."""

    def __init__(self, channel: Channel[Any], stop: Callable[[], None], limit_s: float = SCAN_LOST_S) -> None:
        self._channel = channel
        self._stop = stop
        self._limit_ns = int(limit_s * NS_PER_S)
        self._scanned_ns: int | None = None
        """None: the actuator is not attended, so that nothing moves."""

    def beat(self, now_ns: int) -> None:
        """Note that the scan has looked."""
        if self._scanned_ns is not None:
            self._scanned_ns = now_ns

    def attend(self, attended: bool, now_ns: int) -> None:
        """Note whether something may move from now on."""
        self._scanned_ns = now_ns if attended else None

    def look(self, now_ns: int) -> None:
        """Stop the device when nobody has scanned for too long; called in the lane's task."""
        scanned_ns = self._scanned_ns
        if scanned_ns is None or now_ns - scanned_ns <= self._limit_ns:
            return
        self._scanned_ns = None
        words = f"nobody watched for {(now_ns - scanned_ns) / NS_PER_S:.2f} s"
        try:
            self._stop()
            done = "its lane has stopped it"
        except Exception as error:
            done = f"its lane could not stop it: {error}"
        self._channel.fail(DeviceError(f"{words}: {done}", device=self._channel.role))
