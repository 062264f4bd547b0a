from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import synthetic_run

from analysis.analyse import analyse
from analysis.figures.images import in_image, picks, true_tip
from analysis.figures.scatter import ellipsoid_radii
from analysis.report import compose, render_html, render_pages
from analysis.report.make import make_report
from analysis.tables import trials_table
from hal.clock import VirtualClock
from hal.errors import ConfigError
from rig.record import RunFolder, verify_run
from rig.record.rows import normal_row


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = synthetic_run.make(tmp_path_factory.mktemp("run"))
    make_report(path)
    return path


def _files(run: Path) -> dict[str, bytes]:
    return {p.relative_to(run).as_posix(): p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file()}


def test_a_second_report_of_the_same_folder_is_byte_equal(reported: Path) -> None:
    before = _files(reported)
    make_report(reported)
    after = _files(reported)
    assert [name for name in after if after[name] != before.get(name)] == []
    assert {"results.json", "report.html", "report.pdf", "derived.json", "figures/target.svg"} <= set(after)


def test_the_report_leaves_the_record_intact(reported: Path) -> None:
    assert verify_run(reported) == ()


def test_the_page_is_self_contained_and_labelled(reported: Path) -> None:
    html = (reported / "report.html").read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    assert "SIMULATED DATA" in html and "demonstration, not powered" not in html  # it is inside the pictures
    assert "Demonstration: the sample is not powered" in html
    assert html.count("<figure>") >= 9
    assert not re.search(r">PASS<|>FAIL<|>MARGINAL<", html)


def test_every_figure_carries_the_label_in_its_own_file(reported: Path) -> None:
    # Text is drawn as paths, so the label is looked for by what matplotlib notes beside it.
    for path in sorted((reported / "figures").glob("*.svg")):
        assert "<!-- SIMULATED DATA" in path.read_text(), path.name


