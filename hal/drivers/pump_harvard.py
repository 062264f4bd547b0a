"""Harvard Apparatus Pump 11 Elite and PHD Ultra, KD Scientific Legato: syringe pumps with the "Ultra" command set.

Sources: PHD Ultra manual 5419-002, Pump 33 DDS manual 5419-013. The pump has no watchdog: it carries out its command,
if need be alone. So an infusion is sent in portions of ``portion_s``, each a target volume at which the pump stops by
itself; the reading that finds the pump at its target sends the next one. Whether a target may be moved while the
pump runs is not documented, and nothing here relies on it.
"""

from __future__ import annotations

import contextlib
import math

from hal.clock import NS_PER_S, Clock, Deadline
from hal.drivers.pump_count import MOVING, Dispensed
from hal.drivers.pump_harvard_count import PortionCount
from hal.drivers.pump_harvard_frame import INFUSING, rate_text, volume_text
from hal.drivers.pump_harvard_line import HarvardLine
from hal.drivers.pump_harvard_setup import Settings, establish, identify, verify
from hal.errors import BadReply, DeviceAlarm, DeviceError, LimitViolation, LinkError, NoReply, RigError
from hal.links.serial import open_serial
from hal.types import Identity, PumpState, SafeReport

__all__ = ["Driver", "Settings"]

STOP_S = 1.0
"""Patience of ``stop``: many exchanges of 10 ms."""
LEAST_ML = 5e-4
"""Less than this is no portion of its own."""
AWAIT_S = 0.12
"""A reading that finds so little of a portion left waits for its end, so that the flow stands as short as can be: more
than the time between two readings of a pump at work."""
STEP_S = 0.005
CANCELLED = "cancelled"
"""Code of the refusal that ``interrupt`` asked for."""


