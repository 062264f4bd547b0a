"""A rig file cannot switch a protection off by a number."""

from dataclasses import replace
from importlib.resources import files

import pytest

from hal.errors import ConfigError
from hal.files import numbers_of
from rig.config import load_config, parse_config
from rig.safety.limits import Limits
from rig.safety.polling import POLLING

SHIPPED = files("rig").joinpath("data/simulated.toml").read_text()
POLLED = "[limits.polling.{role}]\nidle_s = {0}\nattended_s = {1}\nstale_idle_s = {2}\nstale_attended_s = {3}"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("[limits.force]\nneedle_n = inf", "limits.force.needle_n"),
        ("[limits.force]\nneedle_slope_n_mm = 1e9", "limits.force.needle_slope_n_mm"),
        ("[limits.force]\nhard_factor = 0.5", "limits.force.hard_factor"),
        ("[limits.pressure]\nhold_kpa = nan", "limits.pressure.hold_kpa"),
        ("[limits.pressure]\nhold_kpa = 120.0", "must not be below hold_kpa = 120"),
        ("[limits.pressure]\nline_kpa = 1e6", "limits.pressure.line_kpa"),
        ("[limits.pressure]\nzero_kpa = 1000.0", "limits.pressure.zero_kpa"),
        ("[line]\ncompliance_ul_kpa = 0.5\nresistance_kpa_min_ml = 3.1\nrating_kpa = 200.0", "line.rating_kpa = 200"),
        ("[limits.motion]\nneedle_step_mm = 2.0", "limits.motion.needle_step_mm"),
        ("[limits.motion]\nblind_advance_mm = inf", "limits.motion.blind_advance_mm"),
        ("[limits.motion]\nbone_speed_mm_s = 30.0", "limits.motion.bone_speed_mm_s"),
        (
            "[limits.motion]\nholder = { z_mm = [30.0, -120.0] }",
            "limits.motion.holder.z_mm = [30.0, -120.0]: must go from the lower to the higher value",
        ),
        ("[limits.volume]\nrate_ml_min = inf", "limits.volume.rate_ml_min"),
        (
            "[limits.volume]\ntest_ml = 0.3\ntest_total_ml = 0.1",
            "limits.volume.test_ml = 0.3: must not be above test_total_ml = 0.1",
        ),
        (
            POLLED.format(0.0, 0.02, 1.0, 0.2, role="pressure"),
            "limits.polling.pressure.idle_s = 0.0: must be more than 0",
        ),
        (
            POLLED.format(0.25, 0.0, 1.0, 0.2, role="needle_force"),
            "limits.polling.needle_force.attended_s = 0.0: must be more than",
        ),
        (POLLED.format(0.25, 0.02, 1e9, 0.2, role="pressure"), "limits.polling.pressure.stale_idle_s"),
        (POLLED.format(0.25, 0.02, 1.0, "inf", role="pressure"), "limits.polling.pressure.stale_attended_s"),
        (
            POLLED.format(0.25, 0.02, 1.0, 0.01, role="pressure"),
            "stale_attended_s = 0.01: must be above attended_s = 0.02",
        ),
        (POLLED.format(0.25, 0.02, 1.0, 0.2, role="presure"), "polling.presure: there is no such role"),
    ],
)
def test_a_limit_that_would_protect_nobody_is_refused_with_its_key(extra, words):
    text = (
        SHIPPED
        if not extra.startswith("[line]")
        else SHIPPED[: SHIPPED.index("[line]")] + "[safety]\nestop_inputs = ['holder']\n"
    )
    with pytest.raises(ConfigError) as error:
        parse_config(f"{text}\n{extra}\n", "my.toml")
    assert words in str(error.value)


def test_every_number_of_the_limits_has_two_bounds():
    without = [".".join(number.path) for number in numbers_of(Limits) if not number.bounded]
    assert without == []


def test_the_defaults_and_the_shipped_rig_files_lie_within_the_bounds():
    Limits(polling=dict(POLLING))
    for name in ("simulated", "core", "freehand", "bench_example"):
        load_config(name)


@pytest.mark.parametrize("watchdog_s", [0, 4, 255])
def test_a_pump_that_runs_on_for_more_than_0_3_ml_after_the_hosts_death_is_refused(watchdog_s):
    line = f"diameter_mm = 12.06\nsafe_mode_s = {watchdog_s}"
    with pytest.raises(ConfigError, match=r"after the host has died; at most 0\.3 mL are allowed"):
        parse_config(SHIPPED.replace("diameter_mm = 12.06", line), "my.toml")


def test_a_pump_driver_that_does_not_declare_its_watchdog_is_refused(monkeypatch):
    monkeypatch.delattr("hal.drivers.pump_new_era.Driver.watchdog_s")
    with pytest.raises(ConfigError, match="does not declare whether its pump stops by itself"):
        parse_config(SHIPPED, "my.toml")


def test_an_emergency_stop_input_is_read_every_40_ms_whatever_the_file_says():
    slow = Limits(polling={"holder": replace(POLLING["holder"], idle_s=1.0)})
    assert slow.period_s("holder", attended=False, estop=True) == 0.04
    assert slow.period_s("holder", attended=True, estop=True) == 0.04
    assert slow.period_s("holder", attended=False, estop=False) == 1.0
