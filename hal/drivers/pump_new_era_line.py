"""The line to a New Era pump: one command, one answer of that command's shape, nothing older.

The protocol numbers nothing. After an answer that did not come in time the next command whose answer could be mistaken
for it waits; bytes that nobody waited for are waited out.
"""

from __future__ import annotations

import contextlib

from hal.clock import NS_PER_S, Clock, Deadline
from hal.drivers.pump_new_era_frame import Reply, encode, kind_of, receive
from hal.errors import BadReply, NoReply
from hal.links.serial import SerialLink

HUSH_S = 0.05
"""Silence after bytes that belong to no answer: an answer of 20 characters takes 11 ms at 19200 baud and 22 at 9600."""
HUSH_TRIES = 4
"""So many times it is waited for on a line that babbles; what then comes is judged like any answer."""
LATEST_S = 0.6
"""An answer that was given up can come so late [A]: a pump answers within some 10 ms, and one whose watchdog is set to
a second must hear something before that."""


class PumpLine:
    """Owns the link; ``safe``: packets with length and check sum."""

    def __init__(self, link: SerialLink, clock: Clock, address: int) -> None:
        self.link = link
        self.safe = False
        self.asked_ns = 0
        """When the last command was sent."""
        self.late_n = 0
        """Times that bytes came which nobody waited for."""
        self._clock = clock
        self._address = address
        self._dirty = False
        self._owed: dict[str, int] = {}
        """By command: when it was sent last, of those without an answer."""

    def exchange(self, command: str) -> Reply:
        """Send once, read one answer; raises ``NoReply``, ``BadReply`` or ``LinkError``.

        A stop waits for nothing: it may be sent again, and whatever is answered is asked for once more.
        """
        if command != "STP":
            self._settle(command)
        self.link.drain()
        self.asked_ns = self._clock.now_ns()
        self._owed[command] = self.asked_ns
        self.link.write(encode(self._address, command, safe=self.safe))
        try:
            reply = self._answer(command)
        except BadReply:
            self._dirty = True
            raise
        del self._owed[command]
        return reply

    def _answer(self, command: str) -> Reply:
        reply = receive(self.link, self.link.deadline())
        if reply.alarm and self.safe:
            # In Safe mode a pump also reports an alarm by itself. If this was such a report, the answer is still to
            # come and would be taken for the answer to the next command.
            with contextlib.suppress(NoReply):
                reply = receive(self.link, self._clock.deadline(self.link.timeout_s / 4.0))
        if reply.address != self._address:
            raise BadReply(
                f"{self.link.url}: pump {reply.address} answered for {self._address}",
                port=self.link.url,
                command=command,
            )
        if not reply.fits(command):
            raise BadReply(
                f"{self.link.url}: {command or 'a status poll'} was answered with {reply.data!r}, which belongs to"
                " another command or is damaged",
                port=self.link.url,
                command=command,
                raw=reply.data.encode(),
            )
        return reply

    def _settle(self, command: str) -> None:
        """Wait for silence, and for answers that could be taken for the answer to ``command``."""
        now_ns = self._clock.now_ns()
        for other in [c for c, sent_ns in self._owed.items() if now_ns - sent_ns >= LATEST_S * NS_PER_S]:
            del self._owed[other]
        for other in [c for c in self._owed if c != command and kind_of(c) == kind_of(command)]:
            self._dirty |= bool(self._hear(self._owed.pop(other) + int(LATEST_S * NS_PER_S)))
        if self._dirty or self._hear(now_ns):
            self.late_n += 1
            for _ in range(HUSH_TRIES):
                if not self._hear(self._clock.now_ns() + int(HUSH_S * NS_PER_S)):
                    break
        self._dirty = False

    def _hear(self, until_ns: int) -> bytes:
        """Bytes that arrive until the deadline; ends with the first ones."""
        return self.link.read_some(Deadline(self._clock, max(until_ns, self._clock.now_ns())))
