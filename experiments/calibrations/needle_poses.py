"""Carrier poses in air that tell apart where the carrier stands, the needle's offset in it and its run-out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hal.errors import CalibrationRefused
from hal.types import NeedlePose
from rig.config import RigConfig

MIN_POSES_N = 12
ENTRY_MM = 30.0
"""Entry points on either side of the middle [A]."""
ANGLE_DEG = 25.0
"""Lateral and tilt angle on either side: offset and place of the carrier part with the angles alone."""
ANGLE_LEAST_DEG = 10.0
FEED_MM = (-55.0, -25.0)
"""The tip stays 20 mm above the skin at the largest angles: room for a needle that is longer than believed."""
FEED_LEAST_MM = 10.0
BEVEL_DEG = (-180.0, 180.0)
LETTERS = {"x_mm": "X", "y_mm": "Y", "lateral_deg": "A", "tilt_deg": "B", "feed_mm": "Z", "bevel_deg": "C"}
"""Axis letters of a motion controller, in the order of ``NeedlePose``."""
_SHARE = 1.0 / 1.1127756842787055
"""1/root of x^7 = x + 1: six coordinates that fill their ranges evenly at any number (Roberts 2018, R-sequence)."""


@dataclass(frozen=True)
class Room:
    """Ranges of the carrier's axes that both the rig's limits and the controller's own allow."""

    x_mm: tuple[float, float]
    y_mm: tuple[float, float]
    lateral_deg: tuple[float, float]
    tilt_deg: tuple[float, float]
    feed_mm: tuple[float, float]
    bevel_deg: tuple[float, float]


def room_of(config: RigConfig) -> Room:
    """From limits and the carrier's settings; an axis that is not driven stands at its hand-set value."""
    motion = config.limits.motion
    angle = (-motion.needle_angle_deg, motion.needle_angle_deg)
    room = Room(
        motion.needle_entry.x_mm, motion.needle_entry.y_mm, angle, angle, motion.needle_entry.z_mm, (-360.0, 360.0)
    )
    settings = config.driver_settings("carrier") if "carrier" in config.devices else None
    axes = str(getattr(settings, "axes", "XYZABC"))
    limits, by_hand = getattr(settings, "limits", {}), getattr(settings, "set_by_hand", {})
    for name, letter in LETTERS.items():
        low, high = getattr(room, name)
        if letter not in axes:
            low = high = float(by_hand.get(letter, 0.0))
        elif letter in limits:
            low, high = max(low, limits[letter].low), min(high, limits[letter].high)
        room = replace(room, **{name: (low, high)})
    return room


def plan_poses(room: Room, n: int, centre_mm: tuple[float, float] = (0.0, 0.0)) -> tuple[NeedlePose, ...]:
    """``n`` poses around an entry point (carrier frame); the same ones every time.

    Raises ``CalibrationRefused`` with code ``no room`` when the carrier cannot turn or feed far enough, or cannot go
    there.
    """
    wanted = {
        "x_mm": (centre_mm[0] - ENTRY_MM, centre_mm[0] + ENTRY_MM),
        "y_mm": (centre_mm[1] - ENTRY_MM, centre_mm[1] + ENTRY_MM),
        "lateral_deg": (-ANGLE_DEG, ANGLE_DEG),
        "tilt_deg": (-ANGLE_DEG, ANGLE_DEG),
        "feed_mm": FEED_MM,
        "bevel_deg": BEVEL_DEG,
    }
    least = {"lateral_deg": 2 * ANGLE_LEAST_DEG, "tilt_deg": 2 * ANGLE_LEAST_DEG, "feed_mm": FEED_LEAST_MM}
    ranges, short = [], []
    for name, (low, high) in wanted.items():
        can_low, can_high = getattr(room, name)
        low, high = max(low, can_low), min(high, can_high)
        if high < low and name in ("x_mm", "y_mm", "feed_mm"):
            short.append(f"{name} can be {can_low:g} to {can_high:g} only")
        elif high < low:  # an axis set by hand may stay where it stands, unless it has to turn
            low = high = min(max(low, can_low), can_high)
        if low <= high and high - low < least.get(name, 0.0):
            short.append(f"{name} can be {low:g} to {high:g} only")
        ranges.append((low, high))
    if short:
        raise CalibrationRefused(
            "no room",
            f"the carrier has no room for the poses: {', '.join(short)}; angles of +-{ANGLE_LEAST_DEG:g} deg and "
            f"{FEED_LEAST_MM:g} mm of feed between {FEED_MM[0]:g} and {FEED_MM[1]:g} mm are the least",
            advice="Widen the limits, move the entry point (--x, --y), or calibrate with a carrier that turns",
        )
    share = 0.5 + np.outer(np.arange(1, n + 1), _SHARE ** np.arange(1, 7))
    start, span = np.array(ranges)[:, 0], np.ptp(np.array(ranges), axis=1)
    return tuple(NeedlePose(*(round(float(v), 3) for v in row)) for row in start + (share % 1.0) * span)
