"""Every limit of a rig as it is shipped, with the bounds between which a bench may set it.

Whoever changes a limit changes this table too, and says why in the changelog: a bench is told to rely on it.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from rig.safety import limits as room
from rig.safety.limits import Box, ForceLimits, Limits, MotionLimits, PressureLimits, VolumeLimits
from rig.safety.polling import POLLING, Polling

TABLE: dict[type, dict[str, tuple[float | None, float, float]]] = {
    MotionLimits: {
        "holder_angle_deg": (120.0, 1.0, 180.0),
        "probe_speed_mm_s": (30.0, 0.1, 100.0),
        "needle_angle_deg": (65.0, 1.0, 89.0),
        "needle_air_speed_mm_s": (30.0, 0.1, 100.0),
        "needle_speed_mm_s": (5.0, 0.1, 20.0),
        "withdraw_speed_mm_s": (10.0, 0.1, 30.0),
        "bone_speed_mm_s": (1.0, 0.1, 2.0),
        "needle_step_mm": (1.0, 0.05, 1.0),
        "blind_advance_mm": (2.0, 0.1, 5.0),
        "stray": (0.1, 0.02, 1.0),
        "hand_speed_mm_s": (100.0, 1.0, 250.0),
    },
    ForceLimits: {
        "needle_n": (None, 0.1, 20.0),
        "needle_slope_n_mm": (3.0, 0.1, 20.0),
        "probe_n": (12.0, 0.5, 40.0),
        "hard_factor": (2.0, 1.0, 3.0),
    },
    PressureLimits: {
        "warn_kpa": (50.0, 1.0, 200.0),
        "hold_kpa": (75.0, 1.0, 200.0),
        "stop_kpa": (100.0, 1.0, 200.0),
        "hard_kpa": (138.0, 1.0, 200.0),
        "line_kpa": (300.0, 1.0, 350.0),
        "zero_kpa": (5.0, 0.5, 20.0),
    },
    VolumeLimits: {
        "test_ml": (0.3, 0.01, 0.5),
        "test_total_ml": (1.0, 0.01, 5.0),
        "injection_ml": (5.0, 0.01, 20.0),
        "rate_ml_min": (6.0, 0.01, 15.0),
        "hand_ml": (1.0, 0.01, 5.0),
    },
}


def bounds_of(kind: type, name: str) -> tuple[float, float]:
    """Lowest and highest value that a file may give."""
    waiting = [get_type_hints(kind, include_extras=True)[name]]
    while waiting:
        hint = waiting.pop()
        if get_origin(hint) is Annotated:
            marks = {type(m).__name__: m for field in hint.__metadata__ for m in getattr(field, "metadata", [])}
            return marks["Ge"].ge, marks["Le"].le
        waiting.extend(get_args(hint))
    raise AssertionError(f"{kind.__name__}.{name} has no bounds")


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_every_limit_has_the_value_and_the_bounds_of_the_table(kind: type) -> None:
    found = {
        f.name: (getattr(kind(), f.name), *bounds_of(kind, f.name))
        for f in dataclasses.fields(kind)
        if f.name not in ("holder", "needle_entry")
    }
    assert found == TABLE[kind]


def test_the_workspaces_are_those_of_the_table() -> None:
    shipped = MotionLimits()
    assert shipped.holder == Box((-150.0, 150.0), (-200.0, 200.0), (-120.0, 30.0))
    assert shipped.needle_entry == Box((-130.0, 130.0), (-150.0, 150.0), (-60.0, 140.0))
    interval = get_type_hints(Box, include_extras=True)["x_mm"]
    for end in get_args(interval):
        marks = {type(m).__name__: m for field in end.__metadata__ for m in getattr(field, "metadata", [])}
        assert (marks["Ge"].ge, marks["Le"].le) == (-1000.0, 1000.0)


def test_every_role_is_read_as_often_and_may_be_as_old_as_the_table_says() -> None:
    motion, on_demand = (0.5, 0.1, 2.0, 0.6, 0), (0.0, 0.0, 0.0, 0.0, 0)
    assert {role: dataclasses.astuple(p) for role, p in POLLING.items()} == {
        "holder": motion,
        "carrier": motion,
        "pump": (0.25, 0.1, 2.0, 0.6, 0),
        "pressure": (0.25, 0.02, 1.0, 0.2, 50),
        "needle_force": (0.25, 0.04, 1.0, 0.25, 50),
        "probe_force": (0.5, 0.1, 2.0, 0.5, 0),
        "contact": (0.25, 0.04, 1.0, 0.25, 0),
        "estop": (0.1, 0.1, 0.5, 0.5, 0),
        "temperature": on_demand,
        "balance": on_demand,
        "tracker": on_demand,
        "ultrasound": on_demand,
        "operator": on_demand,
    }
    assert [bounds_of(Polling, n) for n in ("idle_s", "attended_s", "stale_idle_s", "stale_attended_s")] == [
        (0.0, 5.0),
        (0.0, 1.0),
        (0.0, 10.0),
        (0.0, 2.0),
    ]


def test_an_emergency_stop_input_is_read_every_40_ms_whatever_the_rest_says() -> None:
    limits = Limits()
    assert room.ESTOP_S == 0.04
    assert limits.period_s("carrier", attended=False, estop=True) == 0.04
    assert limits.period_s("carrier", attended=False, estop=False) == 0.5
    assert limits.period_s("carrier", attended=True, estop=False) == 0.1
    assert limits.period_s("pressure", attended=True, estop=True) == 0.02
    assert limits.period_s("temperature", attended=False, estop=True) == 0.04
    assert limits.period_s("temperature", attended=False, estop=False) == 0.0


@pytest.mark.parametrize(
    ("gauge", "newton"),
    [(18, 8.0), (20, 6.3), (21, 5.7), (22, 5.0), (23, 4.4), (25, 3.0), (27, 2.0), (24, 3.0), (30, 2.0)],
)
def test_strong_resistance_by_gauge(gauge: int, newton: float) -> None:
    assert Limits().needle_force_n(gauge) == newton
    assert Limits(force=ForceLimits(needle_n=1.5)).needle_force_n(gauge) == 1.5


def test_one_test_injection_may_be_all_of_them_and_steps_of_the_ladder_may_be_equal() -> None:
    assert VolumeLimits(test_ml=0.5, test_total_ml=0.5).test_total_ml == 0.5
    assert PressureLimits(hold_kpa=100.0, stop_kpa=100.0).stop_kpa == 100.0
