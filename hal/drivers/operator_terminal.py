"""The operator at a terminal: instructions on stderr, answers typed on stdin.

stdin is read by one thread per process, so that ``poll`` returns at once and a scan never waits for a person.
The prompt itself has no deadline on purpose: people take their time, and whoever asks sets the limit
(``Controller.ask``). stdout stays free for results.
"""

from __future__ import annotations

import queue
import re
import sys
import threading
from _thread import interrupt_main
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TextIO

from pydantic import BaseModel, ConfigDict

from hal.clock import Clock, Deadline
from hal.errors import DeviceError
from hal.ranges import within
from hal.types import BONE, Identity, Instruction, InstructionKind, OperatorResponse, SafeReport

NEEDS_NUMBER = frozenset({InstructionKind.READ_VALUE, InstructionKind.APPLY})
OFFERS_NUMBER = frozenset({InstructionKind.ADVANCE, InstructionKind.WITHDRAW})
"""A number is welcome (depth read off the shaft), plain Enter will do."""
SAY_S = 0.5
"""Longest wait for a terminal to take a line: a slow ssh link takes a tenth of it [A]."""
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
"""A label that a person may type: it may become the name of a file."""
SHOUT_S = 0.05
"""As long for words beside a stop that waits behind them."""
NO = frozenset({"n", "no", "nein", "x"})


class Console:
    """Lines that a person types, and the display of what they are for.

    ``stop`` always stops: it presses the key emergency stop where the rig has one, and counts as Ctrl-C where not.
    """

    def __init__(self, source: TextIO, sink: TextIO, interrupt: Callable[[], None] = interrupt_main) -> None:
        self._source = source
        self._sink = sink
        self._interrupt = interrupt
        self._lines: queue.Queue[str] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._queue: queue.Queue[tuple[str, threading.Event]] = queue.Queue()
        self._voice: threading.Thread | None = None
        self._speaking = threading.Lock()
        self._mute = False
        """The last line was not taken in time: the next one is not waited for."""
        self.ended = False
        self.stop_requested = False
        """Somebody typed ``stop``."""
        self.stop_is_read = False
        """A key emergency stop looks at it."""

    def start(self) -> None:
        """Begin reading; once per console."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="console", daemon=True)
            self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._source:
                text = line.strip()
                if text.lower() == "stop":
                    self.stop_requested = True
                    if not self.stop_is_read:
                        self._interrupt()
                else:
                    self._lines.put(text)
        except OSError:
            pass  # the terminal is lost: nobody types any more
        finally:
            self.ended = True

    def line(self) -> str | None:
        """The next typed line, or None; raises ``DeviceError`` when the input has ended."""
        try:
            return self._lines.get_nowait()
        except queue.Empty:
            if self.ended:
                raise DeviceError(
                    "the terminal's input has ended: nobody can answer (run in a terminal, not in a pipe)",
                    device="operator",
                ) from None
            return None

    @property
    def stop_hint(self) -> str:
        """Effect of typing ``stop`` on this rig."""
        return "stop = emergency stop" if self.stop_is_read else "stop = end the run, as Ctrl-C does"

    def drop(self) -> None:
        """Forget what was typed before the question."""
        while not self._lines.empty():
            self._lines.get_nowait()

    def say(self, text: str) -> None:
        """Show a line. A terminal that is lost, or that takes nothing for ``SAY_S``, is not waited for: what asked for
        the words goes on, and the line comes when the terminal takes lines again."""
        self._put(text, SAY_S)

    def shout(self, text: str) -> None:
        """Show a line like ``say``, but with a shorter wait: a stop waits behind the output."""
        self._put(text, SHOUT_S)

    def _put(self, text: str, wait_s: float) -> None:
        shown = threading.Event()
        self._queue.put((text, shown))
        with self._speaking:
            if self._voice is None:
                self._voice = threading.Thread(target=self._speak, name="console words", daemon=True)
                self._voice.start()
        shown.wait(0.0 if self._mute else wait_s)
        self._mute = not shown.is_set()

    def _speak(self) -> None:
        while True:
            text, shown = self._queue.get()
            with suppress(OSError, ValueError):  # lost, or closed: nobody reads it
                print(text, file=self._sink, flush=True)
            shown.set()


@cache
def console() -> Console:
    """The process's own terminal."""
    return Console(sys.stdin, sys.stderr)


def parse_number(text: str) -> float | None:
    """A typed number, with point or comma; None for anything else, infinities and NaN included."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if -1e9 < value < 1e9 else None


class Settings(BaseModel):
    """Address of the person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "operator"
    """Written into the record."""
    bell: bool = True


