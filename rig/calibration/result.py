"""Result of a calibration, whatever was calibrated: the one type that becomes JSON, picture and certificate.

Every calibration gives one (``rig.calibration.results`` has one function per kind). What a result knows nobody types
again: a certificate adds only who answers for it, its identity and until when it holds.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hal.errors import ConfigError
from rig.geometry.graph import Step
from rig.record.canonical import sha256_file

FORMAT = 1
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
"""Pattern of a kind, or of the identity of a certificate."""


@dataclass(frozen=True)
class Limit:
    """Bounds fixed before the measurement, in the unit of the value; None: none on that side."""

    low: float | None = None
    high: float | None = None
    source: str = ""
    """Whose limit it is: maker, site, study, program."""

    def holds(self, value: float) -> bool:
        """True when a value lies within, the bounds included."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True)
class Value:
    """One measured number with its standard uncertainty (k = 1) in the same unit."""

    value: float
    standard_uncertainty: float
    unit: str
    limit: Limit | None = None

    @property
    def within(self) -> bool | None:
        """True when the value itself meets its limit; None without a limit. A guard band is left to a decision rule."""
        return None if self.limit is None else self.limit.holds(self.value)

    def as_json(self) -> dict[str, object]:
        """Without a limit as certificates of format 1 have it."""
        out: dict[str, object] = {
            "value": self.value,
            "standard_uncertainty": self.standard_uncertainty,
            "unit": self.unit,
        }
        if self.limit is not None:
            out["limit"] = {"low": self.limit.low, "high": self.limit.high, "source": self.limit.source}
        return out

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Value:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` for what is no value."""
        limit = data.get("limit")
        bounds = None if limit is None else Limit(**dict(limit))  # type: ignore[call-overload]
        value, u = data["value"], data["standard_uncertainty"]
        return Value(float(value), float(u), str(data["unit"]), bounds)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Origin:
    """Origin of a result's numbers, and the time when they were made."""

    simulated: bool
    """True when any device was a simulator; carried into everything that uses the result."""
    performed_at: str = ""
    """ISO with its offset from UTC; empty: nobody wrote it down (results of before 0.3)."""
    rig: str = ""
    """Name of the rig; empty: made of files."""
    serials: Mapping[str, str] = field(default_factory=dict)
    """Serial number by role, of the devices that report one."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """File name -> SHA-256 of what it was made from."""


@dataclass(frozen=True)
class Result:
    """See the module text."""

    kind: str
    """``phantom_registration``, ``probe``, ``temporal``, ``pivot``, ``needle_tip``, ...: certificates go by it."""
    device: str
    """Role of the rig that it belongs to, or ``phantom``."""
    method: str
    origin: Origin
    details: Mapping[str, object] = field(repr=False)
    """All that the calibration has to say, as JSON has it; its keys stand at the top level of the JSON."""
    transform: Step | None = None
    """``AToB`` with its uncertainty; its name is empty where only a person can say what the frames are."""
    values: Mapping[str, Value] = field(default_factory=dict)
    reference: str = ""
    """Reference with which the device was compared: the instrument, its serial number, its certificate."""
    departures: tuple[str, ...] = ()
    """Where the method was not followed."""
    lines: tuple[str, ...] = field(default=(), repr=False)
    """For a person; not stored."""
    picture: Callable[[Path, str], object] | None = field(default=None, repr=False, compare=False)
    """Draws into a file, with a note on top; None for a result that was read from a file."""

    def __post_init__(self) -> None:
        if not WORD.match(self.kind):
            raise ConfigError(f"kind {self.kind!r} of a result must be letters, digits, '.', '-', '_'")
        if not self.device.strip():
            raise ConfigError(f"a result of kind {self.kind} names no device")
        if self.transform is not None and self.transform.name:
            self.transform.ends  # noqa: B018 - raises for a name that does not read AToB
        for name, value in self.values.items():
            if not (math.isfinite(value.value) and 0.0 <= value.standard_uncertainty < math.inf):
                raise ConfigError(f"{self.kind}: {name} needs a finite value and a finite uncertainty >= 0")
        at = self.origin.performed_at
        if at and datetime.datetime.fromisoformat(at).tzinfo is None:
            raise ConfigError(f"{self.kind}: performed_at {at!r} lacks its UTC offset")

    @property
    def simulated(self) -> bool:
        """True when a simulated device took part."""
        return self.origin.simulated

    @property
    def serial(self) -> str:
        """Serial number of the device; empty when it reports none, or the result was made from files."""
        return self.origin.serials.get(self.device, "")

    @property
    def within(self) -> bool | None:
        """True when every value with a limit meets it; None when no value has one."""
        judged = [value.within for value in self.values.values() if value.limit is not None]
        return all(judged) if judged else None

    @property
    def note(self) -> str:
        """Text on a picture: ``SIMULATED``, or nothing."""
        return "SIMULATED" if self.simulated else ""

    def __str__(self) -> str:
        head = f"{self.note + ' ' if self.simulated else ''}{self.kind} of {self.device}"
        numbers = (f"{name} {v.value:.4g} +-{v.standard_uncertainty:.2g} {v.unit}" for name, v in self.values.items())
        return "\n".join([head, *(self.lines or numbers)])

    def as_json(self) -> dict[str, object]:
        """The details, and under ``result`` what every result has alike."""
        about: dict[str, object] = {"simulated": self.simulated}
        if self.origin.rig:
            about["rig"] = self.origin.rig
        return {"ok": True, "kind": self.kind} | dict(self.details) | about | {"result": self._header()}

    def _header(self) -> dict[str, object]:
        out: dict[str, object] = {
            "format": FORMAT,
            "kind": self.kind,
            "device": self.device,
            "serials": dict(self.origin.serials),
            "method": self.method,
            "performed_at": self.origin.performed_at,
            "transform": None,
            "values": {name: value.as_json() for name, value in self.values.items()},
            "reference": self.reference,
            "departures": list(self.departures),
            "inputs": dict(self.origin.inputs),
        }
        if (known := self.transform) is not None:
            of = known.transform
            out["transform"] = {"name": known.name, "matrix": of.matrix.tolist(), "covariance": of.statement.tolist()}
        return out

    def write(self, path: Path) -> Path:
        """Write the JSON into a new file, which ``calibrate certify`` takes; raises ``ConfigError`` when it exists."""
        try:
            with path.open("x") as file:
                file.write(json.dumps(self.as_json(), indent=1) + "\n")
        except FileExistsError:
            raise ConfigError(f"{path}: exists; a result is never overwritten") from None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
        return path

    def draw(self, path: Path) -> Path:
        """Draw the picture of the residuals into ``path`` (.png or .svg).

        Raises ``ConfigError`` for a result that has none: this kind is not drawn, or it was read from a file.
        """
        if self.picture is None:
            raise ConfigError(f"there is no picture of this {self.kind}: it is drawn where the measurement is made")
        self.picture(path, self.note)
        return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file; raises ``ConfigError`` when it cannot be read."""
    try:
        return sha256_file(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def hashes_of(*paths: Path) -> dict[str, str]:
    """SHA-256 by file name; names of two equal files include their folders. Names that are no file are left out."""
    out: dict[str, str] = {}
    for path in paths:
        if path.is_file():
            name = path.name if path.name not in out else f"{path.parent.name}/{path.name}"
            out[name] = file_sha256(path)
    return out
