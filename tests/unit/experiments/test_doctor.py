from experiments.doctor import examine
from hal import registry
from hal.driver_table import driver_rows
from rig.config import load_config


def levels(findings, level):
    return {f.what: f.text for f in findings if f.level == level}


def test_this_installation_is_sound():
    shadowing = [f for f in examine(None) if f.what in ("python", "shadowing")]
    assert len(shadowing) == 5 and all(f.level == "ok" for f in shadowing)


def test_the_simulated_rig_has_no_errors():
    assert levels(examine("simulated"), "error") == {}


def test_the_core_rig_says_what_it_will_not_measure():
    warnings = levels(examine("core"), "warning")
    assert {"carrier", "needle_force", "contact", "tracker"} <= set(warnings)
    assert "truth missing" in warnings["tracker"]
    assert "pressure cell" in warnings["temperature"] and "not in the gel" in warnings["temperature"]


def test_the_bench_example_fails_on_its_placeholder_ports_only():
    errors = levels(examine("bench_example"), "error")
    assert set(errors) == {"holder", "carrier", "pump", "pressure"}
    assert all("does not exist" in text for text in errors.values())


def test_a_broken_rig_file_is_one_error_per_line(tmp_path):
    file = tmp_path / "rig.toml"
    head = '[rig]\nname = "x"\nsimulated = true\n'
    file.write_text(head + '[devices.pumpe]\ndriver = "new_era_pump"\n[safety]\nestop_inputs = ["holder"]\n')
    errors = [f for f in examine(file) if f.level == "error"]
    assert len(errors) == 2
    assert all(str(file) in f.text for f in errors)


def test_a_port_that_exists_and_may_be_opened_is_ok(tmp_path):
    text = load_config("bench_example").path.read_text()
    file = tmp_path / "rig.toml"
    file.write_text(text.replace("/dev/serial/by-id/CHANGE-pump", "/dev/null"))
    findings = [f for f in examine(file) if f.what == "pump"]
    assert any(f.level == "ok" and "/dev/null" in f.text for f in findings)


def test_every_driver_is_listed_and_wired_ones_without_a_transcript_are_unverified():
    found = {row["name"]: row for row in driver_rows()}
    assert set(found) == set(registry.drivers())
    assert found["new_era_pump"]["verified"] is False and found["new_era_pump"]["by_hand"] is False
    assert found["manual_pump"]["by_hand"] is True
    assert all(row["problem"] == "" for row in found.values())
