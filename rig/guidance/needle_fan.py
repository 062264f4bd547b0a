"""Tip of an out-of-plane needle from a fan of image planes that cross it behind and ahead of the tip.

A slice is millimetres thick, so that a plane ahead of the tip still shows the tip, and at the depth where the tip is;
a plane behind it shows shaft, at the depth where the needle crosses. Along the needle the depth of the dot therefore
rises with the crossing and then stays: the plateau is the tip. Depth is what an image measures best; neither the
brightness of the dot (shaft can be as bright as the bevel) nor where the plane lies across its thickness is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hal.types import Vector
from rig.guidance.needle_crossing import DotView
from rig.guidance.needle_line import NeedleLine

PLATEAU_MM = 0.6
"""Dots that differ by less than this along the needle stay in place: two pixels of depth."""
SPAN_MM = 2.5
"""A plateau of this length cannot be shaft, which moves along by all of it."""
BEYOND_MM = 1.5
"""A dot so much further on belongs to more needle: over three times the spread along, under an error that counts."""
DOTS_MIN_N = 3
SD_ALONG_MM, SD_ACROSS_MM = 0.35, 0.4
"""Along: 95 % of simulated fans within 0.45 mm of the tip (n = 358; 98 of them kept aside: 0.35 mm); across as an
image measures sideways."""
ALONG_MIN = 0.2
"""Share of the needle's way that must show as depth (cosine of the angle between needle and beam)."""


@dataclass(frozen=True)
class FanTip:
    """Tip from a fan."""

    found: bool
    reason: str
    tip_rig_mm: Vector = field(repr=False)
    feed_mm: float
    sd_along_mm: float
    sd_across_mm: float
    goes_on: bool = False
    """Dots lie beyond it: it may be a bright place of the shaft. Enough for a first sight, not for a confirmation."""


def tip_by_plateau(dots: Sequence[DotView], depth_axes: Sequence[Vector], line: NeedleLine) -> FanTip:
    """Tip from dots (any order); "not found" with a reason.

    ``depth_axes`` are the unit vectors (3,) of the image's depth in the Rig frame, one per dot (third column of
    ``ProbeToRig``); ``line`` is the needle near its tip, feed counted from its entry in mm.
    """
    gone = np.full(3, np.nan)

    def no(reason: str) -> FanTip:
        return FanTip(False, reason, gone, float("nan"), float("nan"), float("nan"))

    seen = [(d, z) for d, z in zip(dots, depth_axes, strict=True) if d.found and np.isfinite(d.feed_mm)]
    if len(seen) < DOTS_MIN_N:
        return no(f"the dot was seen in {len(seen)} frames of the fan, {DOTS_MIN_N} needed")
    if min(abs(float(line.direction @ z)) for _, z in seen) < ALONG_MIN:
        return no("the needle runs across the beam: depth does not tell where it ends")
    crossing = np.array([d.feed_mm for d, _ in seen])
    along = np.array([(d.position_rig_mm - line.entry_mm) @ z / (line.direction @ z) for d, z in seen])
    together = np.abs(along[:, None] - along[None, :]) <= PLATEAU_MM / 2.0
    spans = np.array([np.ptp(crossing[row]) if np.sum(row) >= DOTS_MIN_N else 0.0 for row in together])
    best = int(np.argmax(spans))
    if spans[best] < SPAN_MM:
        return no("the dot moves on with the planes: shaft only, or too few planes beyond the tip show it")
    stay = np.flatnonzero(together[best])
    feed = float(np.median(along[stay]))
    # A bright place of the shaft is seen from several planes too; but then the needle goes on in planes ahead of it.
    goes_on = bool(np.any((crossing > feed) & (along > feed + BEYOND_MM)))
    aside = np.median([_aside(seen[i][0], seen[i][1], line) for i in stay], axis=0)
    return FanTip(True, "", line.at(feed) + aside, feed, SD_ALONG_MM, SD_ACROSS_MM, goes_on)


def _aside(dot: DotView, depth_axis: Vector, line: NeedleLine) -> Vector:
    """Distance of a dot from the needle's line, seen across the beam and the needle."""
    across = np.cross(line.direction, depth_axis)
    across = across / np.linalg.norm(across)
    return np.asarray(((dot.position_rig_mm - line.entry_mm) @ across) * across)
