"""A study: approaches x repeats in blocks, with criteria fixed beforehand; a TOML file."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analysis.criterion import Criterion
from experiments.protocol.measure import Measure
from experiments.protocol.technique import Technique, load_technique, shipped
from hal.errors import ConfigError
from hal.files import Document, Id, read, refusal, validated, within
from hal.files.validated import near
from rig.record import COLUMNS, Column

_COLUMN = {column.name: column for column in COLUMNS}
SEED_MAX = 2**32 - 1
TRIALS_MAX = 10_000
"""Largest number of trials of one study [A]: with the shipped needle arms two days of computing, and more gel than a
bench pours in years."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Head(_Data):
    """Subject of the study."""

    id: Id
    title: str = Field(min_length=1)
    objective: str = Field(min_length=1)
    demonstration: bool = False
    """Shown on every page as: not powered."""
    exploratory: str = ""
    """Reason why the study can judge nothing, e.g. that it was changed after its first trial; every page shows it, and
    no verdict is given. A study without criteria is exploratory by itself."""
    seed: int = within(0, SEED_MAX, 1)


class Design(_Data):
    """Layout of the trials."""

    techniques: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    repeats: int = within(1, 1000, 3)
    sides: Annotated[tuple[Literal["left", "right"], ...], Field(min_length=1, max_length=2)] = ("left", "right")
    phantom: str = "lumbar_ref"
    cartridge_trials_max: int = within(1, 6, 6)
    """One insertion per root and side of a cartridge."""
    cartridge_age_h: float = within(0.0, 8760.0, 24.0)
    benches: int = within(1, 1000, 1)
    """Simulated benches, each built and mounted with its own errors; whole blocks are dealt to them in turn."""

    level_shift: bool = False
    """Each simulated cartridge stands one level towards the feet, as designed, or one level towards the head; its seed
    decides which, and only scoring knows. Without it the right level is given by construction."""

    @model_validator(mode="after")
    def _once(self) -> Design:
        faults = []
        for key, names in (("techniques", self.techniques), ("sides", self.sides)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                faults.append((key, f"named twice: {', '.join(twice)}"))
        trials_n = self.repeats * len(self.techniques)
        if trials_n > TRIALS_MAX:
            text = f"with {len(self.techniques)} techniques this is {trials_n} trials; a study has at most {TRIALS_MAX}"
            faults.append(("repeats", text))
        if self.benches > self.repeats:
            faults.append(("benches", f"each takes at least one whole block, and repeats is {self.repeats}"))
        if faults:
            raise refusal(*faults)
        return self


class Study(_Data):
    """The whole file."""

    study: Head
    design: Design
    criteria: tuple[Criterion, ...] = ()
    measures: tuple[Measure, ...] = ()
    """Columns that the user's own procedures fill in, after those of the rig."""

    @model_validator(mode="after")
    def _ids(self) -> Study:
        faults = []
        for table, names in (
            ("criteria", [c.id for c in self.criteria]),
            ("measures", [m.name for m in self.measures]),
        ):
            word, key = ("criterion", "id") if table == "criteria" else ("measure", "name")
            twice = [i for i, name in enumerate(names) if name in names[:i]]
            faults += [(f"{table}.{i}.{key}", f"another {word} has the same {key}") for i in twice]
        for i, criterion in enumerate(self.criteria):
            for key, text in (*criterion.result_faults(), *criterion.metric_faults(self.columns)):
                faults.append((f"criteria.{i}.{key}", f"criterion {criterion.id}: {text}"))
        if faults:
            raise refusal(*faults)
        return self

    @property
    def columns(self) -> dict[str, Column]:
        """The columns of ``trials.csv`` by name."""
        return _COLUMN | {measure.name: measure.column for measure in self.measures}

    def loaded(self) -> dict[str, Technique]:
        """The techniques of the design, by the name used there."""
        return {name: load_technique(name) for name in self.design.techniques}


@cache
def shipped_studies() -> dict[str, Path]:
    folder = files("experiments").joinpath("studies")
    return {p.stem: p for p in sorted(Path(str(folder)).glob("*.toml"))}


def study_path(name_or_path: str) -> Path:
    """Path of a study; raises ``ConfigError`` with the nearest names."""
    if name_or_path in shipped_studies():
        return shipped_studies()[name_or_path]
    if name_or_path.endswith(".toml"):
        return Path(name_or_path)
    near = difflib.get_close_matches(name_or_path, shipped_studies(), n=3, cutoff=0.4)
    hint = f"; did you mean {', '.join(near)}?" if near else f"; known: {', '.join(shipped_studies())}"
    raise ConfigError(f"there is no study {name_or_path!r}{hint} (a path must end in .toml)")


def load_study(name_or_path: str, *, as_run: bool = False) -> Study:
    """Read and check a study with all its techniques; raises ``ConfigError``.

    ``as_run``: a run folder's copy, which the command line may have narrowed to fewer techniques than criteria name.
    """
    path = study_path(name_or_path)
    document = read(path)
    study = validated(document, Study)
    design = study.design
    there = {
        "techniques": tuple(_beside(path, name) for name in design.techniques),
        "phantom": _beside(path, design.phantom),
    }
    criteria = tuple(c.model_copy(update={"unit": study.columns[c.metric].unit}) for c in study.criteria)
    study = study.model_copy(update={"design": design.model_copy(update=there), "criteria": criteria})
    faults = [*_twice(document, study.loaded()), *(() if as_run else _unchosen(document, study))]
    if faults:
        raise ConfigError("\n".join(faults))
    return study


def _twice(document: Document, techniques: dict[str, Technique]) -> list[str]:
    """Techniques that occur under two names, which would count as two arms."""
    seen: dict[str, str] = {}
    faults = []
    for name, technique in techniques.items():
        if technique.id in seen:
            place = document.place(("design", "techniques"))
            faults.append(f"{place}: {seen[technique.id]} and {name} have the same id, {technique.id}")
        seen.setdefault(technique.id, name)
    return faults


def _unchosen(document: Document, study: Study) -> list[str]:
    """Words in ``select`` that match no trial of this study, and criteria that select none at all."""
    sides, techniques = study.design.sides, list(study.loaded().values())
    known: dict[str, set[str]] = {
        "technique": {t.id for t in techniques},
        "plane": {t.plane for t in techniques},
        "level": {t.level for t in techniques},
        "side": set(sides),
        "approach": {t.approach(side) for t in techniques for side in sides},
        "guidance": {"robot", "freehand", "landmark"},
    }
    faults: list[str] = []
    for i, criterion in enumerate(study.criteria):
        what = f"criterion {criterion.id}: select chooses no trial of this study"
        before = len(faults)
        for name, wanted in criterion.choices.items():
            for word in wanted:
                if word not in known.get(name, {word}):
                    place = document.place(("criteria", i, "select", name))
                    faults.append(f"{place} = {word!r}: {what} by it{near(word, known[name])}")
        if len(faults) == before and not any(_chosen(criterion, t, side) for t in techniques for side in sides):
            faults.append(f"{document.place(('criteria', i, 'select'))}: {what}")
    return faults


def chooses(criterion: Criterion, study: Study) -> bool:
    """True when a criterion selects any trial of a study, by the columns that the study alone decides."""
    return any(_chosen(criterion, t, side) for t in study.loaded().values() for side in study.design.sides)


def _chosen(criterion: Criterion, technique: Technique, side: str) -> bool:
    """True when a trial could belong to a criterion, by the columns that the study alone decides."""
    known = {
        "technique": technique.id, "plane": technique.plane, "level": technique.level, "side": side,
        "approach": technique.approach(side),
    }  # fmt: skip
    return all(known[name] in wanted for name, wanted in criterion.choices.items() if name in known)


def _beside(study_path: Path, name: str) -> str:
    """Path of a file named in a study: beside the study first, then from where the command was typed."""
    beside = study_path.parent / name
    return str(beside) if name.endswith(".toml") and beside.exists() else name


def narrowed(study: Study, *, trials: int | None, seed: int | None, techniques: tuple[str, ...]) -> Study:
    """The study with the command line's choices applied; raises ``ConfigError`` for impossible ones.

    A technique is meant by its id as the study has it (which may be a file of the user's own), else by name or path.
    """
    _option("--trials", trials, 1, 1000)
    _option("--seed", seed, 0, SEED_MAX)
    own = {technique.id: name for name, technique in study.loaded().items()}
    techniques = tuple(own.get(name, name) for name in techniques)
    for name in techniques:
        if techniques.count(name) > 1:
            raise ConfigError(f"--technique {name}: named twice")
        load_technique(name)
    head = study.study if seed is None else study.study.model_copy(update={"seed": seed})
    changes: dict[str, object] = {}
    if trials is not None:
        changes |= {"repeats": trials, "benches": min(study.design.benches, trials)}
    if techniques:
        changes["techniques"] = techniques
    design = study.design.model_copy(update=changes)
    if design.repeats * len(design.techniques) > TRIALS_MAX:
        trials_n = design.repeats * len(design.techniques)
        raise ConfigError(f"--trials {design.repeats}: this is {trials_n} trials; a study has at most {TRIALS_MAX}")
    return study.model_copy(update={"study": head, "design": design})


def _option(name: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise ConfigError(f"{name} must lie between {low} and {high}, got {value}")


__all__ = ["Criterion", "Design", "Head", "Study", "load_study", "narrowed", "shipped", "study_path"]
