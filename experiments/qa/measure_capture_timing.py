"""Frames of a scanner with their stamps, as they arrive, while the probe sways a little so that no two are alike."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import replace

from experiments.calibrations.clear_way import require_no_needle
from experiments.qa.station import Station
from hal.clock import NS_PER_S
from hal.types import Pose6
from rig.instruments.jogs import move_probe
from rig.instruments.picture_stream import Arrived, PictureStream
from rig.roles import HOLDER

ROLES = ("ultrasound",)
SWAY_MM_S = 2.0
MOVED_MM = 0.02
"""A probe that moved so far between two frames shows another picture: a fifth of a step at 20 frames per second."""


def measure(station: Station) -> None:
    """Keep every frame for the time that the parameters say; a rig without a probe holder lets the probe rest."""
    controller, clock = station.controller, station.controller.clock
    require_no_needle(controller, "the probe sways")
    sway_mm = station.number("sway_mm")
    here = controller.read(HOLDER).pose if controller.rig.holder is not None and sway_mm > 0.0 else None
    if here is not None and controller.rig.operator is not None:
        station.ask(f"Capture timing: the probe sways by {sway_mm:g} mm where it stands. Nothing in its way?")
    kept = _Kept(station, swaying=here is not None)
    with PictureStream(controller, "frames were counted") as stream, controller.watching(stream.rule):
        end_ns = clock.now_ns() + int(station.number("seconds") * NS_PER_S)
        side = 1.0
        while clock.now_ns() < end_ns:
            before_ns = clock.now_ns()
            if here is None:
                controller.wait(0.5)
            else:
                move_probe(controller, replace(here, x_mm=here.x_mm + side * sway_mm), SWAY_MM_S)
            side = -side
            kept.keep(stream.take(before_ns))
        if here is not None:
            move_probe(controller, here, SWAY_MM_S)
    kept.keep(stream.take(clock.now_ns()))


class _Kept:
    """Frames on their way into the record, one move late: by then the holder has reported where it was."""

    def __init__(self, station: Station, swaying: bool) -> None:
        self._station, self._swaying = station, swaying
        self._before: Pose6 | None = None

    def keep(self, pictures: Sequence[Arrived]) -> None:
        for picture in pictures:
            frame = picture.frame
            pose = self._station.controller.probe_pose_at(frame.time_ns) if self._swaying else None
            moved = pose is not None and self._before is not None and _apart_mm(pose, self._before) > MOVED_MM
            self._before = pose
            digest = zlib.crc32(frame.pixels.tobytes())
            row = (picture.arrived_ns / NS_PER_S, float(digest), float(moved))
            self._station.sample("frames", frame.time_ns, row)


def _apart_mm(a: Pose6, b: Pose6) -> float:
    return math.dist((a.x_mm, a.y_mm, a.z_mm), (b.x_mm, b.y_mm, b.z_mm))
