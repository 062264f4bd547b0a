"""One rig opened for a calibration: with a journal, closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hal.clock import Clock, VirtualClock, WallClock
from hal.errors import ConfigError, DeviceError, LimitViolation, LinkError, RecordError, SafetyStop
from rig.config import RigConfig
from rig.control.controller import Controller
from rig.control.heap import settle_heap
from rig.record import Journal
from rig.safety.interrupt import held_off
from rig.safety.stop import HoldRequested
from rig.setup.opened import opened
from rig.setup.simulated import needs_bench, simulate

LOOK_S = 0.7
"""After a refused command: one poll at rest of whatever is watched (0.5 s) and its answer."""


class Session(NamedTuple):
    """Arguments of a procedure."""

    controller: Controller
    journal: Journal


@contextmanager
def session(config: RigConfig, out: Path, *, seed: int = 1, stated: RigConfig | None = None) -> Iterator[Session]:
    """Open a rig for a calibration and keep a journal in ``out``, a new or empty folder.

    ``stated``: the rig file as it was before certificates were applied to ``config``. A simulated bench is built from
    it: what a certificate says of a frame does not move the thing itself.

    Raises ``RecordError`` when the folder cannot be used, ``RigNotOpened`` with every device that did not open, and
    ``SafetyStop`` when an interlock does not pass its self-test. The reason that ended the block is reported as such: a
    stop rule, which no calibration answers by going on, as ``SafetyStop``; a limit as ``ConfigError``; a device that
    refuses or does not answer because the rig was stopped, as the reason of that stop.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise RecordError(f"{out} is not empty; a calibration gets a folder of its own")
    except OSError as error:
        raise RecordError(f"{out} cannot be used for the calibration's record: {error.strerror}") from error
    clock = VirtualClock() if needs_bench(config) else WallClock()
    journal = Journal(out / "journal.jsonl", clock)
    try:
        with watched(config, clock, journal, seed=seed, stated=stated) as controller:
            yield Session(controller, journal)
    finally:
        with held_off():
            journal.close()


@contextmanager
def watched(
    config: RigConfig, clock: Clock, journal: Journal, *, seed: int = 1, stated: RigConfig | None = None
) -> Iterator[Controller]:
    """Open a rig for one procedure under a journal that stays the caller's; see ``session`` for what it raises.

    ``clock``: virtual for a rig that needs a simulated bench (``needs_bench``), else the wall clock.
    """
    bench = None
    if needs_bench(config):
        phantom = str(config.sim.get("phantom", "lumbar_ref"))
        bench = simulate(stated or config, clock, cartridge_seed=seed, phantom=phantom, needle=config.needle.name)
    if not clock.virtual:
        settle_heap()
    try:
        with opened(config, clock, bench, journal) as controller:
            controller.self_test()
            with _named_stops(controller):
                yield controller
    finally:
        with held_off():
            if bench is not None:
                bench.close()


@contextmanager
def _named_stops(controller: Controller) -> Iterator[None]:
    try:
        yield
        _look_once(controller)
    except HoldRequested as hold:
        controller.make_safe(hold.trip.reason)
        raise SafetyStop(f"{hold.trip.reason}; the procedure ends here", source=hold.source) from hold
    except LimitViolation as error:
        raise ConfigError(f"outside the limits of this rig: {error}") from error
    except (DeviceError, LinkError) as error:
        controller.make_safe(str(error))
        try:
            controller.wait(LOOK_S)
        except HoldRequested:
            raise error from None
        except SafetyStop as stop:
            raise stop from error
        raise


def _look_once(controller: Controller) -> None:
    """Scan for stops requested while the result was computed: a stop counts, a foot on the pedal does not."""
    try:
        controller.scan()
    except HoldRequested as hold:
        controller.journal.append("hold_at_end", {"source": hold.source, "reason": hold.trip.reason})
