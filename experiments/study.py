"""A study: approaches x repeats in blocks, with criteria fixed beforehand; a TOML file."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from experiments.technique import Technique, explain, load_technique, read_toml, shipped
from hal.errors import ConfigError
from rig.record import COLUMNS

_KIND = {column.name: column.kind for column in COLUMNS}
ONE_WAY = {
    "success_lower_95": (">=", "it is a lower bound, and a lower bound below a limit shows nothing"),
    "tolerance_95_95": ("<=", "it is an upper bound"),
    "max": ("<=", "the largest value says nothing about a lower limit"),
}
"""Statistics that make sense with one comparison only, and why."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Head(_Data):
    """What the study is about."""

    id: str
    title: str
    objective: str
    demonstration: bool = False
    """Shown on every page as: not powered."""
    seed: int = 1


class Design(_Data):
    """How trials are laid out."""

    techniques: tuple[str, ...]
    repeats: int = Field(default=3, ge=1)
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    phantom: str = "lumbar_ref"
    cartridge_trials_max: int = Field(default=6, ge=1, le=6)
    """One insertion per root and side of a cartridge."""
    cartridge_age_h: float = 24.0


class Criterion(_Data):
    """One acceptance criterion, fixed before the first trial."""

    id: str
    text: str
    metric: str
    """A column of trials.csv: a yes/no column for `success_lower_95`, a number column for the others."""
    statistic: Literal["tolerance_95_95", "mean", "median", "p95", "success_lower_95", "max"]
    comparison: Literal["<=", ">="]
    """`success_lower_95` takes >= only, `tolerance_95_95` and `max` take <= only."""
    limit: float
    unit: str = ""
    select: dict[str, str | tuple[str, ...]] = {}
    """Which trials: per column a value, or a list of values of which one must hold; all given columns together."""
    source: str = ""

    @model_validator(mode="after")
    def _can_be_judged(self) -> Criterion:
        for name in (self.metric, *self.select):
            if name not in _KIND:
                near = difflib.get_close_matches(name, _KIND, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"criterion {self.id}: trials.csv has no column {name!r}{hint}")
        for name, values in self.select.items():
            if not values:
                raise ValueError(f"criterion {self.id}: select.{name} is empty: no trial would be chosen")
        yes_no = self.statistic == "success_lower_95"
        if yes_no != (_KIND[self.metric] == "bool") or _KIND[self.metric] == "text":
            wanted = "a yes/no column" if yes_no else "a number column"
            raise ValueError(
                f"criterion {self.id}: {self.statistic} needs {wanted}, {self.metric} is {_KIND[self.metric]}"
            )
        only, why = ONE_WAY.get(self.statistic, (self.comparison, ""))
        if self.comparison != only:
            raise ValueError(f"criterion {self.id}: {self.statistic} can only be compared with {only}: {why}")
        return self


class Study(_Data):
    """The whole file."""

    study: Head
    design: Design
    criteria: tuple[Criterion, ...] = ()

    def loaded(self) -> dict[str, Technique]:
        """The techniques of the design, by the name used there."""
        return {name: load_technique(name) for name in self.design.techniques}


@cache
def shipped_studies() -> dict[str, Path]:
    folder = files("experiments").joinpath("studies")
    return {p.stem: p for p in sorted(Path(str(folder)).glob("*.toml"))}


def study_path(name_or_path: str) -> Path:
    """Where a study stands; raises ``ConfigError`` with the nearest names."""
    if name_or_path in shipped_studies():
        return shipped_studies()[name_or_path]
    if name_or_path.endswith(".toml"):
        return Path(name_or_path)
    near = difflib.get_close_matches(name_or_path, shipped_studies(), n=3, cutoff=0.4)
    hint = f"; did you mean {', '.join(near)}?" if near else f"; known: {', '.join(shipped_studies())}"
    raise ConfigError(f"there is no study {name_or_path!r}{hint} (a path must end in .toml)")


def load_study(name_or_path: str) -> Study:
    """Read and check a study with all its techniques; raises ``ConfigError``."""
    path = study_path(name_or_path)
    try:
        study = Study.model_validate(read_toml(path))
    except ValidationError as error:
        raise explain(path, error) from None
    design = study.design
    there = {
        "techniques": tuple(_beside(path, name) for name in design.techniques),
        "phantom": _beside(path, design.phantom),
    }
    study = study.model_copy(update={"design": design.model_copy(update=there)})
    techniques = study.loaded().values()
    for criterion in study.criteria:
        if not any(_chosen(criterion, technique, side) for technique in techniques for side in design.sides):
            raise ConfigError(f"{path}: criterion {criterion.id}: select chooses no trial of this study")
    return study


def _chosen(criterion: Criterion, technique: Technique, side: str) -> bool:
    """Whether a trial could belong to a criterion, by the columns that the study alone decides."""
    known = {"technique": technique.id, "plane": technique.plane, "level": technique.level, "side": side}
    return all(
        known[name] in ((wanted,) if isinstance(wanted, str) else wanted)
        for name, wanted in criterion.select.items()
        if name in known
    )


def _beside(study_path: Path, name: str) -> str:
    """A file named in a study is looked for beside the study first, then from where the command was typed."""
    beside = study_path.parent / name
    return str(beside) if name.endswith(".toml") and beside.exists() else name


def narrowed(study: Study, *, trials: int | None, seed: int | None, techniques: tuple[str, ...]) -> Study:
    """The study with the command line's choices applied; raises ``ConfigError`` for impossible ones.

    A technique is meant by its id as the study has it (which may be a file of the user's own), else by name or path.
    """
    if trials is not None and trials < 1:
        raise ConfigError(f"--trials must be at least 1, got {trials}")
    if seed is not None and seed < 0:
        raise ConfigError(f"--seed must not be negative, got {seed}")
    own = {technique.id: name for name, technique in study.loaded().items()}
    techniques = tuple(own.get(name, name) for name in techniques)
    for name in techniques:
        load_technique(name)
    head = study.study if seed is None else study.study.model_copy(update={"seed": seed})
    changes: dict[str, object] = {}
    if trials is not None:
        changes["repeats"] = trials
    if techniques:
        changes["techniques"] = techniques
    return study.model_copy(update={"study": head, "design": study.design.model_copy(update=changes)})


__all__ = ["Criterion", "Design", "Head", "Study", "load_study", "narrowed", "shipped", "study_path"]
