"""A study: approaches x repeats in blocks, with criteria fixed beforehand; a TOML file."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from experiments.technique import Technique, explain, load_technique, read_toml, shipped
from hal.errors import ConfigError


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
    statistic: Literal["tolerance_95_95", "mean", "median", "p95", "success_lower_95", "max"]
    comparison: Literal["<=", ">="]
    limit: float
    unit: str = ""
    select: dict[str, str] = {}
    source: str = ""


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
    study.loaded()
    return study


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
