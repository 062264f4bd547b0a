"""Parameters of an acceptance file have bounds: what no procedure can do is refused before a rig is opened."""

from __future__ import annotations

import re

import pytest

from experiments.qa import acceptance_of, shipped_acceptances
from hal.errors import ConfigError


@pytest.mark.parametrize(
    ("test", "parameter", "value"),
    [
        ("capture_timing", "seconds", "0.0"), ("capture_timing", "sway_mm", "-1.0"),
        ("feed_axis", "travel_mm", "-30.0"), ("feed_axis", "runs", "0"), ("feed_axis", "readings", "0"),
        ("holder_pose", "speed_mm_s", "0.0"), ("holder_pose", "direction_cycles", "-1"),
        ("line_loss", "rates_ml_min", "[]"), ("line_loss", "rates_ml_min", "[1.0, -2.0]"),
        ("line_loss", "volume_ml", "-0.2"), ("line_loss", "repeats", "0"), ("pressure_static", "readings", "1"),
        ("pressure_static", "levels", "[]"), ("pressure_static", "hold_s", "-5.0"),
        ("tracker_still", "looks_per_s", "0.0"), ("tracker_still", "seconds", "-60.0"),
    ],
)  # fmt: skip
def test_a_parameter_out_of_its_bounds_is_refused_with_its_name(tmp_path, test, parameter, value):
    text, n = re.subn(
        rf"^{parameter} = .*$", f"{parameter} = {value}", shipped_acceptances()[test].read_text(), flags=re.MULTILINE
    )
    if not n:
        text = text.replace("[parameters]\n", f"[parameters]\n{parameter} = {value}\n")
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ConfigError, match=f"{parameter} must be at least"):
        acceptance_of(str(tmp_path / "own.toml"))


def test_a_sensor_may_be_tested_below_zero(tmp_path):
    text, _ = re.subn(
        r"levels = .*", "levels = [-10.0, 0.0, 10.0]", shipped_acceptances()["pressure_static"].read_text()
    )
    (tmp_path / "own.toml").write_text(text)
    assert acceptance_of(str(tmp_path / "own.toml")).parameters["levels"] == (-10.0, 0.0, 10.0)
