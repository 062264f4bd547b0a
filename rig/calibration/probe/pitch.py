"""Pixel pitch of a recording from the labelled dots of some of its images; a stated pitch is only a start value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rig.calibration.probe.dots import DOT_MM, find_dots
from rig.calibration.probe.labelling import Labeller, Refusal, Scale
from rig.calibration.probe.wires import WirePhantom

Array = NDArray[np.float64]

_DOTS_PX = (3.0, 1.5, 6.0)
"""Sizes of dots that are tried when a file gives no pitch, px (standard deviation)."""
_ROW_PER_COLUMN = (2.5, 0.4)
"""Pitch of rows over that of columns, tried when square pixels show no phantom."""
_ENOUGH = 0.6
_FALLBACK_MM = 0.1
_CHANCE = 0.25
"""Fewer labelled pictures than this share may be chance among much clutter, no ground for oblong pixels [A]."""


@dataclass(frozen=True)
class FoundPitch:
    """Pitch per column and per row, and the share of the images that could be labelled on the way."""

    pitch_mm: tuple[float, float]
    share: float
    notes: tuple[str, ...] = ()


def find_pitch(
    phantom: WirePhantom,
    images: list[NDArray[np.float32]],
    hint_mm: float | None,
    clip: tuple[int, int, int, int] | None,
    most: int,
) -> FoundPitch:
    """Find the pitch from grey images spread over the recording; ``most`` bounds the dots per image."""
    best: tuple[int, tuple[float, float], bool] | None = None
    tries: list[tuple[float, Scale | None, float]] = [] if hint_mm is None else [(hint_mm, Scale.guess(hint_mm), 1.0)]
    tries += [(DOT_MM / s, None, 1.0) for s in _DOTS_PX]
    tries += [(DOT_MM / s, None, aspect) for aspect in _ROW_PER_COLUMN for s in _DOTS_PX]
    for dot_pitch, scale, aspect in tries:
        labeller = Labeller(phantom, scale, aspect)
        sections = []
        for image in images:
            result = labeller.label(find_dots(image, dot_pitch, most, clip))
            if not isinstance(result, Refusal):
                sections.append(result[0].section)
        by_chance = aspect != 1.0 and len(sections) < _CHANCE * len(images)
        if sections and not by_chance and (best is None or len(sections) > best[0]):
            fallback = 0.5 * (scale.pitch_mm[0] + scale.pitch_mm[1]) if scale else None
            best = (len(sections), _pitch_of(np.array(sections), fallback), scale is None)
        if best is not None and best[0] >= _ENOUGH * len(images):
            break
    if best is None:
        fallback = hint_mm if hint_mm is not None else _FALLBACK_MM
        return FoundPitch((fallback, fallback), 0.0)
    notes = []
    if best[2] and hint_mm is not None:
        column, row = best[1]
        notes.append(
            f"the stated pixel pitch of {hint_mm:g} mm does not fit the wires: {column:.4f} by {row:.4f} mm found"
        )
    return FoundPitch(best[1], best[0] / len(images), tuple(notes))


def _pitch_of(sections: Array, fallback: float | None) -> tuple[float, float]:
    """mm per column and row: the largest apparent ones, since an oblique cut only shortens them."""
    linear = sections[:, :, :2]
    if np.median(np.linalg.cond(linear)) > 1e3:  # all wires in one layer: the depth scale cannot be seen
        along = float(np.median(np.linalg.norm(linear, axis=(1, 2))))
        return (1.0 / along, fallback or 1.0 / along)
    back = np.linalg.norm(np.linalg.inv(linear), axis=1)  # columns of pixels -> mm
    column, row = np.percentile(back, 85, axis=0)
    return float(column), float(row)
