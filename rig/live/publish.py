"""A recording shown live in 3D Slicer over OpenIGTLink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hal.clock import NS_PER_S, Clock, WallClock
from hal.errors import ConfigError, LinkError
from hal.links.igtl.framing import DEFAULT_PORT
from hal.links.igtl.publisher import Publisher
from hal.links.igtl.server import PublishServer
from hal.types import Matrix
from rig.formats.tfm import read_tfm
from rig.live.replay_devices import ReplayTracker, ReplayUltrasound, Settings
from rig.live.source import Source, open_source

LONGEST_WAIT_S = 0.2
PROBES = ("ProbeToRig", "ProbeToTracker", "ProbeToReference")
"""Poses that an image can stand on, the first one of a recording."""
UNPLACED = "Image_Probe"
"""Name of an image whose probe has no valid pose at its moment: it is shown in the probe's frame, nowhere else."""
_NAME_BYTES = 20


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

    Raises ``ConfigError`` for a recording that cannot be played and ``LinkError`` when the port is taken or the serving
    ended by itself.
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
        passed_over, unplaced = play(source, publisher, clock, speed)
        clock.sleep(LONGEST_WAIT_S)  # the last messages leave
        if server.error is not None:
            raise LinkError(f"serving on port {server.port} ended by itself: {server.error}", port=str(server.port))
        clients = publisher.listeners
        return {
            "source": source.name,
            "simulated": source.simulated,
            "note": source.note,
            "port": server.port,
            "offered": dict(publisher.offered),
            "refused": dict(publisher.refused),
            "passed_over": passed_over,
            "images_without_pose": unplaced,
            "clients": [{"sent": one.sent, "dropped": dict(one.dropped)} for one in clients],
            "lost_clients": server.lost_clients,
        }
    finally:
        server.close()


def play(source: Source, publisher: Publisher, clock: Clock, speed: float) -> tuple[dict[str, int], int]:
    """Samples per name that were due together with a newer one and never told, and images without a pose."""
    settings = Settings(file=Path(source.name), speed=speed)
    tracker = ReplayTracker(settings, clock, source) if source.tracks else None
    scanner = ReplayUltrasound(settings, clock, source) if source.images is not None else None
    players = [player for player in (tracker, scanner) if player is not None]
    for player in players:
        player.open()
    start_ns = clock.now_ns()
    names, samples = sensor_names(source), {name: 0 for name in source.streams}
    sent: dict[str, int] = {}
    passed_over: Counter[str] = Counter()
    unplaced = 0
    end_ns = start_ns + round((source.end_ns - source.origin_ns) / speed)
    while True:
        now_ns = clock.now_ns()
        if tracker is not None:
            for pose in tracker.read():
                if sent.get(pose.name) != pose.time_ns:
                    publisher.transform(pose.name, pose.matrix, pose.time_ns, valid=pose.valid)
                    sent[pose.name] = pose.time_ns
        if scanner is not None:
            frame = scanner.read()
            if frame is not None:
                passed_over["images"] += frame.dropped_n
                name, ProbeToSpace = _place(source, scanner.recorded_time_ns())
                unplaced += name == UNPLACED
                publisher.frame(frame, ProbeToSpace, name)
        recorded_ns = source.origin_ns + round((now_ns - start_ns) * speed)
        passed_over.update(_signals(source, publisher, names, samples, recorded_ns, start_ns, speed))
        if now_ns >= end_ns:
            missed = Counter(tracker.missed) if tracker is not None else Counter[str]()
            return dict(+(passed_over + missed)), unplaced
        due = [at_ns for player in players if (at_ns := player.next_ns()) is not None]
        pause_s = min(LONGEST_WAIT_S, max(0.001, (min([*due, end_ns]) - now_ns) / NS_PER_S))
        clock.sleep(pause_s)


def _place(source: Source, recorded_ns: int) -> tuple[str, Matrix]:
    """Name of an image and the pose of the probe at its own moment; never the pose of another one."""
    for name in PROBES:
        if name in source.tracks:
            track = source.tracks[name]
            at = int(np.searchsorted(track.time_ns, recorded_ns))
            if at < len(track.time_ns) and int(track.time_ns[at]) == recorded_ns:
                return f"Image_{name.removeprefix('ProbeTo')}", track.matrices[at]
    return UNPLACED, np.eye(4)


def sensor_names(source: Source) -> dict[tuple[str, str], str]:
    """Device name of every field of every stream: the stream's own when it has one field, else ``stream.field``.

    A name that does not fit the wire's 20 bytes becomes the field's alone unless another stream has that field too.
    """
    fields = Counter(field for stream in source.streams.values() for field in stream.values)
    names = {}
    for name, stream in source.streams.items():
        for field in stream.values:
            full = name if len(stream.values) == 1 else f"{name}.{field}"
            names[name, field] = full if len(full.encode()) <= _NAME_BYTES or fields[field] > 1 else field
    return names


def _signals(
    source: Source,
    publisher: Publisher,
    names: dict[tuple[str, str], str],
    samples: dict[str, int],
    recorded_ns: int,
    start_ns: int,
    speed: float,
) -> Counter[str]:
    """Tell the newest due value of every field of every stream; returns how many samples of each were passed over."""
    passed_over: Counter[str] = Counter()
    for name, stream in source.streams.items():
        due = int(np.searchsorted(stream.time_ns, recorded_ns, side="right"))
        if due > samples[name]:
            passed_over[name] = due - samples[name] - 1
            samples[name] = due
            time_ns = start_ns + round((int(stream.time_ns[due - 1]) - source.origin_ns) / speed)
            for field, values in stream.values.items():
                publisher.sensor(names[name, field], (float(values[due - 1]),), stream.units[field], time_ns)
    return passed_over
