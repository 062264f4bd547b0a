"""Simulated motion controller on the wire: Grbl 1.1h and grblHAL, a reading of the two firmwares' behaviour.

Sans-I/O. Bytes become events with the moment at which the firmware gets to them, and events are worked off
in order when somebody asks for a later moment; the time that bytes spend on the line is the mount's. Spindle, coolant
and tool are remembered and do nothing. Not modelled: feed and rapid overrides (swallowed; jogs ignore them anyway),
probing, arcs, tool changes. The emergency-stop input is looked at whenever the core is asked for anything, so a press
acts within one poll.
"""

from __future__ import annotations

import heapq
import re
from collections import deque
from copy import copy

import numpy as np
from numpy.typing import NDArray

from hal.sim.devices.motion_config import Firmware, GrblConfig
from hal.sim.devices.motion_modes import INCH_MM, Modes
from hal.sim.devices.motion_planner import Planner
from hal.sim.devices.motion_report import Moment, Reports
from hal.sim.devices.motion_settings import (
    LINE_BYTES,
    PLANNER_BLOCKS,
    RX_BYTES,
    UNKNOWN_SETTING,
    WELCOME,
    initial_settings,
    print_identity,
    print_settings,
)
from hal.sim.devices.motion_words import Refused, Words, read_words
from hal.sim.ports import EStopPort

QUERY_NS = 700_000
"""From ``?`` to the report; with the line time at 115200 baud about 5 ms for three axes, as measured on Grbl 1.1h.

The axes are read at its end, while a host can only stamp the question: ``calibrate latency`` finds it as a lag.
"""
LINE_NS = 1_500_000
"""Parsing and planning of one line; with the line time about 4 ms, as measured on grblHAL."""
PULL_OFF = 1.0
RAPID = 1e6
"""Asked of a rapid, per second: the axes' own rates are what it gets."""
LOCKED = "[MSG:'$H'|'$X' to unlock]\r\n"
LOST_STEPS = 0.2
"""Largest position error left by a reset in motion, mm or degrees (assumed)."""
_COMMENT = re.compile(r"\([^)]*\)?|;.*|\s")
"""Comments and spaces never reach the line buffer."""
_INSTANT = frozenset(b"?!~\x18\x84\x85")
_INSTANT_HAL = frozenset(b"\x80\x81\x82\x83\x87\x8c\x19")


