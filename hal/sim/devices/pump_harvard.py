"""Simulated Harvard Apparatus Pump 11 Elite (KD Scientific Legato): the "Ultra" command set around motor and plunger.

Our own reading of PHD Ultra manual 5419-002 and Pump 33 DDS manual 5419-013. What they leave open is said where it is
decided. The pump has no watchdog: what was started goes on until its target, a stall or ``stp``.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hal.sim.devices.pump_harvard_motor import Motor, rate_limits_ml_min
from hal.sim.devices.pump_harvard_words import (
    Refused,
    argument_error,
    number,
    rate_ml_min,
    reply,
    shown_rate,
    shown_volume,
    volume_ml,
    whole,
)
from hal.sim.devices.pump_plunger import Plunger, PlungerFigures
from hal.sim.ports import PressurePort
from hal.sim.simulators import BOTH, SimDevice, SimPlace

TURNAROUND_NS = 1_000_000
STALL_CHECK_NS = 20_000_000
SHOWN_SHARE = 1e-5
"""The limit that it shows, with six digits, is one that it takes."""
LONGEST = 80
"""More text than this without CR is noise."""
_COMMAND = re.compile(r"(\d{0,2}):?@?\s*(\S*)\s*(.*?)\s*")
_ANY_TIME = frozenset({"ivolume", "wvolume", "crate", "stp", "stop", "poll", "echo", "ver", "version", "status", "dim"})
"""Commands that also do something while it runs. Decided here, where the manuals are silent: any other that has an
argument, or that clears or starts, is refused then."""
_STARTS_OR_CLEARS = frozenset({"irun", "wrun", "rrun", "run", "ctvolume", "civolume", "cwvolume", "cvolume", "cttime"})


class HarvardPump:
    """One pump as a ``WireCore`` and ``PlungerSource``.

    ``port`` gives the pressure that the plunger works against (None = never stalls). Attributes that faults may
    use: ``power_cycle``, ``jam`` (the plunger is stuck: the next movement stalls).
    """

    def __init__(
        self,
        port: PressurePort | None = None,
        *,
        seed: int = 0,
        address: int = 0,
        version: str = "11 ELITE I/W Single 3.0.4",
        figures: PlungerFigures | None = None,
        bore_mm: float | None = None,
    ) -> None:
        self.port = port
        self.address = address
        self.version = version
        self.figures = figures or PlungerFigures()
        self.motor = Motor(Plunger(self.figures, seed, bore_mm))
        self.jam = False
        self.polled = self.echoes = False
        self.directions = "iw"
        self.force_percent = 100
        self.syringe_ml = 1.0
        self.rates_ml_min: dict[str, float] = {"i": 0.0, "w": 0.0}
        self.target_ml: float | None = None
        self.target_s: float | None = None
        self.ramps: dict[str, str] = {}
        self._partial = b""
        self._output: deque[tuple[int, bytes]] = deque()
        self._stall_checked_ns = 0
        self._commands: dict[str, Callable[[str, int], tuple[str, ...]]] = {
            "ver": self._version, "version": self._versions, "address": self._address, "poll": self._poll,
            "echo": self._echo, "nvram": self._any_of("none", "off", "on"), "dim": self._dim, "load": self._load,
            "time": lambda argument, now_ns: (argument or "01/01/26 12:00:00",),
            "force": self._force, "diameter": self._diameter, "svolume": self._syringe,
            "irate": partial(self._rate, "i"), "wrate": partial(self._rate, "w"), "crate": self._current_rate,
            "iramp": partial(self._ramp, "i"), "wramp": partial(self._ramp, "w"),
            "irun": partial(self._run, "i"), "run": partial(self._run, "i"), "wrun": partial(self._run, "w"),
            "stp": self._stop, "stop": self._stop, "tvolume": self._target, "ctvolume": self._clear_target,
            "ivolume": lambda argument, now_ns: (shown_volume(self.motor.infused_ml),),
            "wvolume": lambda argument, now_ns: (shown_volume(self.motor.withdrawn_ml),),
            "civolume": partial(self._clear, "i"), "cwvolume": partial(self._clear, "w"),
            "cvolume": partial(self._clear, "iw"), "ttime": self._target_time, "cttime": self._clear_time,
            "metrics": lambda argument, now_ns: ("Pump type         Pump 11", f"Pump type string  {self.version}",
                                                 "Direction         Infuse/withdraw"),
        }  # fmt: skip

    # -- the line -----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ns: int) -> None:
        self._advance(now_ns)
        self._check_stall(now_ns)
        if self.echoes:
            self._output.append((now_ns, data))
        *whole_ones, rest = (self._partial + data).replace(b"\n", b"").split(b"\r")
        self._partial = rest[-LONGEST:]
        for line in whole_ones:
            self._line(line.decode("ascii", errors="replace"), now_ns)

    def transmit(self, now_ns: int) -> bytes:
        self._advance(now_ns)
        if now_ns - self._stall_checked_ns >= STALL_CHECK_NS:
            self._check_stall(now_ns)
        sent = bytearray()
        while self._output and self._output[0][0] <= now_ns:
            sent += self._output.popleft()[1]
        return bytes(sent)

    def next_ns(self, now_ns: int) -> int | None:
        return self._output[0][0] if self._output else None

    def displaced_ml(self, now_ns: int) -> float:
        """Volume that has truly left the syringe since power-up; also for moments that the pump has passed."""
        self._advance(now_ns)
        return self.motor.displaced_ml(now_ns)

    def power_cycle(self, now_ns: int) -> None:
        """Power was lost and came back. Decided here: stopped, counts and run settings lost, not polled."""
        self._advance(now_ns)
        self.motor.halt(":", now_ns)
        self.motor.infused_ml = self.motor.withdrawn_ml = 0.0
        self.polled, self.target_ml, self.target_s = False, None, None
        self.rates_ml_min = {"i": 0.0, "w": 0.0}
        self._output.clear()

    # -- time ---------------------------------------------------------------------------------------------------------

    def stick(self, stuck: bool, now_ns: int) -> None:
        """The stopper sticks in its barrel while the motor goes on, or comes loose."""
        self._advance(now_ns)
        self.motor.plunger.stuck = stuck

    def _advance(self, now_ns: int) -> None:
        self.motor.advance(now_ns)

    def _check_stall(self, now_ns: int) -> None:
        self._stall_checked_ns = now_ns
        motor = self.motor
        if not motor.moving:
            return
        pressure_kpa = self.port.line_pressure_kpa(now_ns) if self.port is not None else 0.0
        fraction = motor.rate_ml_min / rate_limits_ml_min(motor.diameter_mm)[1]
        pushed_back = motor.prompt == ">" and motor.plunger.stalls(pressure_kpa, motor.diameter_mm, fraction)
        if self.jam or pushed_back:
            motor.halt("*", now_ns)

    # -- commands -----------------------------------------------------------------------------------------------------

    def _line(self, line: str, now_ns: int) -> None:
        match = _COMMAND.fullmatch(line)
        if match is None:
            return
        address, word, argument = match.groups()
        if int(address or 0) != self.address:
            return
        try:
            lines = self._execute(word.lower(), argument.lower(), now_ns)
        except Refused as refusal:
            lines = refusal.lines
        # Decided here: a pump whose address is not 0 always gives it, one whose address is 0 when it was asked by it.
        head = (f"{self.address:02d}" if address or self.address else "") + self.motor.prompt
        self._output.append((now_ns + TURNAROUND_NS, reply(lines, head, polled=self.polled)))

    def _execute(self, word: str, argument: str, now_ns: int) -> tuple[str, ...]:
        if not word:
            return ()
        names = [name for name in self._commands if name == word or (len(word) >= 4 and name.startswith(word))]
        if not names:
            raise Refused(f"Unknown command: {word}")
        name = word if word in names else names[0]
        acts = (argument not in ("", "lim") and name not in _ANY_TIME) or name in _STARTS_OR_CLEARS
        if self.motor.moving and acts:
            raise Refused(f"Command error: {name}", "   Not while the pump is running")
        return self._commands[name](argument, now_ns)

    # Each takes the text after its name and returns the lines of the answer.

    def _version(self, argument: str, now_ns: int) -> tuple[str, ...]:
        return (self.version,)

    def _versions(self, argument: str, now_ns: int) -> tuple[str, ...]:
        return (f"Firmware:      v{self.version.split()[-1]}", f"Pump address:  {self.address}", "Serial number: 0")

    def _address(self, argument: str, now_ns: int) -> tuple[str, ...]:
        if argument:
            self.address = whole(argument, 0, 99)
            return ()
        return (f"Pump address is {self.address}",)

    def _poll(self, argument: str, now_ns: int) -> tuple[str, ...]:
        if not argument:
            return (f"Polling mode is {'ON' if self.polled else 'OFF'}",)
        self.polled = self._switch(argument)
        return ()

    def _echo(self, argument: str, now_ns: int) -> tuple[str, ...]:
        if not argument:
            return (f"Echo is {'ON' if self.echoes else 'OFF'}",)
        self.echoes = self._switch(argument)
        return ()

    @staticmethod
    def _switch(argument: str) -> bool:
        if argument not in ("on", "off"):
            raise argument_error(argument)
        return argument == "on"

    @staticmethod
    def _any_of(*words: str) -> Callable[[str, int], tuple[str, ...]]:
        def take(argument: str, now_ns: int) -> tuple[str, ...]:
            if argument and argument not in words:
                raise argument_error(argument)
            return ()

        return take

    def _dim(self, argument: str, now_ns: int) -> tuple[str, ...]:
        whole(argument, 0, 100)
        return ()

    def _load(self, argument: str, now_ns: int) -> tuple[str, ...]:
        if not argument:
            return (f"Quick Start {self.directions}",)  # decided here: the manual's words are not at hand
        if argument not in ("qs i", "qs w", "qs iw", "qs wi"):
            raise argument_error(argument)
        self.directions = argument.removeprefix("qs ")
        return ()

    def _force(self, argument: str, now_ns: int) -> tuple[str, ...]:
        if not argument:
            return (f"{self.force_percent}%",)
        self.force_percent = whole(argument, 1, 100)
        share, figures = self.force_percent / 100.0, self.figures
        self.motor.plunger.figures = replace(
            figures, force_slow_n=share * figures.force_slow_n, force_fast_n=share * figures.force_fast_n
        )
        return ()

    def _diameter(self, argument: str, now_ns: int) -> tuple[str, ...]:
        if not argument:
            return (f"{self.motor.diameter_mm:.4f} mm",)
        value = number(argument.removesuffix("mm").strip(), argument)
        if not 0.1 <= value <= 50.0:
            raise argument_error(argument, "Out of range")
        self.motor.diameter_mm = value
        self.rates_ml_min = {"i": 0.0, "w": 0.0}
        return ()

    def _syringe(self, argument: str, now_ns: int) -> tuple[str, ...]:
        if not argument:
            return (shown_volume(self.syringe_ml),)
        self.syringe_ml = volume_ml(argument)
        self.rates_ml_min = {"i": 0.0, "w": 0.0}
        return ()

    def _rate(self, way: str, argument: str, now_ns: int) -> tuple[str, ...]:
        low, high = rate_limits_ml_min(self.motor.diameter_mm)
        if not argument:
            return (shown_rate(self.rates_ml_min[way]),)
        if argument == "lim":
            return (f"{shown_rate(low)} to {shown_rate(high)}",)
        value = {"max": high, "min": low}.get(argument)
        value = rate_ml_min(argument) if value is None else value
        if not low <= value <= high * (1.0 + SHOWN_SHARE):
            raise argument_error(argument, "Out of range")
        self.rates_ml_min[way] = value
        return ()

    def _current_rate(self, argument: str, now_ns: int) -> tuple[str, ...]:
        if not self.motor.moving:
            raise Refused("Command error: crate", "   The pump is not running")
        way = "Infusing" if self.motor.prompt == ">" else "Withdrawing"
        return (f"{way} at {shown_rate(self.motor.rate_ml_min)}",)

    def _ramp(self, way: str, argument: str, now_ns: int) -> tuple[str, ...]:
        """Decided here: a ramp is kept and shown, and a run with it goes at its last rate."""
        if not argument:
            return (self.ramps.get(way, "Ramp not set up."),)
        self.ramps[way] = argument
        return ()

    def _run(self, way: str, argument: str, now_ns: int) -> tuple[str, ...]:
        rate = self.rates_ml_min[way]
        if way not in self.directions or rate <= 0.0:
            raise Refused(f"Command error: {way}run", "   Rate not set" if rate <= 0.0 else "   Wrong mode")
        if self.motor.prompt == "*" and self.jam:
            return ()
        done_ml = self.motor.infused_ml if way == "i" else self.motor.withdrawn_ml
        # Decided here: a target counts from the last clear of the volume; a second run towards it does not move.
        left_ml = math.inf if self.target_ml is None else self.target_ml - done_ml
        if self.target_s is not None:
            left_ml = min(left_ml, rate * self.target_s / 60.0)
        self.motor.run(">" if way == "i" else "<", rate, left_ml, now_ns)
        return ()

    def _stop(self, argument: str, now_ns: int) -> tuple[str, ...]:
        self.motor.halt(":", now_ns)
        return ()

    def _target(self, argument: str, now_ns: int) -> tuple[str, ...]:
        if not argument:
            return ("Target volume not set" if self.target_ml is None else shown_volume(self.target_ml),)
        value = volume_ml(argument)
        if not 0.0 < value <= self.syringe_ml:
            raise argument_error(argument, "Target volume out of range")
        self.target_ml = value
        return ()

    def _clear_target(self, argument: str, now_ns: int) -> tuple[str, ...]:
        self.target_ml = None
        return ()

    def _clear(self, ways: str, argument: str, now_ns: int) -> tuple[str, ...]:
        if "i" in ways:
            self.motor.infused_ml = 0.0
        if "w" in ways:
            self.motor.withdrawn_ml = 0.0
        return ()

    def _target_time(self, argument: str, now_ns: int) -> tuple[str, ...]:
        if not argument:
            return ("Target time not set" if self.target_s is None else f"{self.target_s:g} seconds",)
        self.target_s = number(argument, argument)
        return ()

    def _clear_time(self, argument: str, now_ns: int) -> tuple[str, ...]:
        self.target_s = None
        self.ramps.clear()
        return ()


def simulator(place: SimPlace) -> SimDevice:
    """The pump of a simulated bench."""
    core = HarvardPump(place.surroundings, seed=place.seed, figures=place.plunger, bore_mm=place.plunger.bore_mm)
    return SimDevice(place.role, place.driver, core, None, BOTH, plunger=core)