def _has_banner(page: bytes) -> bool:
    image = cv2.imdecode(np.frombuffer(page, np.uint8), cv2.IMREAD_COLOR)
    top = image[: image.shape[0] // 12].reshape(-1, 3).astype(int)  # blue, green, red
    return bool(np.mean((top[:, 2] > 150) & (top[:, 1] < 40) & (top[:, 0] < 80)) > 0.1)


def test_every_page_carries_the_banner_of_simulated_data_and_no_page_of_a_real_run_does(reported: Path) -> None:
    run = RunFolder.open(reported)
    view = compose(run, analyse(run), ())
    pages = render_pages(view, 30.0)
    assert len(pages) >= 5 and all(_has_banner(page) for page in pages)
    assert not any(_has_banner(page) for page in render_pages(replace(view, banner=""), 30.0))


def test_each_number_of_the_criteria_table_is_in_the_results(reported: Path) -> None:
    data = json.loads((reported / "results.json").read_bytes())
    run = RunFolder.open(reported)
    view = compose(run, analyse(run), ())
    for row, criterion in zip(view.criteria.rows, data["criteria"], strict=True):
        assert row[0] == criterion["identity"] and row[6] == criterion["verdict"]
        for text, name in ((row[3], "estimate"), (row[4], "bound")):
            number = criterion[name]["value"]
            unit = "\u00a0" + criterion["unit"] if criterion["unit"] else ""
            assert text == ("–" if number is None else f"{number:.2f}{unit}")


def test_a_real_run_has_no_label_and_plain_verdicts(tmp_path: Path) -> None:
    run = RunFolder.open(synthetic_run.make(tmp_path, simulated=False, frames=False, demonstration=False))
    results = analyse(run)
    view = compose(run, results, ())
    assert not run.simulated and view.banner == "" and results.assumptions == ()
    assert {c.verdict for c in results.criteria} <= {"PASS", "MARGINAL", "FAIL", "NOT EVALUATED"}
    assert b"SIMULATED" not in render_html(view)


def test_an_exploratory_study_says_so_on_every_page_and_judges_nothing(tmp_path: Path) -> None:
    why = "criteria were chosen after the first trial"
    run = RunFolder.open(synthetic_run.make(tmp_path, simulated=False, frames=False, exploratory=why))
    results = analyse(run)
    assert {c.verdict for c in results.criteria} | {results.verdict} == {"NOT EVALUATED"}
    assert results.criteria[0].estimate.value is not None and why in results.verdict_reason
    view = compose(run, results, ())
    html = render_html(view).decode()
    assert view.banner == view.watermark == "EXPLORATORY" and why in html and "SIMULATED" not in html
    assert all(_has_banner(page) for page in render_pages(view, 30.0))


def test_a_simulated_run_without_criteria_is_simulated_and_exploratory(tmp_path: Path) -> None:
    study = b'[study]\nid = "none"\ntitle = "Looking about"\n'
    run = RunFolder.create(tmp_path, "none", VirtualClock(), files={"study.toml": study}, seed=1, simulated=True)
    run.seal("finished")
    recorded = RunFolder.open(run.path)
    view = compose(recorded, analyse(recorded), ())
    assert view.banner == "SIMULATED DATA - EXPLORATORY" and view.watermark == "SIMULATED"
    assert "no criterion was fixed before the first trial" in view.verdict_reason


def test_a_run_without_a_single_closed_trial_still_gets_its_report(tmp_path: Path) -> None:
    study = b'[study]\nid = "none"\ntitle = "Stopped at once"\n'
    run = RunFolder.create(tmp_path, "none", VirtualClock(), files={"study.toml": study}, seed=1, simulated=True)
    run.seal("the emergency stop was pressed")
    page = make_report(run.path)
    html = page.read_text()
    assert "the emergency stop was pressed" in html and "NOT EVALUATED" in html and "SIMULATED DATA" in html


def _page(tmp_path: Path, **how: object) -> str:
    run = RunFolder.open(synthetic_run.make(tmp_path, frames=False, **how))  # type: ignore[arg-type]
    return " ".join(render_html(compose(run, analyse(run), ())).decode().split())


def test_a_study_that_was_stopped_says_on_its_cover_why_there_is_no_verdict(tmp_path: Path) -> None:
    page = _page(tmp_path, interrupted=("T027",), reason="stopped by the operator")
    assert "1 of 27 planned trials are missing (0 never closed, 1 interrupted and not repeated)" in page
    assert "The study was not carried out as planned" in page and "but no verdict" in page
    assert "the run ended: stopped by the operator" in page and "to be repeated" not in page


def test_the_method_says_whether_the_aim_is_that_of_the_design_or_of_the_cartridge(tmp_path: Path) -> None:
    assert "Aim of the cartridge as built (27 trials)" in _page(tmp_path / "a")
    real = _page(tmp_path / "b", simulated=False)
    assert "Aim as designed (27 trials)" in real and "as built" not in real


def test_a_temperature_of_the_line_is_not_reported_as_that_of_the_gel(tmp_path: Path) -> None:
    line, gel = _page(tmp_path / "a"), _page(tmp_path / "b", simulated=False)
    assert "21.3 °C; by the pressure cell, which is in the line and not in the gel" in line
    assert "21.3 °C" in gel and "by the pressure cell" not in gel


def test_the_report_names_the_violations_that_nobody_could_see(tmp_path: Path) -> None:
    simulated, real = _page(tmp_path / "a"), _page(tmp_path / "b", simulated=False)
    assert "by closed trials: V4 (pleura, viscera: the phantom has no surrogate of either) in all 27." in simulated
    assert "V1 along the needle" in real and "V2 in all 27; V3 in all 27;" in real
    assert "none of the violations V1-V6 found" in real


def test_the_cover_promises_no_risk_for_a_largest_value_and_none_for_dependent_trials(tmp_path: Path) -> None:
    page = _page(tmp_path)
    assert "trials treated as independent" in page and "largest value (max)" in page
    assert "Only the interval of a difference of mean errors" in page


def test_a_missing_folder_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run folder"):
        make_report(tmp_path / "nothing")


def test_text_of_the_record_cannot_become_markup(tmp_path: Path) -> None:
    study = b'[study]\nid = "x"\ntitle = "<script>alert(1)</script> #strong[x] \\"q\\""\n'
    run = RunFolder.create(tmp_path, "x", VirtualClock(), files={"study.toml": study}, seed=1, simulated=True)
    run.seal("#panic()")
    html = make_report(run.path).read_text()
    assert "<script>" not in html and (run.path / "report.pdf").stat().st_size > 1000


def test_the_true_tip_lands_on_its_pixel_and_its_distance_from_the_plane() -> None:
    image_to_probe = np.eye(4)
    image_to_probe[:3, :3] = np.array([[0.5, 0, 0], [0, 0, -1], [0, 0.25, 0]], dtype=float)
    probe_to_rig = np.eye(4)
    probe_to_rig[:3, 3] = (10.0, 20.0, 30.0)
    pixel = probe_to_rig @ image_to_probe @ np.array([40.0, 80.0, 0.0, 1.0])
    off_plane = pixel[:3] + 1.5 * probe_to_rig[:3, 1]
    column, row, distance = in_image(off_plane, probe_to_rig @ image_to_probe)
    assert (column, row) == (pytest.approx(40.0), pytest.approx(80.0))
    assert abs(distance) == pytest.approx(1.5)


def test_both_shapes_of_truth_give_the_tip_and_none_without_a_placement() -> None:
    placement = np.eye(4)
    placement[0, 3] = 100.0
    nested = {"PhantomToRig": placement.tolist(), "moments": {"at_injection": {"tip_mm": [1, 2, 3]}}}
    flat = {"PhantomToRig": placement.tolist(), "tip_true_mm": {"at_injection": [1, 2, 3]}}
    for truth in (nested, flat):
        assert np.allclose(true_tip(truth), [101.0, 2.0, 3.0])
    assert true_tip({"tip_true_mm": {"at_injection": [1, 2, 3]}}) is None
    assert true_tip({}) is None


def test_best_median_and_worst_are_chosen_by_the_error() -> None:
    rows = [normal_row({"trial_id": f"T{k}", "tte_mm": e}) for k, e in enumerate((3.0, 1.0, 9.0, 2.0, 4.0))]
    trials = trials_table(rows)
    assert [(n, one["tte_mm"]) for n, one in picks(trials)] == [("best", 1.0), ("median", 3.0), ("worst", 9.0)]
    assert [one["tte_mm"] for _, one in picks(trials[:1])] == [3.0]
    unmeasured = normal_row({"trial_id": "T1", "outcome": "truth_missing"})
    assert [name for name, _ in picks(trials_table([unmeasured, rows[0]]))] == ["best", "truth missing"]


def test_the_ellipsoid_holds_the_next_trial_with_95_percent() -> None:
    # 9.857 = 3 (n^2 - 1) / (n (n - 3)) F(0.95; 3, n - 3) at n = 30.
    errors = np.random.default_rng(0).normal(size=(30, 3))
    axes, radii = ellipsoid_radii(errors)
    lengths = np.linalg.eigvalsh(np.cov(errors.T))
    assert radii**2 / lengths == pytest.approx(np.full(3, 9.857), abs=2e-3)
    assert np.allclose(axes @ np.diag(lengths) @ axes.T, np.cov(errors.T))
