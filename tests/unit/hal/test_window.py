"""Windows and the way back into them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.window import leads_back, outside

WINDOW = (-10.0, 10.0)
numbers = st.floats(-100.0, 100.0)


@pytest.mark.parametrize(
    ("value", "beyond"), [(0.0, 0.0), (10.0, 0.0), (-10.0, 0.0), (12.5, 2.5), (-11.0, -1.0), (math.nan, math.inf)]
)
def test_how_far_a_value_is_outside(value: float, beyond: float) -> None:
    assert outside(value, WINDOW) == beyond


@pytest.mark.parametrize(
    ("start", "end", "allowed"),
    [
        ((12.0, 0.0), (11.0, 0.0), True),  # nearer, still outside
        ((12.0, 0.0), (9.0, 0.0), True),  # inside again
        ((12.0, 0.0), (12.0, 5.0), False),  # beside the way
        ((12.0, 0.0), (13.0, 0.0), False),  # farther
        ((12.0, 0.0), (-11.0, 0.0), False),  # over the window to its other side
        ((12.0, 0.0), (10.5, 11.0), False),  # better here, worse there
        ((12.0, -15.0), (12.0, -14.0), True),  # one coordinate after the other
        ((0.0, 0.0), (11.0, 0.0), False),  # leaving
        ((0.0, 0.0), (1.0, 0.0), False),  # from inside there is no way back
        ((12.0, 0.0), (math.nan, 0.0), False),
        ((math.inf, 0.0), (11.0, 0.0), False),
    ],
)
def test_what_leads_back(start: tuple[float, float], end: tuple[float, float], allowed: bool) -> None:
    assert leads_back(start, end, [WINDOW, WINDOW]) is allowed


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6))
def test_a_step_on_the_way_back_is_never_farther_out_in_any_coordinate(steps: list[tuple[float, float]]) -> None:
    start, end = [a for a, _ in steps], [b for _, b in steps]
    if leads_back(start, end, [WINDOW] * len(steps)):
        assert all(abs(outside(b, WINDOW)) <= abs(outside(a, WINDOW)) + 1e-5 for a, b in steps)
        assert not leads_back(end, start, [WINDOW] * len(steps))
