"""The ledger of one pour."""

from pathlib import Path

import pytest

from hal.errors import ConfigError, LimitViolation, RecordError
from hal.phantom.ledger import Ledger, PriorTrack


def _track(level: str = "L4", side: str = "left") -> PriorTrack:
    return PriorTrack(level, side, "t1", (60.0, 8.0, 0.0), (27.0, 8.0, 56.0), 0.2, 0.3)


def test_one_root_and_side_takes_one_insertion() -> None:
    ledger = Ledger()
    ledger.insert(1, _track())
    assert not ledger.is_free("L4", "left") and ledger.is_free("L4", "right")
    with pytest.raises(LimitViolation, match="one per root and side"):
        ledger.insert(2, _track())
    ledger.insert(3, _track("L5"))
    assert ledger.n_prior_tracks == 2


def test_remelting_erases_tracks_and_fluid_but_not_history() -> None:
    ledger = Ledger()
    ledger.insert(1, _track())
    ledger.append("injected", 2, volume_ml=1.0)
    assert ledger.injected_ml == pytest.approx((1.2, 1.3))
    ledger.append("remelted", 3)
    assert (ledger.n_prior_tracks, ledger.injected_ml, ledger.remelts) == (0, (0.0, 0.0), 1)
    assert len(ledger.entries) == 3


def test_ledger_on_disk_is_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "cartridge.jsonl"
    first = Ledger(path)
    first.pour(0, lot="A7", phantom="lumbar_ref", seed=3)
    first.condition(5, temperature_c=21.5, age_h=20.0)
    first.insert(10, _track())
    again = Ledger(path)
    assert again.tracks == (_track(),)
    assert [e.kind for e in again.entries] == ["poured", "condition", "track"]
    again.insert(20, _track("S1", "right"))
    assert len(path.read_text().splitlines()) == 4


def test_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cartridge.jsonl"
    Ledger(path).pour(0, lot="A7", phantom="lumbar_ref")
    path.write_text(path.read_text() + '{"kind": "tra')
    with pytest.raises(RecordError, match="line 2"):
        Ledger(path)


def test_retired_cartridge_takes_no_more() -> None:
    ledger = Ledger()
    ledger.append("retired", 1, reason="bubbles")
    with pytest.raises(LimitViolation, match="retired"):
        ledger.insert(2, _track())
    ledger.append("note", 3, text="kept for CT")


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="melted"):
        Ledger().append("melted", 0)


def test_a_root_is_spent_when_its_needle_begins_whatever_comes_after() -> None:
    ledger = Ledger()
    ledger.begin(1, "L4", "left", "T001")
    assert not ledger.is_free("L4", "left") and ledger.n_prior_tracks == 1
    with pytest.raises(LimitViolation, match="one per root and side"):
        ledger.begin(2, "L4", "left", "T002")
    ledger.insert(3, PriorTrack("L4", "left", "T001", None, None, 0.1, 0.4))
    assert ledger.n_prior_tracks == 1 and ledger.injected_ml == (0.1, 0.4)


def test_a_trial_that_ended_before_its_needle_entered_leaves_the_root_free() -> None:
    ledger = Ledger()
    ledger.begin(1, "L4", "left", "T001")
    ledger.unused(2, "L4", "left", "T001")
    assert ledger.is_free("L4", "left") and ledger.n_prior_tracks == 0


def test_a_simulated_pour_that_is_made_again_holds_only_what_was_put_into_it() -> None:
    ledger = Ledger()
    for trial, level in (("T001", "L4"), ("T002", "L5")):
        ledger.begin(1, level, "left", trial)
        ledger.insert(2, PriorTrack(level, "left", trial, None, None))
    ledger.begin(3, "S1", "left", "T003")
    ledger.rebuild(4, ["T001"])
    assert ledger.used == (("L4", "left"),) and len(ledger.entries) == 6


def test_a_track_without_measured_places_is_read_back_without_them(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    Ledger(path).insert(1, PriorTrack("L4", "left", "T001", None, None, 0.0, 0.5))
    assert Ledger(path).tracks == (PriorTrack("L4", "left", "T001", None, None, 0.0, 0.5),)
