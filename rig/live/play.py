"""Playing a recording through the devices and collecting what a rig would have read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hal.clock import Clock
from hal.types import Matrix
from rig.formats.perk_tutor import PoseTrack
from rig.live.replay_devices import ReplayTracker, Settings
from rig.live.source import Source


def play(
    source: Source, clock: Clock, *, period_s: float | None = None, speed: float = 1.0
) -> tuple[dict[str, PoseTrack], dict[str, int]]:
    """Tracks as read from the live tracker, on the recording's own times, and how many poses were missed per tool.

    ``period_s`` None reads whenever something is due; a number polls like a rig does and may miss poses.
    """
    tracker = ReplayTracker(Settings(file=Path(source.name), speed=speed), clock, source)
    tracker.open()
    times: dict[str, list[int]] = {}
    matrices: dict[str, list[Matrix]] = {}
    end_ns = tracker.played_ns(source.end_ns)
    while True:
        for pose in tracker.read():
            recorded_ns = tracker.recorded_time_ns(pose.name)
            if pose.name not in times or recorded_ns > times[pose.name][-1]:
                times.setdefault(pose.name, []).append(recorded_ns)
                matrices.setdefault(pose.name, []).append(pose.matrix)
        following = tracker.next_ns()
        if following is None and clock.now_ns() >= end_ns:
            break
        if period_s is None:
            clock.sleep_until(end_ns if following is None else following)
        else:
            clock.sleep(period_s)
    tracker.close()
    found = {name: PoseTrack(np.array(times[name], dtype=np.int64), np.array(matrices[name])) for name in times}
    return found, dict(tracker.missed)
