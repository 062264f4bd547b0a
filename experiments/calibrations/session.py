"""One rig opened for a calibration: with a journal, closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from experiments.opened import opened
from hal.clock import VirtualClock, WallClock
from hal.errors import RecordError
from rig.config import RigConfig
from rig.controller import Controller
from rig.heap import settle_heap
from rig.record import Journal
from rig.simulated import needs_bench, simulate


class Session(NamedTuple):
    """What a procedure gets."""

    controller: Controller
    journal: Journal


@contextmanager
def session(config: RigConfig, out: Path, *, seed: int = 1, stated: RigConfig | None = None) -> Iterator[Session]:
    """Open a rig for a calibration and keep a journal in ``out``, a new or empty folder.

    ``stated``: the rig file as it was before certificates were applied to ``config``. A simulated bench is built from
    it: what a certificate says of a frame does not move the thing itself.

    Raises ``RecordError`` when the folder cannot be used, ``RigNotOpened`` with every device that did not open, and
    ``SafetyStop`` when an interlock does not pass its self-test.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise RecordError(f"{out} is not empty; a calibration gets a folder of its own")
    except OSError as error:
        raise RecordError(f"{out} cannot be used for the calibration's record: {error.strerror}") from error
    in_process = needs_bench(config)
    clock = VirtualClock() if in_process else WallClock()
    bench = None
    if in_process:
        phantom = str(config.sim.get("phantom", "lumbar_ref"))
        bench = simulate(stated or config, clock, cartridge_seed=seed, phantom=phantom, needle=config.needle.name)
    settle_heap()
    journal = Journal(out / "journal.jsonl", clock)
    try:
        with opened(config, clock, bench, journal) as controller:
            controller.self_test()
            yield Session(controller, journal)
    finally:
        if bench is not None:
            bench.close()
        journal.close()
