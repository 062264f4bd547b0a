"""Simulated New Era NE-1000 syringe pump: commands, alarms and watchdog around motor and plunger.

Our own reading of the manual's RS-232 chapter. What the manual leaves open is said where it is decided.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from functools import partial

from hal.clock import NS_PER_S
from hal.sim.devices.pump_new_era_frame import Packet, Receiver, frame
from hal.sim.devices.pump_new_era_motor import Motor, unprogrammed
from hal.sim.devices.pump_new_era_values import (
    DIAMETER_MM,
    LAST_PHASE,
    MICROLITRE_UP_TO_MM,
    ML_MIN_PER_UNIT,
    ML_PER_UNIT,
    Refused,
    parse,
    rate_limits_ml_min,
    shown,
    whole,
)
from hal.sim.devices.pump_plunger import Plunger, PlungerFigures
from hal.sim.ports import PressurePort
from hal.sim.simulators import BOTH, SimDevice, SimPlace

TURNAROUND_NS = 1_000_000
STALL_CHECK_NS = 20_000_000
_COMMAND = re.compile(r"(\*?)(\d{0,2})(.*)")
_FUNCTION = re.compile(r"(RAT|STP|FIL|INC|DEC|CLD|BEP|LPS)|(PAS|LOP|JMP)(\d{1,2})")


class NewEraPump:
    """One pump as a ``WireCore`` and ``PlungerSource``.

    ``port`` gives the pressure that the plunger works against (None = never stalls). Attributes that faults may
    use: ``power_cycle``, ``raise_alarm``, ``jam`` (the plunger is stuck: the next movement stalls).
    """

    def __init__(
        self,
        port: PressurePort | None = None,
        *,
        seed: int = 0,
        address: int = 0,
        version: str = "NE1000V3.928",
        figures: PlungerFigures | None = None,
        bore_mm: float | None = None,
    ) -> None:
        self.port = port
        self.address = address
        self.version = version
        self.motor = Motor(Plunger(figures or PlungerFigures(), seed, bore_mm))
        self.alarm = "R"
        self.jam = False
        self.safe_s = 0
        self.switches = {"PF": 0, "LOC": 0}
        """PF: a program that runs when the power fails begins anew when it comes back. LOC: the keys are locked."""
        self._receiver = Receiver()
        self._output: deque[tuple[int, bytes]] = deque()
        self._watchdog_ns: int | None = None
        self._stall_checked_ns = 0
        self._commands: dict[str, Callable[[str, int], str]] = {
            "VER": self._version, "DIA": self._diameter, "PHN": self._phase_number, "FUN": self._function,
            "RAT": self._rate, "VOL": self._volume, "DIR": self._direction, "RUN": self._run, "PUR": self._purge,
            "STP": self._stop, "DIS": self._dispensed, "CLD": self._clear, "SAF": self._safe_mode,
            "ADR": self._set_address, "RESET": self._reset,
            "PF": partial(self._switch, "PF"), "LOC": partial(self._switch, "LOC"),
        }  # fmt: skip

    # -- the line -----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ns: int) -> None:
        self._advance(now_ns)
        self._check_stall(now_ns)
        for packet in self._receiver.feed(data, now_ns):
            self._packet(packet, now_ns)

    def transmit(self, now_ns: int) -> bytes:
        self._advance(now_ns)
        if now_ns - self._stall_checked_ns >= STALL_CHECK_NS:
            self._check_stall(now_ns)
        sent = bytearray()
        while self._output and self._output[0][0] <= now_ns:
            sent += self._output.popleft()[1]
        return bytes(sent)

    def next_ns(self, now_ns: int) -> int | None:
        due = [self._output[0][0]] if self._output else []
        if self._watchdog_ns is not None:
            due.append(self._watchdog_ns)
        return min(due, default=None)

    def displaced_ml(self, now_ns: int) -> float:
        """Volume that has truly left the syringe since power-up; also for moments that the pump has passed."""
        self._advance(now_ns)
        return self.motor.displaced_ml(now_ns)

    # -- faults -------------------------------------------------------------------------------------------------------

    def power_cycle(self, now_ns: int) -> None:
        """Power was lost and came back: stopped, reset alarm (in Safe mode sent by itself); settings survive, the
        watchdog waits for a packet.

        With the switch PF on, a program that ran begins anew.
        """
        self._advance(now_ns)
        was_running = self.motor.running
        self.motor.stop(now_ns)
        self.motor.infused_ml = self.motor.withdrawn_ml = 0.0
        self._output.clear()
        self._watchdog_ns = None
        self.alarm = "R"
        if self.safe_s:
            self._send(f"{self.address:02d}A?R", now_ns)
        if was_running and self.switches["PF"]:
            self.motor.run(None, now_ns)

    def stick(self, stuck: bool, now_ns: int) -> None:
        """The stopper sticks in its barrel while the motor goes on, or comes loose."""
        self._advance(now_ns)
        self.motor.plunger.stuck = stuck

    def raise_alarm(self, letter: str, now_ns: int) -> None:
        """Stop in alarm; in Safe mode the alarm is sent by itself, which does not acknowledge it.

        Decided here: the first alarm stays until it is acknowledged, its consequences do not take its place.
        """
        self.motor.stop(now_ns)
        self.alarm = self.alarm or letter
        self._watchdog_ns = None
        if self.safe_s:
            self._send(f"{self.address:02d}A?{letter}", now_ns)

    # -- time ---------------------------------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> None:
        if self._watchdog_ns is not None and self._watchdog_ns <= now_ns:
            expired_ns = self._watchdog_ns
            self.motor.advance(expired_ns)
            self.raise_alarm("T", expired_ns)
        self.motor.advance(now_ns)
        if self.motor.alarm:
            letter, self.motor.alarm = self.motor.alarm, ""
            self.raise_alarm(letter, now_ns)

    def _check_stall(self, now_ns: int) -> None:
        self._stall_checked_ns = now_ns
        motor = self.motor
        if not motor.moving:
            return
        pressure_kpa = self.port.line_pressure_kpa(now_ns) if self.port is not None else 0.0
        backwards = motor.status == "W"
        if self.jam or (not backwards and motor.plunger.stalls(pressure_kpa, motor.diameter_mm, motor.speed_fraction)):
            self.raise_alarm("S", now_ns)

    # -- packets ------------------------------------------------------------------------------------------------------

    def _send(self, text: str, now_ns: int) -> None:
        self._output.append((now_ns + TURNAROUND_NS, frame(text, safe=self.safe_s > 0)))

    def _answer(self, data: str, now_ns: int) -> None:
        status = f"A?{self.alarm}" if self.alarm else self.motor.status
        self._send(f"{self.address:02d}{status}{data}", now_ns)

    def _packet(self, packet: Packet, now_ns: int) -> None:
        if not packet.intact:
            if self.safe_s:
                self._answer("?COM", now_ns)
            return
        if self.safe_s and not packet.safe:
            return  # decided here: plain text is not a packet in Safe mode and gets no answer
        match = _COMMAND.fullmatch(packet.text)
        if match is None:
            return
        everyone, address, command = match.groups()
        if not everyone and int(address or 0) != self.address:
            return
        if self.safe_s:
            self._watchdog_ns = now_ns + self.safe_s * NS_PER_S
        if self.alarm:
            self._answer("", now_ns)
            self.alarm = ""
            return
        try:
            data = self._execute(command, now_ns)
        except Refused as refusal:
            data = str(refusal)
        self._answer(data, now_ns)

    def _execute(self, command: str, now_ns: int) -> str:
        if not command:
            return ""
        name = next((long for long in ("RESET", "PF") if command.startswith(long)), command[:3])
        handler = self._commands.get(name)
        if handler is None:
            raise Refused("?")
        return handler(command[len(name) :], now_ns)

    def _only_at_rest(self) -> None:
        if self.motor.running:
            raise Refused("?NA")

    # -- commands: each takes the text after its name and returns the data of the answer ------------------------------

    def _version(self, argument: str, now_ns: int) -> str:
        if argument:
            raise Refused("?")
        return self.version

    def _diameter(self, argument: str, now_ns: int) -> str:
        motor = self.motor
        if not argument:
            return shown(motor.diameter_mm)
        value = parse(argument)
        self._only_at_rest()
        if not DIAMETER_MM[0] <= value <= DIAMETER_MM[1]:
            raise Refused("?OOR")
        motor.diameter_mm = value
        motor.volume_unit = "UL" if value <= MICROLITRE_UP_TO_MM else "ML"
        motor.infused_ml = motor.withdrawn_ml = 0.0
        return ""

    def _phase_number(self, argument: str, now_ns: int) -> str:
        if not argument:
            return f"{self.motor.phase_n:02d}"
        number = whole(argument, 1, LAST_PHASE)
        self._only_at_rest()
        self.motor.phase_n = number
        return ""

    def _function(self, argument: str, now_ns: int) -> str:
        if not argument:
            return self.motor.phase.function
        if _FUNCTION.fullmatch(argument) is None:
            raise Refused("?")
        self._only_at_rest()
        self.motor.phase.function = argument
        return ""

    def _rate(self, argument: str, now_ns: int) -> str:
        motor = self.motor
        if not argument:
            return f"{shown(motor.phase.rate)}{motor.phase.rate_unit}"
        unit = argument[-2:] if argument[-2:] in ML_MIN_PER_UNIT else ""
        value = parse(argument.removesuffix(unit))
        if motor.running and unit:
            raise Refused("?NA")
        unit = unit or motor.phase.rate_unit
        low, high = rate_limits_ml_min(motor.diameter_mm)
        if not low <= value * ML_MIN_PER_UNIT[unit] <= high:
            raise Refused("?OOR")
        if motor.moving:  # not stored: the next run goes at the rate of the program
            motor.change_rate(value * ML_MIN_PER_UNIT[unit], now_ns)
            return ""
        motor.phase.rate, motor.phase.rate_unit = value, unit
        return ""

    def _volume(self, argument: str, now_ns: int) -> str:
        motor = self.motor
        if not argument:
            return f"{shown(motor.phase.volume)}{motor.volume_unit}"
        self._only_at_rest()
        if argument in ML_PER_UNIT:
            motor.volume_unit = argument
            return ""
        motor.phase.volume = parse(argument)
        return ""

    def _direction(self, argument: str, now_ns: int) -> str:
        motor = self.motor
        if not argument:
            return motor.phase.direction
        if argument not in ("INF", "WDR", "REV", "STK"):
            raise Refused("?")
        if motor.running and motor.phase.volume != 0.0:
            raise Refused("?NA")
        before = motor.phase.direction
        after = argument if argument in ("INF", "WDR") else before
        if argument == "REV":
            after = "WDR" if before == "INF" else "INF"
        # Sticky: as the phase before, or as an input of the pump says in phase 1. Decided here: as it is.
        motor.phase.direction = after
        if motor.moving and after != before:
            motor.reverse(now_ns)
        return ""

    def _run(self, argument: str, now_ns: int) -> str:
        first = whole(argument, 1, LAST_PHASE) if argument else None
        self._only_at_rest()
        self.motor.run(first, now_ns)
        self._after_start(now_ns)
        return ""

    def _purge(self, argument: str, now_ns: int) -> str:
        self._only_at_rest()
        self.motor.purge(now_ns)
        self._after_start(now_ns)
        return ""

    def _after_start(self, now_ns: int) -> None:
        if self.motor.alarm:
            self.alarm, self.motor.alarm = self.motor.alarm, ""

    def _stop(self, argument: str, now_ns: int) -> str:
        motor = self.motor
        if motor.running:
            motor.pause(now_ns)
        elif motor.status == "P":
            motor.stop(now_ns)
        else:
            raise Refused("?NA")  # decided here: nothing to stop
        return ""

    def _dispensed(self, argument: str, now_ns: int) -> str:
        motor = self.motor
        per_unit = ML_PER_UNIT[motor.volume_unit]
        infused, withdrawn = motor.infused_ml / per_unit, motor.withdrawn_ml / per_unit
        return f"I{shown(infused)}W{shown(withdrawn)}{motor.volume_unit}"

    def _clear(self, argument: str, now_ns: int) -> str:
        self._only_at_rest()
        if argument == "INF":
            self.motor.infused_ml = 0.0
        elif argument == "WDR":
            self.motor.withdrawn_ml = 0.0
        else:
            raise Refused("?")
        return ""

    def _safe_mode(self, argument: str, now_ns: int) -> str:
        if not argument:
            return f"{self.safe_s}"
        self.safe_s = whole(argument, 0, 255)
        self._watchdog_ns = now_ns + self.safe_s * NS_PER_S if self.safe_s else None
        return ""

    def _switch(self, name: str, argument: str, now_ns: int) -> str:
        if not argument:
            return f"{self.switches[name]}"
        self.switches[name] = whole(argument, 0, 1)
        return ""

    def _set_address(self, argument: str, now_ns: int) -> str:
        if not argument:
            return f"{self.address:02d}"
        self.address = whole(argument.partition("B")[0], 0, 99)
        return ""

    def _reset(self, argument: str, now_ns: int) -> str:
        """Factory settings. Decided here: the answer already is the reset alarm in Basic mode from address 0."""
        self._only_at_rest()
        self.motor.phases = unprogrammed()
        self.motor.stop(now_ns)
        self.address, self.safe_s, self._watchdog_ns, self.alarm = 0, 0, None, "R"
        return ""


def simulator(place: SimPlace) -> SimDevice:
    """The pump of a simulated bench."""
    core = NewEraPump(place.surroundings, seed=place.seed, figures=place.plunger, bore_mm=place.plunger.bore_mm)
    return SimDevice(place.role, place.driver, core, None, BOTH, plunger=core)
