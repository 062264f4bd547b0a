"""Pump and balance tested on the simulated pump bench: healthy ones pass, what was planted is found with its figure."""

from __future__ import annotations

import re

import pytest

from analysis.qa.recorded import analyse_qa
from experiments.qa import run_test, shipped_acceptances
from experiments.qa.conduct import check_test
from hal.errors import ConfigError, SafetyStop
from rig.config import config_file
from rig.record import verify_run

SHORT: dict[str, dict[str, str]] = {
    # A tenth of the time at six times the rate: the same drops, the same share of noise.
    "pump_trumpet": {
        "rate_ml_h": "30.0", "sample_s": "15.0", "windows_min": "[2.0, 5.0]", "from_min": "5.0", "to_min": "17.0",
        "until_min": "17.0",
    },
    "pump_bolus": {"sizes_ml": "[0.1, 1.0]", "repeats": "6"},
    "balance_check": {"drift_min": "20.0"},
    "pump_rate": {"rates_ml_min": "[1.0, 2.0, 4.0]", "seconds": "40.0"},
    "pump_occlusion": {"repeats": "2"},
}  # fmt: skip
EXACT = "\n[sim.plunger]\nflow_error = 0.0\neccentric = 0.05\nplay_mm = 0.1\n"


def short(folder, test: str) -> str:
    text = shipped_acceptances()[test].read_text()
    for name, value in SHORT[test].items():
        text = re.sub(rf"^{name} = .*\n", "", text, flags=re.MULTILINE)
        text = text.replace("[parameters]\n", f"[parameters]\n{name} = {value}\n")
    (folder / f"{test}.toml").write_text(text)
    return str(folder / f"{test}.toml")


def bench(folder, planted: str = "", plunger: str = EXACT, vessel: str = "", pressure: bool = False) -> str:
    """The pump bench, without its pressure sensor, which takes three quarters of the time, where it is not needed."""
    text = config_file("pump_bench").read_text()
    if not pressure:
        text = re.sub(r"\[devices.pressure\][^\[]*", "", text)
    text = re.sub(r"\[sim.plunger\][^\[]*", plunger.lstrip() + "\n", text)
    if vessel:
        text = re.sub(r"\[sim.vessel\][^\[]*", vessel + "\n", text)
    (folder / "bench.toml").write_text(text + planted)
    return str(folder / "bench.toml")


def run(folder, test: str, rig: str):
    return run_test(short(folder, test), rig, out=folder / "runs", tell=lambda _: None)


def failed(found) -> set[str]:
    return {j.limit.id for j in found.results.verdict.judged if j.verdict == "FAIL"}


@pytest.mark.parametrize("test", list(SHORT))
def test_a_healthy_device_passes_and_its_record_is_sealed(tmp_path, test):
    found = run(tmp_path, test, bench(tmp_path, pressure=test == "pump_occlusion"))
    assert verify_run(found.path) == ()
    undecided = {j.limit.id for j in found.results.verdict.judged if j.figure and j.figure.value is None}
    others = {j.limit.id: j.reason for j in found.results.verdict.judged if j.verdict not in ("PASS", "NOT EVALUATED")}
    assert others == {} and undecided <= {"TRP-MAX-31", "TRP-MIN-31", "BOL-200", "BOL-300"}


def test_a_trumpet_tells_a_wider_syringe_from_an_open_vessel(tmp_path):
    def a(name: str, **how: str) -> dict[str, float | None]:
        (tmp_path / name).mkdir()
        return run(tmp_path / name, "pump_trumpet", bench(tmp_path / name, **how)).figures()

    wide = a("wide", plunger=EXACT + "bore_mm = 19.32\n")
    assert wide["a_percent"] == pytest.approx(1.99, abs=0.3)
    beaker = '[sim.vessel]\ncover = "open"\nhead_mm = 5.0\ndiameter_mm = 50.0\n'
    evaporating = a("open", vessel=beaker)
    assert evaporating["evaporation_mg_h"] == pytest.approx(340.0, rel=0.05)
    assert evaporating["a_percent"] == pytest.approx(0.0, abs=0.3)