class Driver:
    """Implements ``hal.interfaces.Operator``."""

    role = "operator"
    polled = False

    def __init__(self, settings: Settings, clock: Clock, terminal: Console | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._console = terminal or console()
        self._instruction: Instruction | None = None

    def open(self) -> Identity:
        if self._clock.virtual:
            raise DeviceError("a person cannot answer in simulated time: use the wall clock", device=self.role)
        self._console.start()
        return Identity(self.role, "terminal_operator", self._settings.name)

    def close(self) -> None:
        self._instruction = None

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Tell the person to let go; nothing can be read back from a person."""
        self._instruction = None
        self._console.say("!! STOP. Let go of the needle, do not withdraw it, do not press the syringe.")
        return SafeReport(self.role, False, "told to let go; a person cannot be read back")

    def begin(self, instruction: Instruction) -> None:
        """Show one instruction; raises ``DeviceError`` while another one waits."""
        if self._instruction is not None:
            raise DeviceError("the operator still has an unanswered instruction", device=self.role)
        self._instruction = instruction
        self._console.drop()
        bell = "\a" if self._settings.bell else ""
        self._console.say(f"{bell}>> {instruction.text}\n   {_hint(instruction)}; {self._console.stop_hint}")

    def poll(self) -> OperatorResponse | None:
        """Answer, once a line that fits has been typed."""
        instruction = self._instruction
        if instruction is None:
            return None
        line = self._console.line()
        if line is None:
            return None
        now_ns = self._clock.now_ns()
        bone, number = _resistance(line) if instruction.kind is InstructionKind.ADVANCE else (False, line)
        value = parse_number(number)
        limits = instruction.within
        if value is not None and limits is not None and not within(value, limits):
            self._console.say(f"   {value:g} cannot be true: {limits[0]:g} to {limits[1]:g}; {_hint(instruction)}")
            return None
        if bone and (value is not None or not number):
            response = OperatorResponse(now_ns, True, BONE, value)
        elif line.lower() in NO:
            response = OperatorResponse(now_ns, False, line)
        elif instruction.kind in NEEDS_NUMBER and value is None:
            self._console.say(f"   {line!r} is not a number; {_hint(instruction)}")
            return None
        elif instruction.kind is InstructionKind.NAME and not NAME.fullmatch(line):
            self._console.say(f"   {line!r} is not a name; {_hint(instruction)}")
            return None
        elif instruction.options and (chosen := _choice(line, instruction.options)) is None:
            self._console.say(f"   {line!r} is not one of these; {_hint(instruction)}")
            return None
        elif instruction.options:
            response = OperatorResponse(now_ns, True, str(chosen), value)
        else:
            response = OperatorResponse(now_ns, True, line, value)
        self._instruction = None
        return response

    def cancel(self) -> None:
        """Cancel the instruction, loudly, since nothing else can stop a hand."""
        if self._instruction is not None:
            self._instruction = None
            self._console.say("!! STOP. Hold still: this instruction is cancelled.")

    def show(self, text: str) -> None:
        self._console.say(f"   {text}")


def _resistance(line: str) -> tuple[bool, str]:
    """``b``, ``bone``, or either with the depth read: True when resistance was met, and the rest of the line."""
    word, _, rest = line.strip().partition(" ")
    met = word.lower() in ("b", BONE)
    return met, rest.strip() if met else line


def _choice(line: str, options: tuple[str, ...]) -> str | None:
    if line == "":
        return options[0] if len(options) == 1 else None
    if line.isdigit() and 1 <= int(line) <= len(options):
        return options[int(line) - 1]
    fitting = [o for o in options if o.lower().startswith(line.lower())]
    return fitting[0] if len(fitting) == 1 else None


def _hint(instruction: Instruction) -> str:
    if instruction.options:
        return "type " + ", ".join(f"{i + 1} = {o}" for i, o in enumerate(instruction.options)) + "; n = cannot"
    if instruction.kind is InstructionKind.NAME:
        return "type it and Enter (letters, digits, '_', '-', '.'); n = cannot"
    if instruction.kind in NEEDS_NUMBER:
        return "type the number and Enter; n = cannot"
    if instruction.kind is InstructionKind.ADVANCE:
        return "Enter = done, or the depth off the shaft (mm); b = stopped by resistance (b 31 = there); n = cannot"
    if instruction.kind in OFFERS_NUMBER:
        return "Enter = done, or the depth read off the shaft (mm); n = cannot"
    return "Enter = done; n = cannot"
