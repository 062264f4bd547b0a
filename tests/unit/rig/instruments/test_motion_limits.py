"""Limits of probe and needle: a place outside is refused, the way back from one is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hal.errors import LimitViolation
from hal.types import NeedlePose, Pose6
from rig.instruments.jogs import check_needle, check_probe
from rig.safety.limits import Box, MotionLimits

LIMITS = MotionLimits(holder=Box((-50.0, 50.0), (-50.0, 50.0), (-50.0, 30.0)), holder_angle_deg=45.0)
IN = Pose6(0.0, 0.0, 0.0)
OUT = Pose6(52.0, 0.0, 0.0, 0.0, 0.0, 50.0)


def test_a_probe_outside_may_come_back_step_by_step() -> None:
    check_probe(replace(OUT, x_mm=51.0, c_deg=48.0), 10.0, LIMITS, OUT)
    check_probe(IN, 10.0, LIMITS, OUT)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (replace(OUT, x_mm=52.5, c_deg=48.0), "probe x"),
        (replace(OUT, x_mm=51.0, c_deg=51.0), "probe C"),
        (replace(OUT, y_mm=1.0), "probe x"),
        (replace(OUT, x_mm=-51.0, c_deg=48.0), "probe x"),
    ],
)
def test_a_probe_outside_may_go_nowhere_else(end: Pose6, expected: str) -> None:
    with pytest.raises(LimitViolation, match=expected):
        check_probe(end, 10.0, LIMITS, OUT)


def test_without_a_start_a_place_outside_is_outside() -> None:
    with pytest.raises(LimitViolation, match="probe x"):
        check_probe(replace(OUT, c_deg=0.0), 10.0, LIMITS)
    with pytest.raises(LimitViolation, match="probe C"):
        check_probe(replace(OUT, x_mm=0.0), 10.0, LIMITS)


def test_the_way_back_has_the_same_speed_limit() -> None:
    with pytest.raises(LimitViolation, match="speed"):
        check_probe(IN, 31.0, LIMITS, OUT)


def test_a_needle_beyond_its_feed_may_be_withdrawn_and_not_be_pushed() -> None:
    limits = MotionLimits(needle_entry=Box((-10.0, 10.0), (-10.0, 10.0), (-60.0, 80.0)))
    deep = NeedlePose(0.0, 0.0, 0.0, 0.0, 82.0)
    check_needle(deep, replace(deep, feed_mm=81.0), 2.0, limits)
    with pytest.raises(LimitViolation, match="needle z"):
        check_needle(deep, replace(deep, feed_mm=82.5), 2.0, limits)
    with pytest.raises(LimitViolation, match="sideways"):
        check_needle(deep, replace(deep, feed_mm=81.0, x_mm=0.5), 2.0, limits)


def test_a_needle_that_stands_too_steep_may_be_tilted_back() -> None:
    steep = NeedlePose(0.0, 0.0, 70.0, 0.0, -20.0)
    check_needle(steep, replace(steep, lateral_deg=68.0), 5.0, MotionLimits())
    with pytest.raises(LimitViolation, match="lateral angle"):
        check_needle(steep, replace(steep, lateral_deg=71.0), 5.0, MotionLimits())
