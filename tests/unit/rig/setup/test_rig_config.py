import tomllib

import numpy as np
import pytest

from hal.errors import ConfigError
from rig.config import Frames, load_config, parse_config

HEAD = '[rig]\nname = "t"\nsimulated = true\n'
PUMP = '[devices.pump]\ndriver = "new_era_pump"\nurl = "rigsim://pump"\ndiameter_mm = 12.0\n'
HOLDER = '[devices.holder]\ndriver = "grblhal_holder"\nurl = "rigsim://holder"\n'
GOOD = HEAD + HOLDER + PUMP


def refused(text):
    with pytest.raises(ConfigError) as error:
        parse_config(text, "my.toml")
    return str(error.value)


@pytest.mark.parametrize("name", ["simulated", "core"])
def test_the_shipped_simulated_rigs_are_valid(name):
    config = load_config(name)
    assert config.rig.simulated
    assert {"holder", "pump", "pressure", "ultrasound", "operator"} <= set(config.devices)


def test_the_core_rig_has_no_carrier_force_contact_or_tracker():
    devices = set(load_config("core").devices)
    assert not devices & {"carrier", "needle_force", "probe_force", "contact", "tracker"}


def test_the_bench_example_is_valid_and_shows_the_defaults():
    config = load_config("bench_example")
    assert not config.rig.simulated
    assert config.limits == type(config.limits)()


def test_a_small_file_gets_defaults():
    config = parse_config(GOOD)
    assert config.limits.pressure.hold_kpa == 75.0
    assert config.limits.needle_force_n(config.needle.gauge) == 5.0
    assert config.limits.needle_force_n(25) == 3.0


def test_placements_become_a_transform_graph():
    text = GOOD + "[frames]\nHolderToRig = { translation_mm = [1, 2, 3], rotation_deg = [0, 0, 90] }\n"
    matrix = parse_config(text).frames.graph().get("Holder", "Rig")
    np.testing.assert_allclose(matrix[:3, 3], [1, 2, 3])
    np.testing.assert_allclose(matrix[:3, 0], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[rig\n", ["my.toml", "not a TOML file"]),
        (GOOD + "[limitz]\n", ["limitz", "unknown key", "did you mean 'limits'"]),
        (GOOD + "[limits.pressure]\nhold_kPa = 80\n", ["limits.pressure.hold_kPa", "did you mean 'hold_kpa'"]),
        (GOOD + "[limits.force]\nprobe_n = 'much'\n", ["limits.force.probe_n", "much"]),
        (GOOD + '[needle]\nname = "22G_quinke_120"\n', ["needle.name", "did you mean 22G_quincke_120"]),
        ("[rig]\nsimulated = true\n" + HOLDER, ["rig.name", "missing"]),
        (GOOD + '[devices.pumpe]\ndriver = "new_era_pump"\n', ["devices.pumpe", "did you mean 'pump'"]),
        (GOOD.replace("new_era_pump", "new_era_pmup"), ["devices.pump.driver", "did you mean new_era_pump"]),
        (GOOD.replace("diameter_mm", "diameter"), ["devices.pump.diameter", "did you mean 'diameter_mm'"]),
        (GOOD.replace("new_era_pump", "keller_pressure"), ["devices.pump.driver", "not for 'pump'"]),
        (GOOD.replace('driver = "new_era_pump"\n', ""), ["devices.pump", "'driver' is missing"]),
        (HEAD + PUMP, ["safety.estop_inputs", "'holder'"]),
        (GOOD + "[safety]\nestop_inputs = []\n", ["at least one emergency-stop input"]),
        (GOOD + "[frames]\nHolderToRig = { matrix = [[1, 0, 0, 0]] }\n", ["frames.HolderToRig", "four rows"]),
    ],
)
def test_what_is_wrong_is_reported_with_file_key_and_a_guess(text, words):
    message = refused(text)
    for word in ["my.toml", *words]:
        assert word in message, message


def test_all_problems_come_in_one_error():
    message = refused(GOOD.replace("diameter_mm", "diameter").replace("rigsim://holder", "/dev/ttyUSB0"))
    assert "diameter" in message and "/dev/ttyUSB0" in message


@pytest.mark.parametrize("port", ["/dev/ttyUSB0", "/dev/serial/by-id/x", "COM3", "socket://scanner:5000"])
def test_a_simulated_rig_refuses_real_ports(port):
    assert "must not open a real port" in refused(GOOD.replace("rigsim://pump", port))


@pytest.mark.parametrize("port", ["/dev/pts/7", "socket://127.0.0.1:5000", "socket://localhost:5000"])
def test_a_simulated_rig_may_use_local_mounts(port):
    parse_config(GOOD.replace("rigsim://pump", port))


@pytest.mark.parametrize("port", ["rigsim://pump", "/dev/pts/7", "socket://127.0.0.1:5000", "socket://localhost:5000"])
def test_a_real_rig_refuses_simulators(port):
    text = GOOD.replace("true", "false").replace("rigsim://holder", "/dev/ttyACM0").replace("rigsim://pump", port)
    assert "simulator's address" in refused(text + "[safety]\nhardware_cut = true\n")


def test_a_real_rig_must_confirm_the_hardware_cut():
    text = GOOD.replace("true", "false").replace("rigsim://", "/dev/ttyACM")
    assert "hardware_cut" in refused(text)
    parse_config(text + "[safety]\nhardware_cut = true\n")


def test_the_simulated_operator_exists_on_simulated_rigs_only():
    operator = '[devices.operator]\ndriver = "simulated_operator"\n'
    parse_config(GOOD + operator)
    text = (GOOD + operator).replace("true", "false").replace("rigsim://", "/dev/ttyACM")
    assert "simulated_operator" in refused(text + "[safety]\nhardware_cut = true\n")


def test_a_rig_file_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"nowhere\.toml: there is no such rig file"):
        load_config("nowhere.toml")
    with pytest.raises(ConfigError, match="did you mean 'simulated'"):
        load_config("simulatd")


MIRRORED = "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]]"
SCALED = "[[1.05, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]"
PIXELS = "[[2e-4, 0, 0, 0], [0, 2e-4, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]"


@pytest.mark.parametrize(
    ("frame", "matrix", "why"),
    [
        ("HolderToRig", MIRRORED, "mirrored"),
        ("TrackerToRig", SCALED, "axis x of its"),
        ("PhantomToReference", SCALED, "scaled by 1.05"),
        ("ImageToProbe", PIXELS, "pixels of"),
    ],
)
def test_a_placement_that_is_no_place_of_a_body_is_refused(frame, matrix, why):
    with pytest.raises(ValueError, match=why):
        Frames.model_validate({frame: {"matrix": tomllib.loads(f"m = {matrix}")["m"]}})
