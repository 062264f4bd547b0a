"""A run folder opened for a person: tables, numbers, figures and the report, each made on demand."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from analysis.tables import DataFrame, events_table, frames_table, stream_table, trials_table
from hal.errors import ConfigError, RecordError
from hal.files import parse_json
from hal.types import Pixels
from rig.record import COLUMNS, Chain, Entry, FrameReader, RecordedRun, RecordedTrial, columns_in, verify_run
from rig.record.attempts import attempts
from rig.record.reading import read_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.results import Results

Found = TypeVar("Found")
LABEL = "SIMULATED"
UNSEALED = "it was not sealed (killed, or still running)"


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """One run, read through its record; nothing here changes it. Tables are read once and kept."""

    recorded: RecordedRun
    _faults: list[str] = field(default_factory=list)
    """Damage found so far."""

    @staticmethod
    def open(path: Path) -> Run:
        """See ``analysis.open_run``."""
        try:
            run = Run(RecordedRun.open(path))
        except ConfigError as error:
            if not (path / "journal.jsonl").is_file():
                raise
            run = Run(RecordedRun(path, None))  # a damaged manifest: the rest may be read
            run._say(str(error))
        else:
            if run.recorded.manifest is None:
                run._say(UNSEALED)
        for name, chain in {"the run": run.recorded.chain, **run.recorded.cartridge_chains}.items():
            broken = chain.fault or ("its last line is cut" if chain.cut_tail else "")
            if broken:
                run._say(f"journal of {name}: {broken}")
        return run

    @property
    def path(self) -> Path:
        return self.recorded.path

    @property
    def faults(self) -> tuple[str, ...]:
        """Parts of the folder that could not be read so far; ``verify`` checks all of it."""
        for name in ("trials", "simulated", "planned_n", "title"):
            getattr(self, name)  # what is damaged shows when it is read
        return tuple(self._faults)

    def verify(self) -> tuple[str, ...]:
        """Everything in the record that does not match its hashes; empty when the record is intact."""
        try:
            return verify_run(self.path)
        except ConfigError as error:
            return (str(error),)

    @cached_property
    def simulated(self) -> bool:
        """True unless every device is known to be real."""
        return self._read(lambda: self.recorded.simulated, True)

    @cached_property
    def planned_n(self) -> int:
        return self._read(lambda: len(self.recorded.planned), 0)

    @cached_property
    def title(self) -> str:
        """Title of the study."""
        unknown: dict[str, Any] = {}
        head = self._read(lambda: self.recorded.study, unknown).get("study", unknown)
        return str(head.get("title") or head.get("id") or "a study without a title")

    # ---- tables ------------------------------------------------------------------------------------------------

    @cached_property
    def trials(self) -> DataFrame:
        """One row per trial that was closed; columns, units and types as ``rig.record.COLUMNS`` defines them,
        then the measures of the study."""
        damaged: list[str] = []
        rows = read_rows(self.path, damaged)
        for fault in damaged:
            self._say(fault)
        return trials_table(rows, self._read(lambda: columns_in(self.path), COLUMNS))

    @cached_property
    def events(self) -> DataFrame:
        """Journals of the run, its cartridges and their trials, one row per entry; ``data`` holds the entry's
        content."""
        chains = {"": self.recorded.chain, **self.recorded.cartridge_chains}
        return events_table([(name, _with_trials(chain)) for name, chain in chains.items()], self.simulated)

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that any trial recorded."""
        each = [self._of_trial(one, lambda t: t.stream_names) for one in self.recorded.trial_ids]
        return tuple(sorted({name for names in each if names is not None for name in names}))

    def stream(self, name: str, trial: str = "") -> DataFrame:
        """Samples of one stream, of all trials or of one: ``trial_id``, ``time_s`` and the stream's own columns.

        A trial whose samples are damaged is left out with a warning; one that is asked for by name raises
        ``RecordError``. Raises ``ConfigError`` for a name that the run does not have.
        """
        if name not in self.streams:
            raise ConfigError(f"{self.path.name} has no stream {name!r}: there are {', '.join(self.streams) or 'none'}")
        if trial:
            found = [(trial, self.recorded.trial(self._known(trial)).stream(name))]
        else:
            found = [(one, self._of_trial(one, lambda t: t.stream(name))) for one in self.recorded.trial_ids]
        return stream_table([(one, stream) for one, stream in found if stream is not None], self.simulated)

    def frames(self, trial: str) -> DataFrame:
        """Frames that guidance used in one trial, one row each: time, pose of the probe, and what was found."""
        return frames_table(self._frames(trial), self.simulated)

    def frame(self, trial: str, n: int) -> Pixels:
        """Grey values of frame ``n`` of a trial, uint8, shape (rows, columns).

        Raises ``ConfigError`` for a frame that there is not or whose pixels were not kept, ``RecordError`` for one that
        does not match its hash.
        """
        frames = self._frames(trial)
        if not 0 <= n < len(frames):
            raise ConfigError(f"trial {trial} has {len(frames)} frames, counted from 0: there is no frame {n}")
        pixels = frames.pixels(n)
        if pixels is None:
            raise ConfigError(f"trial {trial}: of frame {n} the hash was kept and not the pixels (column kept)")
        return pixels

    def units(self, table: str = "trials") -> dict[str, str]:
        """Units of ``trials``, ``events`` or a stream, by the name of the column."""
        found = self.trials if table == "trials" else self.events if table == "events" else self.stream(table)
        return dict(found.attrs["units"])

    # ---- analysis ----------------------------------------------------------------------------------------------

    @cached_property
    def results(self) -> dict[str, Any]:
        """Content of ``results.json``, computed now from the record. Raises ``ConfigError`` for a damaged record."""
        return dict(parse_json(self._analysed.as_bytes()))

    @cached_property
    def _analysed(self) -> Results:
        from analysis.analyse import analyse  # statistics and their libraries, for those who ask

        return analyse(self.recorded)

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that the run may have."""
        from analysis.figures import sheets

        return tuple(sheet.name for sheet in sheets(self.recorded, self._analysed))

    def figure(self, name: str) -> Figure:
        """One figure of the report, with its stamp. Raises ``ConfigError`` for one that the run has no data for."""
        from analysis.figures import draw_one

        return draw_one(self.recorded, self._analysed, name)

    def report(self) -> Path:
        """Write results, figures and report into the folder; returns the page. Raises ``ConfigError`` and
        ``RecordError`` as ``phantomrig report`` does."""
        from analysis.report.make import make_report

        return make_report(self.path)

    # ---- how it looks ------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        head = f"{LABEL} run {self.path.name}" if self.simulated else f"run {self.path.name}"
        return "\n".join([head, *(f"  {name + ':':9} {text}" for name, text in self._facts())])

    def _repr_html_(self) -> str:
        label = f'<strong style="color:#B00020">{LABEL}</strong> ' if self.simulated else ""
        lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in self._facts())
        ends = self.trials.dropna(subset=["technique", "outcome"]).groupby(["technique", "outcome"]).size()
        counts = ends.unstack(fill_value=0).to_html(border=0) if len(ends) else ""
        return f"<p>{label}run <strong>{escape(self.path.name)}</strong></p><table>{lines}</table>{counts}"

    def _facts(self) -> list[tuple[str, str]]:
        outcomes = self.trials["outcome"].value_counts(sort=False)
        ended = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in outcomes.items())
        facts = [
            ("study", self.title),
            ("trials", f"{len(self.trials)} recorded, {self.planned_n} planned" + (f": {ended}" if ended else "")),
            ("streams", ", ".join(self.streams) or "none"),
        ]
        return facts + [("fault", fault) for fault in self.faults]

    # ---- reading what may be damaged ---------------------------------------------------------------------------

    def _read(self, take: Callable[[], Found], instead: Found) -> Found:
        try:
            return take()
        except ConfigError as error:
            self._say(str(error))
            return instead

    def _of_trial(self, trial: str, take: Callable[[RecordedTrial], Found]) -> Found | None:
        try:
            return take(self.recorded.trial(trial))
        except RecordError as error:
            fault = f"trial {trial} is left out: {error}"
            self._say(fault)
            warnings.warn(f"{self.path.name}: {fault}", stacklevel=3)
            return None

    def _say(self, fault: str) -> None:
        short = fault.removeprefix("the run folder cannot be used: ").replace(f"{self.path}/", "")
        if short not in self._faults:
            self._faults.append(short)

    def _known(self, trial: str) -> str:
        if trial not in self.recorded.trial_ids:
            names: Sequence[str] = self.recorded.trial_ids
            listed = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
            raise ConfigError(f"{self.path.name} has no trial {trial!r}: there are {listed or 'none'}")
        return trial

    def _frames(self, trial: str) -> FrameReader:
        return self.recorded.trial(self._known(trial)).frames()


def _with_trials(chain: Chain) -> list[tuple[str, Entry]]:
    """Pair every entry with its trial, or attempt."""
    names: Mapping[int, str] = {entry.seq: name for name, entry in attempts(chain)}
    return [(names.get(entry.seq, ""), entry) for entry in chain.entries]
