"""Motion of the image content along its width: the gel stands still, so the content shows how the probe moved.

Normalised cross-correlation of a template from one reference frame (Lewis, Vision Interface 1995) with a parabola
through the peak; frames in which the template is not found again are left out and counted, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hal.errors import CalibrationRefused
from hal.types import Matrix, Pixels
from rig.calibration.time.signal import MotionSignal, motion_signal

MIN_SCORE = 0.5
"""Correlation below which the template does not count as found again [A]."""
TEMPLATE = (0.15, 0.75, 0.3, 0.7)
"""Rows and columns of the template as shares of the image: below the near field, where the sector is wide [A]."""
ROWS_MM = 1.5
"""Search along the depth: the probe may tip a little while it slides [A]."""


def lateral_signal(
    name: str,
    times_ns: NDArray[np.int64],
    frames: Sequence[Pixels],
    ImageToProbe: Matrix,
    *,
    reference: int,
    reach_mm: float,
) -> MotionSignal:
    """Probe motion along the image's columns (mm, + towards higher columns) against time, from n grey frames.

    ``reference``: index of the frame that the others are compared with; ``reach_mm``: farthest it may have moved.
    Raises ``CalibrationRefused`` with code ``no picture`` (nothing to recognise in the reference frame) and those of
    ``motion_signal``.
    """
    pitch_mm = float(np.linalg.norm(ImageToProbe[:3, 0]))
    row_mm = float(np.linalg.norm(ImageToProbe[:3, 1]))
    height, width = frames[reference].shape
    top, bottom = int(TEMPLATE[0] * height), int(TEMPLATE[1] * height)
    left, right = int(TEMPLATE[2] * width), int(TEMPLATE[3] * width)
    template = frames[reference][top:bottom, left:right]
    if float(template.std()) < 1.0:
        raise CalibrationRefused(
            "no picture", f"{name}: the reference frame shows nothing to follow", advice="Put gel on, press lightly"
        )
    dx, dy = int(np.ceil(reach_mm / pitch_mm)) + 2, int(np.ceil(ROWS_MM / row_mm)) + 1
    window = (slice(max(0, top - dy), bottom + dy), slice(max(0, left - dx), right + dx))
    shifts = [_shift_px(frame[window], template, left - window[1].start) for frame in frames]
    # The content moves against the probe.
    return motion_signal(name, times_ns, -pitch_mm * np.array(shifts), direction=(1.0,))


def _shift_px(image: Pixels, template: Pixels, home_px: int) -> float:
    """Columns by which the template moved; NaN where it was not found again."""
    score = cv2.matchTemplate(image, template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (column, row) = cv2.minMaxLoc(score)
    if best < MIN_SCORE or not 0 < column < score.shape[1] - 1:
        return float("nan")
    before, peak, after = (float(v) for v in score[row, column - 1 : column + 2])
    bend = before - 2.0 * peak + after
    return column - home_px + (0.5 * (before - after) / bend if bend < 0.0 else 0.0)
