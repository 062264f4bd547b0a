"""Low-pass, offset, drift and noise of simulated sensors."""

from __future__ import annotations

import math
import statistics

import pytest

from hal.sim.devices.sensor_noise import NS_PER_HOUR, Channel, Imperfection

MS = 1_000_000


def test_noise_has_the_stated_spread() -> None:
    channel = Channel(Imperfection(0.1, 0.0, 0.0, 20.0), seed=1)
    samples = [channel.sample(5.0, i * 10 * MS) for i in range(4000)]
    assert statistics.fmean(samples) == pytest.approx(5.0, abs=0.01)
    assert statistics.stdev(samples) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("step_ms", [0.5, 1, 5, 10, 25])
def test_a_ramp_is_followed_with_the_lag_of_the_filter_whatever_the_rate_of_asking(step_ms: float) -> None:
    channel = Channel(Imperfection(0.0, 0.0, 0.0, 20.0), seed=1)
    steps = round(400 / step_ms)
    for i in range(steps + 1):
        value = channel.filtered(100.0 * i * step_ms / 1000.0, int(i * step_ms * MS))
    lag_s = 1.0 / (2.0 * math.pi * 20.0)
    assert value == pytest.approx(100.0 * (0.4 - lag_s), abs=0.02)


def test_the_offset_and_its_drift_belong_to_the_sensor() -> None:
    figures = Imperfection(0.0, 0.3, 0.2, 20.0)
    start = Channel(figures, seed=9).sample(0.0, 0)
    assert Channel(figures, seed=9).sample(0.0, 0) == start
    assert Channel(figures, seed=10).sample(0.0, 0) != start
    channel = Channel(figures, seed=9)
    channel.sample(0.0, 0)
    assert 0.0 < abs(channel.sample(0.0, NS_PER_HOUR) - start) <= 0.2
