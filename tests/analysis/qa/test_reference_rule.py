"""A reference that is worse than what it is to decide is refused, with the instruments that would do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.qa.methods.reference import (
    ISO_230_2_THIRD,
    ISO_9283_QUARTER,
    TUR_4,
    guarded_limit,
    may_decide,
    minimum_weight,
)
from hal.errors import ConfigError


def test_an_optical_tracker_may_not_judge_a_repeatability_of_a_twentieth():
    found = may_decide(ISO_9283_QUARTER, 0.25, unit="mm", limit=0.05)
    assert not found.allowed and found.largest == pytest.approx(0.0125)
    assert found.would_do == ("probe of 0.001 mm", "lever gauge", "dial gauge")
    assert "would do: probe of 0.001 mm" in found.words and found.share == pytest.approx(5.0)


def test_the_expected_figure_counts_beside_the_limit():
    assert may_decide(ISO_9283_QUARTER, 0.02, unit="mm", limit=0.5).allowed
    assert not may_decide(ISO_9283_QUARTER, 0.02, unit="mm", limit=0.5, expected=0.04).allowed
    assert may_decide(ISO_230_2_THIRD, 0.02, unit="mm", limit=0.5, expected=0.04).allowed


def test_an_axis_is_refused_above_a_third_of_its_limit():
    assert may_decide(ISO_230_2_THIRD, 0.01, unit="mm", limit=0.03).allowed
    assert not may_decide(ISO_230_2_THIRD, 0.0101, unit="mm", limit=0.03).allowed


def test_a_laser_tracker_gets_worse_with_distance():
    near = may_decide(TUR_4, None, unit="mm", limit=0.08, range_m=0.5)
    far = may_decide(TUR_4, None, unit="mm", limit=0.08, range_m=3.0)
    assert "laser tracker" in near.would_do and "laser tracker" not in far.would_do
    assert not near.allowed and "nobody has stated" in near.words


def test_a_figure_without_limit_or_expectation_is_only_printed():
    found = may_decide(ISO_9283_QUARTER, 9.0, unit="mm")
    assert found.allowed and found.largest is None


def test_instruments_of_another_unit_are_not_named():
    assert may_decide(TUR_4, 5.0, unit="kPa", limit=4.0).would_do == ()


@given(st.floats(1e-4, 1.0), st.floats(1e-3, 10.0))
def test_a_wider_limit_never_takes_a_permission_away(expanded, limit):
    if may_decide(TUR_4, expanded, unit="mm", limit=limit).allowed:
        assert may_decide(TUR_4, expanded, unit="mm", limit=2 * limit).allowed
    assert may_decide(TUR_4, limit / 4, unit="mm", limit=limit).allowed


def test_guard_band_and_minimum_weight():
    assert guarded_limit(1.0, 0.3) == pytest.approx(0.7)
    assert minimum_weight(0.0001) == pytest.approx(0.2)
    with pytest.raises(ConfigError, match="leaves nothing"):
        guarded_limit(0.2, 0.3)
    with pytest.raises(ConfigError, match="above 0"):
        may_decide(TUR_4, 0.0, unit="mm", limit=1.0)


def test_no_share_is_called_verified():
    assert not any(rule.verified for rule in (ISO_9283_QUARTER, ISO_230_2_THIRD, TUR_4))
