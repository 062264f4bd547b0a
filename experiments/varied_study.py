"""A study that a script varies: its files are written in full, and it runs as with ``phantomrig run``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.report.varied import FILE
from experiments.carry_out import carry_out
from experiments.messages import say
from experiments.protocol.measure import Declared
from experiments.protocol.plan import plan
from experiments.protocol.study import Study, chooses, load_study, narrowed, study_path
from experiments.protocol.technique import Technique, load_technique
from experiments.request import SHIPPED_RIG, checked_on_paper, ordered
from experiments.session import Defined, Session, current
from experiments.source import FOLDER, NOTEBOOK, script_files
from experiments.study_run import EndedEarly, StudyRun
from experiments.varied import Changes, Varied, change_lines, rig_file, technique, varied
from hal.errors import ConfigError
from hal.files import Document, read, validated
from hal.files.toml_text import toml_text
from rig.config import RigConfig, load_config

TOO_LATE = "it was planned after the first trial of its script had begun, when results could be seen"
AGAIN = "its script had run it before, so that a choice between two runs could depend on their results"


class VariedStudy:
    """A checked study with its techniques, phantom and rig. Make one with ``study``."""

    def __init__(self, study: Study, rig: RigConfig, files: _Files, left_out: tuple[str, ...]) -> None:
        self.study = study
        """As it will be recorded."""
        self.rig = rig
        """As it is run with."""
        self.left_out = left_out
        """Criteria of the base that choose no trial of this study."""
        self._files = files
        self._ran = False

    @property
    def exploratory(self) -> str:
        """Reason why it gives no verdict; empty when everything was fixed before the first trial."""
        none = "" if self.study.criteria else "no criterion was fixed before the first trial"
        return self.study.study.exploratory or none

    @property
    def trials_n(self) -> int:
        """Number of planned trials."""
        return sum(len(cartridge.trials) for cartridge in plan(self.study, self.study.loaded()))

    def run(self, out: str | Path = "runs", workers: int | None = None) -> StudyRun:
        """Run the study: sealed, randomised, recorded, judged and reported as by ``phantomrig run``.

        Raises ``ConfigError`` before anything moves, ``EndedEarly`` when it was stopped or a device failed (its ``run``
        has what was recorded until then) and ``RecordError``.
        """
        session = current()
        given = self.study
        if self._ran and not given.study.exploratory:
            head = given.study.model_copy(update={"exploratory": AGAIN})
            given = given.model_copy(update={"study": head})
        script = script_files(session)
        also = {**script, FILE: self._about(next(iter(script), ""), session).encode()}
        with self._files.in_words():
            where, n = session.out or Path(out), session.workers or workers
            order = ordered(given, self.rig, where, n, also, session.qa_override)
            if f"{FOLDER}/{NOTEBOOK}" in script and any(t.procedure for t in given.loaded().values()):
                order = replace(order, workers=1)  # cells are not run again in other processes
        if self.left_out:
            say(f"criteria that choose no trial of this study are left out: {', '.join(self.left_out)}")
        session.begun = self._ran = True
        ended = carry_out(order, session.publish)
        session.runs.append(ended)
        if ended.failure:
            raise EndedEarly(ended)
        return StudyRun(ended.run)

    def _about(self, script: str, session: Session) -> str:
        """``varied.toml``: what was changed in which file, and which of the script's studies this is, so that a run
        that was picked out of several can be seen."""
        rows = [
            {"name": name, "base": base, "changes": change_lines(changes)} for name, base, changes in self._files.origin
        ]
        about = {"script": script, "studies_made": session.made, "run_n": len(session.runs) + 1}
        return toml_text({**about, "criteria_left_out": list(self.left_out), "file": rows})

    def __repr__(self) -> str:
        what = ", ".join(t.id for t in self.study.loaded().values())
        judged = f"exploratory: {self.exploratory}" if self.exploratory else f"{len(self.study.criteria)} criteria"
        return f"<study {self.study.study.id}: {what} x {self.study.design.repeats}, {judged}>"


def study(
    base: str | Path = "lumbar",
    changes: Changes | None = None,
    *,
    techniques: Mapping[str, Varied | str] | Iterable[Varied | str] | None = None,
    phantom: Varied | str | Path | None = None,
    rig: Varied | str | Path | None = None,
    criteria: Iterable[Mapping[str, object]] | None = None,
) -> VariedStudy:
    """A study by name or path with changes; everything is checked at once, nothing moves and no run folder is made.

    ``changes``: dotted keys of the study file. ``techniques``: by the identity that each is to have, or names.
    ``criteria``: tables as in the study file; left out, those of the base that choose a trial of this study; with none
    the study is exploratory. The rig is ``simulated`` unless another is given; ``phantomrig run SCRIPT`` may set
    trials, seed and rig over what the script says. Raises ``ConfigError`` with everything that is wrong.
    """
    session, file = current(), study_path(str(base))
    if session.defining:
        raise Defined
    document, files = read(file), _Files()
    whole: dict[str, object] = dict(changes or {})
    files.origin.append(("study.toml", str(base), dict(whole)))
    whole.setdefault("study.title", f"{document.data.get('study', {}).get('title', base)} (varied by a script)")
    if techniques is not None:
        whole["design.techniques"] = [files.technique(name, one) for name, one in _by_name(techniques)]
    if phantom is not None:
        whole["design.phantom"] = files.other("phantom", phantom)
    if criteria is not None:
        whole["criteria"] = [dict(one) for one in criteria]
    if files.measures:
        whole["measures"] = [one.measure.model_dump(mode="json") for _, one in files.measures]
    if session.begun:
        whole["study.exploratory"] = TOO_LATE
    found = dict(varied(document, whole, f"study {base} as varied").data)
    with files.in_words():
        design = found.get("design")
        if isinstance(design, dict):  # files beside the study are found from where it is written down
            for key in ("techniques", "phantom"):
                if key in design:
                    design[key] = _from(file.parent, files.place, design[key])
        judged = [one.criterion(name) for name, one in files.measures]
        given, left_out = files.study(found, judged, all_criteria=criteria is not None)
        given = narrowed(given, trials=session.trials, seed=session.seed, techniques=())
        config = load_config(_rig(rig, session.rig, files))
        checked_on_paper(given, config)
    session.made += 1
    return VariedStudy(given, config, files, left_out)


class _Files:
    """Files of one study as changed, kept in a folder of their own until the run folder has them."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="phantomrig-")
        self.place = Path(self._folder.name)
        self.origin: list[tuple[str, str, Changes]] = []
        """Name in the run folder, what it was made from, changes."""
        self.measures: list[tuple[str, Declared]] = []
        """By the technique whose procedure takes them."""

    def technique(self, name: str, one: Varied | str) -> str:
        """Name of a technique for the study file; one that is changed or renamed becomes a file."""
        if not isinstance(one, Varied):
            if name in ("", load_technique(one).id):
                return str(Path(one).absolute()) if one.endswith(".toml") else one
            one = technique(one)
        if one.kind != "technique":
            raise ConfigError(f"techniques: {name!r} is a {one.kind}")
        own = varied(Document("", "", one.data), {"id": name}, f"technique {name!r}")
        validated(replace(own, where=f"technique {name!r}"), Technique)
        self.measures += [(name, one) for one in one.measures]
        return self._written(f"techniques/{name}.toml", replace(one, data=own.data))

    def other(self, kind: str, one: Varied | str | Path) -> str:
        """Name of a phantom or rig file."""
        if not isinstance(one, Varied):
            return str(Path(one).absolute()) if str(one).endswith(".toml") else str(one)
        if one.kind != kind:
            raise ConfigError(f"{kind}: this is a {one.kind}")
        return self._written(f"{kind}.toml", one)

    def study(
        self, data: Mapping[str, object], judged: list[dict[str, object]], *, all_criteria: bool
    ) -> tuple[Study, tuple[str, ...]]:
        """The study as written down, and the criteria that choose no trial of it unless ``all_criteria`` must.

        ``judged``: the criteria of measures of the user's own, after those of the study.
        """
        file, left_out = self.place / "study.toml", tuple[str, ...]()
        criteria = data.get("criteria", [])
        data = {**data, "criteria": [*(criteria if isinstance(criteria, list) else []), *judged]}
        file.write_text(toml_text(data))
        if not all_criteria:
            given = load_study(str(file), as_run=True)
            kept = [c for c in given.criteria if chooses(c, given)]
            left_out = tuple(c.id for c in given.criteria if c not in kept)
            file.write_text(toml_text({**data, "criteria": [c.model_dump(mode="json") for c in kept]}))
        # Criteria of the base may name arms that are not here, as when a study is narrowed to some of its techniques.
        return load_study(str(file), as_run=not all_criteria), left_out

    def _written(self, name: str, one: Varied) -> str:
        file = self.place / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(one.text)
        self.origin.append((name, one.base, one.changes))
        return str(file)

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Text of a message, with files named as they will be in the run folder."""
        try:
            yield
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"{self.place}/", "")) from None


def _by_name(techniques: Mapping[str, Varied | str] | Iterable[Varied | str]) -> list[tuple[str, Varied | str]]:
    """Identity and technique; a technique that is only named keeps its own identity."""
    if isinstance(techniques, str | Varied):
        raise ConfigError("techniques: a table {identity: technique}, or a list of names, not one technique alone")
    if isinstance(techniques, Mapping):
        return [(str(name), one) for name, one in techniques.items()]
    return [(str(one.data["id"]) if isinstance(one, Varied) else "", one) for one in techniques]


def _from(folder: Path, place: Path, value: object) -> object:
    """Absolute paths for file names that are relative to the study."""
    if isinstance(value, list):
        return [_from(folder, place, one) for one in value]
    if isinstance(value, str) and value.endswith(".toml") and not value.startswith(str(place)):
        return str((folder / value).absolute() if (folder / value).exists() else Path(value).absolute())
    return value


def _rig(given: Varied | str | Path | None, asked: Path | None, files: _Files) -> str:
    """Rig of the script, or the one on the command line with the script's changes."""
    if asked is not None:
        given = rig_file(asked, given.changes) if isinstance(given, Varied) and given.changes else asked
    return files.other("rig", given if given is not None else SHIPPED_RIG)