def test_a_stopper_that_sticks_is_seen_in_the_short_windows_and_not_in_the_mean(tmp_path):
    # 16 min at rest come first: minute 8 of the flow, for two and a half minutes.
    sticks = '\n[[sim.faults]]\ndevice = "pump"\nkind = "sticks"\nfrom_s = 1460.0\nto_s = 1610.0\n'
    figures = run(tmp_path, "pump_trumpet", bench(tmp_path, sticks)).figures()
    assert figures["ep_min_2_min_a_percent"] == pytest.approx(-100.0, abs=1.0)
    assert figures["ep_min_5_min_a_percent"] == pytest.approx(-50.0, abs=5.5)
    assert figures["ep_max_2_min_a_percent"] == pytest.approx(125.0, abs=12.0)
    assert figures["a_percent"] == pytest.approx(0.0, abs=0.3)


def test_a_balance_unplugged_in_the_middle_ends_the_test_without_a_number(tmp_path):
    rig = bench(tmp_path, '\n[[sim.faults]]\ndevice = "balance"\nkind = "unplugged"\nfrom_s = 1100.0\n')
    with pytest.raises(SafetyStop, match="check that the cable is plugged in"):
        run(tmp_path, "pump_trumpet", rig)
    (folder,) = (tmp_path / "runs").glob("qa-*")
    results = analyse_qa(folder)
    assert verify_run(folder) == () and results.outcome.figures == () and results.verdict.word == "NOT EVALUATED"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("syringe_ml = 20.0", "syringe_ml = 10.0", "a 10 mL syringe gives 8 mL; a 20 mL syringe would do"),
        ("rate_ml_h = 5.0", "rate_ml_h = 0.5", "the method goes down to 1 mL/h"),
        ("rate_ml_h = 5.0", "rate_ml_h = 20.0\nsyringe_ml = 50.0", "limits.volume.injection_ml of this rig is 15 mL"),
    ],
)
def test_what_does_not_last_is_refused_before_anything_is_opened(tmp_path, old, new, words):
    text = shipped_acceptances()["pump_trumpet"].read_text()
    if "syringe_ml" in new and "rate" in new:
        text = text.replace("syringe_ml = 20.0\n", "")
    (tmp_path / "own.toml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=re.escape(words)):
        check_test(str(tmp_path / "own.toml"), "pump_bench")


def test_a_pump_that_is_set_to_another_syringe_than_the_file_states_is_refused(tmp_path):
    text = shipped_acceptances()["pump_bolus"].read_text()
    (tmp_path / "own.toml").write_text(text.replace("diameter_mm = 19.13", "diameter_mm = 14.43"))
    with pytest.raises(ConfigError, match=r"14.43 is stated, and the pump of this rig is set to 19.13 mm"):
        check_test(str(tmp_path / "own.toml"), "pump_bench")


@pytest.mark.parametrize(
    ("plunger", "planted", "criterion", "figure", "expected"),
    [
        (EXACT + "bore_mm = 19.53\n", "", "BOL-DIAMETER", "diameter_mm", pytest.approx(19.53, abs=0.02)),
        (EXACT + "relax_mm = 0.04\n", "", "BOL-100", "start_loss_ul", pytest.approx(11.5, abs=1.5)),
        (EXACT, "\n[sim.line]\nleak_ml_h = 9.0\n", "BOL-1000", "mean_1000_ul_percent", pytest.approx(-5.3, abs=0.5)),
        (EXACT.replace("0.05", "0.3"), "", "BOL-100-MIN", "diameter_mm", pytest.approx(19.13, abs=0.1)),
    ],
    ids=["wider bore", "loose drive", "leak", "eccentric screw"],
)
def test_a_fault_of_the_pump_is_found_in_its_boluses(tmp_path, plunger, planted, criterion, figure, expected):
    found = run(tmp_path, "pump_bolus", bench(tmp_path, planted, plunger))
    assert criterion in failed(found) and found.figures()[figure] == expected


@pytest.mark.parametrize(
    ("planted", "criterion", "figure", "expected"),
    [
        ("span_ppm = 20.0", "BAL-ERROR", "error_mg", pytest.approx(1.0, abs=0.15)),
        ("repeatability_mg = 0.32", "BAL-REPEAT", "repeatability_mg", pytest.approx(0.32, rel=0.4)),
        ("stuck_flag = true\ndraught_mg = 2.0", "BAL-FLAG", "stable_spread_mg", pytest.approx(2.0, rel=0.4)),
        ("drift_mg_h = 40.0", "BAL-DRIFT", "drift_mg_h", None),
    ],
    ids=["span", "repeatability", "stuck flag", "drift"],
)
def test_a_fault_of_the_balance_is_found_with_its_figure(tmp_path, planted, criterion, figure, expected):
    found = run(tmp_path, "balance_check", bench(tmp_path, f"\n[sim.balance]\n{planted}\n"))
    assert criterion in failed(found)
    assert expected is None or found.figures()[figure] == expected


@pytest.mark.parametrize(
    ("plunger", "planted", "criterion", "figure", "expected"),
    [
        (EXACT + "bore_mm = 19.6\n", "", "RATE-WORST", "rate_mean_percent", pytest.approx(4.97, abs=0.3)),
        (EXACT, "\n[sim.line]\nleak_ml_h = 4.0\n", "RATE-SPREAD", "rate_spread_percent", pytest.approx(5.0, abs=0.5)),
        (EXACT.replace("0.05", "0.3"), "", "RATE-WINDOW-10", "window_2_s_percent", pytest.approx(30.0, abs=4.0)),
    ],
    ids=["wider bore", "leak", "eccentric screw"],
)
def test_a_fault_of_the_pump_is_found_over_its_rates(tmp_path, plunger, planted, criterion, figure, expected):
    found = run(tmp_path, "pump_rate", bench(tmp_path, planted, plunger))
    size = abs(found.figures()[figure]) if "window" in figure else found.figures()[figure]
    assert criterion in failed(found) and size == expected


@pytest.mark.parametrize(
    ("line", "criterion", "expected"),
    [
        # 71 kPa above the rest: C dp, at 16.7 uL/s.
        ("compliance_ul_kpa = 2.0", "OCC-COMPLIANCE", {"compliance_ul_kpa": 2.0, "bolus_ml": 0.155}),
        # Isothermal: 0.5 + mean of 101.3 * 0.3 / (101.3 + p) ** 2 from 3 to about 76 kPa.
        ("compliance_ul_kpa = 0.5\nair_ml = 0.3", "OCC-BOLUS", {"compliance_ul_kpa": 2.2, "bolus_ml": 0.169}),
        ("compliance_ul_kpa = 0.5\nleak_ml_h = 3.6", "OCC-HOLD", {"hold_loss_kpa_s": 2.0, "compliance_ul_kpa": 0.53}),
    ],
    ids=["soft line", "air", "leak"],
)
def test_a_fault_of_the_line_is_found_by_closing_it(tmp_path, line, criterion, expected):
    found = run(tmp_path, "pump_occlusion", bench(tmp_path, f"\n[sim.line]\n{line}\n", pressure=True))
    assert criterion in failed(found)
    for figure, planted in expected.items():
        assert found.figures()[figure] == pytest.approx(planted, rel=0.08), figure


def test_a_weak_motor_stalls_before_the_rule_and_the_report_says_which_it_was(tmp_path):
    weak = EXACT + "force_slow_n = 20.0\nforce_fast_n = 20.0\nfriction_n = 5.0\n"
    found = run(tmp_path, "pump_occlusion", bench(tmp_path, plunger=weak, pressure=True))
    assert found.results.outcome.notes[0] == "stopped by the pump's own alarm"
    assert found.figures()["stop_kpa"] == pytest.approx(15.0 / 0.2874, abs=1.5), "15 N on a bore of 19.13 mm"


def test_a_line_that_leaks_all_that_it_gets_gives_no_number(tmp_path):
    rig = bench(tmp_path, "\n[sim.line]\nleak_ml_h = 61.0\n", pressure=True)
    own, told = tmp_path / "pump_occlusion.toml", []
    short(tmp_path, "pump_occlusion")
    own.write_text(own.read_text().replace("[parameters]\n", "[parameters]\npriming_ml = 0.0\n"))
    with pytest.raises(SafetyStop, match="does not respond to the pump"):
        run_test(str(own), rig, out=tmp_path / "runs", tell=told.append)
    assert "the line may be under pressure. Open it slowly" in told[-1]
    assert analyse_qa(next((tmp_path / "runs").glob("qa-*"))).outcome.figures == ()
