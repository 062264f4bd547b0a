"""Frames of a scanner with their stamps, as they arrive."""

from __future__ import annotations

import zlib

from experiments.qa.station import Station
from hal.clock import NS_PER_S

ROLES = ("ultrasound",)


def measure(station: Station) -> None:
    """Take every next frame for the time that the parameters say."""
    controller = station.controller
    clock = controller.clock
    end_ns = clock.now_ns() + int(station.number("seconds") * NS_PER_S)
    newest_ns: int | None = None
    while clock.now_ns() < end_ns:
        frame = controller.frame(newest_ns)
        arrived_ns = clock.now_ns()
        if newest_ns is not None and frame.time_ns == newest_ns:
            continue
        newest_ns = frame.time_ns
        digest = zlib.crc32(frame.pixels.tobytes())
        station.sample("frames", frame.time_ns, (arrived_ns / NS_PER_S, float(digest)))
