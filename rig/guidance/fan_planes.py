"""Image planes that cross an out-of-plane needle about its tip, and the dots seen in them.

The face stands over the point where it can; near the needle's entry it stays aside and the plane is tilted to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hal.types import Matrix, Pixels, Vector
from rig.guidance.needle_crossing import DotView, find_dot
from rig.guidance.needle_fan import FanTip, tip_by_plateau
from rig.guidance.needle_line import NeedleLine
from rig.guidance.planning import probe_pose

FAN_STEP_MM = 1.0
FAN_BEHIND_MM, FAN_AHEAD_MM = 5.0, 7.0
"""Planes of a fan about the predicted tip. Those ahead of the tip show it as long as the slice is thick: half of
3 mm (Scholten, WFUMB Ultrasound Open: 1.4-3.8 mm at focus) over the sine of the crossing, twice for its skirts."""
FAN_RADIUS_MM = 6.0
"""Ahead of the tip the dot stays behind the crossing by up to the thickness of the slice over that sine."""
DOT_GREY = 22.0
"""Contrast of a dot in the difference image: speckle is gone, so that less is enough than in a plain frame."""
FACE_CLEARANCE_MM = 11.0
"""Half the probe's thickness (7 mm) and a margin: how near the face's midline may come to the needle's entry."""
FAN_TILT_MAX_DEG = 38.0
Difference = tuple[Pixels, Matrix, Matrix]
"""Increase in brightness of one plane since the needle was not there, ``ImageToProbe`` and ``ProbeToRig``."""


@dataclass(frozen=True)
class Reach:
    """Planes of a fan to look at, and the distance from the prediction within which a dot is searched."""

    behind_mm: float = FAN_BEHIND_MM
    ahead_mm: float = FAN_AHEAD_MM
    radius_mm: float = FAN_RADIUS_MM


NEAR = Reach()


def crossing_pose(face_ProbeToRig: Matrix, line: NeedleLine, point_rig_mm: Vector, fan_tilt_deg: float = 0.0) -> Matrix:
    """Probe pose whose image plane holds a point of the needle, face clear of the needle's entry.

    ``face_ProbeToRig`` gives the face's x and its height on the skin; ``fan_tilt_deg`` leans the beam towards the
    entry, against the needle.
    """
    run = np.sign(float(line.direction[1])) or 1.0
    clear_y = float(line.entry_mm[1]) + run * FACE_CLEARANCE_MM
    depth = max(3.0, float(point_rig_mm[2] - face_ProbeToRig[2, 3]))
    # The beam of a tilt A runs along (0, -sin A, cos A).
    tilt = run * fan_tilt_deg
    face_y = float(point_rig_mm[1]) + depth * float(np.tan(np.radians(tilt)))
    if run * (face_y - clear_y) < 0.0:
        face_y = clear_y
        tilt = float(np.degrees(np.arctan2(face_y - point_rig_mm[1], depth)))
        tilt = float(np.clip(tilt, -FAN_TILT_MAX_DEG, FAN_TILT_MAX_DEG))
    return probe_pose(float(face_ProbeToRig[0, 3]), face_y, float(face_ProbeToRig[2, 3]), tilt, 0.0, 0.0)


def planned_fan(
    face_ProbeToRig: Matrix, line: NeedleLine, first_mm: float, feed_mm: float, fan_tilt_deg: float
) -> list[Matrix]:
    """Poses that cross a planned needle every millimetre, from a feed of ``first_mm`` to beyond ``feed_mm``."""
    poses: list[Matrix] = []
    for feed in np.arange(first_mm, feed_mm + FAN_AHEAD_MM + 2.0, FAN_STEP_MM):
        pose = crossing_pose(face_ProbeToRig, line, line.at(float(feed)), fan_tilt_deg)
        if not poses or not np.allclose(pose, poses[-1]):  # the tilt has its limit
            poses.append(pose)
    return poses


def crossing_mm(ProbeToRig: Matrix, line: NeedleLine) -> float:
    """Position along the needle where a plane crosses it; NaN where it runs along the plane."""
    normal = ProbeToRig[:3, 1]
    steep = float(line.direction @ normal)
    return float((ProbeToRig[:3, 3] - line.entry_mm) @ normal) / steep if abs(steep) > 0.05 else float("nan")


def tip_of_fan(
    planes: Sequence[Matrix], look: Callable[[int], Difference], line: NeedleLine, feed_mm: float, reach: Reach = NEAR
) -> tuple[FanTip, list[DotView]]:
    """Tip and dots of the planes about a predicted feed on ``line``; ``look`` takes the plane of an index."""
    dots: list[DotView] = []
    depth_axes: list[Vector] = []
    for index, plane in enumerate(planes):
        at = crossing_mm(plane, line)
        if not feed_mm - reach.behind_mm <= at <= feed_mm + reach.ahead_mm:
            continue
        change, ImageToProbe, ProbeToRig = look(index)
        dots.append(find_dot(change, ImageToProbe, ProbeToRig, line, reach.radius_mm, min_contrast_grey=DOT_GREY))
        depth_axes.append(ProbeToRig[:3, 2])
        if at > feed_mm + 1.0 and len(dots) >= 3 and not dots[-1].found and not dots[-2].found:
            break  # the dot has ended: further planes show nothing new
    return tip_by_plateau(dots, depth_axes, line), dots
