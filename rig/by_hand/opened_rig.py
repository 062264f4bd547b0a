"""An opened rig at a prompt: its tools, its readings, its record, and the safe state however the work ends."""

from __future__ import annotations

import atexit
import dataclasses
import datetime
import enum
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from hal.clock import VirtualClock, WallClock
from hal.errors import ConfigError, RecordError
from hal.types import Instruction, InstructionKind, OperatorResponse
from rig.by_hand.between_calls import BetweenCalls, PromptInterrupt
from rig.by_hand.tools import Desk, Eye, Needle, Probe, Syringe
from rig.calibration.certificates.in_force import in_force
from rig.config import RigConfig, load_config
from rig.instruments.reference import TipAtRest, read_tip
from rig.instruments.thermometer import GelTemperature, gel_temperature
from rig.record import Journal
from rig.roles import Role
from rig.safety.interrupt import held_off
from rig.setup.opened import opened
from rig.setup.simulated import needs_bench, simulate

ANSWER_S = 1800.0
_shut: list[None] = []
"""Not empty while a script is only read: nothing may be opened by it."""
_open: list[OpenedRig] = []
"""The one that is open in this process: it stays reachable when its name is gone, and is made safe at exit."""


def open_rig(
    rig_file: str | Path = "simulated", *, out: str | Path | None = None, phantom: str = "lumbar_ref", seed: int = 1
) -> OpenedRig:
    """Open a rig to work with by hand; use it in a ``with`` block, or call ``close``.

    Args:
        rig_file: name of a shipped rig file or path of one's own.
        out: folder of the record, new or empty (default: ``runs/by-hand-<time>``).
        phantom: drawing of the gel that a simulated bench pours; a real one holds what was put in.
        seed: of that pour.

    Raises:
        ConfigError: the rig file is wrong, or another rig is open in this process.
        RecordError: the folder cannot be used.
        RigNotOpened: with every device that did not open.
        SafetyStop: an interlock does not pass its self-test, or the emergency stop is pressed.
    """
    if _shut:
        raise ConfigError("a script that is only read for its procedures must not open a rig before its first study")
    if _open:
        raise ConfigError(
            f"the rig '{_open[0].name}' is still open in this process: close it first (with "
            "rig.close_all() if you no longer have its name)"
        )
    return OpenedRig(load_config(str(rig_file)), _folder(out), phantom, seed)


@contextmanager
def nothing_is_opened() -> Iterator[None]:
    """Make ``open_rig`` refuse inside the block."""
    _shut.append(None)
    try:
        yield
    finally:
        _shut.pop()


def close_all() -> None:
    """Put everything that is still open in this process into the safe state and close its ports."""
    for rig in list(_open):
        rig.close()


atexit.register(close_all)


def _folder(out: str | Path | None) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = Path("runs") / f"by-hand-{stamp}" if out is None else Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise RecordError(f"{folder} cannot be used for the record: {error.strerror}") from error
    if used:
        raise RecordError(f"{folder} is not empty; work by hand needs a folder of its own")
    return folder


