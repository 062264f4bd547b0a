"""Motion controllers that run Grbl 1.1 or grblHAL: the part that probe holder and needle carrier share.

Grbl has no host watchdog: what was accepted runs on. So every move is one short absolute jog, never sent
twice; a lost acknowledgement is resolved by asking where the axes are. Stop is jog cancel (0x85), then feed
hold (``!``), then reading back: ``!`` alone does not stop a jog on grblHAL. A hold is left by a soft reset,
never by ``~``, which would carry out what was held. Positions are work coordinates (what ``G90`` jogs use).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from hal.clock import NS_PER_S, Clock
from hal.drivers.motion_errors import ALARMS, ERRORS
from hal.drivers.motion_status import Report, parse_report
from hal.errors import BadReply, DeviceAlarm, DeviceError, LinkError, NoReply
from hal.links.serial import SerialLink, open_serial
from hal.types import MotionMode

QUERY_TRIES = 3
"""A damaged or lost report is asked for again within the same time."""
OVERDUE_LINES_MAX_N = 100
"""Lines that are still taken after a deadline, for they may have arrived in time while this computer was busy: more
than a report and what lies before it; a line that babbles has no end."""
SETTLED = 0.002
"""Two positions in a row that differ by no more (mm, degrees) count as standing still: two counts of the report."""

RESTARTED = "the controller restarted by itself: position not to be trusted"

JOG_CANCEL, HOLD, RESET = b"\x85", b"!", b"\x18"
_ACKNOWLEDGE = re.compile(r"ok|error:\d+")


@dataclass(frozen=True)
class Patience:
    """How long the controller may take, seconds."""

    reply_s: float = 0.25
    """No answer for so long is a fault; the firmwares answer ``?`` within 5 to 20 ms."""
    start_s: float = 4.0
    """Boards that restart when the port opens need about two seconds until the welcome line."""
    lost_reply_s: float = 1.0
    """Longest time for which late acknowledgements are collected after one was lost."""


USUAL = Patience()


@dataclass(frozen=True)
class MotionStatus:
    """Where the axes are, work coordinates in the controller's order."""

    time_ns: int
    """When the question was sent: the axes are read up to some ms later, never earlier, and no age is flattered."""
    mode: MotionMode
    state: str
    position: tuple[float, ...]
    estop: bool
    alarm: str
    moving: bool


@dataclass(frozen=True)
class Firmware:
    """What the controller said about itself."""

    name: str
    version: str
    simulated: bool
    settings: dict[int, float]


