"""New Era NE-1000 family syringe pumps (also WPI Aladdin, Landgraf LA) in Basic and Safe mode.

Source: NE-1000 series user manual, RS-232 chapter. The program in the pump has two phases, a fixed volume and a stop,
so that it ends by itself whatever happens to the line. In Safe mode the pump also stops when it hears nothing for
``safe_mode_s``; reading its state is the heartbeat.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from hal.clock import Clock, Deadline
from hal.drivers.pump_count import MOVING, Count, Dispensed
from hal.drivers.pump_new_era_frame import ALARMS, ERRORS, Reply, number, resolution
from hal.drivers.pump_new_era_line import PumpLine
from hal.errors import BadReply, DeviceAlarm, DeviceError, LimitViolation, LinkError, NoReply, RigError
from hal.links.serial import open_serial
from hal.types import Identity, PumpState, SafeReport

READ_ATTEMPTS = 3
STOP_S = 1.0
"""Patience of ``stop``: more than ten exchanges of 30 ms at 19200 baud."""
UL_PER_ML = 1000.0
FOUR_DIGITS_ML = 9.999
"""Above this a volume or rate no longer fits four digits in microlitres."""
_ML = {"UL": 1e-3, "ML": 1.0}
FASTEST_CM_MIN = 5.1005
"""Plunger speed of the NE-1000 (manual); the larger models are slower."""
KEPT_OFF = ("PF", "LOC")
"""Switches that are set to 0 where a pump has them [recalled from the manual]: a program that starts by itself when
the power comes back, and keys that do not stop the pump."""


class Settings(BaseModel):
    """Connection of the pump, and limits of what may be asked of it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    url: str
    baudrate: int = Field(default=19200, ge=300, le=4_000_000)
    address: int = Field(default=0, ge=0, le=99)
    diameter_mm: float = Field(ge=0.1, le=50.0)
    """Inner diameter of the syringe."""
    safe_mode_s: int = Field(default=1, ge=0, le=255)
    """Watchdog of the pump in Safe mode, in whole seconds. 1 is what a line of 0.5 uL/kPa can bear at 3 mL/min when
    nobody stops the pump. 0 = Basic mode without check sum and watchdog, which no rig file may request."""
    max_rate_ml_min: float = Field(default=15.0, gt=0, le=100)
    max_volume_ml: float = Field(default=5.0, gt=0, le=100)
    """Largest volume of one infusion."""
    timeout_s: float = Field(default=0.3, gt=0, le=5)


