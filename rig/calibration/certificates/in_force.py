"""The certificates that stand behind a rig: what a run uses instead of what the rig file states, and what is written
of it in the record. A certificate that is past its due date, damaged or changed stops a run before anything moves.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from hal.errors import ConfigError
from rig.calibration.certificates.certificate import Certificate
from rig.calibration.certificates.folder import CalibrationRegistry
from rig.calibration.certificates.frames import placed, require_one_of_each
from rig.calibration.certificates.values import GEL, INSTRUMENT, NEEDLE_TIP, gel_of, needle_of, tracker_of, words_of
from rig.config import Frames, RigConfig
from rig.record import Calibration

ONE_ONLY = (GEL, NEEDLE_TIP, INSTRUMENT)
"""Kinds of which one alone may be in force, whatever frame or serial number it names."""


@dataclass(frozen=True)
class InForce:
    """The certificates of one rig on one day, by file."""

    certificates: tuple[Certificate, ...] = ()
    files: tuple[Path, ...] = ()

    def applied_to(self, config: RigConfig) -> RigConfig:
        """The rig with calibrated transforms, speed of sound, needle tip and instrument in place of the stated ones.

        Raises ``ConfigError`` for a certificate that does not fit the rig, or contradicts what the rig file declares.
        """
        frames, gel, needle, devices = dict(config.frames), config.gel, config.needle, dict(config.devices)
        for c in self.certificates:
            if c.transform in Frames.model_fields:
                frames[c.transform] = placed(c, config)
            if c.kind == GEL:
                gel = gel_of(c)
            if c.kind == NEEDLE_TIP:
                needle = needle_of(c, needle)
            if c.kind == INSTRUMENT:
                devices["tracker"] = tracker_of(c, config)
        update = {"frames": Frames(**frames), "gel": gel, "needle": needle, "devices": devices}
        return config.model_copy(update=update)

    @property
    def qualification(self) -> Certificate | None:
        """Qualification of the reference instrument; None when the rig file's statement holds."""
        return next((c for c in self.certificates if c.kind == INSTRUMENT), None)

    def of(self, role: str) -> Calibration | None:
        """Entry in the record for a device's calibration; None when no certificate names it."""
        own = [c for c in self.certificates if c.device == role]
        if not own:
            return None
        words = [word for c in own for word in words_of(c)]
        return Calibration(
            "; ".join(c.identity for c in own),
            "; ".join(c.performed_at[:10] for c in own),
            min((c.due for c in own if c.due), default=""),
            "; ".join(words),
        )


def in_force(config: RigConfig, today: datetime.date) -> InForce:
    """Certificates of the rig file's folder that are in force today; none when it names no folder.

    Raises ``ConfigError`` for a folder that is not there, and for certificates that are expired, damaged, of a day to
    come, made with a simulated rig while this one is real or with a rig of another name, two of what can be one only,
    or that do not fit the rig (``applied_to``).
    """
    folder = config.calibration_folder
    if folder is None:
        return InForce()
    if not folder.is_dir():
        raise ConfigError(f"{config.path}: calibrations.folder: there is no folder {folder}")
    found: list[Certificate] = []
    files: list[Path] = []
    for row in CalibrationRegistry(folder).standings(today):
        c = row.certificate
        if row.state == "damaged" or c is None:
            raise ConfigError(f"{row.detail}. Remove the file or calibrate again")
        if row.state in ("superseded", "withdrawn"):
            continue
        if row.state == "expired":
            raise ConfigError(f"{c.identity} ({c.kind} of {c.transform or c.device}) {row.detail}: calibrate again")
        if c.simulated and not config.rig.simulated:
            raise ConfigError(f"{c.identity} was made with a simulated rig and says nothing about this one")
        made_on = c.moment.astimezone(datetime.UTC).date()
        if made_on > today + datetime.timedelta(days=1):  # a day for the zones of the world
            raise ConfigError(f"{c.identity} was made on {made_on}, and today is {today}: is a clock wrong?")
        rig = c.result.get("rig", config.rig.name)
        if rig != config.rig.name:
            raise ConfigError(f"{c.identity} was made on the rig {rig!r}, this one is {config.rig.name!r}")
        found.append(c)
        files.append(row.path)
    for kind in ONE_ONLY:
        several = [c.identity for c in found if c.kind == kind]
        if len(several) > 1:
            raise ConfigError(f"{folder}: {' and '.join(several)} are both in force as {kind}: withdraw one of them")
    require_one_of_each(found)
    for c in found:
        other = next((d for d in found if (d.kind, d.device, d.serial) == (c.kind, c.device, "") and d is not c), None)
        if not c.transform and c.serial and other is not None and not other.transform:
            raise ConfigError(
                f"{folder}: {other.identity} names no serial number, {c.identity} does ({c.serial}), and both are "
                f"{c.kind} of {c.device}: withdraw one of them"
            )
    standing = InForce(tuple(found), tuple(files))
    standing.applied_to(config)  # what does not fit is said now, not when the devices are open
    return standing
