"""Motion read from the content of pictures, on drawn pictures whose motion is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hal.errors import CalibrationRefused
from rig.calibration.time.image import lateral_signal
from rig.calibration.time.lag import estimate_lag
from rig.calibration.time.signal import motion_signal

PITCH_MM = 0.2
ImageToProbe = np.array([[PITCH_MM, 0, 0, -25.6], [0, 0, 1, 0], [0, PITCH_MM, 0, 0], [0, 0, 0, 1]], dtype=float)
STEP_NS = 50_000_000


def pictures(places_mm, seed=0):
    """The same smooth random content seen from a probe at these places (mm along its width)."""
    content = np.random.default_rng(seed).normal(size=(256, 512)).astype(np.float32)
    content = cv2.GaussianBlur(content, (0, 0), 2.5)
    content = 128.0 + 40.0 * content / content.std()
    frames = []
    for place in places_mm:
        move = np.array([[1.0, 0.0, -place / PITCH_MM - 128.0], [0.0, 1.0, 0.0]])
        frames.append(np.clip(cv2.warpAffine(content, move, (256, 256)), 0, 255).astype(np.uint8))
    return frames


def strokes(n=300, seed=1):
    draw = np.random.default_rng(seed)
    turns = np.cumsum(draw.uniform(0.7, 1.6, 40))
    places = np.where(np.arange(40) % 2, 1.0, -1.0) * draw.uniform(3.0, 5.5, 40)
    return np.interp(np.arange(n) * 0.05, turns, places)


def signal_of(frames, times=None):
    times = np.arange(len(frames)) * STEP_NS if times is None else times
    return lateral_signal("pictures", times, frames, ImageToProbe, reference=0, reach_mm=12.0)


def test_the_motion_is_found_to_a_tenth_of_a_pixel_with_its_sign():
    places = strokes(60)
    found = signal_of(pictures(places))
    assert found.values - found.values.mean() == pytest.approx(places - places.mean(), abs=0.1 * PITCH_MM)


@pytest.mark.parametrize("late_ms", [-60, 0, 35])
def test_pictures_that_are_stamped_late_are_reported_as_late_by_as_much(late_ms):
    places = strokes()
    times = np.arange(len(places)) * STEP_NS
    picture = signal_of(pictures(places), times + late_ms * 1_000_000)
    holder = motion_signal("holder", times, places, direction=(1.0,))
    found = estimate_lag(picture, holder, max_lag_s=0.3, same_sense=True)
    assert 1e3 * found.lag_s == pytest.approx(-late_ms, abs=1.0)


def test_pictures_that_show_something_else_are_left_out_and_counted():
    frames = pictures(strokes(60))
    frames[10:14] = pictures([0.0] * 4, seed=9)
    assert signal_of(frames).left_out_n == 4


def test_a_black_picture_is_refused():
    with pytest.raises(CalibrationRefused, match="nothing to follow"):
        signal_of([np.zeros((256, 256), dtype=np.uint8)] * 30)
