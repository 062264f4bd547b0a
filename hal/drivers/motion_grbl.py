"""Motion controllers that run Grbl 1.1 or grblHAL: the part that probe holder and needle carrier share.

Grbl has no host watchdog: what was accepted runs on. So every move is one short absolute jog, never sent
twice; a lost acknowledgement is resolved by asking where the axes are. Stop is jog cancel (0x85), then feed
hold (``!``), then reading back: ``!`` alone does not stop a jog on grblHAL. A hold is left by a soft reset,
never by ``~``, which would carry out what was held. Positions are work coordinates (what ``G90`` jogs use) as
they were when the controller was opened: an offset that changes afterwards is a stop, not another position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from hal.clock import Clock
from hal.drivers.motion_belief import COUNT, UNKNOWN_RATE_PER_S, Belief, Reach, Sighting
from hal.drivers.motion_errors import ERRORS
from hal.drivers.motion_line import RESTARTED, USUAL, GrblLine, Patience
from hal.drivers.motion_setup import (
    OFFSET_TOLERANCE,
    Setup,
    read_modes,
    read_places,
    read_settings,
    read_startup,
    without_messages,
)
from hal.drivers.motion_status import Report
from hal.errors import BadReply, DeviceAlarm, DeviceError, NoReply
from hal.types import MotionMode

__all__ = ["RESTARTED", "USUAL", "Firmware", "GrblController", "MotionStatus", "Patience"]

SETTLED = 0.002
"""Two positions in a row that differ by no more (mm, degrees) count as standing still: two counts of the report."""
OFFSET_SETTLED = 0.0015
"""Two reports of one offset differ by no more than their rounding."""
CONFIRMING_N = 4
"""Reports that are asked for until two agree."""
OFFSET_REPORTS_N = 40
"""Reports until the work offset is repeated: every 30 at the latest."""
OFFSET_S = 1.5
"""Longest time for that; a firmware that takes 20 ms for a report needs 0.6 s."""
ANSWERS_N = 4
"""Times that a listing is asked for until two answers in a row are equal: it has no checksum."""
LISTING_S = 2.0
"""Patience with a listing."""
UNASKED_MAX_N = 1
"""Reports that nobody asked for while opening: one may be left over, two mean that somebody sends them."""

JOG_CANCEL, HOLD, RESET = b"\x85", b"!", b"\x18"
T = TypeVar("T")


@dataclass(frozen=True)
class MotionStatus:
    """Positions of the axes, work coordinates in the controller's order."""

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
    """Identity that the controller reported."""

    name: str
    version: str
    simulated: bool
    setup: Setup
    work_offset: tuple[float, ...]
    """Machine position of the work zero, in the controller's order."""
    problems: tuple[str, ...] = ()
    """Settings of its last user, or habits of its own, with which a rig cannot work."""

    @property
    def settings(self) -> dict[int, float]:
        """``$$`` by number."""
        return self.setup.settings


