"""Commands and answers of the Harvard "Ultra" command set, as the driver reads the manuals.

Sources: PHD Ultra manual 5419-002 pp. 83 and 88, Pump 33 DDS manual 5419-013 pp. 47-52. A command is two address
digits, text and CR. Every line of an answer begins with LF, the address and the prompt; the last one is these alone.
With ``poll on`` XON follows it, the only sure end of an answer. There is no check sum, and one changed bit makes
"infusing" (``>``) of "idle" (``:``); an answer with data says its prompt twice, which must agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hal.errors import BadReply, LimitViolation

XON = b"\x11"
INFUSING, WITHDRAWING, REACHED = ">", "<", "T*"
ALARMS = {"*": "motor stalled", ">*": "infuse limit switch", "<*": "withdraw limit switch"}
REFUSALS = ("command error", "argument error", "range error", "out of range", "unknown command")
_LINE = re.compile(r"\n(\d\d)(T\*|>\*|<\*|[:><*])(?: ?([^\n]*))?")
_NUMBER = r"(\d+\.?\d*|\.\d+)"
_SHAPES = {
    "volume": re.compile(rf"{_NUMBER} ([munp]l)"),
    "target": re.compile(rf"{_NUMBER} ([munp]l)|Target volume not set"),
    "rate": re.compile(rf"{_NUMBER} ([munp]l)/(s|sec|min|hr)"),
    "length": re.compile(rf"{_NUMBER} mm"),
    "percent": re.compile(r"(\d{1,3})%"),
    "time": re.compile(r"Target time not set|.*\d.*"),
    "ramp": re.compile(r"Ramp not set up\.?|.*\d.*"),
    "version": re.compile(r"(.*\S) v?(\d+\.\d[\w.]*)"),
}
_QUERIES = {
    "ver": "version", "ivolume": "volume", "wvolume": "volume", "svolume": "volume", "tvolume": "target",
    "irate": "rate", "diameter": "length", "force": "percent", "ttime": "time", "iramp": "ramp",
}  # fmt: skip
"""Commands that, without a value, are answered with one line of data; all others are answered with the prompt alone."""
ML = {"ml": 1.0, "ul": 1e-3, "nl": 1e-6, "pl": 1e-9}
_PER_MIN = {"s": 60.0, "sec": 60.0, "min": 1.0, "hr": 1.0 / 60.0}


@dataclass(frozen=True)
class Reply:
    """One answer: prompt and lines of text."""

    address: int
    prompt: str
    lines: tuple[str, ...]

    @property
    def status(self) -> str:
        """Status by the names of ``hal.drivers.pump_count``: I, W, or S for a pump that stands still for any reason."""
        return {INFUSING: "I", WITHDRAWING: "W"}.get(self.prompt, "S")

    @property
    def refusal(self) -> str:
        """Message of the pump when it refused a command, else empty."""
        return "; ".join(line.strip() for line in self.lines) if self._refused else ""

    @property
    def _refused(self) -> bool:
        return bool(self.lines) and self.lines[0].strip().lower().startswith(REFUSALS)

    def fits(self, command: str) -> bool:
        """True when this can be the answer to ``command``: refused, or data of the right shape, or none."""
        if self._refused:
            return True
        if command not in _QUERIES:
            return not self.lines
        return len(self.lines) == 1 and self._match(command) is not None

    def _match(self, query: str) -> re.Match[str] | None:
        return _SHAPES[_QUERIES[query]].fullmatch(self.lines[0].strip())

    def value(self, query: str) -> float | None:
        """Volume in mL, rate in mL/min, length in mm, percent; None = not set."""
        match = self._match(query)
        if match is None or match.group(1) is None:
            return None
        number, kind = float(match.group(1)), _QUERIES[query]
        if kind == "rate":
            return number * ML[match.group(2)] * _PER_MIN[match.group(3)]
        return number * ML[match.group(2)] if kind in ("volume", "target") else number

    def version(self) -> tuple[str, str]:
        """Model and firmware of the answer to ``ver``."""
        match = self._match("ver")
        assert match is not None  # what fits no shape is no reply
        return match.group(1), match.group(2)


def encode(address: int, command: str) -> bytes:
    """One command on the wire."""
    return f"{address:02d}{command}\r".encode("ascii")


def decode(raw: bytes, url: str) -> Reply:
    """An answer up to and with XON; raises ``BadReply``."""
    found = [_LINE.fullmatch(line) for line in raw.removesuffix(XON).decode("ascii", errors="replace").split("\r")]
    lines = [match.groups() for match in found if match is not None]
    heads = {head[:2] for head in lines}
    if len(lines) < len(found) or len(heads) != 1 or lines[-1][2]:
        raise BadReply(f"{url}: not an answer of a Harvard pump: {raw[:60]!r}", port=url, raw=raw)
    (address, prompt), *_ = heads
    return Reply(int(address), prompt, tuple(text or "" for _, _, text in lines[:-1]))


def volume_text(volume_ml: float) -> str:
    """Volume in the pump's format, to the nanolitre."""
    return f"{_plain('volume (uL)', volume_ml / ML['ul'])} ul"


def rate_text(rate_ml_min: float) -> str:
    """Rate in the pump's format."""
    return f"{_plain('rate (uL/min)', rate_ml_min / ML['ul'])} ul/min"


def _plain(quantity: str, value: float) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    if float(text) <= 0.0:
        raise LimitViolation(quantity, value, "0.001 and more, which three decimals can hold")
    return text
