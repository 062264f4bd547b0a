"""The ``<...>`` line of the simulated controllers, and the reports in which each of its fields appears.

Source: Grbl 1.1h and grblHAL report.c (``report_realtime_status``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hal.sim.devices.motion_config import Firmware
from hal.sim.devices.motion_settings import PLANNER_BLOCKS, RX_BYTES

BUSY_RATIO, REST_RATIO = 10, 30
"""Reports between two that tell the work offset (and the overrides), in motion and at rest."""


@dataclass(frozen=True)
class Moment:
    """State of a controller at the moment of a report."""

    state: str
    moving: bool
    machine: NDArray[np.float64]
    offset: NDArray[np.float64]
    queued: int
    pending: int
    """Bytes received and not worked off."""
    feed_per_min: float
    pins: str
    system: str
    """Active coordinate system."""
    homed: bool | None
    """None: homing is off."""
    tool: int


class Reports:
    """Counts reports: work offset and overrides are included now and then, news once."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._hal = firmware is Firmware.GRBLHAL
        self._turn = 0
        self._system_reported = True
        self.full = False
        """The next one includes everything (grblHAL, 0x87)."""

    def restart(self) -> None:
        """After a reset, or a new offset: the next report includes it."""
        self._turn = 0

    def new_system(self) -> None:
        """Another coordinate system became active: grblHAL names it once."""
        self._system_reported = False

    def line(self, now: Moment, mask: int) -> str:
        """One report; ``mask`` is ``$10``, of which Grbl 1.1 has two bits; it always includes the rest."""
        fields = mask if self._hal else mask | ~3
        position = now.machine if mask & 1 else now.machine - now.offset
        parts = [f"<{now.state}|{'MPos' if mask & 1 else 'WPos'}:{_list(position)}"]
        if mask & 2:
            free = PLANNER_BLOCKS[self._firmware] - now.queued
            parts.append(f"Bf:{free},{RX_BYTES[self._firmware] - now.pending}")
        if fields & 8:
            parts.append(f"FS:{now.feed_per_min:.0f},0")
        if now.pins and fields & 16:
            parts.append(f"Pn:{now.pins}")
        full, self.full = self.full, False
        turn = self._turn % (BUSY_RATIO if now.moving else REST_RATIO)
        self._turn += 1
        if (turn == 0 or full) and fields & 32:
            parts.append(f"WCO:{_list(now.offset)}")
        if full or (self._hal and not self._system_reported):
            parts.append(f"WCS:{now.system}")
        self._system_reported = True
        if (turn == 1 or full) and fields & 64:
            parts.append("Ov:100,100,100")
        if full:
            homed = [] if now.homed is None else [f"H:{int(now.homed)}"]
            parts += ["A:", *homed, f"T:{now.tool}", "TLR:0", "FW:grblHAL"]
        return "|".join(parts) + ">\r\n"


def _list(values: NDArray[np.float64]) -> str:
    return ",".join(["%.3f"] * len(values)) % tuple(values.tolist())
