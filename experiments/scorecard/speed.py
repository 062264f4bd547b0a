"""Speed and memory on this machine, and what is expected of them."""

from __future__ import annotations

import operator
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from hal.clock import NS_PER_S, WallClock
from hal.errors import DeviceError

HELP_CALLS_N = 5
KB_PER_MB = 1000.0
"""``ru_maxrss`` counts kilobytes on Linux, bytes on macOS."""


@dataclass(frozen=True)
class Target:
    """Expected value of a figure."""

    comparison: str
    limit: float

    def met(self, value: float) -> bool:
        compare: Callable[[float, float], bool] = {"<=": operator.le, ">=": operator.ge}[self.comparison]
        return compare(value, self.limit)

    def __str__(self) -> str:
        return f"{self.comparison} {self.limit:g}"


TARGETS = {
    "frame_full_ms_1core": Target("<=", 15.0),
    "trial_cpu_s": Target("<=", 10.0),
    "trial_realtime_factor": Target(">=", 15.0),
    "frames_per_trial": Target("<=", 600.0),
    "peak_mb": Target("<=", 2000.0),
    "help_s": Target("<=", 0.5),
}
"""Medians on one core of a current desktop; a slower or busy machine misses them without anything being wrong."""


def measure(trial: bool) -> dict[str, float]:
    """All figures by name, units in the names; without ``trial`` those of a trial are left out."""
    from experiments.scorecard.frame_times import measure_frames

    figures = measure_frames()
    if trial:
        from experiments.scorecard.trial_cost import measure_trial

        figures |= measure_trial()
    figures["help_s"] = help_s()
    figures["peak_mb"] = peak_mb()
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def help_s() -> float:
    """Median time of ``phantomrig --help`` in a new process, seconds."""
    clock = WallClock()
    times = []
    for _ in range(HELP_CALLS_N):
        start_ns = clock.now_ns()
        done = subprocess.run([sys.executable, "-m", "experiments.cli", "--help"], capture_output=True, check=False)
        times.append((clock.now_ns() - start_ns) / NS_PER_S)
        if done.returncode != 0:
            raise DeviceError(f"phantomrig --help ended with {done.returncode}: {done.stderr.decode()[-200:]}")
    return statistics.median(times)


def peak_mb() -> float:
    """Largest memory that one process of this measurement ever held, MB: this one or a child."""
    unit = KB_PER_MB * (KB_PER_MB if sys.platform == "darwin" else 1.0)
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / unit
