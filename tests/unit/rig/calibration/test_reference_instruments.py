import json

import numpy as np
import pytest

from hal.errors import CalibrationRefused, ConfigError
from rig.calibration.instrument.decide import can_decide
from rig.calibration.instrument.qualification import TipReading, qualify_instrument


def readings(
    seed=0, *, blind=0.0, bias=(0.0, 0.0, 0.0), sd=0.2, straight=20, bent=12, depth=55.0, in_gel=True, bend=4.0
):
    rng = np.random.default_rng(seed)
    out = []
    for k in range(straight + bent):
        true = np.array([*rng.uniform(-30, 30, 2), depth + rng.uniform(-5, 5)])
        angle = rng.uniform(0, 2 * np.pi)
        away = (
            np.zeros(3)
            if k < straight
            else bend * rng.uniform(0.5, 1.0) * np.array([np.cos(angle), np.sin(angle), 0.0])
        )
        seen = true - blind * away + bias + rng.normal(0, sd, 3)
        out.append(TipReading(true, seen, float(true[2]), away, in_gel))
    return out


def qualify(given, **more):
    options = {
        "target_depth_mm": (40.0, 75.0),
        "truth_sd_mm": 0.05,
        "expected_deflection_mm": 1.5,
        "declares_bending": False,
    }
    return qualify_instrument("hub tracker", given, **(options | more))


def test_an_instrument_at_the_tip_sees_bending() -> None:
    result = qualify(readings(), declares_bending=True)
    assert result.sees_bending is True
    assert result.parts_mm["bending not seen"] == 0.0
    assert result.standard_uncertainty_mm == pytest.approx(0.21, abs=0.05)
    json.dumps(result.as_json())


def test_an_instrument_at_the_hub_is_charged_with_the_bending() -> None:
    result = qualify(readings(blind=1.0))
    assert result.sees_bending is False
    assert result.bending_slope == pytest.approx(-1.0, abs=0.05)
    assert result.standard_uncertainty_mm == pytest.approx(np.hypot(1.5, 0.21), abs=0.1)


def test_a_false_declaration_is_refused() -> None:
    with pytest.raises(CalibrationRefused, match=r"misses 9[0-9] %|misses 10[0-9] %") as caught:
        qualify(readings(blind=1.0), declares_bending=True)
    assert caught.value.code == "declaration"


def test_without_a_clear_answer_bending_is_charged_in_full() -> None:
    weak = qualify(readings(bend=0.5))
    assert weak.sees_bending is None
    assert weak.parts_mm["bending not seen"] == 1.5
    assert qualify(readings(bent=0)).sees_bending is None


def test_bias_is_found_and_not_hidden_in_the_spread() -> None:
    result = qualify(readings(bias=(0.5, 0.0, -0.3)))
    assert result.bias_p_value < 1e-4
    assert np.allclose(result.bias_mm, [0.5, 0, -0.3], atol=0.2)
    assert result.standard_uncertainty_mm > qualify(readings(bent=12)).standard_uncertainty_mm
    assert min(qualify(readings(s)).bias_p_value for s in range(8)) > 1e-4


@pytest.mark.parametrize(
    "given, more, code",
    [
        (readings(in_gel=False), {}, "not in gel"),
        (readings(depth=20.0), {}, "wrong depth"),
        (readings(straight=5), {}, "too few"),
        (readings(bent=2), {"declares_bending": True}, "no bent needle"),
    ],
)
def test_readings_that_do_not_qualify_are_refused(given, more: dict, code: str) -> None:
    with pytest.raises(CalibrationRefused) as caught:
        qualify(given, **more)
    assert caught.value.code == code


def test_an_instrument_blocks_the_criteria_that_it_cannot_decide() -> None:
    good = qualify(readings(), declares_bending=True).decides({"tip error": 3.0, "gap to nerve": 0.8})
    assert good["tip error"].can_decide
    assert not good["gap to nerve"].can_decide
    assert not qualify(readings(blind=1.0)).decides({"tip error": 3.0})["tip error"].can_decide


@pytest.mark.parametrize(
    "limit, u, verdict", [(3.0, 0.5, True), (3.0, 0.51, False), (1.0, 0.0, True), (3.0, float("nan"), False)]
)
def test_the_rule_is_one_third_of_the_limit(limit: float, u: float, verdict: bool) -> None:
    decision = can_decide(limit, u)
    assert decision.can_decide is verdict
    assert decision.largest_uncertainty == pytest.approx(limit / 6)
    if np.isfinite(u):
        assert decision.acceptance_limit == pytest.approx(limit - 1.645 * u)


def test_the_guard_band_keeps_false_acceptance_at_five_percent() -> None:
    u, limit = 0.4, 3.0
    read = limit + np.random.default_rng(0).normal(0, u, 200_000)  # a true value exactly at the limit
    assert np.mean(read <= can_decide(limit, u).acceptance_limit) == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize("limit, u", [(0.0, 0.1), (-1.0, 0.1), (float("nan"), 0.1), (1.0, -0.1)])
def test_senseless_numbers_are_refused(limit: float, u: float) -> None:
    with pytest.raises(ConfigError):
        can_decide(limit, u)
