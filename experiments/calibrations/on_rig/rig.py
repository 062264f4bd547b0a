"""The rig that is to be calibrated, as its file states it and as its certificates correct it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from hal.errors import ConfigError
from rig.calibration.certificates.in_force import InForce, in_force
from rig.config import RigConfig, load_config


@dataclass(frozen=True)
class ToCalibrate:
    """One rig before it is opened."""

    stated: RigConfig
    """The rig file without certificates: what a simulated bench is built from."""
    certificates: InForce
    config: RigConfig
    """With certificates applied."""
    today: date


def to_calibrate(rig: str | Path, *roles: str, otherwise: str) -> ToCalibrate:
    """A rig with its certificates of today.

    Raises ``ConfigError`` for a role that it lacks, in words that end with ``otherwise``, and for certificates that do
    not hold.
    """
    stated = load_config(rig)
    missing = [role for role in roles if role not in stated.devices]
    if missing:
        raise ConfigError(f"this rig ({stated.rig.name}) has no {' and no '.join(missing)}: {otherwise}")
    today = datetime.now(UTC).date()
    certificates = in_force(stated, today)
    return ToCalibrate(stated, certificates, certificates.applied_to(stated), today)
