"""The needle's feed in air: target by target, up and down, its tip seen by the tracker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.qa.methods.axis import targets
from experiments.calibrations.clear_way import require_clear
from experiments.qa.station import Station
from hal.errors import ConfigError
from hal.types import Vector
from rig.instruments.jogs import depth_mm, move_needle
from rig.instruments.reference import TIP
from rig.instruments.tool_at_rest import tool_at_rest
from rig.record import Field
from rig.roles import CARRIER

ROLES = ("carrier", "tracker")
SPEED_MM_S = 10.0
ABOVE_MM = 5.0
"""The last target stays so far above the skin, and the overrun within."""
OVERRUN_MM = 2.0
PITCH_MM = 1.0
"""Of the screw [A]: targets stand at unequal phases of it."""
TIPS = "tips"
TIP_FIELDS = (
    Field("run", ""), Field("direction", ""), Field("target_mm", "mm"),
    Field("x_mm", "mm"), Field("y_mm", "mm"), Field("z_mm", "mm"),
)  # fmt: skip
"""Every reading as the tracker gives it, kept at once; the line of all tips is known only at the end."""


def measure(station: Station) -> None:
    """Standard cycle: all targets upward, overrun, all targets downward, as often as ``runs`` says.

    The reading is the way of the tip along the line that its first and last target span. Raises ``ConfigError`` when
    the needle stands in the phantom, or the feed has no room above the skin.
    """
    controller = station.controller
    start = controller.read(CARRIER).pose
    if depth_mm(start, controller.rig.config.needle.mount) > 0.0:
        raise ConfigError("the needle stands beyond the skin: withdraw it; its feed is tested in air")
    travel_mm, runs_n = station.number("travel_mm"), int(station.number("runs"))
    first_mm = -ABOVE_MM - OVERRUN_MM - travel_mm
    low = controller.limits.motion.needle_entry.z_mm[0]
    if first_mm - OVERRUN_MM < low:
        raise ConfigError(
            f"the feed has {-low - ABOVE_MM - 2 * OVERRUN_MM:g} mm above the skin, {travel_mm:g} are asked for"
        )
    require_clear(controller, "the needle's feed is tested in air")
    along = targets(travel_mm, int(station.number("targets")), PITCH_MM, np.random.default_rng(230))
    along = np.round(along - along[0], 3)
    seen: list[tuple[float, float, float, Vector, int]] = []
    left_n = 2 * runs_n * len(along)
    station.streams.declare(TIPS, TIP_FIELDS)
    for run in range(1, runs_n + 1):
        for direction in (1.0, -1.0):
            ways = along if direction > 0 else along[::-1]
            overrun = ways[0] - direction * OVERRUN_MM
            move_needle(controller, replace(start, feed_mm=first_mm + float(overrun)), SPEED_MM_S)
            for target in ways:
                move_needle(controller, replace(start, feed_mm=first_mm + float(target)), SPEED_MM_S)
                controller.wait(station.number("dwell_s"))
                tip = tool_at_rest(controller, TIP, int(station.number("readings")))
                now_ns = controller.clock.now_ns()
                station.sample(TIPS, now_ns, (float(run), direction, float(target), *tip.at_mm.tolist()))
                seen.append((float(run), direction, float(target), tip.at_mm, now_ns))
                left_n -= 1
            station.tell(f"run {run} {'up' if direction > 0 else 'down'}: {left_n} targets left")
    move_needle(controller, start, SPEED_MM_S)
    _keep(station, seen)


def _keep(station: Station, seen: list[tuple[float, float, float, Vector, int]]) -> None:
    """Readings along the line of all tips, zero at the mean of the first target."""
    at = np.array([tip for *_, tip, _ in seen])
    way = np.array([target for _, _, target, _, _ in seen])
    slope = (way - way.mean()) @ (at - at.mean(axis=0))
    axis = slope / np.linalg.norm(slope)
    length = (at - at.mean(axis=0)) @ axis
    zero = float(np.mean(length[way == way.min()]) - way.min())
    for (run, direction, target, _, time_ns), reading in zip(seen, length, strict=True):
        station.sample("targets", time_ns, (run, direction, target, float(reading) - zero))
