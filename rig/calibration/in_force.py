"""The certificates that stand behind a rig: what a run uses instead of what the rig file states, and what is written
of it in the record. A certificate that is past its due date, damaged or changed stops a run before anything moves.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hal.errors import ConfigError
from rig.calibration.certificate import Certificate
from rig.calibration.registry import CalibrationRegistry
from rig.config import Frames, Gel, Placement, RigConfig
from rig.record import Calibration

GEL = "sound_speed"
"""Kind of the certificate whose values ``sound_speed_m_s`` and ``temperature_c`` replace those of ``[gel]``."""


@dataclass(frozen=True)
class InForce:
    """The certificates of one rig on one day, by file."""

    certificates: tuple[Certificate, ...] = ()
    files: tuple[Path, ...] = ()

    def applied_to(self, config: RigConfig) -> RigConfig:
        """The rig with calibrated transforms and speed of sound in place of the stated ones."""
        frames, gel = dict(config.frames), config.gel
        for c in self.certificates:
            if c.transform in Frames.model_fields:
                _, spread = c.step().transform.point(np.zeros(3))
                u_mm = float(np.sqrt(np.diag(spread).max()))
                frames[c.transform] = Placement.model_validate({"matrix": c.matrix, "uncertainty_mm": u_mm})
            if c.kind == GEL:
                gel = _gel(c)
        return config.model_copy(update={"frames": Frames(**frames), "gel": gel})

    def of(self, role: str) -> Calibration | None:
        """What the record says of a device's calibration; None when no certificate names it."""
        own = [c for c in self.certificates if c.device == role]
        if not own:
            return None
        words = [f"{n} {v.value:g} {v.unit}, u = {v.standard_uncertainty:g}" for c in own for n, v in c.values.items()]
        return Calibration(
            "; ".join(c.identity for c in own),
            "; ".join(c.performed_at[:10] for c in own),
            min((c.due for c in own if c.due), default=""),
            "; ".join(words),
        )


def in_force(config: RigConfig, today: datetime.date) -> InForce:
    """The certificates of the rig file's folder that stand today; none when it names no folder.

    Raises ``ConfigError`` for a folder that is not there, and for certificates that are expired, damaged, or made with
    a simulated rig while this one is real.
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
        found.append(c)
        files.append(row.path)
    return InForce(tuple(found), tuple(files))


def _gel(c: Certificate) -> Gel:
    speed, at = c.values.get("sound_speed_m_s"), c.values.get("temperature_c")
    if speed is None or at is None:
        raise ConfigError(f"{c.identity}: a {GEL} certificate needs the values sound_speed_m_s and temperature_c")
    return Gel(sound_speed_m_s=speed.value, u_sound_speed_m_s=speed.standard_uncertainty, temperature_c=at.value)
