"""The folder of certificates: the calibrations in force today, and the reasons why others are not."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

from hal.errors import ConfigError
from hal.files import parse_json
from rig.calibration.certificates.certificate import Certificate, read_certificate
from rig.geometry.graph import ExpiredCalibration, FrameGraph

DUE_SOON_DAYS = 14
"""A notice period [A]."""


@dataclass(frozen=True)
class Standing:
    """Present status of one file of the folder."""

    path: Path
    certificate: Certificate | None
    state: str
    """``valid``, ``due soon``, ``expired``, ``superseded``, ``withdrawn``, ``damaged``."""
    detail: str

    def as_json(self) -> dict[str, object]:
        c = self.certificate
        out: dict[str, object] = {"file": self.path.name, "state": self.state, "detail": self.detail}
        if c is not None:
            out |= {"identity": c.identity, "kind": c.kind, "device": c.device, "serial": c.serial}
            out |= {"transform": c.transform, "performed_at": c.performed_at, "due": c.due, "by": c.performed_by}
            out |= {"simulated": c.simulated, "sha256": c.sha256}
        return out


class CalibrationRegistry:
    """Certificates as files of one folder; the newest of a kind and subject is in force, older ones are superseded."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, certificate: Certificate) -> Path:
        """File a new certificate; raises ``ConfigError`` when its identity is taken or there can be no such folder."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ConfigError(f"{self._folder}: is a file, not a folder of certificates") from None
        path = self._folder / f"{certificate.identity}.json"
        certificate.write(path)
        return path

    def withdraw(self, identity: str, *, reason: str, by: str, at: str) -> None:
        """Take a certificate out of force for good; its file stays. Raises ``ConfigError`` for an unknown one."""
        if not (self._folder / f"{identity}.json").exists():
            raise ConfigError(f"{self._folder}: there is no certificate {identity}")
        if not reason.strip() or not by.strip():
            raise ConfigError(f"withdrawing {identity} needs a reason and a name")
        note = self._folder / f"{identity}.withdrawn"
        try:
            with note.open("x") as file:
                json.dump({"identity": identity, "reason": reason, "by": by, "at": at}, file)
        except FileExistsError:
            raise ConfigError(f"{identity} was withdrawn before: {note.read_text()}") from None

    def standings(self, today: datetime.date) -> tuple[Standing, ...]:
        """Every file of the folder, by name."""
        rows: list[Standing] = []
        newest: dict[tuple[str, str], Certificate] = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                certificate = read_certificate(path)
            except ConfigError as error:
                rows.append(Standing(path, None, "damaged", str(error)))
                continue
            note = path.with_suffix(".withdrawn")
            if note.exists():
                rows.append(Standing(path, certificate, "withdrawn", _why(note)))
                continue
            rows.append(Standing(path, certificate, "valid", ""))
            key = _subject(certificate)
            other = newest.get(key)
            if other is not None and other.moment == certificate.moment:
                raise ConfigError(
                    f"{self._folder}: {other.identity} and {certificate.identity} calibrate {' '.join(key)} at the "
                    f"same moment {certificate.performed_at}: withdraw one of them"
                )
            if other is None or certificate.moment > other.moment:
                newest[key] = certificate
        return tuple(self._judged(row, newest, today) for row in rows)

    def _judged(self, row: Standing, newest: dict[tuple[str, str], Certificate], today: datetime.date) -> Standing:
        c = row.certificate
        if c is None or row.state != "valid":
            return row
        head = newest[_subject(c)]
        if head.identity != c.identity:
            return Standing(row.path, c, "superseded", f"by {head.identity} of {head.performed_at}")
        due = c.due_date
        if due is None:
            return row
        days = (due - today).days
        if days < 0:
            return Standing(row.path, c, "expired", f"was due {c.due}, {-days} days ago")
        if days <= DUE_SOON_DAYS:
            return Standing(row.path, c, "due soon", f"is due {c.due}, in {days} days")
        return row

    def current(self, kind: str, subject: str, today: datetime.date) -> Certificate:
        """The certificate in force for a kind and a subject (transform name, or device).

        Raises ``ConfigError`` when there is none (saying what is there) and ``ExpiredCalibration`` past the due date.
        """
        rows = self.standings(today)
        for row in rows:
            c = row.certificate
            if c is None or _subject(c) != (kind, subject) or row.state in ("superseded", "withdrawn"):
                continue
            if row.state == "expired":
                raise ExpiredCalibration(f"{kind} of {subject}: {c.identity} {row.detail}; calibrate again")
            return c
        damaged = [row.path.name for row in rows if row.state == "damaged"]
        known = sorted({" of ".join(_subject(r.certificate)) for r in rows if r.certificate is not None})
        hint = f"; damaged and not used: {', '.join(damaged)}" if damaged else ""
        raise ConfigError(
            f"{self._folder}: no {kind} of {subject} is in force; known: {', '.join(known) or 'none'}{hint}"
        )

    def graph(self, today: datetime.date) -> FrameGraph:
        """All valid transforms, as a graph that refuses expired steps when they are needed.

        Raises ``ConfigError`` when a file is damaged, and the errors of ``FrameGraph.put`` for double definitions.
        """
        graph = FrameGraph(today)
        for row in self.standings(today):
            if row.state == "damaged":
                raise ConfigError(f"{row.detail}. Remove it or calibrate again")
            c = row.certificate
            if c is not None and c.transform and row.state in ("valid", "due soon", "expired"):
                graph.put(c.step())
        return graph


def _subject(certificate: Certificate) -> tuple[str, str]:
    return certificate.kind, certificate.transform or " ".join(filter(None, (certificate.device, certificate.serial)))


def _why(note: Path) -> str:
    try:
        data = parse_json(note.read_text())
        return f"by {data['by']} at {data['at']}: {data['reason']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "withdrawn; the note cannot be read"
