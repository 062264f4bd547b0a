"""Which known faults of earlier versions a run folder may have, by its version and by what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from hal.clock import VirtualClock
from hal.errors import ConfigError
from hal.registry import drivers
from rig import __version__
from rig.record import NAMES, RunFolder, anomalies_of, known_anomalies
from rig.record.anomalies import parse_anomalies

ENTRY = """
[[anomaly]]
id = "short-count"
title = "t"
affected = ["0.0.9"]
mended_in = "0.1.0"
effect = "e"
effect_max = 0.3
effect_unit = "mL"
look = "l"
"""


def _run(tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch, *, verdict: str = "stopped") -> Path:
    monkeypatch.setattr("rig.record.software.__version__", version)
    run = RunFolder.create(tmp_path, "x", VirtualClock(), files={}, seed=1, simulated=True)
    cartridge = run.cartridge("C01")
    for trial_id in ("T001", "T002"):
        trial = cartridge.trial(trial_id)
        if trial_id == "T001":
            trial.event("infusion", {"verdict": verdict})
        trial.close({"outcome": "aborted" if trial_id == "T001" else "success", "simulated": True})
    cartridge.close()
    run.adopt("C01")
    run.seal("finished")
    return run.path


def _ids(path: Path, text: str) -> dict[str, tuple[str, ...]]:
    return {f.id: f.trials for f in anomalies_of(RunFolder.open(path), parse_anomalies(text))}


def test_only_folders_of_affected_versions_have_an_anomaly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ids(_run(tmp_path, "0.0.9", monkeypatch), ENTRY) == {"short-count": ()}
    assert _ids(_run(tmp_path, "0.1.0", monkeypatch), ENTRY) == {}


@pytest.mark.parametrize(
    ("condition", "trials"),
    [
        ("simulated = true", ()),
        ("simulated = false", None),
        ('rows = { outcome = ["aborted"] }', ("T001",)),
        ('rows = { outcome = ["*"] }', ("T001", "T002")),
        ('rows = { outcome = ["stopped"] }', None),
        ('journal = ["infusion"]', ("T001",)),
        ('journal = ["infusion"], entry = { verdict = ["stopped"] }', ("T001",)),
        ('journal = ["infusion"], entry = { verdict = ["flowing"] }', None),
        ('journal = ["infusion"], rows = { outcome = ["success"] }', None),
        ('drivers = ["new_era_pump"]', None),
        ("cartridges_min = 2", None),
        ("unclosed = true", None),
        ('files = ["manifest.json"]', ()),
    ],
)
def test_a_condition_is_looked_up_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, condition: str, trials: tuple[str, ...] | None
) -> None:
    found = _ids(_run(tmp_path, "0.0.9", monkeypatch), ENTRY + f"condition = {{ {condition} }}\n")
    assert found == ({} if trials is None else {"short-count": trials})


@pytest.mark.parametrize(
    "change",
    [
        ("id = ", 'id = "Short Count" #'), ("effect_unit", 'effect_unit = "cm" #'), ("look", 'lok = "l" #'),
        ("effect_max", "condition = { rws = {} }\neffect_max"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_used_is_refused(change: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"known_anomalies\.toml"):
        parse_anomalies(ENTRY.replace(*change, 1))


def test_the_shipped_list_is_whole_and_every_fault_on_it_is_mended_in_this_version_or_before() -> None:
    assert known_anomalies()
    for anomaly in known_anomalies():
        assert anomaly.affected and __version__ not in anomaly.affected
        assert anomaly.effect and anomaly.look and anomaly.title


def test_drivers_and_columns_that_a_condition_names_exist() -> None:
    for anomaly in known_anomalies():
        assert set(anomaly.condition.get("drivers", ())) <= set(drivers()), anomaly.id
        assert set(anomaly.condition.get("rows", ())) <= set(NAMES), anomaly.id
