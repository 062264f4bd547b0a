"""The line to a Grbl controller: matches answers to questions, and dates reports.

Questions carry no number. What has arrived is read, never thrown away, before the next question: alarms and restarts
are noted, reports are counted against the questions that were asked. As long as every report was asked for, a report is
as old as its question. After a question without an answer, or a report that nobody here asked for (another sender on
the line, automatic reports), the next report may belong to an earlier question. Then an empty line is sent first:
replies come in order, so what comes after its ``ok`` was read after it was sent, and is dated so. Without that
``ok`` (a held controller reads no lines) a report is dated as early as it can be.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from hal.clock import NS_PER_S, Clock, Deadline
from hal.drivers.motion_errors import ALARMS
from hal.drivers.motion_status import Report, parse_report
from hal.errors import BadReply, LinkError, NoReply
from hal.links.serial import SerialLink, open_serial

QUERY_TRIES = 3
"""A damaged or lost report is asked for again within the same time."""
OVERDUE_LINES_MAX_N = 100
"""Lines that are still taken after a deadline, for they may have arrived in time while this computer was busy: more
than a report and what lies before it; a line that babbles has no end."""
SLOW_S = 0.05
"""An answer that takes longer came over a line on which other reports may be on their way for as long [A]: the
firmwares answer within 5 to 20 ms."""
SHARED_S = 2.0
"""So long after a report that nobody asked for, or a slow one, an empty line goes before each question [A]."""
UNREAD_S = 1.0
"""A controller that did not answer an empty line is sent none for so long [A]."""
ANNOUNCED_MAX_N = 64
"""Reports kept for the announcements in them; more than a second sender causes between two polls."""
RESTARTED = "the controller restarted by itself: position not to be trusted"

_ACKNOWLEDGE = re.compile(r"ok|error:\d+")
_ALARM = re.compile(r"ALARM:(\d{1,2})")
_WELCOME = re.compile(r"Grbl.*|.*for help\]")
"""Either end of the welcome line is enough: the other may be damaged."""


@dataclass(frozen=True)
class Patience:
    """Patience with the controller, seconds."""

    reply_s: float = 0.25
    """No answer for so long is a fault; the firmwares answer ``?`` within 5 to 20 ms."""
    start_s: float = 4.0
    """Boards that restart when the port opens need about two seconds until the welcome line."""
    lost_reply_s: float = 1.0
    """Longest time for which late acknowledgements are collected after one was lost."""


USUAL = Patience()


@dataclass(frozen=True)
class Dated:
    """A report, the earliest moment that it can describe, and its arrival."""

    report: Report
    time_ns: int
    arrived_ns: int


class GrblLine:
    """One line to one controller; ``device`` names it in errors."""

    def __init__(self, url: str, baudrate: int, clock: Clock, device: str, patience: Patience) -> None:
        self.url = url
        self.device = device
        self.patience = patience
        self.announced: deque[Report] = deque(maxlen=ANNOUNCED_MAX_N)
        """Reports that came beside the one that was waited for, for what they announce."""
        self.unasked_n = 0
        """Reports since opening that nobody here asked for."""
        self.spoken_to = False
        """True after a reply to a line that was not sent from here: somebody else commands the controller."""
        self._baudrate = baudrate
        self._clock = clock
        self._link: SerialLink | None = None
        self._asked: deque[int] = deque()
        """When questions were sent that no report has answered yet."""
        self._shared_until_ns = self._slow_until_ns = -1
        self._acks_due_n = 0
        """Lines whose acknowledgement did not come in time, or may be another's."""
        self._unread_until_ns = -1
        """Until then no further empty line is sent to a controller that did not answer the last one (it is held)."""
        self._alarm = ""
        self._welcomed = False
        self._restart_awaited = False
        self._overdue_n = 0
        """Lines in a row that were read after their deadline."""

    def open(self) -> None:
        """Connect; what an earlier user left in the buffer is ignored."""
        self.close()
        self._link = open_serial(self.url, self._baudrate, self._clock, timeout_s=self.patience.reply_s)
        self._link.drain()

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        self.announced.clear()
        self._asked.clear()
        self._alarm, self._welcomed, self.spoken_to, self.unasked_n = "", False, False, 0
        self._shared_until_ns = self._slow_until_ns = self._unread_until_ns = -1
        self._acks_due_n = 0

    @property
    def link(self) -> SerialLink:
        """The open port; raises ``LinkError``."""
        if self._link is None:
            raise LinkError(f"{self.device} at {self.url} is not open", port=self.url)
        return self._link

    @property
    def unsettled(self) -> bool:
        """True when an answer is missing that may still come."""
        return bool(self._asked) or self._acks_due_n > 0

    @property
    def alarm(self) -> str:
        """First alarm or restart since opening, unlocking or homing: later ones are its consequence."""
        return self._alarm

    def forgive(self) -> None:
        """Clear alarms and restarts up to now: their causes have been removed."""
        self._alarm = ""

    def forgive_restart(self) -> None:
        """Clear an expected restart; an alarm is not cleared."""
        if self._alarm == RESTARTED:
            self._alarm = ""

    # --- reading ------------------------------------------------------------------------------------------

    def _note(self, line: str) -> None:
        """Keep the announcements of a line, whoever it was for."""
        alarm = _ALARM.fullmatch(line)
        if alarm is not None:
            self._alarm = self._alarm or f"{line} {ALARMS.get(int(alarm[1]), '')}".strip()
        elif _WELCOME.fullmatch(line):
            self._welcomed = True
            if not self._restart_awaited:
                self._alarm = self._alarm or RESTARTED
            self._asked.clear()  # a restart drops what it was asked, and answers to it came before the welcome
            self._acks_due_n = 0
        elif line.startswith("<"):
            now_ns = self._clock.now_ns()
            until_ns = now_ns + int(SHARED_S * NS_PER_S)
            if not self._asked:
                self.unasked_n += 1
                self._shared_until_ns = until_ns
            elif now_ns - self._asked.popleft() > SLOW_S * NS_PER_S:
                self._slow_until_ns = until_ns

    def _tell(self, line: str) -> None:
        """Take a report that nobody waits for: only its announcements count."""
        try:
            self.announced.append(parse_report(line))
        except BadReply:
            pass  # a damaged report announces nothing

    def take_arrived(self) -> None:
        """Read the lines that have come and answer no coming question; also the beginning of one.

        Raises ``BadReply`` when it has no end.
        """
        lines = [raw.decode("ascii", "replace").strip() for raw in self.link.arrived(b"\n")]
        if self.link.unfinished:  # it began before the next question
            try:
                lines.append(self._next_line(self._clock.deadline(self.patience.reply_s / QUERY_TRIES).at_ns))
            except NoReply:
                pass
        for line in lines:
            self._note(line)
            if line.startswith("<"):
                self._tell(line)
            elif _ACKNOWLEDGE.fullmatch(line):
                self.spoken_to = self.spoken_to or self._acks_due_n == 0
                self._acks_due_n = max(1, self._acks_due_n)

    def _next_line(self, at_ns: int) -> str:
        """Next line that is not empty, as it came. Raises ``NoReply`` at ``at_ns``, also when lines keep coming that
        nobody asked for.
        """
        while True:
            deadline = Deadline(self._clock, max(at_ns, self._clock.now_ns()))
            self._overdue_n = self._overdue_n + 1 if deadline.expired else 0
            if self._overdue_n > OVERDUE_LINES_MAX_N:
                self._overdue_n = 0
                self.link.drain()
                raise NoReply(f"{self.device} at {self.url} sends lines without an end and no reply", port=self.url)
            line = self.link.read_until(b"\n", deadline).decode("ascii", "replace").strip()
            if line:
                return line

    def _noted_line(self, at_ns: int) -> str:
        """Next line, noted; see ``_next_line``."""
        line = self._next_line(at_ns)
        self._note(line)
        return line

    def ask_report(self) -> Dated:
        """One report and the earliest moment that it can be of; raises ``NoReply`` after ``reply_s`` of silence and
        ``BadReply`` when all that came was damaged.
        """
        last = self._clock.deadline(self.patience.reply_s)
        try_s = self.patience.reply_s / QUERY_TRIES
        self.take_arrived()
        since_ns: int | None = None
        doubtful = bool(self._asked) or self._clock.now_ns() < max(self._shared_until_ns, self._slow_until_ns)
        if doubtful:
            since_ns = self._barrier(2.0 * try_s)
        shared = self._clock.now_ns() < self._shared_until_ns  # also by what came before the barrier's answer
        damaged: BadReply | None = None
        for attempt in range(QUERY_TRIES):
            if attempt and last.expired:
                break
            self.link.write(b"?")
            self._asked.append(self._clock.now_ns())
            time_ns = self._asked[0]  # with several questions open it may be the first that is answered
            if doubtful and since_ns is None:
                time_ns -= int(self.patience.reply_s * NS_PER_S)
            elif shared and since_ns is not None:
                time_ns = since_ns
            try:
                at_ns = self._clock.deadline(try_s).at_ns
                while not (line := self._noted_line(at_ns)).startswith("<"):
                    continue
                report = parse_report(line)
            except BadReply as error:
                damaged = error
                continue
            except NoReply:
                continue
            return Dated(report, time_ns, self._clock.now_ns())
        if damaged is not None:
            raise damaged
        raise NoReply(
            f"{self.device} at {self.url} did not answer a status query for {self.patience.reply_s * 1000:.0f} ms; "
            "it may be locked after a hard alarm, or without power; check it before moving again",
            port=self.url,
            command="?",
        )

    def _barrier(self, patience_s: float) -> int | None:
        """Send an empty line and wait for its ``ok``: when it was sent, or None when it was not answered.

        What comes after the ``ok`` was read after the line was sent, and earlier questions are answered or lost.
        """
        if self._clock.now_ns() < self._unread_until_ns:
            return None
        self._unread_until_ns = self._clock.now_ns() + int(UNREAD_S * NS_PER_S)
        if self._acks_due_n:
            self.collect_acks(patience_s)
            if self._acks_due_n:
                return None
        self.link.write(b"\n")
        sent_ns = self._clock.now_ns()
        at_ns = self._clock.deadline(patience_s).at_ns
        try:
            while (line := self._noted_line(at_ns)) != "ok":
                if line.startswith("<"):
                    self._tell(line)
        except (NoReply, BadReply):
            self._acks_due_n += 1
            return None
        self._asked.clear()
        self._unread_until_ns = -1
        return sent_ns

    # --- commands -----------------------------------------------------------------------------------------

    def command(self, text: str, patience_s: float = 0.0, on_line: Callable[[str], None] | None = None) -> str:
        """Send one line once and wait for its acknowledgement, ``patience_s`` when that is longer than a usual reply.

        Returns ``ok`` or ``error:N``; lines that are no reports go to ``on_line``.
        """
        self.take_arrived()
        if self._acks_due_n:
            self.collect_acks()
        self.link.write(text.encode("ascii") + b"\n")
        at_ns = self._clock.deadline(max(patience_s, self.patience.reply_s)).at_ns
        try:
            while True:
                line = self._noted_line(at_ns)
                if _ACKNOWLEDGE.fullmatch(line):
                    return line
                if line.startswith("<"):
                    self._tell(line)
                elif on_line is not None:
                    on_line(line)
        except (NoReply, BadReply):
            self._acks_due_n += 1
            raise

    def collect_acks(self, patience_s: float | None = None) -> None:
        """Ask with an empty line and take every ``ok`` that is still on the way, so that none is mistaken later."""
        self.link.write(b"\n")
        at_ns = self._clock.deadline(self.patience.reply_s if patience_s is None else patience_s).at_ns
        last = self._clock.deadline(self.patience.lost_reply_s)
        while not last.expired:
            try:
                line = self._noted_line(at_ns)
            except NoReply:
                return
            if line.startswith("<"):
                self._tell(line)
            elif _ACKNOWLEDGE.fullmatch(line):
                self._acks_due_n = 0
            at_ns = self._clock.deadline(0.05).at_ns

    def clear_error(self) -> None:
        """An empty line: grblHAL repeats an error for every later line until it sees one."""
        try:
            self.command("")
        except NoReply:
            pass  # the refusal is what counts; the next command meets the silence again

    def reset(self) -> None:
        """Soft reset, and wait for the welcome line; raises ``NoReply`` when none comes."""
        self._restart_awaited, self._welcomed = True, False
        try:
            self.link.write(b"\x18")
            at_ns = self._clock.deadline(self.patience.start_s).at_ns
            while not self._welcomed:
                self._noted_line(at_ns)
        finally:
            self._restart_awaited = False
