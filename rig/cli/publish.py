"""``phantomrig publish``: a recording shown live in 3D Slicer over OpenIGTLink."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hal.clock import NS_PER_S, Clock, WallClock
from hal.errors import ConfigError
from hal.links.igtl import DEFAULT_PORT
from hal.links.igtl_server import PublishServer
from hal.links.publisher import Publisher
from hal.types import Matrix
from rig.record.interchange.tfm import read_tfm
from rig.replay.devices import ReplayTracker, ReplayUltrasound, Settings
from rig.replay.source import Source, open_source

LONGEST_WAIT_S = 0.2


def publish(
    path: Path,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    speed: float = 1.0,
    wait_s: float = 0.0,
    calibration: Path | None = None,
    clock: Clock | None = None,
    serving: Callable[[PublishServer], None] | None = None,
) -> dict[str, Any]:
    """Play one recording to every client; returns counts. Waits up to ``wait_s`` for a first client.

    ``calibration`` is a ``.tfm`` with ``ImageToProbe`` (mm per pixel) for recordings that do not carry it.

    Raises ``ConfigError`` for a recording that cannot be played and ``LinkError`` when the port is taken.
    """
    if not 0 < speed < 1000:
        raise ConfigError(f"a speed of {speed:g} is not possible; 1 is the recorded pace")
    source = open_source(path, None if calibration is None else read_tfm(calibration))
    clock = clock or WallClock()
    publisher = Publisher(simulated=source.simulated)
    server = PublishServer(publisher, clock, host=host, port=port)
    try:
        if serving is not None:
            serving(server)
        deadline = clock.deadline(wait_s)
        while wait_s > 0 and server.clients == 0 and not deadline.expired:
            clock.sleep(0.02)
        _play(source, publisher, clock, speed)
        clock.sleep(LONGEST_WAIT_S)  # the last messages leave
        clients = publisher.listeners
        return {
            "source": source.name,
            "simulated": source.simulated,
            "note": source.note,
            "port": server.port,
            "offered": dict(publisher.offered),
            "refused": dict(publisher.refused),
            "clients": [{"sent": one.sent, "dropped": dict(one.dropped)} for one in clients],
            "lost_clients": server.lost_clients,
        }
    finally:
        server.close()


def _play(source: Source, publisher: Publisher, clock: Clock, speed: float) -> None:
    settings = Settings(file=Path(source.name), speed=speed)
    tracker = ReplayTracker(settings, clock, source) if source.tracks else None
    scanner = ReplayUltrasound(settings, clock, source) if source.images is not None else None
    players = [player for player in (tracker, scanner) if player is not None]
    for player in players:
        player.open()
    start_ns = clock.now_ns()
    samples = {name: 0 for name in source.streams}
    sent: dict[str, int] = {}
    ProbeToRig: Matrix = np.eye(4)
    end_ns = start_ns + round((source.end_ns - source.origin_ns) / speed)
    while True:
        now_ns = clock.now_ns()
        if tracker is not None:
            for pose in tracker.read():
                if sent.get(pose.name) != pose.time_ns:
                    publisher.transform(pose.name, pose.matrix, pose.time_ns, valid=pose.valid)
                    sent[pose.name] = pose.time_ns
                if pose.name in ("ProbeToRig", "ProbeToTracker", "ProbeToReference"):
                    ProbeToRig = pose.matrix
        if scanner is not None:
            frame = scanner.read()
            if frame is not None:
                publisher.frame(frame, ProbeToRig)
        _signals(source, publisher, samples, source.origin_ns + round((now_ns - start_ns) * speed), start_ns)
        if now_ns >= end_ns:
            return
        due = [at_ns for player in players if (at_ns := player.next_ns()) is not None]
        pause_s = min(LONGEST_WAIT_S, max(0.001, (min([*due, end_ns]) - now_ns) / NS_PER_S))
        clock.sleep(pause_s)


def _signals(source: Source, publisher: Publisher, samples: dict[str, int], recorded_ns: int, start_ns: int) -> None:
    """The newest due value of every field of every stream."""
    for name, stream in source.streams.items():
        due = int(np.searchsorted(stream.time_ns, recorded_ns, side="right"))
        if due > samples[name]:
            samples[name] = due
            time_ns = start_ns + int(stream.time_ns[due - 1]) - source.origin_ns
            for field, values in stream.values.items():
                publisher.sensor(field[:20], (float(values[due - 1]),), stream.units[field], time_ns)
