"""A recording on the wire: played by the replay devices, published, read by the OpenIGTLink drivers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hal.clock import Clock
from hal.drivers import tracker_igtl, ultrasound_igtl
from hal.links import wire
from hal.links.igtl.publisher import Publisher
from hal.types import Frame, Matrix
from rig.formats.perk_tutor import PoseTrack
from rig.live import ReplayTracker, ReplayUltrasound, Source
from rig.live.replay_devices import Settings

URL = "rigsim://recording"
PATIENCE_S = 3600.0
"""Tolerance of the clock: the first image of a recording may come late."""


class RecordedWire:
    """A server of one client whose values are a recording's, each when it is due."""

    def __init__(self, source: Source, clock: Clock, speed: float = 1.0) -> None:
        self.publisher = Publisher(simulated=source.simulated)
        self.listener = self.publisher.join(clock.now_ns())
        settings = Settings(file=Path(source.name), speed=speed)
        self.tracker = ReplayTracker(settings, clock, source)
        self.tracker.open()
        self.scanner = None if source.images is None else ReplayUltrasound(settings, clock, source)
        if self.scanner is not None:
            self.scanner.open()
        self._sent: dict[str, int] = {}

    def receive(self, data: bytes, now_ns: int) -> None:
        self.publisher.receive(self.listener, data, now_ns)

    def transmit(self, now_ns: int) -> bytes:
        for pose in self.tracker.read():
            if self._sent.get(pose.name) != pose.time_ns:
                self._sent[pose.name] = pose.time_ns
                self.publisher.transform(pose.name, pose.matrix, pose.time_ns)
        frame = None if self.scanner is None else self.scanner.read()
        if frame is not None:
            self.publisher.frame(frame, np.eye(4), "Image_Probe")
        return self.publisher.take(self.listener)

    def next_ns(self, now_ns: int) -> int | None:
        players = [self.tracker] if self.scanner is None else [self.tracker, self.scanner]
        return min((at_ns for player in players if (at_ns := player.next_ns()) is not None), default=None)


def through_the_drivers(
    source: Source, clock: Clock, speed: float = 1.0
) -> tuple[dict[str, PoseTrack], list[Frame], RecordedWire]:
    """Tracks and frames as the drivers give them, read whenever something is due."""
    core = RecordedWire(source, clock, speed)
    wire.publish("recording", wire.Endpoint(core, clock))
    try:
        tracker = tracker_igtl.Driver(tracker_igtl.Settings(url=URL, timeout_s=PATIENCE_S), clock)
        tracker.open()
        found: dict[str, list[tuple[int, Matrix]]] = {}
        while True:
            for pose in tracker.read():
                held = found.setdefault(pose.name, [])
                if pose.valid and (not held or pose.time_ns > held[-1][0]):
                    held.append((pose.time_ns, pose.matrix))
            due_ns = core.next_ns(clock.now_ns())
            if due_ns is None:
                break
            clock.sleep_until(due_ns)
        tracker.close()
    finally:
        wire.withdraw("recording")
    tracks = {
        name: PoseTrack(np.array([t for t, _ in held], dtype=np.int64), np.array([m for _, m in held]))
        for name, held in found.items()
    }
    return tracks, _frames(source, clock, speed), core


def _frames(source: Source, clock: Clock, speed: float) -> list[Frame]:
    if source.images is None:
        return []
    core = RecordedWire(source, clock, speed)
    wire.publish("recording", wire.Endpoint(core, clock))
    try:
        scanner = ultrasound_igtl.Driver(ultrasound_igtl.Settings(url=URL, commands=False, timeout_s=PATIENCE_S), clock)
        scanner.open()
        frames: list[Frame] = []
        while True:
            frame = scanner.read()
            if frame is not None:
                frames.append(frame)
            due_ns = core.next_ns(clock.now_ns())
            if due_ns is None:
                return frames
            clock.sleep_until(due_ns)
    finally:
        wire.withdraw("recording")
