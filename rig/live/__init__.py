"""A recorded trial or sequence played as live devices.

The devices answer like any other driver: nothing before its time, the newest that is due, and a count of what was
passed over. All devices of one source share one start, so that streams keep their distances in time.
"""

from rig.live.play import play
from rig.live.replay_devices import ReplayPressure, ReplayTracker, ReplayUltrasound
from rig.live.source import Source, open_source

__all__ = ["ReplayPressure", "ReplayTracker", "ReplayUltrasound", "Source", "open_source", "play"]