class GrblController:
    """One controller on one line. ``device`` names it in errors, ``axes`` are its letters in its own order."""

    def __init__(
        self, url: str, baudrate: int, axes: str, clock: Clock, device: str, patience: Patience = USUAL
    ) -> None:
        self.url = url
        self.device = device
        self.axes = axes
        self._patience = patience
        self._clock = clock
        self._line = GrblLine(url, baudrate, clock, device, patience)
        self._belief = Belief()
        self._frame: tuple[float, ...] | None = None
        """Work offset as it was opened with: positions are reported in this frame."""
        self._offset: tuple[float, ...] | None = None
        """Work offset as last confirmed: what the controller itself counts with."""
        self._setup: Setup | None = None
        self._changed = ""

    # --- opening ------------------------------------------------------------------------------------------

    def open(self) -> Firmware:
        """Connect and identify without moving anything; raises ``DeviceError`` for the wrong number of axes.

        A motion that is still running (of a host that went away) is stopped first. Modes of an earlier user that a
        reset would forget are set back; what else it left is reported (``Firmware.problems``).
        """
        self.close()
        self._line.open()
        status = self._first_status()
        if status.moving:
            self.stop()
            status = self.status()
        if status.mode is MotionMode.HOLD and not status.estop:
            status = self.leave_hold()
        if status.mode is MotionMode.HOLD:
            raise DeviceAlarm(
                f"{self.device} at {self.url}: an emergency stop or door input is active (state {status.state}); "
                "release it and open the rig again",
                device=self.device,
                code="estop",
            )
        identity = self._listing("$I", without_messages)
        self._check_axes(identity)
        setup = self._read_setup(identity)
        if status.mode is MotionMode.IDLE and setup.to_establish():
            self._command(" ".join(dict.fromkeys(setup.to_establish())))
            setup = self._read_setup(identity)
        self._setup = setup
        self._belief.reach = _reach(setup, len(self.axes))
        grblhal = any("grblHAL" in line for line in identity)
        problems = [*setup.inherited(self.axes), *setup.reports(grblhal), *self._frame_problems(setup)]
        if self._line.unasked_n > UNASKED_MAX_N:
            problems.append(
                f"{self._line.unasked_n} reports came that were not asked for (close the other program on this line, "
                "or switch automatic reports off)"
            )
        return Firmware(
            "grblHAL" if grblhal else "Grbl",
            next((line[5:-1].split(":")[0] for line in identity if line.startswith("[VER:")), ""),
            self._line.link.simulated or any("rigsim" in line for line in identity),
            setup,
            self._frame or (),
            tuple(problems),
        )

    def _first_status(self) -> MotionStatus:
        """Ask until the controller answers and has reported its work offset (every 30 reports at the latest)."""
        deadline = self._clock.deadline(self._patience.start_s)
        for _ in range(OFFSET_REPORTS_N):
            try:
                report = self._line.ask_report().report
            except NoReply:
                if deadline.expired:
                    raise
                continue
            if report.work_offset is not None:
                self._frame = self._offset = report.work_offset
                self._line.forgive_restart()  # of a board that restarts when the port opens
                return self.status()
        raise BadReply(f"{self.device} at {self.url} never reports its work offset (WCO)", port=self.url, command="?")

    def _frame_problems(self, setup: Setup) -> list[str]:
        """Compare the reports' work offset with the sum of ``$#``: two sources, neither with a checksum."""
        wanted = setup.work_offset(self.axes)
        if self._frame is not None and not _alike(self._frame, wanted, OFFSET_TOLERANCE):
            self._first_status()  # the first one may have been damaged
        if self._frame is None or _alike(self._frame, wanted, OFFSET_TOLERANCE):
            return []
        return [f"its reports give the work offset {_places(self._frame)}, its memory ($#) {_places(wanted)}"]

    def _check_axes(self, lines: list[str]) -> None:
        found = len(self._frame or ())
        letters = next((line[1:-1].split(":")[2] for line in lines if line.startswith("[AXS:")), self.axes)
        if found != len(self.axes) or letters != self.axes:
            raise DeviceError(
                f"{self.device} at {self.url} should have {len(self.axes)} axes ({self.axes}) but has {found}"
                f"{f' ({letters})' if letters != self.axes else ''}; is the right controller on this port?",
                device=self.device,
                code="axes",
            )

    def _read_setup(self, identity: list[str], known: Setup | None = None) -> Setup:
        """Read the controller's memory: each listing until two answers agree, or one agrees with what is ``known``."""
        was = None if known is None else (known.places, known.homed_axes)
        places, homed = self._listing("$#", lambda lines: read_places(lines, self.axes), was)
        return Setup(
            self._listing("$$", read_settings, None if known is None else known.settings),
            self._listing("$G", read_modes, None if known is None else known.modes),
            places,
            homed,
            self._listing("$N", read_startup, None if known is None else known.startup),
            any("Z" in line[5:].split(",")[0] for line in identity if line.startswith("[OPT:")),
        )

    def _listing(self, command: str, read: Callable[[list[str]], T], known: T | None = None) -> T:
        """Read a listing, which has no checksum: two equal answers in a row are accepted. Raises ``BadReply``."""
        last = known
        problem: BadReply | None = None
        for _ in range(ANSWERS_N):
            lines: list[str] = []
            self._command(command, LISTING_S, lines.append)
            try:
                found = read(without_messages(lines))
            except BadReply as error:
                problem = error
                continue
            if found == last:
                return found
            last = found
        raise problem or BadReply(
            f"{self.device} at {self.url} answers {command} differently each time", port=self.url, command=command
        )

    def close(self) -> None:
        self._line.close()
        self._belief = Belief()
        self._frame = self._offset = self._setup = None
        self._changed = ""

    # --- reading ------------------------------------------------------------------------------------------

    def status(self) -> MotionStatus:
        """Where the axes are and since when that is certain; raises ``NoReply`` after ``reply_s`` of silence and
        ``BadReply`` when no two reports agree.

        A controller that restarted by itself reads as an alarm until it was homed or unlocked: it counts its
        position from wherever it woke up. One whose work offset or modes were changed reads as an alarm until it is
        opened anew: its positions no longer mean what the calibration knew.
        """
        seen = self._believed()
        self._hear_news(seen.report)
        if self._line.spoken_to and seen.report.mode is MotionMode.IDLE:
            self._compare_setup()
        report, frame = seen.report, self._frame or ()
        position = _in_frame(seen.machine, frame)
        cause = "; ".join(text for text in (self._line.alarm, self._changed) if text)
        mode = MotionMode.ALARM if cause and not report.moving else report.mode
        alarm = cause or (report.state if mode is MotionMode.ALARM else "")
        return MotionStatus(seen.time_ns, mode, report.state, position, report.estop, alarm, report.moving)

    def _sight(self) -> Sighting:
        """One report with the right number of axes."""
        for _ in range(CONFIRMING_N):
            dated = self._line.ask_report()
            report, offset = dated.report, dated.report.work_offset or self._offset or ()
            if len(report.position) == len(self._frame or ()) == len(offset):
                machine = report.position
                if not report.machine:
                    machine = tuple(p + o for p, o in zip(machine, offset, strict=True))
                return Sighting(report, machine, dated.time_ns, dated.arrived_ns)
        raise BadReply(f"{self.device} reports {len(report.position)} axes", port=self.url, command="?")

    def _believed(self) -> Sighting:
        """The newest report, when it fits the one before and what was asked of the axes; else the first one that the
        next confirms.
        """
        seen = self._sight()
        doubt = self._belief.doubt(seen)
        for _ in range(CONFIRMING_N):
            if not doubt:
                self._belief.believe(seen)
                return seen
            again = self._sight()
            doubt = "" if self._belief.agree(seen, again) else self._belief.doubt(again)
            seen = again
        raise BadReply(
            f"{self.device} at {self.url} reports positions that no other report confirms ({doubt}); the last was "
            f"{_places(seen.machine)} in machine coordinates; check the cable and its shield",
            port=self.url,
            command="?",
        )

    def _hear_news(self, newest: Report) -> None:
        """Handle what reports announce once: another offset is accepted when a second report confirms it."""
        if not (self._line.announced or newest.news or newest.work_offset):
            return
        reports = [*self._line.announced, newest]
        self._line.announced.clear()
        for report in reports:
            if report.news and not self._changed:
                self._changed = f"{report.news} (by another user): open the rig again when that was undone"
        doubted = [r.work_offset for r in reports if r.work_offset is not None and not self._is_offset(r.work_offset)]
        if doubted:
            self._confirm_offset(doubted[-1])

    def _is_offset(self, offset: tuple[float, ...]) -> bool:
        return self._offset is not None and _alike(offset, self._offset, OFFSET_SETTLED)

    def _confirm_offset(self, reported: tuple[float, ...]) -> None:
        deadline = self._clock.deadline(OFFSET_S)
        for _ in range(OFFSET_REPORTS_N):
            if deadline.expired:
                break
            again = self._line.ask_report().report.work_offset
            if again is None:
                continue
            if self._is_offset(again):
                return
            if _alike(again, reported, OFFSET_SETTLED):
                before, self._offset = self._offset or (), again
                self._changed = self._changed or (
                    f"the work offset was {_places(before)} and became {_places(again)} (by another user): positions "
                    "no longer mean what the calibration knew; set it back, or calibrate, and open the rig again"
                )
                return
            reported = again
        raise BadReply(
            f"{self.device} at {self.url} reported a new work offset {_places(reported)} that no other report confirms",
            port=self.url,
            command="?",
        )

    def _compare_setup(self) -> None:
        """Compare the setup with that at opening, after somebody else got an answer on this line."""
        if self._setup is None:
            return
        try:
            differences = self._setup.differences(self._read_setup([], self._setup))
        except (NoReply, BadReply, DeviceError):
            return  # asked again with the next status
        self._line.spoken_to = False
        if differences and not self._changed:
            self._changed = f"another user changed it: {'; '.join(differences)}; set it back and open the rig again"

    # --- commands -----------------------------------------------------------------------------------------

    def _command(self, text: str, patience_s: float = 0.0, on_line: Callable[[str], None] | None = None) -> None:
        """Send one line once and wait for its acknowledgement; raises ``DeviceError`` for ``error:N``."""
        answer = self._line.command(text, patience_s, on_line)
        if answer == "ok":
            return
        code = int(answer[6:])
        self._line.clear_error()
        raise DeviceError(
            f"{self.device} refused {text!r}: {answer} ({ERRORS.get(code, 'see $EE of the firmware')})",
            device=self.device,
            code=answer,
        )

    def jog(self, target: dict[str, float], feed_per_min: float) -> None:
        """One absolute jog, work coordinates, mm and degrees; the caller has checked limits and length.

        Sent once. When its acknowledgement is lost, status decides whether it was taken; raises ``NoReply``
        when it was not (or that is unknown) and ``DeviceError`` when it was refused.
        """
        words = " ".join(f"{letter}{value:.3f}" for letter, value in target.items())
        line = f"$J=G90 G21 {words} F{feed_per_min:.1f}"
        before = self.status().position if self._line.unsettled else None
        frame = self._frame or ()
        self._belief.expect({self.axes.index(c): value + frame[self.axes.index(c)] for c, value in target.items()})
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
        self._line.collect_acks()
        rest = self._await_rest(2.0, before)
        return all(
            abs(rest.position[index] - target[letter]) <= self._settled(index)
            for index, letter in enumerate(self.axes)
            if letter in target
        )

    def _settled(self, index: int) -> float:
        """Distance from its target within which an axis settles: two counts of the report, or its step where
        coarser."""
        reach = self._belief.reach
        return SETTLED if reach is None else max(SETTLED, reach.tolerance(index))

    def _await_rest(self, patience_s: float, last: tuple[float, ...] | None = None) -> MotionStatus:
        """Status once two positions in a row agree and the state confirms it; raises ``DeviceError`` at the
        deadline."""
        deadline = self._clock.deadline(patience_s)
        while True:
            status = self.status()
            still = last is not None and max(abs(a - b) for a, b in zip(status.position, last, strict=True)) <= SETTLED
            if still and not status.moving:
                return status
            if deadline.expired:
                raise DeviceError(
                    f"{self.device} still moves {patience_s:g} s after its stop command (state {status.state}, "
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
        link = self._line.link
        link.write(JOG_CANCEL)
        link.write(HOLD)
        try:
            return self._await_rest(patience_s)
        except (DeviceError, NoReply, BadReply):
            link.write(RESET)
            raise

    def leave_hold(self) -> MotionStatus:
        """Soft reset out of Hold or Door at rest: the held motion is dropped, the position is kept and compared."""
        before = self._await_rest(1.0)
        if before.mode is not MotionMode.HOLD:
            return before
        self._line.reset()
        after = self.status()
        moved = max(abs(a - b) for a, b in zip(after.position, before.position, strict=True))
        if after.mode is not MotionMode.IDLE or moved > SETTLED:
            raise DeviceAlarm(
                f"{self.device} did not come out of hold: state {after.state} {after.alarm}, "
                f"position changed by {moved:.3f}; check door and emergency stop, then home it",
                device=self.device,
                code=after.alarm,
            )
        return after

    def unlock(self) -> MotionStatus:
        """Acknowledge an alarm (reset and ``$X``) whose cause a person has removed. The position may be wrong."""
        self._line.reset()
        self._command("$X")
        self._line.forgive()
        return self.status()

    def home(self, patience_s: float = 120.0) -> MotionStatus:
        """Run the homing cycle. It moves every axis to its switch: never with a needle in the phantom."""
        if self.status().mode is MotionMode.HOLD:
            self.leave_hold()
        self._command("$H", patience_s)
        self._line.forgive()
        self._belief.forget()
        return self.status()


def _reach(setup: Setup, count: int) -> Reach:
    """Capabilities from steps per unit ($100...) and largest rates per minute ($110...)."""
    steps = tuple(setup.settings.get(100 + index, 0.0) for index in range(count))
    return Reach(
        tuple(1.0 / value if value > 0.0 else COUNT for value in steps),
        tuple(setup.settings.get(110 + index, 60.0 * UNKNOWN_RATE_PER_S) / 60.0 for index in range(count)),
    )


@lru_cache(maxsize=64)
def _in_frame(machine: tuple[float, ...], frame: tuple[float, ...]) -> tuple[float, ...]:
    """Work coordinates, in counts of the report; cached, because axes at rest are asked a thousand times."""
    return tuple(round(p - o, 3) for p, o in zip(machine, frame, strict=True))


def _alike(a: tuple[float, ...], b: tuple[float, ...], tolerance: float) -> bool:
    return len(a) == len(b) and all(abs(x - y) <= tolerance for x, y in zip(a, b, strict=True))


def _places(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in values) + ")"
