"""True placement of everything: the rig's nominal frames plus seeded mounting and calibration errors.

Nothing here is an error of the result; it is what a bench has after a careful set-up, and guidance sees only
the nominal transforms of ``rig.toml``. Default spreads follow the error budget of ``facts/domain.md`` 7.3
(robot pose 0.3 mm, probe calibration 0.5-1.0 mm, phantom registration 0.3-0.5 mm; assumptions).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from scipy.spatial.transform import Rotation

from hal.files import Offset
from hal.types import Matrix


@dataclass(frozen=True)
class PlacementErrors:
    """Standard deviations per axis of the true placement about the nominal one."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    phantom_mm: Annotated[float, Field(ge=0.0, le=50.0)] = 2.0
    """The cartridge in its fixture, before any registration: guidance has to find it in the image."""
    phantom_deg: Annotated[float, Field(ge=0.0, le=30.0)] = 1.0
    phantom_shift_mm: tuple[Offset, Offset, Offset] = (0.0, 0.0, 0.0)
    """A known extra shift along phantom X, Y, Z (test of the guidance)."""
    level_shift: bool = False
    """The cartridge stands one level further to the feet, as drawn, or one level further to the head, with equal
    chance: nobody but the world knows which, so that the level has to be found."""
    holder_mm: Annotated[float, Field(ge=0.0, le=50.0)] = 0.2
    holder_deg: Annotated[float, Field(ge=0.0, le=30.0)] = 0.1
    probe_mm: Annotated[float, Field(ge=0.0, le=50.0)] = 0.4
    """Image calibration, probe face to holder flange."""
    probe_deg: Annotated[float, Field(ge=0.0, le=30.0)] = 0.4
    carrier_mm: Annotated[float, Field(ge=0.0, le=50.0)] = 0.3
    carrier_deg: Annotated[float, Field(ge=0.0, le=30.0)] = 0.15
    tracker_mm: Annotated[float, Field(ge=0.0, le=50.0)] = 0.3
    tracker_deg: Annotated[float, Field(ge=0.0, le=30.0)] = 0.1
    reference_mm: Annotated[float, Field(ge=0.0, le=50.0)] = 0.1
    """Registration of the tracked body on the phantom: what touched fiducials leave (0.13 mm at a root)."""
    reference_deg: Annotated[float, Field(ge=0.0, le=30.0)] = 0.03


@dataclass(frozen=True)
class Placement:
    """True rigid transforms, shape (4, 4), mm."""

    PhantomToRig: Matrix
    HolderToRig: Matrix
    CarrierToRig: Matrix
    TrackerToRig: Matrix
    ProbeToFlange: Matrix
    """True probe face against the pose that the holder reports."""
    ReferenceToPhantom: Matrix
    levels: int = 0
    """Levels by which the cartridge stands further to the head."""
    """Tracked body on the phantom's box, against a rig file that takes it for the phantom itself."""


LEVELLED = 0.3
"""The fixture stands on a table: tilt and height of the skin vary this share of what turn and shift do [A]."""


def _disturbed(nominal: Matrix, rng: np.random.Generator, sd_mm: float, sd_deg: float, levelled: float = 1.0) -> Matrix:
    error = np.eye(4)
    turn = rng.normal(0.0, np.radians(sd_deg), 3) * np.array([levelled, levelled, 1.0])
    error[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    error[:3, 3] = rng.normal(0.0, sd_mm, 3)
    return nominal @ error


def place(
    nominal: dict[str, Matrix], errors: PlacementErrors, seed: int, cartridge_seed: int, level_mm: float = 0.0
) -> Placement:
    """Draw the true placement; ``level_mm`` is the distance between levels along the phantom's Y.

    ``seed`` fixes the bench (holder, carrier, tracker, probe), ``cartridge_seed`` how this cartridge sits in
    its fixture. ``nominal`` holds ``PhantomToRig``, ``HolderToRig``, ``CarrierToRig`` and ``TrackerToRig``.
    """
    bench = np.random.default_rng([seed, 0xBE])
    fixture = np.random.default_rng([cartridge_seed, 0xF1])
    phantom = _disturbed(nominal["PhantomToRig"], fixture, errors.phantom_mm, errors.phantom_deg, LEVELLED)
    shift = np.eye(4)
    shift[:3, 3] = errors.phantom_shift_mm
    levels = int(np.random.default_rng([cartridge_seed, 0x1E]).integers(-1, 2)) if errors.level_shift else 0
    shift[1, 3] += levels * level_mm
    phantom[2, 3] = nominal["PhantomToRig"][2, 3] + LEVELLED * (phantom[2, 3] - nominal["PhantomToRig"][2, 3])
    return Placement(
        PhantomToRig=phantom @ shift,
        HolderToRig=_disturbed(nominal["HolderToRig"], bench, errors.holder_mm, errors.holder_deg),
        CarrierToRig=_disturbed(nominal["CarrierToRig"], bench, errors.carrier_mm, errors.carrier_deg),
        TrackerToRig=_disturbed(nominal["TrackerToRig"], bench, errors.tracker_mm, errors.tracker_deg),
        ProbeToFlange=_disturbed(np.eye(4), bench, errors.probe_mm, errors.probe_deg),
        ReferenceToPhantom=_disturbed(np.eye(4), bench, errors.reference_mm, errors.reference_deg),
        levels=levels,
    )
