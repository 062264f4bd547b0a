"""Lag between two recordings of one motion."""

from __future__ import annotations

from pathlib import Path

from rig.calibration import results
from rig.calibration.origins import from_files
from rig.calibration.result import Result
from rig.calibration.time.lag import estimate_lag
from rig.calibration.time.signal import floor_signal, pose_signal
from rig.formats.formats import read_recording


def lag_from(
    first: Path,
    second: Path,
    *,
    first_transform: str = "",
    second_transform: str = "ProbeToTracker",
    reference: str = "",
    max_lag_s: float = 0.5,
    speed_mm_s: float = 10.0,
) -> Result:
    """Lag of the second recording against the first; the details hold its cost in mm at ``speed_mm_s``.

    ``first_transform`` empty: the floor line of the first one's images. Raises ``ConfigError``, and
    ``CalibrationRefused`` for motions that cannot tell it.
    """
    one, two = read_recording(first, timed=False), read_recording(second, timed=False)
    a = pose_signal(one, first_transform) if first_transform else floor_signal(one)
    found = estimate_lag(a, pose_signal(two, second_transform, reference), max_lag_s=max_lag_s)
    origin = from_files(first, second, simulated=one.simulated or two.simulated)
    return results.temporal(found, origin, "two recordings of one motion", found.latency.cost(speed_mm_s), {})