class GrblController:
    """One controller on one line. ``device`` names it in errors, ``axes`` are its letters in its own order."""

    def __init__(
        self, url: str, baudrate: int, axes: str, clock: Clock, device: str, patience: Patience = USUAL
    ) -> None:
        self.url = url
        self.device = device
        self.axes = axes
        self._baudrate = baudrate
        self._patience = patience
        self._clock = clock
        self._link: SerialLink | None = None
        self._offset: tuple[float, ...] | None = None
        self._alarm = ""
        self._restarted = False
        self._stale = False
        self._overdue_n = 0
        """Lines in a row that were read after their deadline."""

    # --- opening ------------------------------------------------------------------------------------------

    def open(self) -> Firmware:
        """Connect and identify without moving anything; raises ``DeviceError`` for the wrong number of axes.

        A motion that is still running (of a host that went away) is stopped first.
        """
        self.close()
        self._link = open_serial(self.url, self._baudrate, self._clock, timeout_s=self._patience.reply_s)
        status = self._first_status()
        if status.moving:
            self.stop()
            status = self.status()
        if status.mode is MotionMode.HOLD and not status.estop:
            self.leave_hold()
        lines = self._ask("$I")
        settings = _settings(self._ask("$$"))
        name = "grblHAL" if any("grblHAL" in line for line in lines) else "Grbl"
        version = next((line[5:-1].split(":")[0] for line in lines if line.startswith("[VER:")), "")
        self._check_axes(lines)
        return Firmware(name, version, self._line().simulated or any("rigsim" in line for line in lines), settings)

    def _first_status(self) -> MotionStatus:
        """Ask until the controller answers and has told its work offset (every 30 reports at the latest)."""
        deadline = self._clock.deadline(self._patience.start_s)
        for _ in range(40):
            try:
                status = self._query(offset_needed=False)
            except NoReply:
                if deadline.expired:
                    raise
                continue
            if self._offset is not None and len(self._offset) == len(status.position):
                self._restarted = False  # a board that restarts when the port opens says so before its first report
                return self._query(offset_needed=True)
        raise BadReply(f"{self.device} at {self.url} never reports its work offset (WCO)", port=self.url, command="?")

    def _check_axes(self, lines: list[str]) -> None:
        found = len(self._offset or ())
        letters = next((line[1:-1].split(":")[2] for line in lines if line.startswith("[AXS:")), self.axes)
        if found != len(self.axes) or letters != self.axes:
            raise DeviceError(
                f"{self.device} at {self.url} should have {len(self.axes)} axes ({self.axes}) but has {found}"
                f"{f' ({letters})' if letters != self.axes else ''}; is the right controller on this port?",
                device=self.device,
                code="axes",
            )

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        self._offset, self._alarm, self._restarted = None, "", False

    def _line(self) -> SerialLink:
        if self._link is None:
            raise LinkError(f"{self.device} at {self.url} is not open", port=self.url)
        return self._link

    # --- reading ------------------------------------------------------------------------------------------

    def status(self) -> MotionStatus:
        """One report; raises ``NoReply`` after ``reply_s`` of silence.

        A controller that restarted by itself reads as an alarm until it was homed or unlocked: it counts its
        position from wherever it woke up.
        """
        return self._query(offset_needed=True)

    def _query(self, offset_needed: bool) -> MotionStatus:
        link = self._line()
        damaged: BadReply | None = None
        if self._stale:
            self._stale = False
            link.drain()
        for _ in range(QUERY_TRIES):
            link.write(b"?")
            asked_ns = self._clock.now_ns()
            deadline = self._clock.deadline(self._patience.reply_s / QUERY_TRIES)
            try:
                while True:
                    line = self._read_line(deadline.at_ns)
                    if line.startswith("<"):
                        report = parse_report(line)
                        break
            except BadReply as error:
                damaged, self._stale = error, True
                continue
            except NoReply:
                self._stale = True
                continue
            if report.work_offset is not None:
                self._offset = report.work_offset
            if offset_needed and len(report.position) != len(self._offset or ()):
                damaged = BadReply(f"{self.device} reports {len(report.position)} axes", port=self.url, command="?")
                continue
            return self._understood(report, asked_ns)
        if damaged is not None:
            raise damaged
        raise NoReply(
            f"{self.device} at {self.url} did not answer a status query for {self._patience.reply_s * 1000:.0f} ms; "
            "it may be locked after a hard alarm, or without power; check it before moving again",
            port=self.url,
            command="?",
        )

    def _understood(self, report: Report, time_ns: int) -> MotionStatus:
        position = report.position
        if report.machine and self._offset is not None:
            position = tuple(round(p - o, 3) for p, o in zip(position, self._offset, strict=True))
        if report.mode is not MotionMode.ALARM:
            self._alarm = ""
        moving = report.mode is MotionMode.MOVING or report.decelerating
        if self._restarted and not moving:
            return MotionStatus(time_ns, MotionMode.ALARM, report.state, position, report.estop, RESTARTED, False)
        alarm = (self._alarm or report.state) if report.mode is MotionMode.ALARM else ""
        return MotionStatus(time_ns, report.mode, report.state, position, report.estop, alarm, moving)

    def _read_line(self, at_ns: int) -> str:
        """Next line that is not empty; alarms and restarts are noted on the way.

        Raises ``NoReply`` at ``at_ns``, also when lines keep coming that nobody asked for.
        """
        while True:
            deadline = self._clock.deadline(max(0.0, (at_ns - self._clock.now_ns()) / NS_PER_S))
            self._overdue_n = self._overdue_n + 1 if deadline.expired else 0
            if self._overdue_n > OVERDUE_LINES_MAX_N:
                self._overdue_n = 0
                self._line().drain()
                raise NoReply(f"{self.device} at {self.url} sends lines without an end and no reply", port=self.url)
            raw = self._line().read_until(b"\n", deadline)
            line = raw.decode("ascii", "replace").strip()
            if not line:
                continue
            if line.startswith("ALARM:"):
                code = line[6:]
                known = ALARMS.get(int(code), "") if code.isdigit() else ""
                self._alarm = f"{line} {known}".strip()
            elif line.startswith(("Grbl ", "GrblHAL ")):
                self._restarted = True
            return line

    # --- commands -----------------------------------------------------------------------------------------

    def _command(self, text: str, patience_s: float = 0.0, on_line: Callable[[str], None] | None = None) -> None:
        """Send one line once and wait for its acknowledgement, ``patience_s`` when that is longer than a usual reply;
        raises ``DeviceError`` for ``error:N``.
        """
        self._line().write(text.encode("ascii") + b"\n")
        at_ns = self._clock.deadline(max(patience_s, self._patience.reply_s)).at_ns
        while True:
            line = self._read_line(at_ns)
            if _ACKNOWLEDGE.fullmatch(line):
                break
            if on_line is not None:
                on_line(line)
        if line == "ok":
            return
        code = int(line[6:])
        self._clear_error()
        raise DeviceError(
            f"{self.device} refused {text!r}: {line} ({ERRORS.get(code, 'see $EE of the firmware')})",
            device=self.device,
            code=line,
        )

    def _clear_error(self) -> None:
        """An empty line: grblHAL repeats an error for every later line until it sees one."""
        self._line().write(b"\n")
        at_ns = self._clock.deadline(self._patience.reply_s).at_ns
        try:
            while self._read_line(at_ns) != "ok":
                continue
        except NoReply:
            self._stale = True  # the refusal is what counts; the next command meets the silence again

    def _ask(self, command: str) -> list[str]:
        lines: list[str] = []
        self._command(command, 2.0, lines.append)
        return lines

    def jog(self, target: dict[str, float], feed_per_min: float) -> None:
        """One absolute jog, work coordinates, mm and degrees; the caller has checked limits and length.

        Sent once. When its acknowledgement is lost, status decides whether it was taken; raises ``NoReply``
        when it was not (or that cannot be told) and ``DeviceError`` when it was refused.
        """
        words = " ".join(f"{letter}{value:.3f}" for letter, value in target.items())
        line = f"$J=G90 G21 {words} F{feed_per_min:.1f}"
        before = self.status().position if self._stale else None
        try:
            self._command(line)
        except (NoReply, BadReply) as lost:
            if not self._taken(target, before):
                raise NoReply(
                    f"{self.device} at {self.url} did not acknowledge {line!r} and does not carry it out; "
                    "it was not sent again; check the cable",
                    port=self.url,
                    command=line,
                ) from lost

    def _taken(self, target: dict[str, float], before: tuple[float, ...] | None) -> bool:
        """After a lost acknowledgement: wait until the axes rest and compare with the target."""
        self._clear_lost_reply()
        rest = self._await_rest(2.0, before)
        goal = dict(zip(self.axes, rest.position, strict=True))
        return all(abs(goal[letter] - value) <= SETTLED for letter, value in target.items())

    def _clear_lost_reply(self) -> None:
        """Ask with an empty line and take every ``ok`` that is still on the way, so that none is mistaken later."""
        self._line().write(b"\n")
        at_ns = self._clock.deadline(self._patience.reply_s).at_ns
        last = self._clock.deadline(self._patience.lost_reply_s)
        while not last.expired:
            try:
                self._read_line(at_ns)
                at_ns = self._clock.deadline(0.05).at_ns
            except NoReply:
                return

    def _await_rest(self, patience_s: float, last: tuple[float, ...] | None = None) -> MotionStatus:
        """Status once two positions in a row agree and the state says so; raises ``DeviceError`` at the deadline."""
        deadline = self._clock.deadline(patience_s)
        while True:
            status = self.status()
            still = last is not None and max(abs(a - b) for a, b in zip(status.position, last, strict=True)) <= SETTLED
            if still and not status.moving:
                return status
            if deadline.expired:
                raise DeviceError(
                    f"{self.device} still moves {patience_s:g} s after it was told to stop (state {status.state}, "
                    f"position {status.position}); cut its power",
                    device=self.device,
                    code="moving",
                )
            last = status.position
            self._clock.sleep(0.002)

    def stop(self, patience_s: float = 1.0) -> MotionStatus:
        """Jog cancel, hold, and read back that nothing moves.

        When it still moves after ``patience_s``, or does not answer, a soft reset stops the steps (the position is
        lost then) and ``DeviceError`` or ``NoReply`` is raised.
        """
        link = self._line()
        link.write(JOG_CANCEL)
        link.write(HOLD)
        try:
            return self._await_rest(patience_s)
        except (DeviceError, NoReply, BadReply):
            link.write(RESET)
            raise

    def leave_hold(self) -> MotionStatus:
        """Soft reset out of Hold or Door at rest: what was held is dropped, the position is kept and compared."""
        before = self._await_rest(1.0)
        if before.mode is not MotionMode.HOLD:
            return before
        after = self._reset()
        moved = max(abs(a - b) for a, b in zip(after.position, before.position, strict=True))
        if after.mode is not MotionMode.IDLE or moved > SETTLED:
            raise DeviceAlarm(
                f"{self.device} did not come out of hold: state {after.state} {after.alarm}, "
                f"position changed by {moved:.3f}; check door and emergency stop, then home it",
                device=self.device,
                code=after.alarm,
            )
        return after

    def _reset(self) -> MotionStatus:
        self._line().write(RESET)
        at_ns = self._clock.deadline(self._patience.start_s).at_ns
        while not self._restarted:
            self._read_line(at_ns)
        return self._first_status()

    def unlock(self) -> MotionStatus:
        """Acknowledge an alarm (reset and ``$X``): a person has seen to its cause. The position may be wrong."""
        self._reset()
        self._command("$X")
        return self.status()

    def home(self, patience_s: float = 120.0) -> MotionStatus:
        """Run the homing cycle. It moves every axis to its switch: never with a needle in the phantom."""
        if self.status().mode is MotionMode.HOLD:
            self.leave_hold()
        self._command("$H", patience_s)
        self._restarted = False
        return self.status()


def _settings(lines: list[str]) -> dict[int, float]:
    found: dict[int, float] = {}
    for line in lines:
        match = re.match(r"\$(\d+)=(-?[\d.]+)", line)
        if match:
            found[int(match[1])] = float(match[2])
    return found