class Driver:
    """Implements ``hal.interfaces.Pump``. An alarm stays in the state until ``clear`` acknowledges it."""

    role = "pump"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._line: PumpLine | None = None
        self._count = Count(math.pi * (settings.diameter_mm / 20.0) ** 2 * FASTEST_CM_MIN)
        self._alarm = ""
        self._rate_ml_min = 0.0
        self._cancelled = False

    @property
    def watchdog_s(self) -> float | None:
        """Time that it pumps by itself without a command; None in Basic mode: to the end of its volume."""
        return float(self._settings.safe_mode_s) or None

    # -- life ---------------------------------------------------------------------------------------------------------

    def open(self) -> Identity:
        """Connect, identify by VER, acknowledge the power-up alarm, stop, set syringe and program, read them back.

        Whatever an earlier user left in the pump and an infusion relies on is set; see ``_verify``.
        """
        settings = self._settings
        link = open_serial(settings.url, settings.baudrate, self._clock, timeout_s=settings.timeout_s)
        self._line = PumpLine(link, self._clock, settings.address)
        try:
            model, firmware = self._identify(self._line)
            self._choose_mode(self._line, settings.safe_mode_s)
            self._stop(self._clock.deadline(STOP_S))
            self._program()
            self._clear()
            self._alarm = ""  # what happened before is acknowledged by opening
        except BaseException:
            link.close()
            self._line = None
            raise
        return Identity(role=self.role, driver="new_era_pump", model=model, firmware=firmware, simulated=link.simulated)

    def close(self) -> None:
        """Stop if running and leave Safe mode, so that no watchdog alarm sounds on a pump that nobody drives."""
        line = self._line
        if line is None:
            return
        # A pump that cannot be reached any more ends by its own program and watchdog.
        with contextlib.suppress(LinkError, DeviceError):
            if self._exchange("").status != "S" or self._exchange("").status != "S":
                self._stop(self._clock.deadline(STOP_S))
            if line.safe:
                self._exchange("SAF0")
        line.link.close()
        self._line = None

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Stop, proven by reading the status back."""
        try:
            self._stop(deadline)
        except RigError as error:
            return SafeReport(self.role, False, str(error))
        finally:
            self._cancelled = False
        return SafeReport(self.role, True, "stopped, read back")

    def interrupt(self) -> None:
        """Cancel an infusion whose RUN was not sent yet; from any thread, sends nothing.

        Setting volume and rate takes eight exchanges, and what stops the pump waits behind them in the lane. Holds
        until that stop (``stop``, ``make_safe``) or until the one infusion that it cancels.
        """
        self._cancelled = True

    def notices(self) -> dict[str, int]:
        """Bytes that were not accepted: an answer that came late, twice or damaged, or an unprompted alarm."""
        late_n = 0 if self._line is None else self._line.late_n
        return {"bytes on its line that nobody waited for": late_n} if late_n else {}

    # -- what a pump does ---------------------------------------------------------------------------------------------

    def read(self) -> PumpState:
        """State and dispensed volume; also serves as heartbeat of the watchdog."""
        seen = self._dispensed()
        self._check_direction(seen)
        running = seen.status in MOVING
        return PumpState(seen.asked_ns, running, seen.infused_ml, self._rate_ml_min if running else 0.0, self._alarm)

    def infuse(self, volume_ml: float, rate_ml_min: float) -> None:
        """Set volume and rate, read both back, and send RUN exactly once.

        A lost answer to RUN is resolved by asking. Raises ``LimitViolation`` before anything is sent, ``DeviceAlarm``
        or ``DeviceError`` when the pump refused, when ``interrupt`` came first, or when somebody has changed what was
        set at opening (code ``changed``; nothing infused in all of them), ``LinkError`` when what it did is not known.
        """
        self._check_limits(volume_ml, rate_ml_min)
        self._raise_alarm()
        before = self._dispensed()
        before_ml = before.infused_ml
        self._raise_alarm()
        self._check_direction(before)
        if before.status in MOVING:
            raise self._refused("RUN", "the pump is still running")
        if before.status != "S":  # paused: RUN would resume the old program
            self._stop(self._clock.deadline(STOP_S))
        self._look_once_more()
        self._verify()
        self._look_once_more()
        self._set_volume(volume_ml, before_ml)
        self._set_rate(rate_ml_min)
        self._rate_ml_min = rate_ml_min
        self._look_once_more()
        self._count.run(before_ml, volume_ml, rate_ml_min)
        try:
            reply = self._exchange("RUN")
        except (NoReply, BadReply) as lost:
            self._resolve_run(lost, before_ml, volume_ml)
            return
        if reply.error == "?COM":
            raise self._refused("RUN", "the command was damaged on the way and not executed")
        self._check("RUN", reply)
        if reply.status not in MOVING:
            self._resolve_run(None, before_ml, volume_ml)

    def stop(self) -> None:
        """Stop and prove it; raises ``DeviceError`` when the pump still runs after one second."""
        try:
            self._stop(self._clock.deadline(STOP_S))
        finally:
            self._cancelled = False

    def clear(self) -> None:
        """Set the dispensed total to zero and acknowledge a latched alarm; refused while running."""
        if self._dispensed().status in MOVING:
            raise self._refused("CLD", "the pump is running")
        self._clear()
        self._alarm = ""

    # -- steps --------------------------------------------------------------------------------------------------------

    def _look_once_more(self) -> None:
        """Check for a cancellation before the plunger moves: a stop waits behind this action in the lane."""
        if self._cancelled:
            self._cancelled = False
            raise self._refused("RUN", "the infusion was cancelled before it began; nothing was infused")

    def _identify(self, line: PumpLine) -> tuple[str, str]:
        """Model and firmware. A pump in either mode understands a Safe packet; plain text is tried as well."""
        last: LinkError | None = None
        for safe in (True, False, True, False):
            line.safe = safe
            try:
                reply = self._exchange("VER")
                if reply.alarm:  # the power-up alarm: acknowledged by this, the command was not executed
                    reply = self._exchange("VER")
            except (NoReply, BadReply) as error:
                # An answer says more than the silence after it.
                last = last if isinstance(error, NoReply) and last is not None else error
                continue
            match = reply.match("VER")
            if match and not reply.alarm:
                return match.group(1), match.group(2)
            last = BadReply(f"VER was answered with {reply.data!r}", port=self._settings.url)
        raw = last.raw if isinstance(last, BadReply) else b""
        raise LinkError(
            f"the device on {self._settings.url} does not answer like a New Era pump: "
            + (f"got {raw[:40]!r}" if raw else f"{last}")
            + f"; check port, pump address {self._settings.address} and {self._settings.baudrate} baud",
            port=self._settings.url,
            command="VER",
        ) from last

    def _choose_mode(self, line: PumpLine, watchdog_s: int) -> None:
        """Choose Basic or Safe mode, by a Safe packet, which both modes accept; sending it twice changes nothing."""
        for attempt in range(1, READ_ATTEMPTS + 1):
            line.safe = True
            try:
                reply = self._exchange(f"SAF{watchdog_s}")
            except (NoReply, BadReply):
                if attempt == READ_ATTEMPTS:
                    raise
                continue
            line.safe = watchdog_s > 0
            if not reply.alarm:
                self._check("SAF", reply)
                return
        raise self._refused("SAF", "the pump keeps reporting an alarm")

    def _program(self) -> None:
        """Write the program: phase 1 infuses a fixed volume, phase 2 stops."""
        settings = self._settings
        self._put("SAF", "", settings.safe_mode_s)
        for switch in KEPT_OFF:
            self._switch_off(switch)
        self._put("PHN", "2", 2)
        self._put("FUN", "STP", "STP")
        self._put("PHN", "1", 1)
        self._put("FUN", "RAT", "RAT")
        diameter = number("syringe diameter (mm)", settings.diameter_mm)
        self._put("DIA", diameter, float(diameter))
        self._put("DIR", "INF", "INF")

    def _verify(self) -> None:
        """Verify that the settings made at opening still hold; raises ``DeviceError`` (code ``changed``) otherwise."""
        self._same("SAF", self._settings.safe_mode_s)
        self._same("PHN", 1)
        self._same("FUN", "RAT")
        self._same("DIA", float(number("syringe diameter (mm)", self._settings.diameter_mm)))
        self._same("DIR", "INF")
        self._put("PHN", "2", 2)
        try:
            self._same("FUN", "STP")
        finally:
            self._put("PHN", "1", 1)

    def _switch_off(self, switch: str) -> None:
        reply = self._asked(switch)
        if reply.error != "?":  # it has the switch
            self._put(switch, "0", 0)

    def _set_volume(self, volume_ml: float, dispensed_ml: float) -> None:
        """Set the volume, in microlitres as long as volume and total fit four digits."""
        unit = "UL" if dispensed_ml + volume_ml <= FOUR_DIGITS_ML else "ML"
        text = number("volume", volume_ml * UL_PER_ML if unit == "UL" else volume_ml)
        self._attempt(f"VOL{unit}")
        self._attempt(f"VOL{text}")
        self._look_once_more()
        self._expect("VOL", f"{text} {unit}", _quantity(text, unit))
        self._look_once_more()

    def _set_rate(self, rate_ml_min: float) -> None:
        unit = "UM" if rate_ml_min <= FOUR_DIGITS_ML else "MM"
        text = number("rate", rate_ml_min * UL_PER_ML if unit == "UM" else rate_ml_min)
        self._attempt(f"RAT{text}{unit}")
        self._expect("RAT", f"{text} {unit}", _quantity(text, unit))

    def _resolve_run(self, lost: LinkError | None, before_ml: float, volume_ml: float) -> None:
        """Find out the effect of RUN without sending it again."""
        try:
            now = self._dispensed()
        except LinkError as error:
            raise LinkError(
                f"pump on {self._settings.url}: RUN was sent, its answer was lost and the pump has not answered since: "
                f"it may have infused up to {volume_ml:g} mL; check cable and pump display before going on",
                port=self._settings.url,
                command="RUN",
            ) from error
        self._raise_alarm()
        moved_ml = now.infused_ml - before_ml
        if now.status in MOVING or moved_ml >= 0.99 * volume_ml:
            return
        raise self._refused(
            "RUN", f"it is stopped and has infused {moved_ml:.4g} of {volume_ml:g} mL; the command was not repeated"
        ) from lost

    def _stop(self, deadline: Deadline) -> None:
        """STP pauses, a second STP ends the program; repeating it can do no harm."""
        seen = "nothing"
        self._count.stop()
        while True:
            try:
                reply = self._exchange("STP")
                if not reply.alarm and reply.status == "S" and self._exchange("").status == "S":
                    return
                seen = f"status {reply.status or 'A?' + reply.alarm}"
            except (NoReply, BadReply) as error:
                seen = str(error)
            if deadline.expired:
                raise self._refused("STP", f"no proof that it stopped: {seen}; cut the power of the pump")

    def _clear(self) -> None:
        self._attempt("CLDINF")
        self._attempt("CLDWDR")
        self._count.forget()
        now = self._dispensed()
        for what, left_ml in (("infused", now.infused_ml), ("withdrawn", now.withdrawn_ml)):
            if left_ml != 0.0:
                raise self._refused("CLD", f"the {what} volume still reads {left_ml:g} mL")

    def _dispensed(self) -> Dispensed:
        """Read the total; one that is impossible after the last one, or not expected, is read once more."""
        before: Dispensed | None = None
        for _ in range(2 * READ_ATTEMPTS):
            now = self._dispensed_once()
            if self._count.possible(now) or (before is not None and self._count.agree(before, now)):
                self._count.believe(now)
                return now
            before = now
        raise BadReply(
            f"pump on {self._settings.url}: no two answers to DIS agree; the last says {now.status} and"
            f" {now.infused_ml:g} mL; is the line disturbed?",
            port=self._settings.url,
            command="DIS",
        )

    def _dispensed_once(self) -> Dispensed:
        asked_ns = self._clock.now_ns()
        reply = self._ask("DIS")
        match = reply.match("DIS")
        assert match is not None  # what fits no shape is no reply
        infused, withdrawn, unit = match.groups()
        return Dispensed(
            reply.status, float(infused) * _ML[unit], float(withdrawn) * _ML[unit], resolution(infused) * _ML[unit],
            asked_ns, self._clock.now_ns(),
        )  # fmt: skip

    def _check_direction(self, seen: Dispensed) -> None:
        if seen.withdrawn_ml > 0.0:
            raise self._refused(
                "DIS", f"it has withdrawn {seen.withdrawn_ml:g} mL, which no command asked for; was it run at its own"
                " keys?", "changed",
            )  # fmt: skip

    # -- one exchange -------------------------------------------------------------------------------------------------

    def _exchange(self, command: str) -> Reply:
        """Send once, read one answer; remembers an alarm."""
        if self._line is None:
            raise LinkError(f"pump on {self._settings.url} is not open", port=self._settings.url, command=command)
        reply = self._line.exchange(command)
        if reply.alarm and reply.alarm != "R":
            self._note_alarm(reply.alarm)
        return reply

    def _note_alarm(self, letter: str) -> None:
        """Note the first alarm, which is the cause; its consequences do not replace it."""
        self._alarm = self._alarm or ALARMS[letter]

    def _asked(self, query: str) -> Reply:
        """A query, also one that the pump may not know; repeated at most twice when the answer is lost, damaged or an
        alarm took its place.
        """
        last: Exception | None = None
        for _ in range(READ_ATTEMPTS):
            try:
                reply = self._exchange(query)
            except (NoReply, BadReply) as error:
                last = error
                continue
            if reply.alarm == "R":
                self._note_alarm("R")  # it lost power since it was opened
            if not reply.alarm and reply.error != "?COM":
                return reply
            last = None
        if last is not None:
            raise last
        raise self._refused(query, f"only alarms and errors in {READ_ATTEMPTS} attempts")

    def _ask(self, query: str) -> Reply:
        reply = self._asked(query)
        self._check(query, reply)
        return reply

    def _attempt(self, command: str) -> None:
        """Send a setting once. A lost answer is no error here, since the caller reads the setting back."""
        try:
            reply = self._exchange(command)
        except (NoReply, BadReply):
            return
        if reply.error != "?COM":
            self._check(command, reply)

    def _put(self, name: str, value: str, expected: float | str) -> None:
        """Set a value and read it back; without a value only read."""
        if value:
            self._attempt(name + value)
        self._expect(name, f"{expected}", _setting(expected))

    def _expect(self, query: str, asked: str, holds: Callable[[str], bool]) -> None:
        """Read a setting; a wrong one is read again, since one altered character can make it wrong."""
        data = self._ask(query).data
        if not holds(data):
            data = self._ask(query).data
        if not holds(data):
            raise self._refused(query, f"asked for {asked}, it holds {data}")

    def _same(self, query: str, expected: float | str) -> None:
        try:
            self._put(query, "", expected)
        except DeviceError as error:
            if isinstance(error, DeviceAlarm):
                raise
            raise self._refused(
                query, f"{error}: it was changed since it was opened, at its keys or by another program; nothing was"
                " infused; find out by whom, then open the rig again", "changed",
            ) from error  # fmt: skip

    def _check(self, command: str, reply: Reply) -> None:
        if reply.alarm:
            self._note_alarm(reply.alarm)
            raise DeviceAlarm(
                f"pump on {self._settings.url} did not execute {command}: alarm ({self._alarm})",
                device=self.role,
                code=f"A?{reply.alarm}",
            )
        if reply.error:
            raise self._refused(command, ERRORS.get(reply.error, reply.error), reply.error)

    def _raise_alarm(self) -> None:
        if self._alarm:
            raise DeviceAlarm(
                f"pump on {self._settings.url} is in alarm: {self._alarm}; find the cause, then clear the pump",
                device=self.role,
                code=self._alarm,
            )

    def _check_limits(self, volume_ml: float, rate_ml_min: float) -> None:
        settings = self._settings
        if not 0.0 < volume_ml <= settings.max_volume_ml:
            raise LimitViolation("volume (mL)", volume_ml, f"0..{settings.max_volume_ml:g} mL for one infusion")
        if not 0.0 < rate_ml_min <= settings.max_rate_ml_min:
            raise LimitViolation("rate (mL/min)", rate_ml_min, f"0..{settings.max_rate_ml_min:g} mL/min")

    def _refused(self, command: str, why: str, code: str = "") -> DeviceError:
        return DeviceError(f"pump on {self._settings.url}, {command}: {why}", device=self.role, code=code)


def _setting(expected: float | str) -> Callable[[str], bool]:
    return (lambda data: data == expected) if isinstance(expected, str) else lambda data: float(data) == expected


def _quantity(text: str, unit: str) -> Callable[[str], bool]:
    return lambda data: data.endswith(unit) and math.isclose(float(data.removesuffix(unit)), float(text))
