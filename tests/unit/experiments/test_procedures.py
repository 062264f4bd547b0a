"""Declarations that a script can make and actions that a procedure may take, without running a trial."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

import rig
from experiments import measure, procedure, study, technique
from experiments.leads import lead_of
from experiments.protocol.measure import Measure
from experiments.protocol.states import State
from experiments.protocol.study import load_study
from experiments.protocol.technique import load_technique
from experiments.session import Session, as_current
from experiments.trial import own
from experiments.trial.own import OwnTrial
from experiments.trial.trial import ProcedureFault, TrialEnded
from hal.errors import ConfigError, LimitViolation
from hal.files.toml_text import toml_text
from rig.safety.stop import HoldRequested, Severity, Trip

COPY = """
from experiments import measure, procedure, study
import helper

print("read")
{before}

@procedure("L4_LM", measures=[measure("own_s", "s", "time", at_most=9.0)])
def mine(trial):
    return helper.WORD

study("lumbar", techniques={{"mine": mine}}).run()
raise SystemExit("run as a study")
"""


def copied(run: Path, before: str = "") -> Path:
    (run / "script").mkdir(parents=True)
    (run / "script" / "mine.py").write_text(COPY.format(before=before))
    (run / "script" / "helper.py").write_text('WORD = "by the helper beside it"\n')
    return run


def led(where: str = "script/mine.py:mine"):
    return load_technique("L4_LM").model_copy(update={"procedure": where})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "give it one limit"),
        ({"at_most": 1.0, "at_least": 0.0}, "give it one limit"),
        ({"at_most": 1.0, "unit": ""}, "unit"),
        ({"at_most": 1.0, "unit": "inch"}, "unit"),
        ({"at_most": 1.0, "name": "tte_mm"}, "has a column tte_mm already"),
        ({"at_most": 1.0, "name": "Own Name"}, "name"),
    ],
)
def test_a_measure_has_a_new_name_a_unit_and_one_limit(given, words) -> None:
    name, unit = given.pop("name", "own_mm"), given.pop("unit", "mm")
    with pytest.raises(ConfigError, match=words):
        measure(name, unit, "what is measured", **given)


def test_a_limit_in_another_unit_is_refused_with_the_study(tmp_path) -> None:
    own = measure("gap_mm", "mm", "a gap", at_most=2500.0)
    with as_current(Session(script=Path(__file__))):
        made = procedure("L4_LM", measures=[own])(_empty)
        with pytest.raises(ConfigError, match=r"limit.*between -200 and 200 mm"):
            study("lumbar", techniques={"mine": made})


def _empty(trial: OwnTrial) -> None:
    """The shortest procedure."""


def test_measures_become_columns_and_criteria_of_their_technique_alone() -> None:
    own = measure("gap_mm", "mm", "a gap", at_most=2.0, statistic="mean")
    with as_current(Session(script=Path(__file__))):
        made = study("lumbar", techniques={"mine": procedure("L4_LM", measures=[own])(_empty), "L5_LM": "L5_LM"})
    assert [m.name for m in made.study.measures] == ["gap_mm"]
    (criterion,) = [c for c in made.study.criteria if c.metric == "gap_mm"]
    assert (criterion.limit, criterion.unit, criterion.statistic) == (2.0, "mm", "mean")
    assert criterion.select == {"technique": "mine"}


def test_a_criterion_on_a_column_that_nobody_declared_is_refused(tmp_path) -> None:
    data = load_study("lumbar").model_dump(mode="json")
    data["criteria"][0] |= {"metric": "gap_mm", "unit": "mm"}
    (tmp_path / "own.toml").write_text(toml_text(data))
    with pytest.raises(ConfigError, match="no column 'gap_mm'"):
        load_study(str(tmp_path / "own.toml"))


def test_a_technique_file_cannot_name_a_procedure_by_itself(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"comes with a script"):
        study("lumbar", techniques={"x": technique("L4_LM", {"procedure": "script/x.py:y"})}).run(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="procedure"):
        technique("L4_LM", {"procedure": "/tmp/x.py:y"})


def test_at_a_prompt_a_procedure_has_no_source_to_be_kept(monkeypatch) -> None:
    monkeypatch.setattr("experiments.source._main", lambda: None)
    with pytest.raises(ConfigError, match="at a prompt its source cannot be kept"):
        procedure("L4_LM")(_empty)


def test_the_copy_in_the_run_folder_is_read_up_to_its_first_study_with_nothing_printed(tmp_path, capsys) -> None:
    assert callable(lead_of(led(), copied(tmp_path), {}))
    assert capsys.readouterr().out == ""


def test_a_run_folder_may_be_named_from_where_one_stands(tmp_path, monkeypatch) -> None:
    copied(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert callable(lead_of(led(), Path("run"), {}))


def test_a_copy_that_ends_itself_is_reported_and_does_not_end_the_process(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read.*SystemExit"):
        lead_of(led(), copied(tmp_path, "raise SystemExit(3)"), {})


def test_a_helper_beside_the_script_may_be_imported_when_the_procedure_is_led(tmp_path) -> None:
    run = copied(tmp_path)
    (run / "script" / "late_helper.py").write_text("WORD = 'late'\n")
    lead_of(led(), run, {})
    assert importlib.import_module("late_helper").WORD == "late"


def test_a_stop_rule_while_the_last_tip_is_read_ends_the_trial_in_good_order(monkeypatch) -> None:
    def held(trial, moment):
        raise HoldRequested(Trip("contact", Severity.HOLD, "contact"))

    monkeypatch.setattr(own, "note_reference", held)
    trial = own_trial(state=State.AT_TARGET)
    trial._trial.log.reference, trial._trial.log.holds = {}, []
    trial._trial.event = lambda *_, **__: None
    with pytest.raises(TrialEnded, match="contact"):
        trial.withdraw()


def test_a_copy_that_opens_a_rig_before_its_first_study_is_refused_and_nothing_is_opened(tmp_path) -> None:
    run = copied(tmp_path, "import rig; rig.open()")
    with pytest.raises(ConfigError, match="must not open a rig before its first study"):
        lead_of(led(), run, {})
    rig.close_all()


@pytest.mark.parametrize(
    ("where", "words"),
    [("script/mine.py:other", "declares no procedure other"), ("script/gone.py:mine", "not in the run folder")],
)
def test_a_procedure_that_the_copy_does_not_have_is_reported(tmp_path, where, words) -> None:
    with pytest.raises(ConfigError, match=words):
        lead_of(led(where), copied(tmp_path), {})


def own_trial(plane: str = "L4_LM", state: State = State.SETUP) -> OwnTrial:
    """A procedure's trial that has not begun; nothing behind it can be reached."""
    log = SimpleNamespace(frames_read_n=0, test_ml=0.0)
    rig_ = SimpleNamespace(rig=SimpleNamespace(ultrasound=object()))
    trial = SimpleNamespace(technique=load_technique(plane), log=log, controller=rig_, sight=None)
    own = Measure(name="rest_s", unit="s", text="rest")
    walk = SimpleNamespace(state=state, trial=trial, has=lambda state: trial.technique.plane != "landmark")
    return OwnTrial(walk, {"rest_s": own})


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda t: t.measured("other", 1.0), "no measure of this name was declared; declared: rest_s"),
        (lambda t: t.measured("rest_s", float("nan")), "no value in s"),
        (lambda t: t.measured("rest_s", 1e9), "no value in s"),
        (lambda t: t.infuse(0.1), "not possible where the trial stands, before ST0"),
        (lambda t: t.look("early"), "has not seen the phantom yet"),
        (lambda t: t.advance(short_of_mm=5.0), "without an image nobody knows"),
        (lambda t: t.advance(short_of_mm=-1.0), "0 to 30 mm"),
        (lambda t: t.wait(float("inf")), "0 to 600 s"),
        (lambda t: t.read_reference("at_injection"), "inject.. reads the tip of record itself"),
    ],
)
def test_what_makes_no_sense_is_a_fault_of_the_procedure_and_every_later_call_says_it_again(act, words) -> None:
    trial = own_trial()
    with pytest.raises(ProcedureFault, match=words) as first:
        act(trial)
    with pytest.raises(ProcedureFault) as again:
        trial.prepare()
    assert again.value is first.value


def test_after_the_needle_is_out_there_is_no_way_back_into_the_gel() -> None:
    with pytest.raises(ProcedureFault, match="before ST12"):
        own_trial(state=State.CHECKOUT).inject()


def test_more_fluid_than_is_left_of_the_techniques_test_volume_is_beyond_a_limit() -> None:
    with pytest.raises(LimitViolation, match=r"what is left of injection\.test_total_max_ml"):
        own_trial(state=State.AT_TARGET).infuse(1.01)


def test_a_procedure_has_verbs_and_words_alone_and_no_door_to_controller_truth_or_limits() -> None:
    public = {name for name in dir(OwnTrial) if not name.startswith("_")}
    assert public == {
        "advance", "feed_mm", "find_level", "infuse", "inject", "level", "look", "measured", "plan", "prepare",
        "read_reference", "side", "test", "time_s", "trial_id", "wait", "withdraw",
    }  # fmt: skip


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), "1", "x", True, [1.0], 10**400])
def test_a_limit_that_is_no_finite_number_is_refused_where_it_is_declared(limit) -> None:
    with pytest.raises(ConfigError, match="must be a finite number"):
        measure("depth", "mm", "depth", at_most=limit)
