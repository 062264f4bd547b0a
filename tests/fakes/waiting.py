"""Waiting on the wall clock: until a thing is so, with far more patience than an idle machine needs.

A fixed pause is a guess about the machine. These helpers ask again and again; what never comes still fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hal.clock import Clock, WallClock
from hal.sim.mounts import Mount

T = TypeVar("T")

PATIENCE_S = 30.0
"""With anything that takes milliseconds on an idle machine."""
REPLY_S = 5.0
"""Patience of a driver with one reply on a real port; its usual 0.1 to 0.3 s are meant for a machine that runs
nothing but the rig."""


def until(ask: Callable[[], T], what: str, clock: Clock | None = None, *, within_s: float = PATIENCE_S) -> T:
    """The first answer of ``ask`` that counts as true; ``what`` says in the failure what did not happen."""
    clock = clock or WallClock()
    deadline = clock.deadline(within_s)
    while True:
        answer = ask()
        if answer:
            return answer
        assert not deadline.expired, f"did not happen within {within_s:g} s: {what}; last seen: {answer!r}"
        clock.sleep(0.01)


@contextmanager
def ended_patiently(mount: Mount) -> Iterator[Mount]:
    """``mount`` inside the block; its thread gets longer to end than a rig would give it."""
    try:
        yield mount
    finally:
        mount.close(PATIENCE_S)


def new_threads(before: set[threading.Thread], prefix: str) -> list[str]:
    """Names of threads with this prefix that were not there before; those of other tests are left out."""
    return [t.name for t in threading.enumerate() if t not in before and t.name.startswith(prefix)]
