"""Certificate of one calibration: subject, person, date, accuracy, and end of validity.

One JSON file each, with the SHA-256 of its own content (RFC 8785 form) and of the files that it was made from. A
certificate is never changed: a new calibration is a new certificate.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import rfc8785

from hal.errors import ConfigError
from hal.files import parse_json
from rig.calibration.result import WORD, Value
from rig.geometry.graph import Step, frames_of
from rig.geometry.uncertain import UncertainTransform

FORMAT = 1


@dataclass(frozen=True)
class Certificate:
    """One certificate; see the module text. Dates are ISO, times of ``performed_at`` carry their offset from UTC."""

    identity: str
    """Unique, e.g. ``PR-2026-014``: letters, digits, dot, dash, underscore."""
    kind: str
    """``phantom_registration``, ``temporal``, ``pivot``, ``spin``, ``needle_tip``, ``instrument``, ..."""
    device: str
    serial: str
    performed_by: str
    performed_at: str
    due: str
    """Last day of validity; empty: until replaced."""
    method: str
    result: Mapping[str, object] = field(repr=False)
    """``as_json()`` of the calibration's ``Result``, or the JSON of one of before 0.3."""
    simulated: bool
    """True when any device was a simulator; carried into everything that uses the certificate."""
    transform: str = ""
    """``AToB`` when the calibration is a transform."""
    matrix: tuple[tuple[float, ...], ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    """6x6 as ``UncertainTransform.rigid``, or 12x12 as its ``spread`` where scales are uncertain too."""
    values: Mapping[str, Value] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    """File name -> SHA-256 of what it was made from."""

    def __post_init__(self) -> None:
        for what in ("identity", "kind"):
            if not WORD.match(getattr(self, what)):
                raise ConfigError(f"certificate {what} {getattr(self, what)!r} must be letters, digits, '.', '-', '_'")
        for what in ("device", "performed_by", "method"):
            if not getattr(self, what).strip():
                raise ConfigError(f"certificate {self.identity}: {what} is empty")
        try:
            moment = datetime.datetime.fromisoformat(self.performed_at)
            due = self.due_date
        except ValueError as error:
            raise ConfigError(f"certificate {self.identity}: {error}") from None
        if moment.tzinfo is None:
            raise ConfigError(f"certificate {self.identity}: performed_at {self.performed_at!r} lacks its UTC offset")
        if due is not None and due < moment.date():
            raise ConfigError(f"certificate {self.identity}: due {self.due} lies before it was performed")
        if self.transform:
            frames_of(self.transform)
            if np.shape(self.matrix) != (4, 4) or not np.all(np.isfinite(np.asarray(self.matrix))):
                raise ConfigError(f"certificate {self.identity}: {self.transform} needs a finite 4x4 matrix")
            self._uncertain()
        elif self.matrix or self.covariance:
            raise ConfigError(f"certificate {self.identity}: a matrix needs the name of its transform")
        for name, value in self.values.items():
            if not (math.isfinite(value.value) and value.standard_uncertainty >= 0.0):
                raise ConfigError(f"certificate {self.identity}: {name} needs a finite value and an uncertainty >= 0")

    @property
    def moment(self) -> datetime.datetime:
        return datetime.datetime.fromisoformat(self.performed_at)

    @property
    def due_date(self) -> datetime.date | None:
        return datetime.date.fromisoformat(self.due) if self.due else None

    def expired(self, today: datetime.date) -> bool:
        return self.due_date is not None and self.due_date < today

    def step(self) -> Step:
        """Step of the transform graph; raises ``ConfigError`` when the calibration is no transform."""
        if not self.transform:
            raise ConfigError(f"certificate {self.identity} ({self.kind}) is no transform")
        return Step(self.transform, self._uncertain(), self.identity, self.due_date)

    def _uncertain(self) -> UncertainTransform:
        return UncertainTransform.stated(np.asarray(self.matrix), np.asarray(self.covariance))

    def as_json(self) -> dict[str, object]:
        body = {one.name: getattr(self, one.name) for one in fields(self)}
        for what in ("result", "inputs"):
            body[what] = dict(body[what])
        return body | {"values": {name: v.as_json() for name, v in self.values.items()}, "format": FORMAT}

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, independent of layout."""
        return hashlib.sha256(rfc8785.dumps(parse_json(json.dumps(self.as_json(), default=list)))).hexdigest()

    def write(self, path: Path) -> None:
        """Write a new file; raises ``ConfigError`` when it exists or cannot be written."""
        text = json.dumps({"certificate": self.as_json(), "sha256": self.sha256}, indent=1, default=list)
        try:
            with path.open("x") as file:
                file.write(text + "\n")
        except FileExistsError:
            raise ConfigError(f"{path}: exists; certificates are never overwritten") from None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def read_certificate(path: Path) -> Certificate:
    """Read one; raises ``ConfigError`` for a file that is damaged, was edited, or is of a later format."""
    try:
        document = parse_json(path.read_text())
        body = dict(document["certificate"])
        stated = document["sha256"]
        if body.pop("format") != FORMAT:
            raise ConfigError(f"{path}: is of format {document['certificate']['format']}, this version reads {FORMAT}")
        body["values"] = {name: Value.from_json(value) for name, value in body["values"].items()}
        for what in ("matrix", "covariance"):
            body[what] = tuple(tuple(float(v) for v in row) for row in body[what])
        certificate = Certificate(**body)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: is no calibration certificate: {error!r}") from None
    if certificate.sha256 != stated:
        raise ConfigError(
            f"{path}: was changed after it was issued: its content does not have the SHA-256 that it states"
        )
    return certificate
