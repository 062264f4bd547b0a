"""From what a result was made, as seen by whoever makes it: recorded files, or an opened rig."""

from __future__ import annotations

from pathlib import Path

from rig.calibration.result import Origin, hashes_of
from rig.devices import Rig
from rig.record import utc_text


def from_files(*paths: Path, simulated: bool) -> Origin:
    """Origin in recorded or typed files, hashed; ``simulated`` as their labels say."""
    return Origin(simulated, utc_text(), inputs=hashes_of(*paths))


def from_rig(rig: Rig, *paths: Path) -> Origin:
    """Origin in a rig with the serial numbers that its devices report, its file, and recordings beside it
    (``paths``)."""
    serials = {role: identity.serial for role, identity in rig.identities.items() if identity.serial}
    stated = () if rig.config.path is None else (rig.config.path,)
    return Origin(rig.simulated, utc_text(), rig.config.rig.name, serials, hashes_of(*stated, *paths))
