"""The line to an MT-SICS balance: one command, one answer of that command's name, nothing older.

The protocol numbers nothing. Lines that nobody asked for (the print key, an answer that came late) are passed over, at
most five at a time. After an answer that did not come, a question for the serial number goes ahead of the next command:
a balance answers in the order of the commands, so whatever comes before that answer is old.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from hal.clock import Clock, Deadline
from hal.drivers.balance_mtsics_frame import Reply, decode, encode
from hal.errors import BadReply, DeviceError, NoReply
from hal.links.serial import SerialLink

T = TypeVar("T")
FOREIGN_MAX_N = 5
READ_ATTEMPTS = 3
FENCE = "I4"
"""Serial number: answered by every balance, changes nothing."""
CANCEL = "@"
LONGEST_BYTES = 4096
"""More without an end is no line."""
PASSED_CHUNKS_MAX_N = 64
"""Chunks that are dropped before a command; a line that has more of them babbles, and its next answer is judged."""


class MtSicsLine:
    """Owns the link; counts what nobody asked for."""

    def __init__(self, link: SerialLink, clock: Clock) -> None:
        self.link = link
        self.foreign_n = 0
        """Lines that were no answer to the command sent last."""
        self.asked_ns = 0
        """When the last command was sent."""
        self.last_answer_ns = 0
        """When the last line was complete."""
        self.restarted = False
        """It has sent its serial number unasked, as it does when its power comes back."""
        self._clock = clock
        self._lines: deque[bytes] = deque()
        self._partial = b""
        self._owed = False
        self._numbers_owed = 0
        """Questions for the serial number that have no answer yet."""

    def cancel(self) -> str:
        """``@``: end streams and pending commands of whoever used it before; returns the serial number.

        Any number of lines may come before its answer. Raises ``NoReply``.
        """
        self._pass_over()
        number = self._await_number(CANCEL)
        self.restarted, self._numbers_owed = False, 0
        return number

    def fence(self) -> None:
        """Wait until an answer proves that everything older has come; raises ``NoReply``."""
        self._pass_over()
        self._await_number(FENCE)

    def exchange(self, command: str, answers: Sequence[str], deadline: Deadline | None = None) -> Reply:
        """Send once, take the line whose name is among ``answers``, or the line of an error.

        Raises ``NoReply`` at the deadline (default: the link's patience) and ``BadReply`` after six foreign lines.
        """
        if self._owed:
            self.fence()
        self._pass_over()
        self._owed = True
        self._send(command)
        reply = self._answer(command, answers, deadline or self.link.deadline())
        self._owed = False
        return reply

    def ask(self, command: str, answers: Sequence[str], judge: Callable[[Reply], T]) -> T:
        """Send a read and judge its answer; repeat it when the answer is lost or damaged.

        ``judge`` raises ``BadReply`` for an answer of an impossible form.
        """
        for _ in range(READ_ATTEMPTS - 1):
            with contextlib.suppress(NoReply, BadReply):
                return judge(self._understood(self.exchange(command, answers)))
        return judge(self._understood(self.exchange(command, answers)))

    def newest(self, name: str, judge: Callable[[Reply], T]) -> T:
        """Judge the next line of a stream; those that have already come are old and dropped."""
        for _ in range(READ_ATTEMPTS - 1):
            with contextlib.suppress(BadReply):
                self._pass_over(name)
                return judge(self._answer(f"the stream of {name}", (name,), self.link.deadline()))
        self._pass_over(name)
        return judge(self._answer(f"the stream of {name}", (name,), self.link.deadline()))

    def refused(self, command: str, why: str, code: str = "") -> DeviceError:
        return DeviceError(f"balance on {self.link.url}, {command}: {why}", device="balance", code=code or command)

    def strange(self, command: str, reply: Reply) -> BadReply:
        """Error for an answer of the right name with a meaning that it cannot have."""
        text = f"{self.link.url}: {command} was answered with {reply.text!r}"
        return BadReply(text, port=self.link.url, command=command, raw=reply.text.encode("latin-1"))

    # -- steps --------------------------------------------------------------------------------------------------------

    def _understood(self, reply: Reply) -> Reply:
        if reply.name == "ET":
            raise self.strange("a question", reply)
        return reply

    def _send(self, command: str) -> None:
        self.asked_ns = self._clock.now_ns()
        self.link.write(encode(command))

    def _await_number(self, command: str) -> str:
        self._send(command)
        self._numbers_owed += 1
        deadline = self.link.deadline()
        while True:
            reply = decode(self._next(command, deadline))
            if reply is not None and reply.name == FENCE and reply.status == "A":
                self._numbers_owed -= 1
                self._owed = False
                return "".join(reply.texts()[:1])

    def _answer(self, command: str, answers: Sequence[str], deadline: Deadline) -> Reply:
        passed: list[bytes] = []
        while True:
            try:
                raw = self._next(command, deadline)
            except NoReply as silence:
                if not passed:
                    raise
                raise self._astray(command, passed) from silence
            reply = decode(raw)
            if reply is not None and (reply.name in answers or reply.error):
                return reply
            self._note(reply)
            passed.append(raw.strip())
            if len(passed) > FOREIGN_MAX_N:
                raise self._astray(command, passed)

    def _astray(self, command: str, passed: list[bytes]) -> BadReply:
        raw = b" | ".join(passed)
        return BadReply(
            f"{self.link.url}: {command} was not answered, but {raw!r} came; does somebody else use the balance, or "
            "does it print by itself?",
            port=self.link.url, command=command, raw=raw,
        )  # fmt: skip

    def _next(self, command: str, deadline: Deadline) -> bytes:
        """The next whole line; what came of the one after it stays."""
        while not self._lines:
            self._take(self.link.read_some(deadline))
            if not self._lines and deadline.expired:
                partial, self._partial = self._partial, b""
                got = f"only {partial[:40]!r} came" if partial else "nothing came"
                raise NoReply(
                    f"{self.link.url}: waited for the answer to {command}, {got} before the deadline",
                    port=self.link.url, command=command,
                )  # fmt: skip
        self.last_answer_ns = self._clock.now_ns()
        return self._lines.popleft()

    def _take(self, chunk: bytes) -> None:
        *whole, rest = (self._partial + chunk).split(b"\n")
        self._lines.extend(whole)
        self._partial = rest[-LONGEST_BYTES:]

    def _pass_over(self, stream: str = "") -> None:
        """Look at what came unasked, then drop it, the beginning of a line as well."""
        for _ in range(PASSED_CHUNKS_MAX_N):
            chunk = self.link.read_some(Deadline(self._clock, self._clock.now_ns()))
            if not chunk:
                break
            self._take(chunk)
        while self._lines:
            reply = decode(self._lines.popleft())
            if reply is None or reply.name != stream:
                self._note(reply)
        if not stream:
            self._partial = b""

    def _note(self, reply: Reply | None) -> None:
        self.foreign_n += 1
        if reply is not None and reply.name == FENCE and reply.status == "A":
            self.restarted |= self._numbers_owed == 0
            self._numbers_owed = max(0, self._numbers_owed - 1)
