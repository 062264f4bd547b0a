"""One number of every trial side by side: by a factor of one run, or by run of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import StudyRun, compare
from hal.errors import ConfigError
from tests.analysis.synthetic_run import make


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> StudyRun:
    return StudyRun(make(tmp_path_factory.mktemp("run"), repeats=1, frames=False))


def _names(figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_xticklabels()]


def _points(figure) -> int:
    return sum(len(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "o")


def test_arms_stand_in_the_order_of_all_tables_with_how_many_trials_have_the_number(run: StudyRun) -> None:
    figure = compare(run, by="plane")
    counted = run.trials.groupby("plane")["tte_mm"].count()
    assert _names(figure) == [f"{plane}\n{n} of 3" for plane, n in counted.items()]
    assert list(counted.index) == ["in_plane", "out_of_plane", "landmark"] and _points(figure) == counted.sum()
    assert "SIMULATED DATA" in figure.texts[0].get_text()


def test_yes_and_no_are_shown_as_one_and_nothing(run: StudyRun) -> None:
    lines = compare(run, "success", by="plane").axes[0].lines
    shown = [value for line in lines if line.get_marker() == "o" for value in line.get_ydata()]
    assert sorted(shown) == sorted(run.trials["success"].astype(float))


def test_runs_stand_beside_each_other_under_their_names(run: StudyRun) -> None:
    both = compare({"first": run, "again": run}, "t_needle_s")
    assert _names(both) == ["first\n9 of 9", "again\n9 of 9"] and _points(both) == 18


def test_a_run_of_a_script_has_the_tables_of_an_opened_folder(run: StudyRun) -> None:
    assert len(run.stream("pressure")) and len(run.events) and run.units()["tte_mm"] == "mm"


def test_a_folder_that_is_none_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run folder"):
        StudyRun(tmp_path)
