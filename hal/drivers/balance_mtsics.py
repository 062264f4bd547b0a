"""Balances that speak MT-SICS (Mettler-Toledo; OHAUS and others as far as they share the set), by serial line or TCP.

Sources: what makers' manuals and third-party code show of the command set; the reference manuals were not read, and no
transcript of a real balance exists yet. What is only recalled is marked [R].

``SI`` and ``SIR`` are answered with the identifier ``S``. ``@`` ends streams and pending commands; it does not zero.
Makers differ on whether it forgets the tare, so the tare is read after it. ``S``, ``T`` and ``Z`` wait in the balance
for stability, up to 30 s.
"""

from __future__ import annotations

import contextlib
import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hal.clock import NS_PER_S, Clock, Deadline
from hal.drivers.balance_mtsics_frame import GRAMS, Reply, Weight
from hal.drivers.balance_mtsics_line import MtSicsLine
from hal.errors import BadReply, LinkError, NoReply, RigError
from hal.links.serial import open_serial
from hal.types import BalanceReading, Identity, SafeReport

JUMP_DIGITS = 20
"""A weight further from the last one is weighed again: the flow of 7 mL/h within a second, or a fifth of a drop [A]."""
JUMP_TRIES = 4
STABLE_TRIES = 3
FLOW_G_S = 0.5
"""Two weights on end may differ by so much per second between them: a flow of 30 mL/min [A]."""
BUSY_TRIES = 5
BUSY_S = 0.2
NEAR_ZERO_DIGITS = 100
"""A balance that was just zeroed or tared reads less: drift, a drop, two seconds of a flow of 18 mL/h [A]."""
CAPACITY_MARGIN = 1.05
"""A weight further beyond the capacity was damaged on the line; a balance says ``S +`` before that [A]."""
LINE_BYTES = 20
BITS_PER_BYTE = 10


class Settings(BaseModel):
    """Connection of the balance, and what it may be set to."""

    model_config = ConfigDict(extra="forbid")

    url: str
    """``/dev/ttyUSB0``, ``COM3``, or ``socket://host:8001``. 8 bits, no parity, handshake off in the balance's menu."""
    baudrate: int = Field(default=9600, ge=300, le=921600)
    timeout_s: float = Field(default=2.0, gt=0.0, le=10.0)
    """Patience with an answer that waits for nothing."""
    stable_s: float = Field(default=60.0, ge=1.0, le=600.0)
    """Patience with a stable weight, a tare and a zero; more than the balance's own, which is 3 to 30 s."""
    stream: bool = False
    """The balance sends weights by itself (``SIR``), and a reading is the next one; else each is asked for."""
    zero_tracking: Literal["refuse", "switch_off", "accept"] = "refuse"
    """A balance that keeps itself at zero swallows slow flows (``M03``). ``switch_off`` changes its menu for good; with
    ``accept`` it is noticed only."""


