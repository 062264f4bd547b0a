"""Options and runs of this process's scripts: one session per script that is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from experiments.ended import Ended
from experiments.trial.own import OwnTrial

Body = Callable[[OwnTrial], object]
"""A procedure of the user's own."""


class Defined(BaseException):
    """Raised when a script that is only read for its procedures has come to its first study."""


@dataclass
class Session:
    """Options with which the command line overrides a script, and the runs so far."""

    rig: Path | None = None
    """In place of the rig file that a script names; its changes are made to this one."""
    out: Path | None = None
    trials: int | None = None
    seed: int | None = None
    workers: int | None = None
    publish: int | None = None
    qa_override: str = ""
    script: Path | None = None
    """The script that ``phantomrig run`` runs; None: Python's own ``__main__``."""
    source: bytes = b""
    """Source of that script, as it is run."""
    runs: list[Ended] = field(default_factory=list)
    procedures: dict[str, Body] = field(default_factory=dict)
    """That the script has declared, by their place in its source."""
    made: int = 0
    """Studies that were planned so far."""
    defining: bool = False
    """The script is only read for its procedures, up to its first study."""
    begun: bool = False
    """A trial has begun: whatever is planned from now on may rest on what was seen."""


_sessions = [Session()]


def current() -> Session:
    """Session of the running script; a prompt or a notebook has one from its start to its end."""
    return _sessions[-1]


@contextmanager
def as_current(session: Session) -> Iterator[Session]:
    """Make a session the current one while a script is run by somebody else."""
    _sessions.append(session)
    try:
        yield session
    finally:
        _sessions.remove(session)
