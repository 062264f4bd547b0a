"""Reading of one G-code line by the simulated controller: words with their numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


class Refused(Exception):
    """The line is answered with ``error:N``."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error:{code}")
        self.code = code


@dataclass(frozen=True)
class Words:
    """One line: G numbers times ten (G38.2 is 382), M numbers, and the value words."""

    g: tuple[int, ...] = ()
    m: tuple[int, ...] = ()
    values: dict[str, float] = field(default_factory=dict)


def read_words(line: str, axes: str) -> Words:
    """Split a line without spaces in upper case; raises ``Refused`` with Grbl's codes 1, 2, 20 and 25."""
    g: list[int] = []
    m: list[int] = []
    values: dict[str, float] = {}
    at = 0
    while at < len(line):
        letter = line[at]
        if not "A" <= letter <= "Z":
            raise Refused(1)
        end = at + 1
        while end < len(line) and (line[end].isdigit() or line[end] in "+-."):
            end += 1
        try:
            number = float(line[at + 1 : end])
        except ValueError:
            raise Refused(2) from None
        at = end
        if letter == "G":
            g.append(round(number * 10))
        elif letter == "M":
            m.append(round(number))
        elif letter in "FIJKLNPRST" or letter in axes:
            if letter in values:
                raise Refused(25)
            values[letter] = number
        else:
            raise Refused(20)
    if values.get("F", 0.0) < 0.0:
        raise Refused(4)
    return Words(tuple(g), tuple(m), values)
