"""The line to a Harvard pump: one command, one answer of that command's shape, nothing older.

The protocol numbers nothing. After an answer that did not come in time the next command waits until it came or cannot
come any more; bytes that nobody waited for are waited out. Reads are repeated, all else is sent once.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

from hal.clock import NS_PER_S, Clock, Deadline
from hal.drivers.pump_harvard_frame import ALARMS, XON, Reply, decode, encode
from hal.errors import BadReply, DeviceError, NoReply
from hal.links.serial import SerialLink

HUSH_S = 0.05
"""Silence after bytes that belong to no answer: 30 characters take 31 ms at 9600 baud."""
HUSH_TRIES = 4
"""So many times it is waited for on a line that babbles; what then comes is judged like any answer."""
LATEST_S = 0.6
"""An answer that was given up can come so late [A]."""
READ_ATTEMPTS = 3
SAME_SHARE = 1e-3
"""A pump shows what was set with four digits at least [A]."""


class HarvardLine:
    """Owns the link and remembers the prompts."""

    def __init__(self, link: SerialLink, clock: Clock, address: int) -> None:
        self.link = link
        self.late_n = 0
        """Times that bytes came which nobody waited for."""
        self.alarm = ""
        """The first alarm that a prompt told of."""
        self._clock = clock
        self._address = address
        self._dirty = False
        self._owed_ns: int | None = None
        """When the newest command without an answer was sent."""

    def exchange(self, command: str) -> Reply:
        """Send once, read one answer; raises ``NoReply``, ``BadReply`` or ``LinkError``.

        A stop waits for nothing: it may be sent again, and whatever is answered is asked for once more.
        """
        if command != "stp":
            self._settle()
        self.link.drain()
        late = self._owed_ns is not None
        self._owed_ns = self._clock.now_ns()
        self.link.write(encode(self._address, command))
        try:
            reply = decode(self.link.read_until(XON, self.link.deadline()), self.link.url)
            self._judge(command, reply)
        except BadReply:
            self._dirty = True
            raise
        if not late:
            self._owed_ns = None  # else this may have been the older answer, and its own is still to come
        return reply

    def ask(self, query: str, attempts: int = READ_ATTEMPTS) -> Reply:
        """Send a read; repeat it when its answer is lost or damaged, or when the pump refuses to answer."""
        for _ in range(attempts - 1):
            with contextlib.suppress(NoReply, BadReply):
                return self.exchange(query)
        return self.exchange(query)

    def value(self, query: str) -> float | None:
        """A quantity in mL, mL/min, mm or percent; None = not set. Raises ``DeviceError`` when it is refused."""
        reply = self.ask(query)
        self.check(query, reply)
        return reply.value(query)

    def attempt(self, command: str) -> None:
        """Send a setting once. A lost answer is no error here, since the caller reads the setting back."""
        try:
            reply = self.exchange(command)
        except (NoReply, BadReply):
            return
        self.check(command, reply)

    def put(self, name: str, text: str, expected: float) -> None:
        """Set a quantity and read it back."""
        self.attempt(f"{name} {text}")
        self.expect(name, expected)

    def expect(self, name: str, expected: float | None) -> None:
        """Read a setting; a wrong one is read again, since one altered character can make it wrong."""
        self.expect_answer(name, f"{expected}", lambda reply: _same(reply.value(name), expected))

    def expect_answer(self, query: str, asked: str, holds: Callable[[Reply], bool]) -> None:
        """Like ``expect``, applied to the whole answer; raises ``DeviceError``."""
        for _ in range(2):
            reply = self.ask(query)
            self.check(query, reply)
            if holds(reply):
                return
        raise self.refused(query, f"asked for {asked}, the pump says {' '.join(reply.lines)!r}")

    def check(self, command: str, reply: Reply) -> None:
        """Raise ``DeviceError`` when the pump refused."""
        if reply.refusal:
            code = "range" if "range" in reply.refusal.lower() else "refused"
            why = "value out of range" if code == "range" else "refused"
            raise self.refused(command, f"{why} ({reply.refusal})", code)

    def refused(self, command: str, why: str, code: str = "") -> DeviceError:
        return DeviceError(f"pump on {self.link.url}, {command}: {why}", device="pump", code=code)

    def _judge(self, command: str, reply: Reply) -> None:
        if reply.address != self._address:
            words = f"pump {reply.address} answered for {self._address}"
            raise BadReply(f"{self.link.url}: {words}", port=self.link.url, command=command)
        if not reply.fits(command):
            raise BadReply(
                f"{self.link.url}: {command} was answered with {reply.prompt!r} and {reply.lines}, which belongs to"
                " another command or is damaged",
                port=self.link.url,
                command=command,
            )
        if reply.lines and reply.prompt in ALARMS:  # said twice; a single changed bit makes a stall of an idle prompt
            self.alarm = self.alarm or ALARMS[reply.prompt]

    def _settle(self) -> None:
        """Wait for silence, and for an abandoned answer."""
        now_ns = self._clock.now_ns()
        if self._owed_ns is not None:
            self._dirty |= bool(self._hear(self._owed_ns + int(LATEST_S * NS_PER_S)))
            self._owed_ns = None
        if self._dirty or self._hear(now_ns):
            self.late_n += 1
            for _ in range(HUSH_TRIES):
                if not self._hear(self._clock.now_ns() + int(HUSH_S * NS_PER_S)):
                    break
        self._dirty = False

    def _hear(self, until_ns: int) -> bytes:
        """Bytes that arrive until the deadline; ends with the first ones."""
        return self.link.read_some(Deadline(self._clock, max(until_ns, self._clock.now_ns())))


def _same(seen: float | None, expected: float | None) -> bool:
    if seen is None or expected is None:
        return seen is expected
    return math.isclose(seen, expected, rel_tol=SAME_SHARE)
