"""Dots of a picture are looked for once: many tests spoil the poses of one recording and leave its pictures alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from rig.calibration.probe import frames as nwire_frames
from rig.calibration.probe import pitch as nwire_pitch
from rig.calibration.probe.dots import Dots, find_dots

_found: dict[tuple[object, ...], Dots] = {}


def _once(
    image: NDArray[np.float32], pitch_mm: float, most: int, clip_px: tuple[int, int, int, int] | None = None
) -> Dots:
    key = (hashlib.sha1(image.tobytes()).digest(), image.shape, pitch_mm, most, clip_px)
    if key not in _found:
        _found[key] = find_dots(image, pitch_mm, most, clip_px)
    return _found[key]


@contextmanager
def remembered() -> Iterator[None]:
    """Inside the block the finder's answers are kept: it is a pure function of its arguments."""
    with patch.object(nwire_frames, "find_dots", _once), patch.object(nwire_pitch, "find_dots", _once):
        yield
