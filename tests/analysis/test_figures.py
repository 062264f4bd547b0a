from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import synthetic_run
from matplotlib.patches import Circle

from analysis import acceptance
from analysis.acceptance import AcceptedRegion, acceptances, spheres
from analysis.analyse import analyse
from analysis.figures import curve, draw_all, target
from analysis.figures.pressure import chosen, find_fields, last_injection, words_of
from analysis.figures.style import Stamp
from analysis.tables import trials_table
from experiments.protocol.technique import Acceptance as TechniqueAcceptance
from hal.clock import VirtualClock
from rig.record import Entry, Field, RecordedPlan, RunFolder, Stream
from rig.record.rows import normal_row


def _stream(name: str, *fields: str) -> Stream:
    return Stream(name, np.arange(3), {f: np.zeros(3) for f in fields}, {f: "" for f in fields})


def test_the_last_injection_begins_after_the_last_gap_in_the_samples() -> None:
    time_ns = np.r_[np.arange(10), 20 + np.arange(10), 60 + np.arange(10)] * 10**9
    assert last_injection(time_ns, ()) == (60 * 10**9, 69 * 10**9)
    assert last_injection(np.arange(5) * 10**9, ()) == (0, 4 * 10**9)


def test_a_start_in_the_journal_outranks_the_samples() -> None:
    events = tuple(
        Entry(k, at * 10**9, "a", kind, {}, "")
        for k, (at, kind) in enumerate([(5, "injection.started"), (9, "injection.completed")])
    )
    begin, end = last_injection(np.arange(50) * 10**9, events)
    assert begin < 5 * 10**9 and 9 * 10**9 < end < 20 * 10**9


def test_all_pressures_of_one_stream_are_shown_and_volume_is_preferred_to_flow() -> None:
    streams = {s.name: s for s in (_stream("p", "sensor_kpa", "tip_kpa", "flow_ml_min"), _stream("q", "dispensed_ml"))}
    found = find_fields(streams, ("_kpa",))
    assert found is not None and found[1] == ["sensor_kpa", "tip_kpa"]
    pump = find_fields(streams, ("_ml", "_ml_min"))
    assert pump is not None and pump[1] == ["dispensed_ml"]
    assert find_fields(streams, ("_n",)) is None


def test_a_journal_entry_is_named_with_its_state_or_source() -> None:
    assert words_of(Entry(0, 0, "a", "state.entered", {"state": "ST9"}, "")) == "state entered ST9"
    assert words_of(Entry(0, 0, "a", "needle_out", {}, "")) == "needle out"


def test_the_trial_with_the_median_peak_pressure_is_shown() -> None:
    peaks = (50.0, None, 10.0, 30.0)
    rows = [normal_row({"trial_id": f"T{k}", "plane": "in_plane", "p_peak_kpa": p}) for k, p in enumerate(peaks)]
    trials = trials_table(rows)
    found = chosen(trials, "in_plane")
    assert found is not None and found["trial_id"] == "T3"
    assert chosen(trials, "landmark") is None


def test_a_run_without_streams_frames_or_tips_still_gets_its_figures(tmp_path: Path) -> None:
    study = b'[study]\nid = "bare"\n'
    run = RunFolder.create(tmp_path, "bare", VirtualClock(), files={"study.toml": study}, seed=1, simulated=True)
    run.plan([RecordedPlan("T001", "C01", "x", "L4 left", "L4", "left", "in_plane")])
    cartridge = run.cartridge("C01")
    cells = {"technique": "x", "level": "L4", "side": "left", "plane": "in_plane", "cartridge_id": "C01"}
    cartridge.trial("T001").close({**cells, "outcome": "aborted", "success": False})
    cartridge.close()
    run.adopt("C01")
    run.seal("aborted")
    recorded = RunFolder.open(run.path)
    saved = draw_all(recorded, analyse(recorded), run.path / "figures")
    assert {d.name for d in saved} >= {"success", "times"}
    assert not any(d.name.startswith(("pressure", "frames", "target", "ecdf")) for d in saved)