class OpenedRig:
    """All devices of one rig, watched. Work with it never gives a verdict."""

    def __init__(self, stated: RigConfig, folder: Path, phantom: str, seed: int) -> None:
        self.folder = folder
        self.name = stated.rig.name
        self.simulated = stated.rig.simulated
        self._stack = ExitStack()
        self._closed = False
        clock = VirtualClock() if needs_bench(stated) else WallClock()
        config = in_force(stated, datetime.date.today()).applied_to(stated)
        interrupt = PromptInterrupt()
        interrupt.in_call = True  # opening ends in good order, too
        with ExitStack() as stack:
            journal = Journal(folder / "journal.jsonl", clock)
            stack.callback(journal.close)
            journal.append(
                "by_hand.opened", {"rig": self.name, "simulated": self.simulated, "verdict": "none is given"}
            )
            bench = None
            if needs_bench(stated):
                bench = simulate(stated, clock, cartridge_seed=seed, phantom=phantom, needle=stated.needle.name)
                stack.callback(bench.close)
            controller = stack.enter_context(opened(config, clock, bench, journal, interrupt=interrupt))
            controller.self_test()
            between = BetweenCalls(controller, interrupt)
            stack.callback(between.end)
            self._stack = stack.pop_all()
        interrupt.in_call = False
        self._controller, self._between = controller, between
        desk = Desk(controller, self._call)
        self.probe, self.eye, self.needle, self.syringe = Probe(desk), Eye(desk), Needle(desk), Syringe(desk)
        self._desk = desk
        _open.append(self)

    # ---- life --------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None and not self._closed:
            self._controller.make_safe(f"{type(error).__name__}: {error}")
        self.close()

    def close(self) -> None:
        """Put the rig into its safe state, close ports and record; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        with held_off():
            try:
                self._stack.close()
            finally:
                _open.remove(self)

    def _call(self) -> Any:
        if self._closed:
            raise ConfigError(f"the rig {self.name} was closed; open it again")
        return self._between.call()

    def __repr__(self) -> str:
        kind = "SIMULATED" if self.simulated else "real"
        state = "closed" if self._closed else (f"stopped: {self.stopped}" if self.stopped else "open")
        watched = ", watched between calls" if not self._closed and self._between.watched else ""
        return f"<{kind} rig {self.name}, {state}{watched}; record in {self.folder}; no verdict by hand>"

    # ---- what a person asks of it ------------------------------------------------------------------------

    @property
    def stopped(self) -> str:
        """Reason why the rig is in its safe state; empty while it runs."""
        stop = self._controller.stopped
        return "" if stop is None else str(stop)

    @property
    def time_s(self) -> float:
        """Time on the rig's clock."""
        return self._controller.clock.now_ns() / 1e9

    def wait(self, seconds: float) -> None:
        """Watch for a while; raises ``SafetyStop`` or ``HoldRequested``."""
        with self._call():
            self._controller.wait(seconds)

    def read(self) -> dict[str, float | str | bool]:
        """Everything that can be read now, by ``role.quantity_unit``; for a frame call ``eye.frame``."""
        found: dict[str, float | str | bool] = {}
        with self._desk.doing("read") as controller:
            for role in controller.rig.channels:
                if role not in ("ultrasound", "operator"):
                    _flatten(role, controller.read(Role[object](role)), found)
        return found

    def reference(self) -> TipAtRest:
        """Tip by the reference instrument, Phantom frame, needle at rest; gives the reason when it is not measured."""
        with self._desk.doing("reference") as controller:
            return read_tip(controller, controller.rig.frames.get("Reference", "Phantom"))

    def temperature(self) -> GelTemperature:
        """Temperature of the gel, by the best thermometer of the rig."""
        with self._desk.doing("temperature") as controller:
            return gel_temperature(controller)

    def ask(self, text: str) -> OperatorResponse:
        """Ask the person at the rig to do something and to confirm it."""
        with self._desk.doing("ask", text=text) as controller:
            return controller.ask(Instruction(InstructionKind.CONFIRM, text), ANSWER_S)

    def note(self, text: str) -> None:
        """Write a remark into the record."""
        with self._call():
            self._controller.journal.append("note", {"text": text})

    def release(self) -> bool:
        """Leave a stop after a look at the rig. False while the cause is still there."""
        with self._call():
            return self._controller.acknowledge()


def _flatten(name: str, value: object, found: dict[str, float | str | bool]) -> None:
    """Numbers and words of a reading under dotted names, without matrices and times."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tool = f"{name}.{value.name}" if hasattr(value, "name") and not isinstance(value, enum.Enum) else name
        for field in dataclasses.fields(value):
            if field.name not in ("time_ns", "name"):
                _flatten(f"{tool}.{field.name}", getattr(value, field.name), found)
    elif isinstance(value, tuple):
        for one in value:
            _flatten(name, one, found)
    elif isinstance(value, enum.Enum):
        found[name] = str(value.value)
    elif isinstance(value, np.ndarray):
        if value.shape == (4, 4):
            for axis, at in zip("xyz", value[:3, 3], strict=True):
                found[f"{name}.{axis}_mm"] = float(at)
    elif isinstance(value, bool | float | int | str):
        found[name] = value
