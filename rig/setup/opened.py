"""An opened rig under its controller, made safe and closed whatever ends the block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hal.clock import Clock
from rig.config import RigConfig
from rig.control.controller import Controller, JournalWriter
from rig.safety.interrupt import Interrupt, held_off
from rig.setup.assemble import open_rig
from rig.setup.simulated import SimulatedBench


@contextmanager
def opened(
    config: RigConfig,
    clock: Clock,
    bench: SimulatedBench | None,
    journal: JournalWriter,
    *,
    interrupt: Interrupt | None = None,
) -> Iterator[Controller]:
    """Keep all devices open and watched inside the block; safe state and closed ports after it.

    Raises ``RigNotOpened`` with every device that did not open; what does not close is journalled.
    """
    rig = open_rig(config, clock, bench.publish() if bench else "", bench.provided() if bench else None)
    try:
        with Controller(rig, config.limits, clock, journal, interrupt=interrupt) as controller:
            yield controller
    finally:
        with held_off():
            for problem in rig.close():
                journal.append("close_problem", {"problem": problem})