def test_a_pressure_sample_that_is_all_nan_does_not_break_the_figure(tmp_path: Path) -> None:
    run = RunFolder.create(
        tmp_path, "nan", VirtualClock(), files={"study.toml": b'[study]\nid = "nan"\n'}, seed=1, simulated=True
    )
    cartridge = run.cartridge("C01")
    trial = cartridge.trial("T001")
    trial.streams.declare("pressure", (Field("sensor_kpa", "kPa"),))
    for k in range(5):
        trial.streams.sample("pressure", k, (float("nan"),))
    trial.close({"technique": "x", "level": "L4", "side": "left", "plane": "in_plane", "p_peak_kpa": 1.0})
    cartridge.close()
    run.adopt("C01")
    run.seal("done")
    recorded = RunFolder.open(run.path)
    assert "pressure" in {d.name for d in draw_all(recorded, analyse(recorded), run.path / "figures")}


def test_old_figures_do_not_outlive_their_run(tmp_path: Path) -> None:
    path = synthetic_run.make(tmp_path, frames=False)
    (path / "figures").mkdir()
    (path / "figures" / "old.svg").write_text("old")
    recorded = RunFolder.open(path)
    draw_all(recorded, analyse(recorded), path / "figures")
    assert not (path / "figures" / "old.svg").exists()


# ---- circles and signs of the target plot --------------------------------------------------------------------


def test_a_technique_that_names_no_radius_has_the_one_that_its_trials_are_scored_by() -> None:
    own = TechniqueAcceptance()
    assert (own.radius_mm, own.strict_mm) == (acceptance.RADIUS_MM, acceptance.STRICT_MM)


@pytest.mark.parametrize("radius_mm", [4.0, 6.5])
def test_the_circles_are_those_of_the_recorded_techniques_and_not_of_a_criterion(
    tmp_path: Path, radius_mm: float
) -> None:
    run = RunFolder.open(synthetic_run.make(tmp_path, frames=False, radius_mm=radius_mm))
    assert next(c["limit"] for c in run.study["criteria"] if c["metric"] == "tte_mm") == 5.0
    results, stamp = analyse(run), Stamp(True, True)
    figure = target.draw(trials_table(run.rows), results.arms, acceptances(run), stamp)
    for axes in figure.axes:
        assert {p.radius for p in axes.patches if isinstance(p, Circle)} == {3.0, radius_mm}
    (axes,) = curve.draw(trials_table(run.rows), results.arms, [radius_mm], stamp).axes
    assert f"{radius_mm:g} mm" in {text.get_text() for text in axes.texts}


def test_a_technique_that_is_judged_by_its_channel_has_no_circle(tmp_path: Path) -> None:
    run = RunFolder.open(synthetic_run.make(tmp_path, frames=False))
    accepted = acceptances(run)
    assert accepted["S1_IP"].by_channel and spheres(accepted, ["S1_IP", "S1_LM"]) == []
    assert spheres(accepted, ["S1_IP", "L4_IP", "not recorded"]) == [AcceptedRegion(5.0, 3.0, False)]
    trials = trials_table(run.rows)
    figure = target.draw(trials[trials["level"] == "S1"], analyse(run).arms, accepted, Stamp(True, True))
    assert not any(isinstance(patch, Circle) for axes in figure.axes for patch in axes.patches)


def test_an_error_towards_the_midline_lies_on_one_side_of_the_target_plot() -> None:
    cells = {"plane": "landmark", "err_y_mm": 0.0}
    rows = [
        normal_row({"trial_id": side, "side": side, "err_x_mm": x, **cells})
        for side, x in (("left", -2.0), ("right", 2.0))
    ]
    tips, _ = target.points(trials_table(rows), target.BODY_AXES)
    assert tips[:, 0].tolist() == [-2.0, -2.0]
    seen = [normal_row({"side": s, "err_inplane_mm": -2.0, "err_elevational_mm": 1.0}) for s in ("left", "right")]
    assert target.points(trials_table(seen), target.IMAGE_AXES)[0].tolist() == [[-2.0, 1.0], [-2.0, 1.0]]


def test_the_axes_of_the_target_plot_say_what_plus_means(tmp_path: Path) -> None:
    run = RunFolder.open(synthetic_run.make(tmp_path, frames=False))
    figure = target.draw(trials_table(run.rows), analyse(run).arms, acceptances(run), Stamp(True, True))
    for axes in figure.axes:
        assert "+ = lateral" in axes.get_xlabel() and "+ = cranial" in axes.get_ylabel()
