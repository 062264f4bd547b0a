"""QA tests on the simulated rig: recorded, judged and reported like a study, however they end."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from analysis.qa.certified import result_of
from analysis.qa.recorded import analyse_qa
from analysis.qa.report import make_qa_report
from analysis.report.make import make_report
from experiments.cli.main import app
from experiments.qa import acceptance_of, run_test, shipped_acceptances
from experiments.qa.due import due_list
from experiments.qa.procedures import PROCEDURES, Procedure
from experiments.request import checked
from hal.errors import ConfigError, DeviceError, SafetyStop
from rig.calibration.certificates.certificate import read_certificate
from rig.config import config_file
from rig.record import verify_run
from tests.analysis import synthetic_run


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    return run_test("tracker_still", out=tmp_path_factory.mktemp("qa"), tell=lambda _: None)


def test_a_run_is_sealed_and_its_report_names_method_reference_and_limits(still):
    assert verify_run(still.path) == () and still.verdict == "WOULD PASS"
    page = (still.path / "report.html").read_text()
    for words in ("SIMULATED DATA", "a test of our own", "TRK-JITTER", "project default", "Decision rule", "clamped"):
        assert words in page, words
    assert "complies" not in page and (still.path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_a_passed_run_is_certified_like_a_calibration(still, tmp_path):
    words = ["calibrate", "certify", still.path, tmp_path / "c", "--identity", "QA-1", "--by", "AB"]
    made = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert made.exit_code == 0, made.stderr
    certificate, qa = read_certificate(tmp_path / "c" / "QA-1.json"), analyse_qa(still.path)
    assert (certificate.kind, certificate.device, certificate.simulated) == ("qa_tracker_still", "tracker", True)
    days = certificate.due_date - certificate.moment.date()
    assert days.days == qa.acceptance.effort.interval_days
    judged = {j.limit.figure: j for j in qa.verdict.judged if j.figure is not None and j.figure.u is not None}
    assert judged and judged.keys() <= certificate.values.keys()
    for name, value in certificate.values.items():
        assert value.value == still.figures()[name]
        assert value.limit is None or value.within
    assert {name for name in judged if certificate.values[name].limit is None} == {
        name for name, j in judged.items() if j.limit.limit is None
    }


def test_a_run_that_did_not_pass_is_not_certified(still, tmp_path):
    qa = analyse_qa(still.path)
    for changes, words in (
        ({"verdict": replace(qa.verdict, word="WOULD FAIL", reason="TRK-JITTER")}, "WOULD FAIL .TRK-JITTER"),
        ({"verdict": replace(qa.verdict, word="MARGINAL")}, "MARGINAL"),
        ({"faults": ("readings/poses was changed",)}, "not as it was recorded"),
    ):
        with pytest.raises(ConfigError, match=words):
            result_of(replace(qa, **changes))


def test_the_report_made_again_is_the_same_to_the_byte(still):
    before = {name: (still.path / name).read_bytes() for name in ("results.json", "report.html", "report.pdf")}
    make_qa_report(still.path)
    assert {name: (still.path / name).read_bytes() for name in before} == before


def test_a_rig_with_the_device_alone_is_enough(tmp_path):
    text = config_file("simulated").read_text()
    keep = (
        text[: text.index("[devices.holder]")]
        + text[text.index("[devices.tracker]") : text.index("[devices.operator]")]
    )
    rest = text[text.index("[frames]") :].replace('["holder", "carrier"]', "[]")
    frames = "\n".join(line for line in rest.splitlines() if not line.startswith(("HolderToRig", "CarrierToRig")))
    (tmp_path / "tracker.toml").write_text(keep + frames)
    run = run_test("tracker_still", tmp_path / "tracker.toml", out=tmp_path / "runs", tell=lambda _: None)
    assert run.figures()["unseen_share"] == 0.0


def test_a_device_that_fails_in_the_middle_leaves_a_sealed_run_without_a_verdict(tmp_path):
    def fails(station):
        station.sample("poses", 1, (0.0, 0.0, 0.0, 1.0))
        raise DeviceError("the tracker was unplugged", device="tracker")

    broken = {**PROCEDURES, "tracker_still": Procedure(("tracker",), fails)}
    with patch("experiments.qa.conduct.PROCEDURES", broken), pytest.raises(DeviceError, match="unplugged"):
        run_test("tracker_still", out=tmp_path, tell=lambda _: None)
    (folder,) = tmp_path.glob("qa-*")
    assert verify_run(folder) == ()
    results = analyse_qa(folder)
    assert results.verdict.word == "NOT EVALUATED" and "unplugged" in results.verdict.reason
    assert results.outcome.figures == ()


def test_what_is_due_is_reported_by_the_runs_of_a_folder(still, tmp_path):
    by_name = {due.name: due for due in due_list(still.path.parent)}
    assert by_name["tracker_still"].last.endswith("WOULD PASS") and by_name["tracker_still"].due != "now"
    assert by_name["capture_timing"].last == "" and by_name["capture_timing"].due == "now"
    assert {due.due for due in due_list(tmp_path / "nothing")} == {"now"}


@pytest.mark.parametrize("name", list(shipped_acceptances()))
def test_every_shipped_acceptance_file_fits_its_test(name):
    acceptance = acceptance_of(name)
    assert acceptance.id == name and acceptance.criteria


def test_an_acceptance_file_that_does_not_fit_is_refused_before_anything_is_opened(tmp_path):
    text = shipped_acceptances()["tracker_still"].read_text()
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace('figure = "jitter_mm"', 'figure = "jiter_mm"').replace('unit = "mm"', 'unit = "um"'))
    with pytest.raises(ConfigError, match=r"did you mean jitter_mm[\s\S]*the unit of drift_mm is mm, not 'um'"):
        run_test(str(wrong), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_the_command_lists_runs_and_reports(tmp_path):
    runner = CliRunner()
    quick = _rig(tmp_path, QUICK)
    done = runner.invoke(app, ["qa", "run", "capture_timing", "--rig", quick, "--out", str(tmp_path), "--json"])
    data = json.loads(done.stdout.splitlines()[-1])
    assert done.exit_code == 0 and data["simulated"] and data["verdict"] == "WOULD PASS"
    listed = runner.invoke(app, ["qa", "list", "--runs", str(tmp_path), "--json"])
    assert {entry["test"] for entry in json.loads(listed.stdout.splitlines()[-1])["tests"]} == set(
        shipped_acceptances()
    )
    again = runner.invoke(app, ["qa", "report", str(next(tmp_path.glob("qa-*")))])
    assert again.exit_code == 0 and "SIMULATED" in again.stderr
    refused = runner.invoke(app, ["qa", "run", "tracker_still", "--rig", "core", "--dry-run"])
    assert refused.exit_code == 2 and "has no tracker" in refused.stderr


QUICK = ("[sim]\n", '[sim]\nframe_quality = "fast"\n')


def _rig(folder, *changes: tuple[str, str], more: str = "") -> str:
    text = config_file("simulated").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "planted.toml").write_text(text + more)
    return str(folder / "planted.toml")


def test_a_healthy_line_passes(tmp_path):
    run = run_test("line_loss", out=tmp_path, tell=lambda _: None)
    assert run.verdict == "WOULD PASS" and abs(run.figures()["offset_kpa"]) < 0.5


def test_a_thicker_fluid_is_found_with_the_right_resistance(tmp_path):
    thick = _rig(tmp_path, ("[sim]\n", "[sim]\nviscosity_mpa_s = 2.0\n"))
    healthy = run_test("line_loss", out=tmp_path / "a", tell=lambda _: None).figures()["resistance_kpa_min_ml"]
    run = run_test("line_loss", thick, out=tmp_path / "b", tell=lambda _: None)
    assert run.verdict == "WOULD FAIL" and run.figures()["resistance_kpa_min_ml"] == pytest.approx(
        2 * healthy, rel=0.03
    )


def test_a_clot_in_the_line_is_found(tmp_path):
    clotted = _rig(tmp_path, more='\n[[sim.faults]]\ndevice = "pump"\nkind = "blocked_line"\nfrom_s = 0.0\n')
    with patch("hal.sim.fault_plan.CLOGGED", 1.6):
        run = run_test("line_loss", clotted, out=tmp_path / "b", tell=lambda _: None)
    assert run.verdict == "WOULD FAIL" and run.figures()["deviation_percent"] > 60.0


def test_a_blocked_line_ends_the_test_without_a_number(tmp_path):
    blocked = _rig(tmp_path, more='\n[[sim.faults]]\ndevice = "pump"\nkind = "blocked_line"\nfrom_s = 0.0\n')
    with pytest.raises(DeviceError, match="line"):
        run_test("line_loss", blocked, out=tmp_path / "b", tell=lambda _: None)
    assert analyse_qa(next((tmp_path / "b").glob("qa-*"))).outcome.figures == ()


def test_an_authorised_deviation_stands_on_the_first_page_of_the_study(tmp_path):
    own = _rig(tmp_path, more=f'\n[qa]\nruns = "{tmp_path / "qa"}"\nrequired = ["line_loss"]\n')
    order = ["run", "lumbar", "--rig", own, "--trials", "1", "--technique", "L4_LM", "--workers", "1"]
    runner = CliRunner()
    refused = runner.invoke(app, [*order, "--out", str(tmp_path / "a")])
    assert refused.exit_code == 2 and "line_loss: it was never carried out" in refused.stderr
    assert not (tmp_path / "a").exists()
    override = "A. Smith: no cup at hand"
    files = checked("lumbar", Path(own), tmp_path / "b", 1, None, 1, ("L4_LM",), override).files
    folder = synthetic_run.make(tmp_path / "b", frames=False)
    (folder / "qa.json").write_bytes(files["qa.json"])
    make_report(folder)
    page = (folder / "report.html").read_text()
    assert "Authorised deviation" in page and "Authorised by A. Smith: no cup at hand." in page


def _short(folder, name: str, seconds: float) -> str:
    text = shipped_acceptances()[name].read_text()
    (folder / "short.toml").write_text(re.sub(r"^seconds = [\d.]+", f"seconds = {seconds}", text, flags=re.MULTILINE))
    return str(folder / "short.toml")


def _fault(device: str, kind: str, **more: object) -> str:
    lines = "\n".join(f"{name} = {value}" for name, value in more.items())
    return f'\n[[sim.faults]]\ndevice = "{device}"\nkind = "{kind}"\n{lines}\n'


@pytest.mark.parametrize(
    ("fault", "criterion", "figure", "expected"),
    [
        (_fault("ultrasound", "delay", from_s=0.0, delay_s=0.2), "CAP-AGE", "age_median_ms", (225.0, 245.0)),
        (_fault("ultrasound", "drop_reply", from_s=3.0, probability=0.2), "CAP-DROPPED", "dropped_share", (0.05, 0.28)),
        (_fault("ultrasound", "stale", from_s=6.0), "CAP-REPEATED", "repeated_share", (0.3, 0.95)),
    ],
    ids=["late stamps", "dropped frames", "frozen picture"],
)
def test_a_fault_planted_in_the_capture_is_found_with_its_figure(tmp_path, fault, criterion, figure, expected):
    test, rig = _short(tmp_path, "capture_timing", 5.0), _rig(tmp_path, QUICK, more=fault)
    run = run_test(test, rig, out=tmp_path / "runs", tell=lambda _: None)
    failed = {j.limit.id for j in run.results.verdict.judged if j.verdict == "FAIL"}
    assert run.verdict == "WOULD FAIL" and criterion in failed
    assert expected[0] <= run.figures()[figure] <= expected[1]


@pytest.mark.parametrize(
    ("fault", "share"),
    [
        (_fault("tracker", "stale", from_s=12.0), (0.3, 0.75)),
        (_fault("tracker", "drop_reply", from_s=0.0, probability=0.3), (0.2, 0.4)),
    ],
    ids=["frozen", "replies lost"],
)
def test_a_fault_planted_in_the_tracker_is_found_with_its_share(tmp_path, fault, share):
    test, rig = _short(tmp_path, "tracker_still", 20.0), _rig(tmp_path, more=fault)
    run = run_test(test, rig, out=tmp_path / "runs", tell=lambda _: None)
    assert run.verdict == "WOULD FAIL" and share[0] <= run.figures()["unseen_share"] <= share[1]


def test_a_tracker_that_is_unplugged_gives_no_number(tmp_path):
    rig = _rig(tmp_path, more=_fault("tracker", "unplugged", from_s=6.0))
    with pytest.raises(SafetyStop, match="line is interrupted"):
        run_test(_short(tmp_path, "tracker_still", 20.0), rig, out=tmp_path / "runs", tell=lambda _: None)
    assert analyse_qa(next((tmp_path / "runs").glob("qa-*"))).verdict.word == "NOT EVALUATED"


@pytest.mark.parametrize(
    ("sensor", "error", "criterion", "figure", "expected"),
    [
        ("pressure", "gain = 1.02", "GAIN", "gain_error_percent", 2.0),
        ("pressure", "hysteresis = 2.0", "HYSTERESIS", "hysteresis_percent", 1.0),
        ("pressure", "offset = 3.0", "OFFSET", "offset", 3.0),
        ("needle_force", "gain = 1.03", "GAIN", "gain_error_percent", 3.2),
    ],
)
def test_a_fault_planted_in_a_sensor_is_found_with_its_figure(tmp_path, sensor, error, criterion, figure, expected):
    rig = _rig(tmp_path, more=f"\n[sim.sensor_errors.{sensor}]\n{error}\n")
    run = run_test(f"{sensor}_static", rig, out=tmp_path / "runs", tell=lambda _: None)
    failed = {j.limit.id for j in run.results.verdict.judged if j.verdict == "FAIL"}
    assert criterion in failed and run.figures()[figure] == pytest.approx(expected, rel=0.05)


def test_a_reference_that_is_too_uncertain_is_refused_with_one_that_would_do(tmp_path):
    text = shipped_acceptances()["pressure_static"].read_text()
    poor = tmp_path / "poor.toml"
    poor.write_text(text.replace("expanded_uncertainty = 0.1 ", "expanded_uncertainty = 0.5 "))
    with pytest.raises(ConfigError, match=r"OFFSET: .*U = 0.5 kPa[\s\S]*0.05 % of 200 kPa would do"):
        run_test(str(poor), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def _changed(folder, name: str, **parameters: object) -> str:
    text = shipped_acceptances()[name].read_text()
    for key, value in parameters.items():
        text, n = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert n == 1, key
    (folder / "changed.toml").write_text(text)
    return str(folder / "changed.toml")


def _qa_bench(folder, more: str = "") -> str:
    (folder / "bench.toml").write_text(config_file("qa_bench").read_text() + more)
    return str(folder / "bench.toml")


@pytest.mark.parametrize(
    ("error", "figure", "expected"),
    [
        ("", "b_um", (15.0, 30.0)),
        ("backlash = 0.1", "b_um", (90.0, 115.0)),
        ("scale = 1.005", "slope_um_per_m", (4500.0, 5600.0)),
    ],
    ids=["healthy", "play", "scale"],
)
def test_the_feed_of_the_carrier_shows_its_play_and_its_scale(tmp_path, error, figure, expected):
    test = _changed(tmp_path, "feed_axis", runs=3, targets=5, readings=15)
    rig = _qa_bench(tmp_path, f"\n[sim.axis_errors.carrier]\n{error}\n" if error else "")
    run = run_test(test, rig, out=tmp_path / "runs", tell=lambda _: None)
    assert run.verdict == ("WOULD FAIL" if error else "WOULD PASS")
    assert expected[0] <= run.figures()[figure] <= expected[1]


@pytest.mark.parametrize(
    ("error", "verdict", "ad_mm"), [("", "WOULD PASS", (-0.06, 0.06)), ("scale = 1.005", "WOULD FAIL", (0.25, 0.4))]
)
def test_the_holder_shows_a_wrong_scale_in_its_distances(tmp_path, error, verdict, ad_mm):
    test = _changed(tmp_path, "holder_pose", cycles=8, direction_cycles=3)
    rig = _qa_bench(tmp_path, f"\n[sim.axis_errors.holder]\n{error}\n" if error else "")
    run = run_test(test, rig, out=tmp_path / "runs", tell=lambda _: None)
    assert run.verdict == verdict and ad_mm[0] <= run.figures()["ad_mm"] <= ad_mm[1]


def test_a_tracker_that_is_too_coarse_for_the_feed_is_refused(tmp_path):
    coarse = _changed(tmp_path, "feed_axis", expanded_uncertainty=300.0)
    with pytest.raises(ConfigError, match=r"FEED-A: .*U = 300 um[\s\S]*laser interferometer would do"):
        run_test(coarse, "qa_bench", out=tmp_path / "runs")


def test_a_day_is_checked_test_by_test_and_a_clot_keeps_its_studies_from_running(tmp_path):
    order = [
        "qa",
        "daily",
        _short(tmp_path, "tracker_still", 10.0),
        "line_loss",
        "--out",
        str(tmp_path / "runs"),
        "--json",
    ]
    good = CliRunner().invoke(app, order)
    assert good.exit_code == 0 and json.loads(good.stdout.splitlines()[-1])["may_run"]
    blocked = _rig(tmp_path, more=_fault("pump", "blocked_line", from_s=0.0))
    bad = CliRunner().invoke(app, [*order, "--rig", blocked])
    data = json.loads(bad.stdout.splitlines()[-1])
    assert bad.exit_code == 1 and not data["may_run"]
    assert [one["verdict"] for one in data["tests"]] == ["MARGINAL", "NOT EVALUATED"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('id = "TRK-DRIFT"', 'id = "TRK-JITTER"'), "TRK-JITTER stands twice"),
        (('comparison = "<="\nlimit = 0.6', 'comparison = "within"\nlimit = -0.6'), "must be above 0"),
    ],
    ids=["two of one id", "a negative band"],
)
def test_criteria_that_cannot_be_meant_are_refused(tmp_path, change, words):
    text = shipped_acceptances()["tracker_still"].read_text()
    assert change[0] in text
    (tmp_path / "own.toml").write_text(text.replace(*change))
    with pytest.raises(ConfigError, match=words):
        acceptance_of(str(tmp_path / "own.toml"))
