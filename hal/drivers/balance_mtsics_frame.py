"""Lines of a balance that speaks MT-SICS: ``id status rest``, and weights in a field of ten characters.

There is no check sum. A weight is believed only in its exact form: identifier, blank, status, blank, the number right
aligned in ten characters, sign and point included, blank, unit. A line that lost or won a character has another form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hal.errors import BadReply

ERRORS = {
    "ES": "it does not know the command, or not in this form",
    "ET": "it received the command damaged (parity or framing)",
    "EL": "it cannot carry the command out now, or not at all",
}
GRAMS = {"g": 1.0, "kg": 1e3, "mg": 1e-3, "ug": 1e-6, "\u00b5g": 1e-6, "ct": 0.2}
"""By the unit as it is sent; other units (ounces, pieces, percent) are refused, not converted."""
STATUS = frozenset("SDIL+-AB")
_NUMBER = re.compile(r" *-?\d+(\.\d*)?")
_WEIGHT = re.compile(r"(.{10}) (\S{1,5}) *")
_LINE = re.compile(r"([A-Z@]+\d{0,2}) (\S)(?: (.*))?")
_QUOTED = re.compile(r'"([^"]*)"')


@dataclass(frozen=True)
class Weight:
    """A number with its unit, as sent."""

    value: float
    unit: str
    decimals: int

    @property
    def grams(self) -> float:
        return self.value * GRAMS[self.unit]

    @property
    def digit_g(self) -> float:
        """Value of one step of the last digit, if the digit goes by ones."""
        return float(10.0**-self.decimals * GRAMS[self.unit])


@dataclass(frozen=True)
class Reply:
    """One line: ``name`` is its identifier (``ES`` ... for an error, which has no status)."""

    name: str
    status: str = ""
    rest: str = ""

    @property
    def error(self) -> str:
        """Meaning of an error line; empty for any other."""
        return ERRORS.get(self.name, "")

    def weight(self) -> Weight:
        """The weight of a line that must have one; raises ``BadReply`` for another form or an unknown unit."""
        match = _WEIGHT.fullmatch(self.rest)
        if match is None or not _NUMBER.fullmatch(match[1]):
            raise BadReply(f"{self.text!r} holds no weight of ten characters and unit", raw=self.text.encode("latin-1"))
        number, unit = match[1].strip(), match[2]
        if unit not in GRAMS:
            raise BadReply(
                f"{self.text!r}: the unit {unit!r} is none of {', '.join(GRAMS)}; set unit 1 of the balance to g",
                raw=self.text.encode("latin-1"),
            )
        return Weight(float(number), unit, len(number.partition(".")[2]))

    def texts(self) -> list[str]:
        """Everything between quotation marks."""
        return _QUOTED.findall(self.rest)

    @property
    def text(self) -> str:
        return " ".join(part for part in (self.name, self.status, self.rest) if part)


def encode(command: str) -> bytes:
    """One command with its end."""
    return command.encode("ascii") + b"\r\n"


def decode(line: bytes) -> Reply | None:
    """One line without its end; None for one that no command is answered with (what a print key sends, damage).

    XON and XOFF of a balance that is set to this handshake are dropped: nothing here sends enough to be held off.
    """
    text = line.replace(b"\x11", b"").replace(b"\x13", b"").rstrip(b"\r\n").decode("latin-1")
    if text in ERRORS:
        return Reply(text)
    match = _LINE.fullmatch(text)
    if match is None or match[2] not in STATUS:
        return None
    return Reply(match[1], match[2], match[3] or "")
