"""Progress of a study, for a person: a bar with the time left in a terminal, plain lines elsewhere; on stderr."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hal.clock import NS_PER_S, Clock

STARTED = "started"


class Cartridge(Protocol):
    """Properties of a planned cartridge that the bar needs."""

    @property
    def trials(self) -> Sequence[object]: ...


class StudyProgress:
    """Follows one study; use it as a context manager."""

    def __init__(self, clock: Clock, console: Console | None = None, estimate: str = "") -> None:
        """``estimate``: expected duration; shown once the study has begun, so that a refusal gives only its reason."""
        self._clock = clock
        self._estimate = estimate
        self._console = console or Console(stderr=True)
        self._outcomes: Counter[str] = Counter()
        self._running: list[str] = []
        self._planned_n = 0
        self._start_ns = clock.now_ns()
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("trials"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=self._console,
            )
            self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> StudyProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def done_n(self) -> int:
        """Trials that have ended."""
        return self._outcomes.total()

    def planned(self, cartridges: Sequence[Cartridge]) -> None:
        """Begin the study."""
        self._planned_n = sum(len(c.trials) for c in cartridges)
        self._start_ns = self._clock.now_ns()
        if self._estimate:
            self._line(self._estimate)
        if self._bar is not None:
            self._bar.update(self._task, total=self._planned_n)
        else:
            self._line(f"trials planned: {self._planned_n}, cartridges: {len(cartridges)}")

    def trial(self, trial_id: str, what: str) -> None:
        """A trial started, or ended with the outcome ``what``."""
        if what == STARTED:
            self._running.append(trial_id)
        else:
            if trial_id in self._running:
                self._running.remove(trial_id)
            self._outcomes[what] += 1
        if self._bar is not None:
            text = ", ".join(filter(None, (self._counts(), " ".join(f"[{t}]" for t in self._running))))
            self._bar.update(self._task, completed=self.done_n, description=text.replace("[", r"\["))
        elif what != STARTED:
            self._line(f"{self.done_n}/{self._planned_n} {trial_id} {what} ({self._counts()}){self._left()}")

    def _counts(self) -> str:
        return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in sorted(self._outcomes.items()))

    def _left(self) -> str:
        """Time left at the mean pace so far."""
        if self.done_n >= self._planned_n:
            return ""
        elapsed_s = (self._clock.now_ns() - self._start_ns) / NS_PER_S
        left_s = elapsed_s / self.done_n * (self._planned_n - self.done_n)
        return f", about {left_s / 60:.0f} min left" if left_s >= 90 else f", about {left_s:.0f} s left"

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
