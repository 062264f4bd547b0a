import pytest

from experiments.cli.bench import show
from experiments.scorecard.speed import TARGETS, Target, peak_mb


def test_a_target_is_met_on_its_own_limit():
    assert Target("<=", 15.0).met(15.0) and not Target("<=", 15.0).met(15.1)
    assert Target(">=", 15.0).met(15.0) and not Target(">=", 15.0).met(14.9)


def test_the_table_says_which_targets_were_missed(capsys):
    show({"frame_full_ms_1core": 99.0, "help_s": 0.1, "report_s": 3.0})
    lines = {line.split()[1]: line for line in capsys.readouterr().err.splitlines() if line.startswith("│")}
    assert "missed" in lines["frame_full_ms_1core"]
    assert "met" in lines["help_s"] and "<= 0.5" in lines["help_s"]
    assert "met" not in lines["report_s"] and "missed" not in lines["report_s"]


@pytest.mark.parametrize("name", TARGETS)
def test_targets_carry_their_unit_in_their_name(name):
    assert name.endswith(("_s", "_mb", "_ms_1core", "_factor", "_per_trial"))


def test_memory_is_counted_in_megabytes():
    assert 20.0 < peak_mb() < 20_000.0
