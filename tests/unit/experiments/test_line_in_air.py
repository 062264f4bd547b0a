"""PRE9: the resistance of line and needle from a short flow in air, however slowly the line empties."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.steps.prepare import resistance_kpa_min_ml

PERIOD_S, PUMPED_S, WATCHED_S = 0.02, 3.0, 5.0


@pytest.mark.parametrize("resistance", [1.2, 4.7, 5.8, 28.8])
def test_the_resistance_is_that_of_the_needle_whatever_the_line_stores(resistance: float) -> None:
    rate, lag_s = 3.0, 0.5e-3 * resistance * 60.0  # 0.5 uL/kPa
    time_s = np.arange(0.0, WATCHED_S, PERIOD_S)
    flow = rate * (1.0 - np.exp(-time_s / lag_s))
    after = time_s > PUMPED_S
    flow[after] = flow[~after][-1] * np.exp(-(time_s[after] - PUMPED_S) / lag_s)
    seen = SimpleNamespace(flow_ml_min=flow, sensor_kpa=resistance * flow, rate_ml_min=rate)
    assert resistance_kpa_min_ml(seen) == pytest.approx(resistance, rel=0.08)  # type: ignore[arg-type]


def test_where_nothing_flows_there_is_no_resistance() -> None:
    seen = SimpleNamespace(flow_ml_min=np.zeros(50), sensor_kpa=np.zeros(50), rate_ml_min=3.0)
    assert np.isnan(resistance_kpa_min_ml(seen))  # type: ignore[arg-type]
