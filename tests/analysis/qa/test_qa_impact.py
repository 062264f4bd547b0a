"""Looking back from a failed test: the studies in between, and the verdicts that its error could change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.qa.impact import impact_of
from analysis.report.make import make_report
from experiments.qa import evaluate_files, shipped_acceptances
from hal.errors import ConfigError
from tests.analysis import synthetic_run
from tests.analysis.qa.test_qa_manipulator import DOWN, UP
from tests.unit.experiments.test_qa_from_files import gauge


def feed(folder: Path, play_um: float, simulated: bool = True) -> Path:
    down = tuple(tuple(um - play_um for um in runs) for runs in DOWN)
    path = folder / f"gauge{play_um:g}.csv"
    path.write_text(gauge(up=UP, down=down))
    test = folder / "feed.toml"
    test.write_text(shipped_acceptances()["feed_axis"].read_text().replace('device = "carrier"', 'device = "tracker"'))
    return evaluate_files(str(test), {"targets": path}, out=folder, simulated=simulated).path


def study(folder: Path, started: str) -> Path:
    path = synthetic_run.make(folder)
    make_report(path)
    for name in ("started_utc", "ended_utc"):
        manifest = json.loads((path / "manifest.json").read_text())
        (path / "manifest.json").write_text(json.dumps({**manifest, name: started}))
    return path


def dated(run: Path, when: str) -> None:
    for name, key in (("manifest.json", "ended_utc"), ("results.json", "date")):
        data = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps({**data, key: when}))


@pytest.fixture
def passed_then_failed(tmp_path, monkeypatch):
    """An axis that passed on the first of March and failed with 3 mm of play on the first of June."""
    monkeypatch.setattr("analysis.qa.recorded.verify_run", lambda path: ())
    qa = tmp_path / "qa"
    qa.mkdir()
    dated(feed(qa, 0.0), "2026-03-01T10:00:00Z")
    failed = feed(qa, 3000.0)
    dated(failed, "2026-06-01T10:00:00Z")
    return tmp_path, failed


def test_studies_after_the_last_pass_are_touched_and_those_before_it_are_not(passed_then_failed):
    folder, failed = passed_then_failed
    _, between = study(folder / "s", "2026-02-01T09:00:00Z"), study(folder / "s", "2026-04-01T09:00:00Z")
    found = impact_of(failed, folder / "s")
    assert found.since == "2026-03-01T10:00:00Z" and found.device == "tracker"
    assert [one.run for one in found.touched] == [between.name]


def test_a_verdict_changes_when_the_error_is_larger_than_its_margin(passed_then_failed):
    folder, failed = passed_then_failed
    study(folder / "s", "2026-04-01T09:00:00Z")
    (touched,) = impact_of(failed, folder / "s").touched
    for weighed in touched.weighed:
        assert weighed.unit == "mm" and weighed.error == pytest.approx(3.0, abs=0.05)
        assert weighed.changes == (0.0 <= weighed.margin < weighed.error)
    assert touched.weighed


def test_a_simulated_failure_says_nothing_of_a_real_study(passed_then_failed):
    folder, failed = passed_then_failed
    path = study(folder / "s", "2026-04-01T09:00:00Z")
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "simulated": False}))
    assert impact_of(failed, folder / "s").touched == ()


def test_a_test_that_did_not_fail_has_no_impact(passed_then_failed):
    folder, _ = passed_then_failed
    passed = sorted((folder / "qa").glob("qa-*"))[0]
    with pytest.raises(ConfigError, match="only a failed test"):
        impact_of(passed, folder / "s")


def test_a_failed_run_that_was_edited_is_not_believed(tmp_path):
    failed = feed(tmp_path, 3000.0)
    with (failed / "journal.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(ConfigError, match="is not intact"):
        impact_of(failed, tmp_path)
