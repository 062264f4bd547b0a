"""From a trial's journal to the parts of its budgets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from analysis.uncertainty.budget import combine
from analysis.uncertainty.parts import (
    BASES,
    TrialInputs,
    drift_of,
    inputs_of,
    measurement_parts,
    prediction_parts,
    shared_roots,
)
from rig.record import NAMES, Entry


def stated(name: str, u: float | None, unit: str = "mm", how: str = "normal", kind: str = "rig file") -> dict[str, Any]:
    return {"name": name, "u": u, "unit": unit, "distribution": how, "dof": None, "kind": kind, "source": "somebody"}


def recorded(**changes: Any) -> dict[str, Any]:
    """An entry ``uncertainty`` of a trial that the image led."""
    seen = {
        "tip_minus_aim_mm": [0.1, 0.2, -0.1],
        "method": "direct",
        "registration_mm2": (0.04 * np.eye(3)).tolist(),
        "registration_dof": 40.0,
        "look_mm2": np.diag([0.04, 0.25, 0.09]).tolist(),
        "elevation_axis": [0.0, 1.0, 0.0],
        "needle_axis": [0.6, 0.0, 0.8],
        "velocity_mm_s": [0.0, 10.0, 0.0],
        "moved_since_mm": 0.0,
        "feed_sd_mm": 0.2,
        "sound_speed_m_s": 1545.0,
        "sound_tip_mm_per_m_s": [0.0, 0.0, 0.040],
        "sound_aim_mm_per_m_s": [0.0, 0.0, 0.030],
        "image_shifts": np.hstack([0.5 * np.eye(3), np.zeros((3, 9))]).tolist(),
        "image_tip_mm2": np.eye(3).tolist(),
    }
    out: dict[str, Any] = {
        "inputs": [
            stated("image calibration", 0.5),
            stated("speed of sound", 5.0, "m/s"),
            stated("latency", 0.01, "s", "rectangular"),
            stated("holder pose", 0.1),
            *(stated(name, 0.3) for name in BASES),
            stated("reference instrument", 0.3),
            stated("phantom in the instrument", 0.2),
        ],
        "build_sd_mm": 0.4,
        "sees_bending": True,
        "bending_included": False,
        "expected_deflection_mm": 2.5,
        "image_spread": np.eye(12).tolist(),
        "seen": {**seen, **changes.pop("seen", {})},
    }
    return {**out, **changes}


def reading(moment: str, tip: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Entry:
    data: dict[str, Any] = {
        "moment": moment, "measured": True, "tip_phantom_mm": list(tip), "readings_n": 12, "spread_mm": 0.33,
    }  # fmt: skip
    return Entry(1, 1, "phantomrig", "reference", data, "")


def trial(about: dict[str, Any] | None = None, **row: Any) -> TrialInputs:
    whole: dict[str, Any] = {**dict.fromkeys(NAMES), "target_source": "as_built", "cartridge_id": "C01", **row}
    events = [reading("before_test", (0.1, 0.0, 0.0)), reading("at_injection")]
    if about is not None:
        events.append(Entry(2, 2, "phantomrig", "uncertainty", about, ""))
    return inputs_of(whole, events)


def _by_name(parts: Any) -> dict[str, Any]:
    return {p.quantity: p for p in parts}


def test_the_measurement_of_a_simulated_trial_is_complete_when_all_is_stated() -> None:
    budget = combine(measurement_parts(trial(recorded()), simulated=True), measurand="distance")
    assert budget.complete and budget.combined == pytest.approx(math.hypot(0.3, 0.2, 0.33 / math.sqrt(33.0)))


def test_the_mean_of_readings_is_known_by_their_scatter() -> None:
    part = _by_name(measurement_parts(trial(recorded()), simulated=True))["repeated readings, mean of"]
    assert part.u == pytest.approx(0.33 / math.sqrt(33.0)) and part.dof == 33.0


def test_a_blind_instrument_is_charged_with_the_whole_bend_unless_its_certificate_holds_it() -> None:
    blind = _by_name(measurement_parts(trial(recorded(sees_bending=False)), simulated=True))["needle bend, not seen"]
    assert blind.u == 2.5
    held = recorded(sees_bending=False, bending_included=True)
    assert _by_name(measurement_parts(trial(held), simulated=True))["needle bend, not seen"].u == 0.0


@pytest.mark.parametrize(("source", "simulated"), [("nominal", True), ("nominal", False), ("as_built", False)])
def test_an_aim_point_that_nobody_measured_or_stated_is_not_known(source: str, simulated: bool) -> None:
    parts = _by_name(measurement_parts(trial(recorded(), target_source=source), simulated=simulated))
    assert parts["aim point in the cartridge"].u is None


def test_a_trial_without_the_entry_knows_nothing_but_its_readings() -> None:
    parts = measurement_parts(trial(None), simulated=True)
    assert {p.quantity for p in parts if p.u is None} == {
        "reference instrument, one reading", "phantom in the instrument's frame", "needle bend, not seen",
    }  # fmt: skip
    assert prediction_parts(trial(None), 0.1, 9.0) == ()


@pytest.mark.parametrize(
    "damage",
    [
        {"inputs": [{"name": "latency"}]},
        {"inputs": 7},
        {"expected_deflection_mm": None, "sees_bending": False},
        {"seen": {"look_mm2": [1.0, 2.0]}},
        {"seen": {"image_shifts": "none"}},
        {"image_spread": [[1.0]]},
    ],
)
def test_an_entry_that_cannot_be_read_tells_nothing_and_breaks_nothing(damage: dict[str, Any]) -> None:
    spoiled = trial(recorded(**damage))
    assert spoiled.seen is None
    assert _by_name(measurement_parts(spoiled, simulated=True))["reference instrument, one reading"].u is None


def test_of_the_speed_of_sound_only_the_difference_between_tip_and_aim_counts() -> None:
    part = _by_name(prediction_parts(trial(recorded()), 0.1, 9.0))["speed of sound"]
    assert part.variance == pytest.approx((5.0 * 0.010) ** 2)
    assert part.alone_mm == pytest.approx(5.0 * 0.040)
    assert part.sensitivity == pytest.approx(0.010)


def test_of_the_image_calibration_only_what_is_not_shared_counts() -> None:
    part = _by_name(prediction_parts(trial(recorded()), 0.1, 9.0))["image calibration, at the tip"]
    assert part.variance == pytest.approx(3 * 0.25) and part.u == pytest.approx(math.sqrt(3.0))


def test_the_look_is_split_in_plane_and_slice_without_remainder() -> None:
    parts = _by_name(prediction_parts(trial(recorded()), 0.1, 9.0))
    assert parts["tip across the slice"].variance == pytest.approx(0.25)
    assert parts["tip across the slice"].distribution == "rectangular"
    assert parts["tip in the image plane"].variance == pytest.approx(0.13)


def test_feed_counts_only_after_a_move_that_no_look_followed() -> None:
    still = _by_name(prediction_parts(trial(recorded()), 0.1, 9.0))["needle feed since its confirmation"]
    back = recorded(seen={"moved_since_mm": -1.0})
    moved = _by_name(prediction_parts(trial(back), 0.1, 9.0))["needle feed since its confirmation"]
    assert still.variance == 0.0 and moved.variance == pytest.approx(0.04)


def test_latency_costs_what_the_probe_moved_in_it() -> None:
    part = _by_name(prediction_parts(trial(recorded()), 0.1, 9.0))["latency x speed"]
    assert math.sqrt(part.variance) == pytest.approx(0.1) and part.value == pytest.approx(10.0)


def test_bases_that_aim_and_tip_share_stand_in_the_budget_with_nothing() -> None:
    parts = _by_name(prediction_parts(trial(recorded()), 0.1, 9.0))
    for name in BASES:
        assert parts[f"place of {name}"].u == 0.3 and parts[f"place of {name}"].variance == 0.0


def test_drift_is_what_the_reference_saw_between_two_readings_at_rest() -> None:
    assert drift_of([trial(recorded())]) == (pytest.approx(0.1 / math.sqrt(3.0)), 3.0)
    withdrawn = trial(recorded(seen={"moved_since_mm": -1.0}))
    assert drift_of([withdrawn]) == (None, 0.0)
    assert _by_name(prediction_parts(withdrawn, None, 0.0))["needle drift until it is read"].u is None


def test_trials_share_calibration_and_instrument_and_those_of_a_cartridge_its_gel() -> None:
    here = trial(recorded())
    roots = shared_roots(here, measurement_parts(here, simulated=True))
    assert set(roots) == {
        "image", "gel C01", "reference instrument, one reading", "phantom in the instrument's frame",
    }  # fmt: skip
    assert np.allclose(roots["image"] @ roots["image"].T, 0.25 * np.eye(3))
