"""Settings that a Grbl controller remembers from its last user: ``$$``, ``$G``, ``$#``, ``$N``.

Source: Grbl 1.1 commands and interface description; grblHAL reports (``[HOME:]``, ``$10`` bits, ``$481``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hal.drivers.motion_status import COORDINATES, coordinates
from hal.errors import BadReply

ESTABLISHED = {"G20": "G21", "G91": "G90", "G93": "G94", "G95": "G94", "G18": "G17", "G19": "G17"}
"""Modes of an earlier user that opening sets back, and to what: millimetres, absolute, per minute, plane XY. They go
with every line that is sent and are forgotten by a reset; nothing is lost by setting them."""
PIN_STATE, WORK_OFFSETS = 16, 32
"""Bits of grblHAL's ``$10``: input pins and work offsets in reports."""
LATHE = 2
"""Value of ``$32``: X counts as a diameter."""
OFFSET_TOLERANCE = 0.0025
"""Sums of three rounded offsets against a rounded one, mm and degrees."""

_SETTING = re.compile(r"\$(\d{1,4})=(.*)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MODES = re.compile(r"\[GC:((?:[GMTFS]-?\d+(?:\.\d*)?(?::[A-Z]+)?)(?: [GMTFS]-?\d+(?:\.\d*)?(?::[A-Z]+)?)*)\]")
_PLACE = re.compile(rf"\[(G\d\d(?:\.\d)?|TLO):({COORDINATES})\]")
_HOMED = re.compile(rf"\[HOME:{COORDINATES}:(\d+)\]")
_OTHER = re.compile(r"\[(?:G51|[A-FH-Z][A-Z ]*):")
"""Scaling, probe, tools and what a newer firmware may add: reported in other words, or irrelevant to a rig."""
_STARTUP = re.compile(r"\$N(\d)=(.*)")
_FREE_TEXT = re.compile(r"\[MSG:.*\]")


@dataclass(frozen=True)
class Setup:
    """One controller's memory."""

    settings: dict[int, float]
    """``$$`` by number; settings that are no numbers (grblHAL has some) are left out."""
    modes: tuple[str, ...]
    """Words of ``$G``."""
    places: dict[str, tuple[float, ...]]
    """``$#``: ``G54`` to ``G59.3``, ``G28``, ``G30``, ``G92``, ``TLO``; machine coordinates, mm and degrees."""
    homed_axes: int | None
    """Bits of the axes that were homed, when the firmware reports them (grblHAL)."""
    startup: dict[int, str]
    """G-code that the controller runs by itself after each reset (``$N``)."""
    zero_at_switch: bool = False
    """The firmware sets machine zero at the homing switch (letter Z in ``[OPT:]``), so that an axis that homes to its
    low end travels from 0 upward."""

    def work_offset(self, axes: str) -> tuple[float, ...]:
        """Sum of the places in the first coordinate system: its origin, G92 and the tool's length."""
        count = len(axes)
        origin, shift = self.places.get("G54", (0.0,) * count), self.places.get("G92", (0.0,) * count)
        return tuple(a + b + c for a, b, c in zip(origin, shift, self._tool(axes), strict=True))

    def _tool(self, axes: str) -> tuple[float, ...]:
        tool = self.places.get("TLO", (0.0,))
        if len(tool) == len(axes):
            return tool
        return tuple(tool[0] if letter == "Z" else 0.0 for letter in axes)

    def inherited(self, axes: str) -> list[str]:
        """Settings left by an earlier user that would move the rig's frame or the axes by themselves; each text
        says what to send against it.
        """
        found = []
        systems = [word for word in self.modes if re.fullmatch(r"G5[4-9](?:\.\d)?", word)]
        if systems != ["G54"]:
            found.append(f"coordinate system {' '.join(systems) or 'unknown'} is active (send G54)")
        if any(abs(value) > OFFSET_TOLERANCE for value in self.places.get("G92", ())):
            found.append(f"a G92 offset of {_listed(self.places['G92'])} is active (send G92.1)")
        if any(abs(value) > OFFSET_TOLERANCE for value in self._tool(axes)):
            found.append(f"a tool length offset of {_listed(self._tool(axes))} is active (send G49)")
        found += [f"{word} is active (send {back})" for word, back in self._foreign_modes()]
        found += [
            f"startup line $N{number} ({line}) runs after every reset (send $N{number}=)"
            for number, line in self.startup.items()
            if line
        ]
        return found

    def _foreign_modes(self) -> list[tuple[str, str]]:
        undo = (("G51:", "G50"), ("G7", "G8"), ("G68", "G69"))
        return [(word, back) for word in self.modes for start, back in undo if word == start or word[:4] == start]

    def to_establish(self) -> tuple[str, ...]:
        """Words that set this user's modes back."""
        return tuple(ESTABLISHED[word] for word in self.modes if word in ESTABLISHED)

    def reports(self, grblhal: bool) -> list[str]:
        """Faults of its reporting; empty when a driver can rely on it."""
        found = []
        mask = int(self.settings.get(10, 0.0))
        if grblhal and not mask & PIN_STATE:
            found.append(f"reports leave out the input pins, emergency stop among them (set $10={mask | PIN_STATE})")
        if grblhal and not mask & WORK_OFFSETS:
            found.append(f"reports leave out the work offsets (set $10={mask | WORK_OFFSETS})")
        if self.settings.get(481, 0.0) != 0.0:
            found.append(f"it reports by itself every {self.settings[481]:g} ms (set $481=0)")
        if self.settings.get(13, 0.0) != 0.0:
            found.append("$13 reports inches (set $13=0)")
        if int(self.settings.get(32, 0.0)) == LATHE:
            found.append("it is a lathe, X counts as a diameter (set $32=0)")
        return found

    def travel(self, index: int) -> tuple[float, float] | None:
        """Range of an axis in machine coordinates, low and high; None when the firmware does not say."""
        length = self.settings.get(130 + index)
        if length is None:
            return None
        if self.zero_at_switch and int(self.settings.get(23, 0.0)) >> index & 1:
            return (0.0, abs(length))
        return (-abs(length), 0.0)

    def differences(self, other: Setup) -> list[str]:
        """Differences of ``other`` from this setup, except feed, tool and spindle speed of the last line."""
        found = [
            f"${number} was {value:g} and is {other.settings.get(number, float('nan')):g}"
            for number, value in self.settings.items()
            if other.settings.get(number) != value
        ]
        mine, its = (tuple(w for w in s.modes if w[0] not in "FTS") for s in (self, other))
        if mine != its:
            found.append(f"modes were {' '.join(mine)} and are {' '.join(its)}")
        for name in self.places.keys() | other.places.keys():
            a, b = self.places.get(name, ()), other.places.get(name, ())
            if len(a) != len(b) or any(abs(x - y) > OFFSET_TOLERANCE for x, y in zip(a, b, strict=True)):
                found.append(f"{name} was {_listed(a)} and is {_listed(b)}")
        if self.homed_axes != other.homed_axes:
            found.append(f"homed axes were {self.homed_axes} and are {other.homed_axes}")
        if self.startup != other.startup:
            found.append("startup lines ($N) were changed")
        return sorted(found)


def _listed(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in values) + ")"


def read_settings(lines: list[str]) -> dict[int, float]:
    """Answer to ``$$``; raises ``BadReply`` for a line that does not belong to it, or a number that occurs twice."""
    found: dict[int, float] = {}
    for line in lines:
        match = _SETTING.fullmatch(line)
        if match is None:
            raise _unreadable("$$", line)
        number = int(match[1])
        if number in found:
            raise _unreadable("$$", line)
        if _NUMBER.fullmatch(match[2]):
            found[number] = float(match[2])
    return found


def read_modes(lines: list[str]) -> tuple[str, ...]:
    """Answer to ``$G``; raises ``BadReply``."""
    matches = [_MODES.fullmatch(line) for line in lines]
    if len(matches) != 1 or matches[0] is None:
        raise _unreadable("$G", " ".join(lines))
    return tuple(matches[0][1].split(" "))


def read_places(lines: list[str], axes: str) -> tuple[dict[str, tuple[float, ...]], int | None]:
    """Answer to ``$#``: places by name, and the homed axes when reported; raises ``BadReply``."""
    places: dict[str, tuple[float, ...]] = {}
    homed: int | None = None
    for line in lines:
        place, home = _PLACE.fullmatch(line), _HOMED.fullmatch(line)
        if place is not None:
            values = coordinates(place[2])
            if len(values) != len(axes) and not (place[1] == "TLO" and len(values) == 1):
                raise _unreadable("$#", line)
            places[place[1]] = values
        elif home is not None:
            homed = int(home[1])
        elif not _OTHER.match(line):
            raise _unreadable("$#", line)
    if "G54" not in places or "G92" not in places:
        raise _unreadable("$#", "G54 or G92 is missing")
    return places, homed


def read_startup(lines: list[str]) -> dict[int, str]:
    """Answer to ``$N``; raises ``BadReply``."""
    found: dict[int, str] = {}
    for line in lines:
        match = _STARTUP.fullmatch(line)
        if match is None:
            raise _unreadable("$N", line)
        found[int(match[1])] = match[2].strip()
    return found


def without_messages(lines: list[str]) -> list[str]:
    """An answer without the messages that a firmware may write at any time."""
    return [line for line in lines if not _FREE_TEXT.fullmatch(line)]


def _unreadable(command: str, line: str) -> BadReply:
    return BadReply(f"the answer to {command} cannot be read: {line!r}", command=command, raw=line.encode())