class Driver:
    """Implements ``hal.interfaces.Balance`` and ``Noticing``."""

    role = "balance"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._line: MtSicsLine | None = None
        self._streaming = False
        self._unit = ""
        self._capacity_g = math.inf
        self._tare_g = 0.0
        self._last_g = math.nan
        """The newest weight; NaN beyond the range."""
        self._tracking = ""
        """Notices about its zero tracking."""

    @property
    def patience_s(self) -> float:
        """Time that the controller waits for one read or action."""
        return self._settings.stable_s + 10.0 * self._settings.timeout_s

    # -- life ---------------------------------------------------------------------------------------------------------

    def open(self) -> Identity:
        """Connect, end what others left running, identify, look at zero tracking, tare and unit."""
        settings = self._settings
        link = open_serial(settings.url, settings.baudrate, self._clock, timeout_s=settings.timeout_s)
        line = self._line = MtSicsLine(link, self._clock)
        self._streaming, self._unit, self._capacity_g = False, "", math.inf
        try:
            serial = self._first_answer(line)
            model, self._capacity_g = line.ask("I2", ("I2",), _model)
            firmware = line.ask("I3", ("I3",), lambda reply: " ".join(reply.texts()))
            self._see_to_zero_tracking(line)
            self._unit = line.ask("TA", ("TA",), self._tare_of).unit
            self._tare_g = self._read_tare(line)
            self._resume()
            self._last_g = self._read_once().mass_g
        except BaseException:
            self.close()
            raise
        return Identity(self.role, "mtsics_balance", model, serial, firmware, simulated=link.simulated)

    def close(self) -> None:
        """End the stream, so that the next user is not met by it."""
        line, self._line = self._line, None
        if line is None:
            return
        if self._streaming:
            with contextlib.suppress(RigError):
                line.exchange("SI", ("S",))
        line.link.close()

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Check that it still answers: it moves nothing."""
        try:
            reading = self.read()
        except RigError as error:
            return SafeReport(self.role, False, str(error))
        return SafeReport(self.role, not deadline.expired, f"passive; reads {reading.mass_g:g} g")

    def notices(self) -> dict[str, int]:
        """Zero tracking, and lines that nobody asked for."""
        found = {self._tracking: 1} if self._tracking else {}
        if self._line is not None and self._line.foreign_n:
            found["lines that nobody asked for (print key, late answers)"] = self._line.foreign_n
        return found

    # -- weighing -----------------------------------------------------------------------------------------------------

    def read(self) -> BalanceReading:
        """Net weight now, stable or not; as old as the question, in a stream as its arrival.

        One changed bit makes another number of a weight, so one that lies far from the last is weighed again. Raises
        ``DeviceError`` when its unit changed, when it was switched off and on, or when it stays busy.
        """
        reading = self._read_once()
        if not abs(reading.mass_g - self._last_g) <= JUMP_DIGITS * reading.digit_g:
            reading = self._read_again(reading)
        self._last_g = reading.mass_g
        return reading

    def _read_again(self, first: BalanceReading) -> BalanceReading:
        """Weigh until two weights follow each other as a flow may; one that moves more is moving by its own word."""
        for _ in range(JUMP_TRIES):
            second = self._read_once()
            seconds = (second.time_ns - first.time_ns) / NS_PER_S
            if math.isnan(second.mass_g) and math.isnan(first.mass_g):
                return second
            if abs(second.mass_g - first.mass_g) <= JUMP_DIGITS * second.digit_g + FLOW_G_S * seconds:
                return second
            first = second
        if first.stable:
            raise BadReply(f"{self._settings.url}: weights jump, and are said to be stable", port=self._settings.url)
        return first

    def _read_once(self) -> BalanceReading:
        line = self._opened()
        for _ in range(BUSY_TRIES):
            if self._streaming:
                reading = line.newest("S", lambda reply: self._reading(reply, "SIR", self._sent_ns()))
            else:
                reading = line.ask("SI", ("S",), lambda reply: self._reading(reply, "SI", line.asked_ns))
            if reading is not None:
                return reading
            self._clock.sleep(BUSY_S)
        raise line.refused("SI", "it stays busy with something else (adjustment, taring at its keys)", "busy")

    def read_stable(self) -> BalanceReading:
        """The next stable net weight; raises ``DeviceError`` (code ``unstable``) when there is none in time.

        It is compared with the weight of the moment after, and asked for again when they disagree.
        """
        line = self._paused()
        try:
            for _ in range(STABLE_TRIES):
                with contextlib.suppress(BadReply):
                    reading = self._await_stable(line)
                    if math.isnan(reading.mass_g):
                        return reading
                    now = line.ask("SI", ("S",), self._net)
                    if abs(now.grams - reading.mass_g) <= JUMP_DIGITS * now.digit_g:
                        self._last_g = reading.mass_g
                        return reading
            raise line.refused("S", "weights that it called stable were not, or came damaged", "unstable")
        finally:
            self._resume()

    def _await_stable(self, line: MtSicsLine) -> BalanceReading:
        tare_g = self._tare_g
        try:
            reply = line.exchange("S", ("S",), self._clock.deadline(self._settings.stable_s))
        except NoReply as error:
            self._end_pending(line)
            if self._tare_g != tare_g:
                text = f"its tare went from {tare_g:g} to {self._tare_g:g} g when the command was cancelled"
                raise line.refused("S", text, "changed") from error
            raise
        if reply.status == "D":
            raise line.strange("S", reply)
        reading = self._reading(reply, "S", self._sent_ns())
        if reading is None:
            raise line.refused("S", "no stable weight: look for draught, vibration, flow or an open door", "unstable")
        return reading

    def tare(self) -> None:
        """Make the present stable weight the tare; sent once, proven by reading the tare.

        Raises ``DeviceError``: code ``unstable``, ``range``, or ``T`` when the answer was lost and the balance does not
        read as tared.
        """
        line = self._paused()
        try:
            self._see_to_zero_tracking(line)
            reply = self._act(line, "T")
            tare_g = self._read_tare(line)
            if reply is None:
                self._prove_zero(line, "T")
            elif abs(tare_g - self._weight(reply).grams) > 1.5 * self._weight(reply).digit_g:
                raise line.refused("T", f"it said {reply.text!r}, and its tare reads {tare_g:g} g")
            self._tare_g, self._last_g = tare_g, 0.0
        finally:
            self._resume()

    def zero(self) -> None:
        """Make the present stable weight zero; only near the zero of power-up. Sent once, proven by reading.

        Raises ``DeviceError`` as ``tare`` does.
        """
        line = self._paused()
        try:
            self._see_to_zero_tracking(line)
            self._act(line, "Z")
            self._tare_g = self._read_tare(line)  # a new zero ends a tare
            self._prove_zero(line, "Z")
            self._last_g = 0.0
        finally:
            self._resume()

    # -- steps --------------------------------------------------------------------------------------------------------

    def _first_answer(self, line: MtSicsLine) -> str:
        try:
            try:
                return line.cancel()
            except NoReply:  # the first bytes after a change of speed, or an adjustment that ends
                return line.cancel()
        except NoReply as error:
            raise LinkError(
                f"the device on {self._settings.url} does not answer like a balance with MT-SICS: {error}; check port, "
                f"{self._settings.baudrate} baud, and that its interface is set to host or MT-SICS, handshake off",
                port=self._settings.url,
                command="@",
            ) from error

    def _see_to_zero_tracking(self, line: MtSicsLine) -> None:
        """Read ``M03`` [R]; refuse, switch off or notice it."""
        wanted = self._settings.zero_tracking
        on = line.ask("M03", ("M03",), self._tracking_of)
        if on and wanted == "switch_off":
            with contextlib.suppress(NoReply, BadReply):
                line.exchange("M03 0", ("M03",))
            on = line.ask("M03", ("M03",), self._tracking_of)
            if on:
                raise line.refused("M03 0", "its zero tracking stays on; switch it off in its menu", "zero_tracking")
        if on and wanted == "refuse":
            raise line.refused(
                "M03", "its zero tracking (automatic zeroing) is on and swallows slow flows: switch it off in its menu,"
                ' or let the driver do so with zero_tracking = "switch_off" in the rig file', "zero_tracking",
            )  # fmt: skip
        if on is None:
            self._tracking = "it does not tell whether its zero tracking is on; look in its menu"
        else:
            self._tracking = "its zero tracking is on; slow flows read too low" if on else ""

    def _tracking_of(self, reply: Reply) -> bool | None:
        if reply.error or reply.status in ("I", "L"):
            return None
        if reply.status != "A" or reply.rest.strip() not in ("0", "1", "2"):
            raise self._opened().strange("M03", reply)
        return reply.rest.strip() != "0"

    def _act(self, line: MtSicsLine, command: str) -> Reply | None:
        """Send an action once; None when its answer was lost and nothing is pending any more."""
        try:
            reply = line.exchange(command, (command,), self._clock.deadline(self._settings.stable_s))
        except (NoReply, BadReply):
            self._end_pending(line)
            return None
        if reply.error:
            raise line.refused(command, f"not done: {reply.error} ({reply.name})")
        if reply.status in "+-":
            where = "above" if reply.status == "+" else "below"
            raise line.refused(command, f"not done: the load lies {where} the range for it", "range")
        if reply.status == "I":
            raise line.refused(command, "not done: no stable weight in time, or it is busy", "unstable")
        return reply

    def _end_pending(self, line: MtSicsLine) -> None:
        """After a long command without an answer: nothing may be carried out later.

        What makes a balance give up a command may also make it forget its tare, so that is read again.
        """
        try:
            line.fence()
        except NoReply:
            line.cancel()
        self._tare_g = self._read_tare(line)

    def _prove_zero(self, line: MtSicsLine, command: str) -> None:
        weight = line.ask("SI", ("S",), self._net)
        if abs(weight.grams) > NEAR_ZERO_DIGITS * weight.digit_g:
            raise line.refused(
                command, f"it reads {weight.value:g} {weight.unit} afterwards; the command was not sent again", command
            )

    def _net(self, reply: Reply) -> Weight:
        if reply.status not in ("S", "D"):
            raise self._opened().strange("SI", reply)
        return self._weight(reply)

    def _read_tare(self, line: MtSicsLine) -> float:
        return line.ask("TA", ("TA",), self._tare_of).grams

    def _tare_of(self, reply: Reply) -> Weight:
        if reply.error:
            raise self._opened().refused("TA", f"{reply.error}: without its tare a weight means nothing")
        if reply.status != "A":
            raise self._opened().strange("TA", reply)
        return self._weight(reply)

    def _reading(self, reply: Reply, command: str, time_ns: int) -> BalanceReading | None:
        """None: it is busy, or found no stable weight."""
        line = self._opened()
        if line.restarted:
            raise line.refused(
                command, "it was switched off and on, or restarted: zero and tare are lost; open the rig again",
                "restarted",
            )  # fmt: skip
        if reply.error:
            raise line.refused(command, f"{reply.error} ({reply.name})")
        if reply.status == "I":
            return None
        if reply.status in ("+", "-"):
            over = reply.status == "+"
            return BalanceReading(time_ns, math.nan, False, self._unit, math.nan, over, not over)
        if reply.status not in ("S", "D"):
            raise line.strange(command, reply)
        weight = self._weight(reply)
        if abs(weight.grams) > CAPACITY_MARGIN * self._capacity_g:
            raise line.strange(command, reply)
        return BalanceReading(time_ns, weight.grams, reply.status == "S", weight.unit, weight.digit_g)

    def _weight(self, reply: Reply) -> Weight:
        """Raises ``DeviceError`` (code ``unit``) when two lines disagree on the unit."""
        weight = reply.weight()
        if self._unit and weight.unit != self._unit:
            raise self._opened().refused(
                reply.name, f"its unit was {self._unit} and is {weight.unit} now: changed at its keys? "
                f"Nothing is converted ({', '.join(GRAMS)} are known); set it back and open the rig again", "unit",
            )  # fmt: skip
        return weight

    def _sent_ns(self) -> int:
        """When the line that came last was sent, at the earliest."""
        line_ns = LINE_BYTES * BITS_PER_BYTE * NS_PER_S // self._settings.baudrate
        return self._opened().last_answer_ns - line_ns

    def _paused(self) -> MtSicsLine:
        """The line without a stream."""
        line = self._opened()
        if self._streaming:
            self._streaming = False
            line.exchange("SI", ("S",))
            line.fence()
        return line

    def _resume(self) -> None:
        line = self._line
        if line is not None and self._settings.stream:
            line.exchange("SIR", ("S",))
            self._streaming = True

    def _opened(self) -> MtSicsLine:
        if self._line is None:
            raise LinkError(f"balance on {self._settings.url} is not open", port=self._settings.url)
        return self._line


def _model(reply: Reply) -> tuple[str, float]:
    """Model and capacity (g) out of one quoted text such as ``XS204 Excellence 220.0090 g``: told from its end."""
    if reply.error or not reply.texts():
        raise BadReply(f"I2 was answered with {reply.text!r}", raw=reply.text.encode("latin-1"))
    words = reply.texts()[0].split()
    with contextlib.suppress(ValueError):
        if len(words) >= 3 and words[-1] in GRAMS and float(words[-2]) > 0.0:
            return " ".join(words[:-2]), float(words[-2]) * GRAMS[words[-1]]
    return " ".join(words), math.inf
