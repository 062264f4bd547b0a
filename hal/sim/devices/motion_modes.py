"""State of a simulated controller between lines: coordinate systems, offsets, modes; ``$G``, ``$#``, ``$N``.

Source: Grbl 1.1h gcode.c and report.c; grblHAL report.c (``G49 G98 G50`` in ``$G``, ``[HOME:]`` and a tool offset per
axis in ``$#``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hal.sim.devices.motion_config import Firmware, GrblConfig
from hal.sim.devices.motion_words import Refused, Words

INCH_MM = 25.4
GRBL_SYSTEMS = ("G54", "G55", "G56", "G57", "G58", "G59")
SYSTEMS: dict[Firmware, tuple[str, ...]] = {
    Firmware.GRBL: GRBL_SYSTEMS,
    Firmware.GRBLHAL: (*GRBL_SYSTEMS, "G59.1", "G59.2", "G59.3"),
}
GROUPS: dict[str, tuple[int, ...]] = {
    "motion": (0, 10, 800),
    "plane": (170, 180, 190),
    "distance": (900, 910),
    "feed": (930, 940),
    "units": (200, 210),
    "tool": (431, 490),
    "system": (540, 550, 560, 570, 580, 590, 591, 592, 593),
    "path": (610,),
    "cutter": (400,),
    "once": (40, 100, 280, 281, 300, 301, 530, 920, 921),
}
"""G numbers times ten by modal group; of each group a line may hold one (G53 may stand beside a motion)."""
M_CODES = frozenset({0, 1, 2, 3, 4, 5, 7, 8, 9, 30})


class Modes:
    """Modal state; positions are shape (n,), machine coordinates, mm and degrees."""

    def __init__(self, config: GrblConfig) -> None:
        count = len(config.axes)
        self._letters = config.letters
        self._hal = config.firmware is Firmware.GRBLHAL
        self.systems = {name: np.zeros(count) for name in SYSTEMS[config.firmware]}
        self.systems["G54"] = config.work_offset
        self.stored = {"G28": np.zeros(count), "G30": np.zeros(count)}
        self.startup = ["", ""]
        self.reset()

    def reset(self) -> None:
        """Soft reset: forget everything except what is stored: modes, G92 and the tool's length."""
        count = len(self._letters)
        self.shift = np.zeros(count)
        self.tool = np.zeros(count)
        self.motion, self.plane, self.distance, self.feed_mode, self.units = "G0", "G17", "G90", "G94", "G21"
        self.system = "G54"
        self.spindle, self.coolant = "M5", "M9"
        self.feed, self.speed, self.tool_number = 0.0, 0.0, 0

    @property
    def offset(self) -> NDArray[np.float64]:
        """WCO: machine position of the work zero."""
        return np.asarray(self.systems[self.system] + self.shift + self.tool)

    @property
    def inches(self) -> bool:
        return self.units == "G20"

    @property
    def relative(self) -> bool:
        return self.distance == "G91"

    def scale(self, letter: str) -> float:
        """Millimetres or degrees per unit of a word."""
        return INCH_MM if self.inches and letter in "XYZ" else 1.0

    def take(self, words: Words) -> None:
        """Set the modes that a line names; raises ``Refused`` with Grbl's codes 20, 21."""
        for numbers in GROUPS.values():
            if sum(g in numbers and g != 530 for g in words.g) > 1:
                raise Refused(21)
        known = {g for numbers in GROUPS.values() for g in numbers}
        if any(g not in known for g in words.g) or any(m not in M_CODES for m in words.m):
            raise Refused(20)
        for g in words.g:
            name = f"G{g // 10}" + (f".{g % 10}" if g % 10 else "")
            if g in GROUPS["system"]:
                if name not in self.systems:
                    raise Refused(20)
                self.system = name
            elif g in GROUPS["motion"]:
                self.motion = name
            elif g in GROUPS["plane"]:
                self.plane = name
            elif g in GROUPS["distance"]:
                self.distance = name
            elif g in GROUPS["feed"]:
                self.feed_mode = name
            elif g in GROUPS["units"]:
                self.units = name
            elif g == 490:
                self.tool = np.zeros(len(self._letters))
        for m in words.m:
            if m in (3, 4, 5):
                self.spindle = f"M{m}"
            elif m in (7, 8, 9):
                self.coolant = f"M{m}"
            elif m in (2, 30):  # the program's end restores the defaults that Grbl names, not the offsets
                self.motion, self.plane, self.distance, self.feed_mode, self.system = "G1", "G17", "G90", "G94", "G54"
                self.spindle, self.coolant = "M5", "M9"
        self.feed = words.values["F"] * (INCH_MM if self.inches else 1.0) if "F" in words.values else self.feed
        self.speed = words.values.get("S", self.speed)
        self.tool_number = int(words.values.get("T", self.tool_number))

    def lengthen(self, words: Words) -> None:
        """``G43.1``: an offset of the tool's axis; raises ``Refused`` for any other axis."""
        if not self._hal and any(letter in words.values for letter in self._letters if letter != "Z"):
            raise Refused(37)
        for index, letter in enumerate(self._letters):
            if letter in words.values:
                self.tool[index] = words.values[letter] * self.scale(letter)

    def shift_to(self, words: Words, machine: NDArray[np.float64]) -> None:
        """``G92``: the present position gets the values named."""
        named = [letter for letter in self._letters if letter in words.values]
        if not named:
            raise Refused(26)
        shift = self.shift.copy()
        for letter in named:
            index = self._letters.index(letter)
            place = machine[index] - self.systems[self.system][index] - self.tool[index]
            shift[index] = place - words.values[letter] * self.scale(letter)
        self.shift = shift

    def set_system(self, words: Words, machine: NDArray[np.float64]) -> None:
        """``G10 L2 Pn`` (offset given) and ``G10 L20 Pn`` (present position given); P0 is the active one."""
        kind, number = words.values.get("L"), words.values.get("P")
        if kind not in (2.0, 20.0):
            raise Refused(20)
        if number is None:
            raise Refused(28)
        names = list(self.systems)
        if not 0 <= number <= len(names) or number != int(number):
            raise Refused(29)
        name = self.system if number == 0 else names[int(number) - 1]
        offset = self.systems[name].copy()
        for index, letter in enumerate(self._letters):
            if letter in words.values:
                value = words.values[letter] * self.scale(letter)
                beside = self.shift[index] + self.tool[index]
                offset[index] = value if kind == 2.0 else machine[index] - beside - value
        self.systems[name] = offset

    def print_modes(self) -> str:
        """Answer to ``$G``."""
        shifted = " G92" if self._hal and np.any(self.shift != 0.0) else ""
        extra = f" {'G43.1' if np.any(self.tool != 0.0) else 'G49'} G98 G50" if self._hal else ""
        feed = self.feed / (INCH_MM if self.inches else 1.0)
        return (
            f"[GC:{self.motion} {self.system}{shifted} {self.plane} {self.units} {self.distance} {self.feed_mode}"
            f"{extra} {self.spindle} {self.coolant} T{self.tool_number} F{feed:.0f} S{self.speed:.0f}]\r\n"
        )

    def print_places(self, homed: int | None) -> str:
        """Answer to ``$#``; ``homed``: bits of the homed axes, told by grblHAL with homing enabled."""
        lines = [f"[{name}:{_list(place)}]" for name, place in (self.systems | self.stored).items()]
        lines.append(f"[G92:{_list(self.shift)}]")
        zeros = np.zeros(len(self._letters))
        if homed is not None:
            lines.append(f"[HOME:{_list(zeros)}:{homed}]")
        at = self._letters.find("Z")
        tool = self.tool if self._hal or at < 0 else self.tool[at : at + 1]
        lines += [f"[TLO:{_list(tool)}]", f"[PRB:{_list(zeros)}:0]"]
        return "\r\n".join(lines) + "\r\n"

    def print_startup(self) -> str:
        """Answer to ``$N``."""
        return "".join(f"$N{index}={line}\r\n" for index, line in enumerate(self.startup))


def _list(values: NDArray[np.float64]) -> str:
    return ",".join(f"{value:.3f}" for value in values)
