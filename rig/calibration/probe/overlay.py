"""Burned-in parts of a screen grab: text, scale bars, frames of the scanner's own; pixels that never change.

A clock's digits do change; what is left of them are a few bright spots, which the labelling has to leave out.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_STEADY = 0.05
"""A pixel counts as unchanging when its range over all pictures is below this share of the brightest value [A]."""
_BRIGHT = 0.15
"""... and its darkest value above this share: black that stays black is no overlay [A]."""
_LEAST_N = 8
_MOST = 0.3
"""More of the picture than this is no overlay: the picture is frozen or the probe at rest [A]."""


def burned_in(images: Sequence[NDArray[np.float32]]) -> NDArray[np.bool_] | None:
    """Pixels (rows, columns) of unchanging text and scales with a rim of one pixel; None when there are none.

    ``images``: grey pictures spread over the whole recording.
    """
    if len(images) < _LEAST_N:
        return None
    lowest, highest = np.minimum.reduce(list(images)), np.maximum.reduce(list(images))
    top = float(highest.max())
    mask = (highest - lowest <= _STEADY * top) & (lowest > _BRIGHT * top)
    if not mask.any() or mask.mean() > _MOST:
        return None
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def cleared(image: NDArray[np.float32], overlay: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """The image with the overlay's pixels set to the median grey of the others."""
    if overlay is None:
        return image
    out = image.copy()
    out[overlay] = float(np.median(image[~overlay]))
    return out