class GrblCore:
    """One controller; also an ``AxesSource`` (true positions, work coordinates, order of its letters)."""

    def __init__(self, config: GrblConfig, estop: EStopPort | None = None, seed: int = 0) -> None:
        self.config = config
        self._hal = config.firmware is Firmware.GRBLHAL
        self._letters = config.letters
        self._estop = estop
        self._rng = np.random.default_rng([seed, 0x6772626C])
        count = len(config.axes)
        self._scale = config.scale + config.scale_error * self._rng.standard_normal(count)
        self._lost = np.zeros(count)
        self._frame = config.work_offset
        """Where the mechanics' own zero lies, whatever offset a sender makes the controller count with."""
        self._modes = Modes(config)
        self._settings = initial_settings(config)
        self._planner = Planner(
            np.array(config.start) + self._frame,
            np.array([axis.rate_per_min / 60.0 for axis in config.axes]),
            np.array([axis.acceleration for axis in config.axes]),
            np.full(count, config.backlash),
        )
        self._now = 0
        self._events: list[tuple[int, int, str, bytes]] = []
        self._count = 0
        self._out: deque[tuple[int, bytes]] = deque()
        self._line_free = 0
        self._partial = bytearray()
        self._pending = 0
        self._homed = config.homed
        self._mode = "Idle" if config.homed or self._hal else "Alarm"
        self._deaf = False
        self._latched = 0
        self._pins: set[str] = set()
        self._pressed = False
        self._reports = Reports(config.firmware)
        self._asked = False
        """True from a ``?`` to its report: the firmware keeps a flag, so that a flood of them is answered once."""
        self._auto = False
        self._auto_armed = False
        self._note = config.note
        self._dwell_until = 0
        self._rest: tuple[int, NDArray[np.float64]] | None = None

    def receive(self, data: bytes, now_ns: int) -> None:
        now_ns = max(now_ns, self._now)
        self._advance(now_ns)
        for byte in data:
            if byte in _INSTANT or (self._hal and byte in _INSTANT_HAL):
                self._push(now_ns, "byte", bytes((byte,)))
            elif byte >= 0x80:
                continue  # overrides and reserved bytes never reach the line buffer
            elif self._pending >= RX_BYTES[self.config.firmware]:
                continue  # receive buffer overrun: the byte is lost without notice
            elif byte in b"\r\n":
                if byte == 0x0A or self._partial:
                    self._line_free = max(now_ns, self._line_free) + LINE_NS
                    self._push(self._line_free, "line", bytes(self._partial))
                    self._pending += 1
                self._partial.clear()
            else:
                self._partial.append(byte)
                self._pending += 1

    def transmit(self, now_ns: int) -> bytes:
        now_ns = max(now_ns, self._now)
        self._advance(now_ns)
        if not self._out or self._out[0][0] > now_ns:
            return b""
        if len(self._out) == 1:
            return self._out.popleft()[1]
        due = []
        while self._out and self._out[0][0] <= now_ns:
            due.append(self._out.popleft()[1])
        return b"".join(due)

    def next_ns(self, now_ns: int) -> int | None:
        self._advance(max(now_ns, self._now))
        if not self._events:
            return self._out[0][0] if self._out else None
        event_ns = self._events[0][0]
        return min(event_ns, self._out[0][0]) if self._out else event_ns

    def axes_at(self, now_ns: int) -> NDArray[np.float64]:
        """True positions, shape (n,), work coordinates; includes backlash, error of scale and lost steps."""
        if now_ns > self._now:
            self._advance(now_ns)
        rest = self._rest
        if rest is not None and now_ns >= rest[0]:
            return rest[1]
        true: NDArray[np.float64] = (self._planner.driven(now_ns) - self._frame) * self._scale + self._lost
        if now_ns >= self._planner.end_ns:
            true.setflags(write=False)
            self._rest = (self._planner.end_ns, true)
        return true

    def trip_limit(self, letter: str, now_ns: int) -> None:
        """A limit switch closes (fault injection)."""
        self._advance(max(now_ns, self._now))
        self._pins.add(letter)
        if not self._settings[21]:
            return
        self._stop_steps(now_ns)
        if self._hal:  # as the firmware's own simulator does it: no alarm text, a fresh start
            self._mode = "Idle"
            self._send(WELCOME[self.config.firmware], now_ns)
        else:
            self._alarm(1, now_ns, deaf=True)

    def release_limit(self, letter: str) -> None:
        self._pins.discard(letter)

    # --- events -------------------------------------------------------------------------------------------

    def _push(self, at_ns: int, kind: str, data: bytes) -> None:
        self._count += 1
        heapq.heappush(self._events, (at_ns, self._count, kind, data))

    def _advance(self, now_ns: int) -> None:
        if self._events and self._events[0][0] <= now_ns:
            self._work_off(now_ns)
        if self._estop is not None:
            pressed = self._estop.estop_pressed(now_ns)
            if pressed != self._pressed:
                self._pressed = pressed
                self._estop_changed(now_ns)
        self._settle(now_ns)
        self._now = now_ns

    def _work_off(self, now_ns: int) -> None:
        """Execute everything that was due up to now."""
        while self._events and self._events[0][0] <= now_ns:
            at, _, kind, data = heapq.heappop(self._events)
            self._settle(at)
            if kind == "line":
                self._take_line(data, at)
            elif kind == "byte":
                self._take_byte(data[0], at)
            elif kind == "report":
                self._asked = False
                self._report(at)
            elif kind == "ok":
                self._send("ok\r\n", at)
            elif kind == "auto":
                self._report_by_itself(at)
            else:
                self._finish_homing(at)

    def _settle(self, at_ns: int) -> None:
        if self._mode in ("Jog", "Run") and not self._planner.moving(at_ns):
            self._mode = "Idle"

    def _send(self, text: str, at_ns: int) -> None:
        self._out.append((at_ns, text.encode("ascii")))

    def _estop_changed(self, at_ns: int) -> None:
        if not self._hal:  # wired to the safety-door input
            if self._pressed:
                self._door(at_ns)
        elif self._pressed:
            self._stop_steps(at_ns)
            self._alarm(10, at_ns)

    # --- real-time bytes ----------------------------------------------------------------------------------

    def _take_byte(self, byte: int, at_ns: int) -> None:
        if byte == 0x18:
            self._reset(at_ns)
        elif self._deaf:
            return
        elif byte in (0x3F, 0x80, 0x87):
            if self._mode != "Home":  # no reports while the homing cycle runs
                self._reports.full = self._reports.full or byte == 0x87
                if not self._asked:
                    self._asked = True
                    self._push(at_ns + QUERY_NS, "report", b"")
        elif byte == 0x8C:
            self._auto = not self._auto and self._settings[481] > 0.0
            self._arm(at_ns)
        elif byte in (0x21, 0x82):
            self._hold(at_ns)
        elif byte in (0x7E, 0x81):
            if self._mode == "Hold" or (self._mode == "Door" and not self._pressed):
                self._mode = "Run" if self._planner.queued(at_ns) else "Idle"
                self._planner.resume(at_ns)
                self._rest = None
        elif byte == 0x84:
            self._door(at_ns)
        elif byte in (0x85, 0x19):
            self._latched = 0
            if self._mode == "Jog" or (byte == 0x19 and self._mode == "Run"):
                self._planner.cancel(at_ns)
                self._rest = None

    def _hold(self, at_ns: int) -> None:
        if self._mode == "Jog":
            if not self._hal:  # grblHAL leaves a jog running on '!'
                self._planner.cancel(at_ns)
        elif self._mode in ("Run", "Idle"):
            self._planner.hold(at_ns)
            self._mode = "Hold"
        self._rest = None

    def _door(self, at_ns: int) -> None:
        if self._mode in ("Alarm", "Door", "Home"):
            return
        if self._mode == "Jog":
            self._planner.cancel(at_ns)
        else:
            self._planner.hold(at_ns)
        self._mode, self._rest = "Door", None
        self._send("[MSG:Check Door]\r\n", at_ns)

    def _stop_steps(self, at_ns: int) -> bool:
        """Stop the motors at once; True when that lost the position."""
        moving = self._planner.moving(at_ns)
        self._planner.halt(at_ns)
        if moving:
            self._lost = self._lost + self._rng.uniform(-LOST_STEPS, LOST_STEPS, len(self._letters))
            self._homed = False
        self._events = [event for event in self._events if event[2] in ("byte", "auto")]
        heapq.heapify(self._events)
        self._asked, self._dwell_until = False, 0
        self._partial.clear()
        self._pending, self._latched, self._rest = 0, 0, None
        return moving

    def _alarm(self, code: int, at_ns: int, deaf: bool = False) -> None:
        self._mode, self._deaf = "Alarm", deaf
        self._send(f"ALARM:{code}\r\n" + ("[MSG:Reset to continue]\r\n" if deaf else ""), at_ns)

    def _reset(self, at_ns: int) -> None:
        homing = self._mode == "Home"
        if self._stop_steps(at_ns):
            self._alarm(6 if homing else 3, at_ns)
        elif self._mode != "Alarm" and not (self._mode == "Door" and self._pressed):
            self._mode = "Idle"
        self._deaf = False
        self._reports.restart()
        self._modes.reset()
        text = WELCOME[self.config.firmware]
        self._send(text + (LOCKED if self._mode == "Alarm" else ""), at_ns)
        if self._mode == "Idle":
            self._run_startup(at_ns)

    def _run_startup(self, at_ns: int) -> None:
        """``$N`` lines run after each reset, unless the controller is locked."""
        for line in self._modes.startup:
            if line:
                try:
                    self._gcode(line, at_ns)
                    answer = "ok"
                except Refused as refusal:
                    answer = f"error:{refusal.code}"
                self._send(f">{line}:{answer}\r\n", at_ns)

    # --- reports ------------------------------------------------------------------------------------------

    def _report(self, at_ns: int) -> None:
        machine = self._planner.position(at_ns)
        moving = self._mode in ("Jog", "Run")
        state = self._mode
        if state == "Hold":
            state = "Hold:1" if self._planner.moving(at_ns) else "Hold:0"
        elif state == "Door":
            state = "Door:2" if self._planner.moving(at_ns) else ("Door:1" if self._pressed else "Door:0")
        pins = "".join(letter for letter in "PXYZABC" if letter in self._pins) if self._pins else ""
        if self._pressed:
            pins += "E" if self._hal else "D"
        moment = Moment(
            state, moving, machine, self._modes.offset, self._planner.queued(at_ns), self._pending,
            self._planner.speed(at_ns) * 60.0, pins, self._modes.system,
            self._homed if self._settings[22] else None, self._modes.tool_number,
        )  # fmt: skip
        self._send(self._reports.line(moment, int(self._settings[10])), at_ns)

    def _arm(self, at_ns: int) -> None:
        """Set the clock of automatic reports, unless it runs."""
        if self._auto and not self._auto_armed:
            self._auto_armed = True
            self._push(at_ns + int(self._settings[481] * 1e6), "auto", b"")

    def _report_by_itself(self, at_ns: int) -> None:
        self._auto_armed = False
        if self._auto:
            if self._mode != "Home" and not self._deaf:
                self._report(at_ns)
            self._arm(at_ns)

    # --- lines --------------------------------------------------------------------------------------------

    def _take_line(self, raw: bytes, at_ns: int) -> None:
        if self._deaf:
            return
        if self._mode == "Home":
            self._push(self._planner.end_ns + LINE_NS, "line", raw)
            return
        if at_ns < self._dwell_until:
            self._push(self._dwell_until + LINE_NS, "line", raw)
            return
        full = self._planner.queued(at_ns) >= PLANNER_BLOCKS[self.config.firmware] - 1
        if full and not self._planner.held and raw.strip():
            self._push(self._planner.first_end_ns(at_ns) + LINE_NS, "line", raw)
            return
        self._pending = max(0, self._pending - len(raw) - 1)
        line = _COMMENT.sub("", raw.decode("ascii", "replace")).upper()
        if len(line) >= LINE_BYTES[self.config.firmware]:
            self._send("error:11\r\n", at_ns)
            return
        try:
            if not line:
                self._latched = 0
            elif line.startswith("$"):
                self._latched = 0
                if not self._dollar(line[1:], at_ns):
                    return
            else:
                ends_ns = self._gcode(line, at_ns)
                if ends_ns is not None:
                    self._push(ends_ns, "ok", b"")
                    return
        except Refused as refusal:
            if self._hal and not line.startswith("$"):
                self._latched = refusal.code
            self._send(f"error:{refusal.code}\r\n", at_ns)
        else:
            if not self._deaf:
                self._send("ok\r\n", at_ns)

    def _dollar(self, body: str, at_ns: int) -> bool:
        """Run a ``$`` command; False when its ``ok`` comes later."""
        quiet = self._mode in ("Idle", "Alarm")
        if body.startswith("J"):
            if self._mode not in ("Idle", "Jog"):
                raise Refused(8)
            if not body.startswith("J="):
                raise Refused(3)
            self._jog(read_words(body[2:], self._letters), at_ns)
        elif body == "X":
            if self._mode == "Alarm":
                if self._pressed:
                    raise Refused(79 if self._hal else 13)
                self._mode = "Idle"
                self._send("[MSG:Caution: Unlocked]\r\n", at_ns)
        elif body in ("", "HELP"):
            self._send("[HLP:$$ $# $G $I $N $x=val $Nx=line $J=line $SLP $C $X $H ~ ! ? ctrl-x]\r\n", at_ns)
        elif body == "G":
            self._send(self._modes.print_modes(), at_ns)
        elif body == "C" and self._mode == "Check":
            self._send("[MSG:Disabled]\r\n", at_ns)
            self._reset(at_ns)
        elif not quiet:
            raise Refused(8)
        elif body == "$":
            self._send(print_settings(self._settings), at_ns)
        elif body == "I":
            self._send(print_identity(self.config, self._note), at_ns)
        elif body == "#":
            homed = (1 << len(self._letters)) - 1 if self._homed else 0
            self._send(self._modes.print_places(homed if self._hal and self._settings[22] else None), at_ns)
        elif body == "N":
            self._send(self._modes.print_startup(), at_ns)
        elif body == "C":
            if self._mode == "Alarm":
                raise Refused(8)
            self._mode = "Check"
            self._send("[MSG:Enabled]\r\n", at_ns)
        elif body == "SLP":
            self._mode = "Sleep"
            self._send("[MSG:Sleeping]\r\n", at_ns)
        elif body == "RST=#":
            self._forget_places(at_ns)
        elif body == "H":
            return self._home(at_ns)
        elif body.startswith("I="):
            self._note = body[2:]
        elif body[:3] in ("N0=", "N1="):
            self._write_startup(int(body[1]), body[3:])
        else:
            self._write_setting(body, at_ns)
        return True

    def _forget_places(self, at_ns: int) -> None:
        """``$RST=#``: coordinate systems and stored places are zero; the controller starts anew."""
        for places in (self._modes.systems, self._modes.stored):
            for name in places:
                places[name] = np.zeros(len(self._letters))
        self._send("[MSG:Restoring defaults]\r\n", at_ns)
        self._reset(at_ns)

    def _write_startup(self, number: int, line: str) -> None:
        if self._mode != "Idle":
            raise Refused(8)
        words = read_words(line, self._letters)
        Modes(self.config).take(words)
        self._modes.startup[number] = line

    def _write_setting(self, body: str, at_ns: int) -> None:
        name, equals, value = body.partition("=")
        unknown = UNKNOWN_SETTING[self.config.firmware]
        if not equals or not name.isdigit() or int(name) not in self._settings:
            raise Refused(unknown if not name.isdigit() or not equals else 3)
        try:
            number = float(value)
        except ValueError:
            raise Refused(2) from None
        if number < 0.0:
            raise Refused(4)
        if int(name) == 20 and number and not self._settings[22]:
            raise Refused(10)
        self._settings[int(name)] = number
        if int(name) == 481:
            self._auto = self._auto and number > 0.0
        if 110 <= int(name) < 130:
            axes = range(len(self._letters))
            self._planner.rate(
                np.array([self._settings[110 + index] / 60.0 for index in axes]),
                np.array([self._settings[120 + index] for index in axes]),
            )

    def _home(self, at_ns: int) -> bool:
        if not self._settings[22]:
            raise Refused(5)
        self._mode = "Home"
        self._planner.add(np.full(len(self._letters), -PULL_OFF), self._settings[25] / 60.0, at_ns)
        self._rest = None
        self._push(max(self._planner.end_ns, at_ns) + 1_000_000_000, "homed", b"")
        return False

    def _finish_homing(self, at_ns: int) -> None:
        self._planner.settle(np.full(len(self._letters), -PULL_OFF), at_ns)
        self._lost = np.zeros(len(self._letters))
        self._mode, self._homed, self._rest = "Idle", True, None
        self._send("ok\r\n", at_ns)

    def _target(self, words: Words, relative: bool, inches: bool, machine: bool) -> NDArray[np.float64]:
        target = self._planner.target.copy()
        offset = np.zeros_like(target) if machine else self._modes.offset
        for index, letter in enumerate(self._letters):
            if letter in words.values:
                value = words.values[letter] * (INCH_MM if inches and letter in "XYZ" else 1.0)
                target[index] = target[index] + value if relative and not machine else value + offset[index]
        return target

    def _within(self, target: NDArray[np.float64]) -> bool:
        travel = np.array([self._settings[130 + index] for index in range(len(self._letters))])
        return bool(np.all(target <= 1e-6) and np.all(target >= -travel - 1e-6))

    def _jog(self, words: Words, at_ns: int) -> None:
        if words.m or any(g not in (200, 210, 900, 910, 530) for g in words.g):
            raise Refused(16)
        if not any(letter in words.values for letter in self._letters):
            raise Refused(26)
        if words.values.get("F", 0.0) <= 0.0:
            raise Refused(22)
        inches = 200 in words.g or (self._modes.inches and 210 not in words.g)
        relative = 910 in words.g or (self._modes.relative and 900 not in words.g)
        target = self._target(words, relative, inches, 530 in words.g)
        # An axis that was never homed has no limits for grblHAL; Grbl checks whatever the homing state.
        if self._settings[20] and (self._homed or not self._hal) and not self._within(target):
            raise Refused(15)
        feed = words.values["F"] * (INCH_MM if inches else 1.0)
        if self._planner.add(target, feed / 60.0, at_ns):
            self._mode, self._rest = "Jog", None

    def _gcode(self, line: str, at_ns: int) -> int | None:
        """Run one line; when its ``ok`` comes later (a dwell, after the motion before it), that moment."""
        if self._mode in ("Alarm", "Jog"):
            raise Refused(9)
        if self._latched:
            raise Refused(self._latched)
        words, modes = read_words(line, self._letters), self._modes
        system, offset = modes.system, modes.offset
        if 40 in words.g and "P" not in words.values:
            raise Refused(28)
        before = copy(modes)
        try:
            modes.take(words)
            if self._mode != "Check":
                self._run(words, at_ns)
        except Refused:
            self._modes = before  # a refused line changes nothing
            raise
        if modes.system != system:
            self._reports.new_system()
        if modes.system != system or np.any(modes.offset != offset):
            self._reports.restart()
        return self._dwell_until if 40 in words.g and self._mode != "Check" else None

    def _run(self, words: Words, at_ns: int) -> None:
        modes = self._modes
        if 40 in words.g:
            self._dwell_until = max(at_ns, self._planner.end_ns) + int(words.values["P"] * 1e9)
        if 100 in words.g:
            modes.set_system(words, self._planner.target)
        elif 920 in words.g:
            modes.shift_to(words, self._planner.target)
        elif 921 in words.g:
            modes.shift = np.zeros(len(self._letters))
        elif 431 in words.g:
            modes.lengthen(words)
        elif 281 in words.g or 301 in words.g:
            modes.stored["G28" if 281 in words.g else "G30"] = self._planner.target.copy()
        elif 280 in words.g or 300 in words.g:
            self._go_to_stored("G28" if 280 in words.g else "G30", words, at_ns)
        elif any(letter in words.values for letter in self._letters):
            self._move(words, at_ns)

    def _go_to_stored(self, name: str, words: Words, at_ns: int) -> None:
        """``G28``, ``G30``: by way of the point that the line names, at rapid speed."""
        if any(letter in words.values for letter in self._letters):
            self._rapid(self._target(words, self._modes.relative, self._modes.inches, False), at_ns)
        self._rapid(self._modes.stored[name], at_ns)

    def _rapid(self, target: NDArray[np.float64], at_ns: int) -> None:
        if self._planner.add(target, RAPID, at_ns) and self._mode == "Idle":
            self._mode = "Run"
        self._rest = None

    def _move(self, words: Words, at_ns: int) -> None:
        modes = self._modes
        if modes.motion == "G80":
            raise Refused(31)
        rapid = modes.motion == "G0"
        if not rapid and modes.feed <= 0.0:
            raise Refused(22)
        target = self._target(words, modes.relative, modes.inches, 530 in words.g)
        if self._settings[20] and (self._homed or not self._hal) and not self._within(target):
            self._stop_steps(at_ns)
            self._alarm(2, at_ns, deaf=not self._hal)
            return
        if self._planner.add(target, RAPID if rapid else modes.feed / 60.0, at_ns) and self._mode == "Idle":
            self._mode = "Run"
        self._rest = None
