"""The tip of an out-of-plane needle from drawn frames of planes that cross it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hal.phantom.needles import load_needle
from hal.types import Vector
from rig.geometry.registration import rigid_matrix
from rig.guidance.bending import nominal_bending
from rig.guidance.confirmation import confirm_fan
from rig.guidance.needle_crossing import DotView, find_dot
from rig.guidance.needle_fan import tip_by_plateau
from rig.guidance.needle_line import NeedleLine

PITCH = 0.25
ImageToProbe = np.array([[PITCH, 0, 0, -50.0], [0, 0, PITCH, 0.0], [0, PITCH, 0, 0.0], [0, 0, 0, 1.0]])
SPECKLE = cv2.GaussianBlur(np.random.default_rng(0).rayleigh(1.0, (360, 400)).astype(np.float32), (0, 0), 1.6)
EMPTY = np.clip(80 + 22 * (SPECKLE - SPECKLE.mean()) / SPECKLE.std(), 1, 255).astype(np.uint8)
LINE = NeedleLine(np.array([0.0, -20.0, 0.0]), np.array([0.0, np.sin(0.4), np.cos(0.4)]))
SLICE_SD_MM = 1.3
"""Standard deviation of the level over the slice's thickness: 3 mm at half amplitude."""


def fan(tip_mm: float, low: float, high: float, *, aside_mm: float = 0.0, bevel: float = 0.0,
        skew_mm: float = 0.0) -> tuple[list[DotView], list[Vector]]:  # fmt: skip
    """Dots of planes every millimetre across a needle that ends at ``tip_mm``.

    Each plane shows the point of the needle nearest to it, dimmed by 4.34 (d / sigma)^2 dB; ``bevel`` is how much
    brighter (grey) the tip is than the shaft; ``skew_mm`` is how far the planes truly lie from where they are believed.
    """
    dots, axes = [], []
    x, z = np.meshgrid(np.arange(400) * PITCH - 50.0, np.arange(360) * PITCH)
    for crossing in np.arange(low, high, 1.0):
        pose = rigid_matrix(np.zeros(3), np.array([0.0, LINE.at(float(crossing))[1], 0.0]))
        true_y = pose[1, 3] + skew_mm
        shown = min((true_y - LINE.entry_mm[1]) / LINE.direction[1], tip_mm)
        at = LINE.at(shown)
        level = 190.0 + (bevel if shown == tip_mm else 0.0) - 4.25 * 4.34 * ((at[1] - true_y) / SLICE_SD_MM) ** 2
        spot = level * np.exp(-0.5 * (np.hypot(x - at[0] - aside_mm, z - at[2]) / 0.8) ** 2)
        change = cv2.subtract(np.maximum(EMPTY, np.clip(spot, 0, 255)).astype(np.uint8), EMPTY)
        dots.append(find_dot(change, ImageToProbe, pose, LINE, 6.0, min_contrast_grey=22.0))
        axes.append(pose[:3, 2])
    return dots, axes


@pytest.mark.parametrize("bevel", [0.0, 40.0])
@pytest.mark.parametrize("predicted_mm", [38.5, 40.0, 41.5])
def test_the_tip_is_where_the_depth_of_the_dot_stays(bevel: float, predicted_mm: float) -> None:
    seen = tip_by_plateau(*fan(40.0, predicted_mm - 5.0, predicted_mm + 7.0, bevel=bevel), LINE)
    assert seen.found, seen.reason
    assert seen.feed_mm == pytest.approx(40.0, abs=0.4)
    assert seen.tip_rig_mm == pytest.approx(LINE.at(40.0), abs=0.5)


def test_planes_that_lie_beside_where_they_are_believed_do_not_move_the_tip() -> None:
    seen = tip_by_plateau(*fan(40.0, 34.0, 48.0, skew_mm=1.0), LINE)
    assert seen.found and seen.feed_mm == pytest.approx(40.0, abs=0.4)


def test_a_needle_beside_its_line_is_seen_beside_it() -> None:
    seen = tip_by_plateau(*fan(40.0, 35.0, 47.0, aside_mm=1.2), LINE)
    assert seen.tip_rig_mm[0] == pytest.approx(1.2, abs=0.3)


def test_shaft_alone_is_not_a_tip() -> None:
    seen = tip_by_plateau(*fan(60.0, 35.0, 47.0), LINE)
    assert not seen.found and "shaft" in seen.reason


def test_a_bright_place_of_the_shaft_is_not_the_tip_when_dots_go_on_beyond_it() -> None:
    (dots, axes), (further, more) = fan(36.0, 31.0, 41.0), fan(60.0, 41.0, 43.0)
    prediction = nominal_bending(LINE, load_needle("22G_whitacre_119")).predict(36.0)
    ended = tip_by_plateau(dots, axes, LINE)
    assert ended.feed_mm == pytest.approx(36.0, abs=0.4) and confirm_fan(prediction, ended).confirmed
    answer = confirm_fan(prediction, tip_by_plateau(dots + further, axes + more, LINE))
    assert not answer.confirmed and "go on beyond" in answer.reason


def test_too_few_dots_are_not_a_tip() -> None:
    seen = tip_by_plateau(*fan(40.0, 49.0, 54.0), LINE)
    assert not seen.found and "frames" in seen.reason


def test_a_needle_across_the_beam_is_refused() -> None:
    dots, _ = fan(40.0, 35.0, 47.0)
    across = np.array([0.0, np.cos(0.4), -np.sin(0.4)])
    assert "across the beam" in tip_by_plateau(dots, [across] * len(dots), LINE).reason


def test_a_tip_elsewhere_is_not_confirmed() -> None:
    seen = tip_by_plateau(*fan(40.0, 35.0, 47.0), LINE)
    bending = nominal_bending(LINE, load_needle("22G_whitacre_119"))
    assert confirm_fan(bending.predict(40.0), seen).confirmed
    assert not confirm_fan(bending.predict(44.0), seen).confirmed