class Driver:
    """Implements ``hal.interfaces.Pump``. An alarm stays in the state until ``clear`` acknowledges it."""

    role = "pump"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._count: PortionCount | None = None
        """None while it is not open."""
        self._alarm = ""
        self._cancelled = False
        self._rate_ml_min = 0.0
        self._sent_ns = 0
        self._last_read_ns = 0
        self._goal_ml: float | None = None
        """Total at which the infusion under way ends; None when none is."""

    @property
    def watchdog_s(self) -> float | None:
        """Time that it pumps by itself when nobody reads it: a portion; None: to the end of its volume."""
        return self._settings.portion_s or None

    # -- life ---------------------------------------------------------------------------------------------------------

    def open(self) -> Identity:
        """Connect, identify by ``ver``, stop, set syringe and program, read them back, count from zero."""
        settings = self._settings
        link = open_serial(settings.url, settings.baudrate, self._clock, timeout_s=settings.timeout_s)
        line = HarvardLine(link, self._clock, settings.address)
        self._count = PortionCount(line, self._clock, settings.diameter_mm)
        self._goal_ml = None
        try:
            model, firmware = identify(line, settings)
            self._stop(self._clock.deadline(STOP_S))
            establish(line, settings)
            self._clear(self._count)
        except BaseException:
            link.close()
            self._count = None
            raise
        return Identity(role=self.role, driver="harvard_pump", model=model, firmware=firmware, simulated=link.simulated)

    def close(self) -> None:
        """Stop if running."""
        count, self._goal_ml = self._count, None
        if count is None:
            return
        # A pump that cannot be reached any more ends by its own target.
        with contextlib.suppress(LinkError, DeviceError):
            if count.newest().status in MOVING:
                self._stop(self._clock.deadline(STOP_S))
        count.line.link.close()
        self._count = None

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Stop, proven by reading back."""
        try:
            self._stop(deadline)
        except RigError as error:
            return SafeReport(self.role, False, str(error))
        finally:
            self._cancelled = False
        return SafeReport(self.role, True, "stopped, read back")

    def interrupt(self) -> None:
        """Cancel an infusion that was not sent yet, and every portion that was not; from any thread, sends nothing.

        Holds until the stop that follows (``stop``, ``make_safe``) or until the one infusion that it cancels.
        """
        self._cancelled = True

    def notices(self) -> dict[str, int]:
        """Bytes that were not accepted: an answer that came late, twice or damaged."""
        late_n = 0 if self._count is None else self._count.line.late_n
        return {"bytes on its line that nobody waited for": late_n} if late_n else {}

    # -- what a pump does ---------------------------------------------------------------------------------------------

    def read(self) -> PumpState:
        """State and dispensed volume; sends the next portion of the current infusion when one is due.

        Between two portions the infusion still runs. Raises as ``infuse`` does when a portion could not be sent; the
        infusion is over then.
        """
        count = self._opened()
        seen = count.newest()
        self._check_direction(seen)
        if self._goal_ml is not None:
            try:
                seen = self._go_on(count, seen)
            except BaseException:
                self._goal_ml = None
                raise
        running = self._goal_ml is not None or seen.status in MOVING
        rate_ml_min = self._rate_ml_min if running else 0.0
        return PumpState(seen.asked_ns, running, count.total_ml(seen), rate_ml_min, self._alarmed())

    def infuse(self, volume_ml: float, rate_ml_min: float) -> None:
        """Set rate and target, read both back, and send ``irun`` exactly once; the same again for each later portion.

        A lost answer to ``irun`` is resolved by asking. Raises ``LimitViolation`` before anything is sent,
        ``DeviceAlarm`` or ``DeviceError`` when the pump refused, when ``interrupt`` came first, or when somebody has
        changed what was set at opening (code ``changed``; nothing infused in all of them), ``LinkError`` when what it
        did is not known.
        """
        self._check_limits(volume_ml, rate_ml_min)
        count = self._opened()
        line = count.line
        self._raise_alarm()
        seen = count.newest()
        self._raise_alarm()
        self._check_direction(seen)
        if self._goal_ml is not None or seen.status in MOVING:
            raise line.refused("irun", "the pump is still running")
        self._look_once_more()
        verify(line, self._settings)
        withdrawn_ml = line.value("wvolume")
        if withdrawn_ml:
            raise self._withdrew(f"it has withdrawn {withdrawn_ml:g} mL")
        self._look_once_more()
        text = rate_text(rate_ml_min)
        line.attempt(f"irate {text}")
        line.expect("irate", float(text.split()[0]) / 1000.0)
        self._rate_ml_min = rate_ml_min
        self._last_read_ns = self._clock.now_ns()
        self._goal_ml = count.total_ml(seen) + volume_ml
        try:
            self._tell(count, self._next_portion(volume_ml))
        except BaseException:
            self._goal_ml = None
            raise

    def stop(self) -> None:
        """Stop and prove it; raises ``DeviceError`` when the pump still runs after one second."""
        try:
            self._stop(self._clock.deadline(STOP_S))
        finally:
            self._cancelled = False

    def clear(self) -> None:
        """Set the dispensed total to zero and acknowledge an alarm; refused while running."""
        count = self._opened()
        if self._goal_ml is not None or count.newest().status in MOVING:
            raise count.line.refused("cvolume", "the pump is running")
        self._stop(self._clock.deadline(STOP_S))  # also ends the prompts "stalled" and "target reached"
        self._clear(count)

    # -- portions -----------------------------------------------------------------------------------------------------

    def _go_on(self, count: PortionCount, seen: Dispensed) -> Dispensed:
        """Update the current infusion at this reading: unchanged, given its next portion, or over."""
        silent_s = (seen.asked_ns - self._last_read_ns) / NS_PER_S
        self._last_read_ns = seen.asked_ns
        if self._cancelled or self._alarmed():
            self._goal_ml = None
            return seen
        if self._settings.portion_s and silent_s > self._settings.portion_s:
            # As a watchdog does it: what nobody watched for so long does not go on by itself.
            at = f"{count.total_ml(seen):.4g} mL"
            self._alarm = f"nobody read it for {silent_s:.2f} s: the infusion ended by itself at {at}"
            self._stop(self._clock.deadline(STOP_S))
            return count.newest()
        if seen.status in MOVING:
            seen = self._await_end(count, seen)
            if seen.status in MOVING:
                return seen
        assert self._goal_ml is not None
        left_ml = self._goal_ml - count.total_ml(seen)
        if self._cancelled or left_ml < LEAST_ML or not count.through(seen):
            self._goal_ml = None  # over, or stopped by somebody else
            return seen
        try:
            self._tell(count, self._next_portion(left_ml))
        except DeviceError as error:
            if error.code != CANCELLED:
                raise
            self._goal_ml, self._cancelled = None, True  # a reading is no failure: the stop is on its way
        return count.newest()

    def _await_end(self, count: PortionCount, seen: Dispensed) -> Dispensed:
        """Await the end of a portion that is close, unless the infusion is cancelled meanwhile."""
        end_ns = self._sent_ns + int(count.portion_ml / self._rate_ml_min * 60.0 * NS_PER_S)
        if end_ns - self._clock.now_ns() > AWAIT_S * NS_PER_S:
            return seen
        while self._clock.now_ns() < end_ns and not self._cancelled:
            self._clock.sleep(STEP_S)
        return seen if self._cancelled else count.newest()

    def _next_portion(self, left_ml: float) -> float:
        """Equal parts, each at most what goes in during ``portion_s``."""
        most_ml = self._rate_ml_min / 60.0 * self._settings.portion_s or left_ml
        return left_ml / max(1, math.ceil(left_ml / most_ml - 1e-6))

    def _tell(self, count: PortionCount, portion_ml: float) -> None:
        """Count from zero, set the target, and send ``irun`` once."""
        line = count.line
        self._look_once_more()
        count.from_zero()
        text = volume_text(portion_ml)
        target_ml = float(text.split()[0]) / 1000.0
        line.put("tvolume", text, target_ml)
        self._look_once_more()
        count.run(target_ml, self._rate_ml_min)
        self._sent_ns = self._clock.now_ns()
        try:
            reply = line.exchange("irun")
        except (NoReply, BadReply) as lost:
            self._resolve(count, lost)
            return
        line.check("irun", reply)
        if reply.prompt != INFUSING:  # one changed bit away from "idle"
            self._resolve(count, None)

    def _resolve(self, count: PortionCount, lost: LinkError | None) -> None:
        """Find out the effect of ``irun`` without sending it again."""
        try:
            now = count.newest()
        except LinkError as error:
            raise LinkError(
                f"pump on {self._settings.url}: irun was sent, its answer was lost, the pump has not answered since: "
                f"it may have infused up to {count.portion_ml:g} mL; check cable and pump display before going on",
                port=self._settings.url,
                command="irun",
            ) from error
        self._raise_alarm()
        if now.status in MOVING or count.through(now):
            return
        done = f"{now.infused_ml:.4g} of {count.portion_ml:g} mL"
        raise count.line.refused(
            "irun", f"it is stopped and has infused {done}; the command was not repeated"
        ) from lost

    # -- steps --------------------------------------------------------------------------------------------------------

    def _look_once_more(self) -> None:
        """Check for a cancellation before the plunger moves: a stop waits behind this action in the lane."""
        if self._cancelled:
            self._cancelled = False
            raise self._opened().line.refused(
                "irun", "the infusion was cancelled before it began; nothing was infused", CANCELLED
            )

    def _stop(self, deadline: Deadline) -> None:
        """``stp``, then two readings that agree on a plunger at rest; repeating it can do no harm."""
        count = self._opened()
        seen = "nothing"
        self._goal_ml = None
        count.stop()
        while True:
            try:
                count.line.exchange("stp")
            except (NoReply, BadReply) as error:
                seen = str(error)
            try:
                seen = count.stands()
                if not seen:
                    return
            except (NoReply, BadReply) as error:
                seen = str(error)
            if deadline.expired:
                raise count.line.refused("stp", f"no proof that it stopped: {seen}; cut the power of the pump")

    def _clear(self, count: PortionCount) -> None:
        line = count.line
        line.attempt("cvolume")
        count.forget()
        now = count.newest()
        if line.alarm and self._prompt_is_alarm(line):
            raise DeviceAlarm(
                f"pump on {self._settings.url} stays in alarm: {line.alarm}; acknowledge it at its display",
                device=self.role,
                code=line.alarm,
            )
        withdrawn_ml = line.value("wvolume")
        for what, left_ml in (("infused", now.infused_ml), ("withdrawn", withdrawn_ml)):
            if left_ml:
                raise line.refused("cvolume", f"the {what} volume still reads {left_ml:g} mL")
        count.cleared()
        self._alarm = line.alarm = ""

    def _prompt_is_alarm(self, line: HarvardLine) -> bool:
        line.alarm, before = "", line.alarm
        line.ask("ivolume")
        still = bool(line.alarm)
        line.alarm = before
        return still

    def _check_direction(self, seen: Dispensed) -> None:
        if seen.status == "W":
            raise self._withdrew("it withdraws")

    def _withdrew(self, what: str) -> DeviceError:
        return self._opened().line.refused(
            "ivolume", f"{what}, which no command asked for; was it run at its own keys?", "changed"
        )

    def _opened(self) -> PortionCount:
        if self._count is None:
            raise LinkError(f"pump on {self._settings.url} is not open", port=self._settings.url)
        return self._count

    def _alarmed(self) -> str:
        if self._count is not None and self._count.line.alarm:
            self._alarm = self._alarm or self._count.line.alarm
        return self._alarm

    def _raise_alarm(self) -> None:
        if alarm := self._alarmed():
            raise DeviceAlarm(
                f"pump on {self._settings.url} is in alarm: {alarm}; find the cause, then clear the pump",
                device=self.role,
                code=alarm,
            )

    def _check_limits(self, volume_ml: float, rate_ml_min: float) -> None:
        settings = self._settings
        if not 0.0 < volume_ml <= settings.max_volume_ml:
            raise LimitViolation("volume (mL)", volume_ml, f"0..{settings.max_volume_ml:g} mL for one infusion")
        if not 0.0 < rate_ml_min <= settings.max_rate_ml_min:
            raise LimitViolation("rate (mL/min)", rate_ml_min, f"0..{settings.max_rate_ml_min:g} mL/min")
