"""Simulated laboratory balance behind MT-SICS, levels 0 and 1.

Our own reading of what makers' manuals show of the command set; the reference manuals were not read. What they leave
open is said where it is decided. Commands end with CR LF; a weight is sent in ten characters, right aligned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hal.clock import NS_PER_S
from hal.sim.devices.weigh_cell import BalanceFigures, Look, WeighCell
from hal.sim.ports import PanPort
from hal.sim.simulators import BOTH, SimDevice, SimPlace

TURNAROUND_NS = 8_000_000
LOOK_NS = 50_000_000
"""How often the cell is looked at while a command waits for stability."""
STEADY_NS = 800_000_000
"""A weight is stable once the cell has called it so for this long [A]."""
ZERO_RANGE = 0.02
"""Part of the capacity around the first zero within which it can be zeroed."""
OVER_DIGITS = 10
UNDER_G = -0.5
"""Lighter than an empty pan: the pan was taken off [A]."""
LONGEST = 80
SERIAL, MODEL, SOFTWARE = "B012345678", "SIM204 Excellence", "3.10 10.28.0.493.142"
LEVELS = 'A "01" "2.30" "2.20" "" ""'


class MtSicsBalance:
    """The balance as a ``WireCore``. ``cell`` has its state; a test presses ``print_key`` or ``power_cycle``."""

    def __init__(
        self, port: PanPort, *, seed: int = 0, figures: BalanceFigures | None = None, model: str = MODEL,
        serial: str = SERIAL,
    ) -> None:  # fmt: skip
        self.figures = figures or BalanceFigures()
        self.model, self.serial = model, serial
        self.cell = WeighCell(port, self.figures, seed)
        self.forgets_tare = False
        """``@`` clears the tare, as one maker's manual says; another's keeps it."""
        self._name = ""
        self._partial = b""
        self._waiting: deque[str] = deque()
        self._pending: tuple[str, int] | None = None
        """Command that waits for a stable weight, and until when."""
        self._steady_ns: int | None = None
        self._looked_ns = 0
        self._stream_ns: int | None = None
        self._next_ns = 0
        self._out: deque[tuple[int, bytes]] = deque()
        self._commands: dict[str, Callable[[str, int], None]] = {
            "I0": self._list, "I1": self._levels, "I2": self._data, "I3": self._software, "I4": self._number,
            "I10": self._identity, "I11": self._type,
            "S": self._stable, "SI": self._immediately, "SIU": self._immediately, "SIR": self._stream,
            "SIRU": self._stream, "T": self._stable, "TI": self._tare_now, "TA": self._tare, "TAC": self._untare,
            "Z": self._stable, "ZI": self._zero_now, "M03": self._zero_tracking,
        }  # fmt: skip

    # -- the line -----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ns: int) -> None:
        self._advance(now_ns)
        *whole, rest = (self._partial + data).split(b"\n")
        self._partial = rest[-LONGEST:]
        for line in whole:
            text = line.removesuffix(b"\r")
            if any(byte < 32 or byte > 126 for byte in text):
                self._say("ET", now_ns)
            elif text == b"@":
                self._cancel(now_ns)
            elif text:
                self._waiting.append(text.decode("ascii"))
        self._work(now_ns)

    def transmit(self, now_ns: int) -> bytes:
        self._advance(now_ns)
        sent = bytearray()
        while self._out and self._out[0][0] <= now_ns:
            sent += self._out.popleft()[1]
        return bytes(sent)

    def next_ns(self, now_ns: int) -> int | None:
        moments = [self._out[0][0]] if self._out else []
        if self._pending is not None:
            moments.append(self._looked_ns + LOOK_NS)
        if self._stream_ns is not None:
            moments.append(self._next_ns)
        return min(moments, default=None)

    def print_key(self, now_ns: int) -> None:
        """Somebody presses PRINT: the display, without an identifier."""
        self._say(f"{self._shown(self._net(self.cell.look(now_ns)))}", now_ns)

    def power_cycle(self, now_ns: int) -> None:
        """Power was lost and came back: it zeroes and sends its serial number."""
        self._advance(now_ns)
        self.cell.look(now_ns)
        self.cell.restart()
        self._pending = self._stream_ns = None
        self._waiting.clear()
        self._out.clear()
        self._say(f'I4 A "{self.serial}"', now_ns)

    # -- time ---------------------------------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> None:
        while self._stream_ns is not None and self._next_ns <= now_ns:
            self._say(self._weight("S", self._next_ns), self._next_ns, 0)
            self._next_ns += self._stream_ns
            if self._next_ns < now_ns - NS_PER_S:  # nobody listened: those lines went by
                self._next_ns = now_ns
        self._work(now_ns)

    def _work(self, now_ns: int) -> None:
        """Carry out commands in their order; one that waits for stability holds up the others, as decided here."""
        if self._pending is not None:
            self._await_stability(now_ns)
        while self._pending is None and self._waiting:
            self._carry_out(self._waiting.popleft(), now_ns)

    def _await_stability(self, now_ns: int) -> None:
        assert self._pending is not None
        command, until_ns = self._pending
        if now_ns < self._looked_ns + LOOK_NS and now_ns < until_ns:
            return
        self._looked_ns = now_ns
        look = self.cell.look(now_ns)
        if not look.stable:
            self._steady_ns = None
        elif self._steady_ns is None:
            self._steady_ns = now_ns
        beyond = self._beyond(look)
        if beyond:
            self._end(f"{command} {beyond}", now_ns)
        elif self._steady_ns is not None and now_ns - self._steady_ns >= STEADY_NS:
            self._end(self._done(command, look), now_ns)
        elif now_ns >= until_ns:
            self._end(f"{command} I", now_ns)

    def _end(self, answer: str, now_ns: int) -> None:
        self._pending = None
        self._say(answer, now_ns)

    def _done(self, command: str, look: Look) -> str:
        """Answer of a stable weight to the command that waited for it."""
        if command == "S":
            return f"S S {self._shown(self._net(look))}"
        if command == "T":
            if look.gross_g < 0.0:
                return "T -"
            self.cell.tare_g = self._rounded(look.gross_g)
            return f"T S {self._shown(self.cell.tare_g)}"
        return self._zeroed(look, "A", "Z")

    def _zeroed(self, look: Look, status: str, name: str) -> str:
        loaded_g = look.gross_g + self.cell.zero_g
        if abs(loaded_g) > ZERO_RANGE * self.figures.capacity_g:
            return f"{name} {'+' if loaded_g > 0.0 else '-'}"
        self.cell.zero_g += look.gross_g
        self.cell.tare_g = 0.0
        return f"{name} {status}"

    # -- commands -----------------------------------------------------------------------------------------------------

    def _carry_out(self, text: str, now_ns: int) -> None:
        name, _, argument = text.partition(" ")
        command = self._commands.get(name)
        if command is None:
            self._say("ES", now_ns)
            return
        if name in ("S", "SI", "SIU"):
            self._stream_ns = None
        self._name = name
        command(argument, now_ns)

    def _cancel(self, now_ns: int) -> None:
        """``@``: what is pending is dropped, streams end; zero and, as decided here, tare stay."""
        self._pending = self._stream_ns = None
        self._waiting.clear()
        if self.forgets_tare:
            self.cell.tare_g = 0.0
        self._number("", now_ns)

    def _list(self, argument: str, now_ns: int) -> None:
        names = sorted([*self._commands, "@"], key=lambda name: (self._level(name), name))
        for name in names:
            status = "A" if name == names[-1] else "B"
            self._say(f'I0 {status} {self._level(name)} "{name}"', now_ns)

    @staticmethod
    def _level(name: str) -> int:
        if name in ("@", "I0", "I1", "I2", "I3", "I4", "S", "SI", "SIR", "Z", "ZI"):
            return 0
        return 1 if name in ("T", "TI", "TA", "TAC") else 2

    def _levels(self, argument: str, now_ns: int) -> None:
        self._say(f"I1 {LEVELS}", now_ns)

    def _data(self, argument: str, now_ns: int) -> None:
        self._say(f'I2 A "{self.model} {self.figures.capacity_g:.4f} g"', now_ns)

    def _software(self, argument: str, now_ns: int) -> None:
        self._say(f'I3 A "{SOFTWARE}"', now_ns)

    def _number(self, argument: str, now_ns: int) -> None:
        self._say(f'I4 A "{self.serial}"', now_ns)

    def _identity(self, argument: str, now_ns: int) -> None:
        self._say('I10 A ""', now_ns)

    def _type(self, argument: str, now_ns: int) -> None:
        self._say(f'I11 A "{self.model.split()[0]}"', now_ns)

    def _stable(self, argument: str, now_ns: int) -> None:
        """``S``, ``T``, ``Z``: when the weight is stable, or not at all."""
        self._pending = (self._name, now_ns + int(self.figures.wait_s * NS_PER_S))
        self._steady_ns, self._looked_ns = None, now_ns - LOOK_NS
        self._await_stability(now_ns)

    def _immediately(self, argument: str, now_ns: int) -> None:
        self._say(self._weight("S", now_ns), now_ns)

    def _stream(self, argument: str, now_ns: int) -> None:
        """``SIR [ms]``."""
        if argument and not (argument.isdigit() and 20 <= int(argument) <= 65535):
            self._say("S L", now_ns)
            return
        period_ns = int(argument) * 1_000_000 if argument else int(NS_PER_S / self.figures.stream_hz)
        self._stream_ns, self._next_ns = period_ns, now_ns + period_ns
        self._say(self._weight("S", now_ns), now_ns)

    def _tare_now(self, argument: str, now_ns: int) -> None:
        look = self.cell.look(now_ns)
        if look.gross_g < 0.0:
            self._say("TI L", now_ns)
            return
        self.cell.tare_g = self._rounded(look.gross_g)
        self._say(f"TI {'S' if look.stable else 'D'} {self._shown(self.cell.tare_g)}", now_ns)

    def _tare(self, argument: str, now_ns: int) -> None:
        """``TA [value unit]``."""
        if argument:
            value, _, unit = argument.partition(" ")
            try:
                preset_g = float(value) * self._unit_g
            except ValueError:
                preset_g = -1.0
            if unit != self.figures.unit or not 0.0 <= preset_g <= self.figures.capacity_g:
                self._say("TA L", now_ns)
                return
            self.cell.tare_g = self._rounded(preset_g)
        self._say(f"TA A {self._shown(self.cell.tare_g)}", now_ns)

    def _untare(self, argument: str, now_ns: int) -> None:
        self.cell.tare_g = 0.0
        self._say("TAC A", now_ns)

    def _zero_now(self, argument: str, now_ns: int) -> None:
        look = self.cell.look(now_ns)
        self._say(self._zeroed(look, "S" if look.stable else "D", "ZI"), now_ns)

    def _zero_tracking(self, argument: str, now_ns: int) -> None:
        """``M03 [0|1]``, recalled."""
        if not argument:
            self._say(f"M03 A {int(self.cell.zero_tracking)}", now_ns)
        elif argument in ("0", "1"):
            self.cell.zero_tracking = argument == "1"
            self._say("M03 A", now_ns)
        else:
            self._say("M03 L", now_ns)

    # -- numbers ------------------------------------------------------------------------------------------------------

    def _weight(self, name: str, now_ns: int) -> str:
        look = self.cell.look(now_ns)
        return f"{name} {self._beyond(look)}" if self._beyond(look) else (
            f"{name} {'S' if look.stable else 'D'} {self._shown(self._net(look))}"
        )  # fmt: skip

    def _beyond(self, look: Look) -> str:
        if look.load_g > self.figures.capacity_g + OVER_DIGITS * self.cell.digit_g:
            return "+"
        return "-" if look.load_g < UNDER_G else ""

    def _net(self, look: Look) -> float:
        return look.gross_g - self.cell.tare_g

    @property
    def _unit_g(self) -> float:
        return 1.0 if self.figures.unit == "g" else 1e-3

    def _rounded(self, grams: float) -> float:
        return round(grams, self.figures.decimals)

    def _shown(self, grams: float) -> str:
        places = self.figures.decimals if self.figures.unit == "g" else max(0, self.figures.decimals - 3)
        return f"{self._rounded(grams) / self._unit_g + 0.0:10.{places}f} {self.figures.unit}"

    def _say(self, text: str, now_ns: int, after_ns: int = TURNAROUND_NS) -> None:
        at_ns = max(now_ns + after_ns, self._out[-1][0] if self._out else 0)
        self._out.append((at_ns, text.encode("latin-1") + b"\r\n"))


def simulator(place: SimPlace) -> SimDevice:
    """This device on a simulated bench."""
    core = MtSicsBalance(place.surroundings, seed=place.seed, figures=place.balance)
    return SimDevice(place.role, place.driver, core, None, BOTH)
