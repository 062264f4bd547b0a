"""A tracked tool of a rig, recorded into a sequence file."""

from __future__ import annotations

from pathlib import Path

from experiments.calibrations.record import Recorded, check_motion, record
from experiments.calibrations.session import session
from hal.errors import ConfigError
from rig.config import load_config


def record_tool_of(
    rig: str | Path = "simulated",
    out: str | Path = "stylus.igs.mha",
    *,
    tool: str = "StylusToTracker",
    seconds: float = 20.0,
    motion: str = "pivot",
    seed: int = 1,
) -> Recorded:
    """Record a tool and all else that the tracker reports into ``out``, with the journal in a folder beside it.

    Raises ``ConfigError`` for a rig without tracker, a motion that nobody can make, a file that exists or has another
    ending, else what ``session`` and ``record`` raise.
    """
    out = Path(out)
    check_motion(motion, seconds)
    if not out.name.endswith(".mha"):
        raise ConfigError(f"{out}: a recording of poses is written as .igs.mha")
    if out.exists():
        raise ConfigError(f"{out}: exists; a recording is never overwritten")
    config = load_config(rig)
    if "tracker" not in config.devices:
        raise ConfigError(f"this rig ({config.rig.name}) has no tracker: nothing to record")
    if motion != "none" and "operator" not in config.devices:
        raise ConfigError(f"this rig ({config.rig.name}) has no operator to ask; --motion none records {seconds:g} s")
    name = out.name.removesuffix(".mha").removesuffix(".igs")
    with session(config, out.with_name(f"{name}.record"), seed=seed) as (controller, journal):
        asked = {"tool": tool, "seconds": seconds, "motion": motion, "file": out.name}
        with journal.activity("record", asked) as outcome:
            found = record(controller, tool, seconds, out, motion)
            outcome.update(frames_n=found.frames_n, seen_n=found.seen_n)
        return found
