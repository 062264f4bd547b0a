import io
from dataclasses import dataclass

from rich.console import Console

from experiments.progress import StudyProgress
from hal.clock import VirtualClock


@dataclass(frozen=True)
class Planned:
    trials: tuple[str, ...]


PLAN = (Planned(("T001", "T002")), Planned(("T003",)))


def followed(*news, terminal=False, seconds=10.0):
    sink, clock = io.StringIO(), VirtualClock()
    with StudyProgress(clock, Console(file=sink, force_terminal=terminal, width=120)) as progress:
        progress.planned(PLAN)
        for trial, what in news:
            clock.sleep(seconds)
            progress.trial(trial, what)
    return progress, sink.getvalue()


def test_without_a_terminal_every_ended_trial_is_a_line_with_counts_and_time_left():
    _, text = followed(("T001", "started"), ("T001", "success"), ("T002", "started"), ("T002", "truth_missing"))
    assert text.splitlines() == [
        "trials planned: 3, cartridges: 2",
        "1/3 T001 success (1 success), about 40 s left",
        "2/3 T002 truth_missing (1 success, 1 truth missing), about 20 s left",
    ]


def test_long_waits_are_reported_in_minutes_and_the_last_line_has_none():
    _, text = followed(("T001", "miss"), ("T002", "miss"), ("T003", "miss"), seconds=120.0)
    lines = text.splitlines()
    assert lines[1].endswith("about 4 min left")
    assert lines[3] == "3/3 T003 miss (3 miss)"


def test_a_terminal_gets_a_bar_with_the_count():
    _, text = followed(("T001", "started"), ("T001", "success"), ("T003", "started"), terminal=True)
    assert "1/3" in text and "1 success" in text and "[T003]" in text


def test_only_ended_trials_count_as_done():
    progress, _ = followed(("T001", "started"), ("T003", "started"), ("T003", "success"))
    assert progress.done_n == 1
