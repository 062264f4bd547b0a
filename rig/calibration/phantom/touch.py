"""Registration of a phantom by touches: rests of the stylus become named fiducials, and these the phantom's pose.

Frame ``Reference``: the tracked body that is fixed to the phantom. The stylus is seen against it, so that neither the
tracker nor the phantom has to stand still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from hal.errors import CalibrationRefused
from hal.types import Matrix
from rig.calibration.phantom.fiducials import FiducialRegistration, register_fiducials
from rig.calibration.tool.dwell import Dwell, Naming, find_dwells, name_dwells
from rig.calibration.tool.dwell_tip import TipCheck, against_phantom, check_tip
from rig.calibration.tool.pivot import Poses
from rig.calibration.tool.stylus import StylusTip
from rig.geometry.fiducials import Fiducials
from rig.geometry.transforms import apply

TOLERANCE_MM = 2.0
"""How well the distances of touches must agree with the drawing to name them; fiducials are far further apart."""
MACHINING_MM = 0.1
SEATING_MM = 0.1
"""A divot against its drawing, and a tip in its divot, per axis [A]."""
LEAST_OFF_MM = 0.3
"""A calibrated tip is refused from 4 standard uncertainties and this on [A]."""
LEAST_SWIVEL_DEG = 10.0
"""Without a swivel a wrong tip stays unseen [A]."""
OFF_PLACE_MM = 25.0
OFF_PLACE_DEG = 15.0
"""Further from where the rig file has the phantom it was put into its fixture wrongly [A]."""


@dataclass(frozen=True)
class TouchedPhantom:
    """Result of ``register_touches``."""

    registration: FiducialRegistration
    """``A`` is the phantom, ``B`` the reference body."""
    naming: Naming
    dwells: tuple[Dwell, ...] = field(repr=False)
    tip: StylusTip
    tip_check: TipCheck

    @property
    def PhantomToReference(self) -> Matrix:
        return self.registration.AToB

    def as_json(self) -> dict[str, object]:
        return self.registration.as_json() | {
            "kind": "phantom_registration",
            "method": "fiducials",
            "transform": "PhantomToReference",
            "points_n": len(self.registration.landmarks),
            "stylus_tip": self.tip.as_json(),
            "stylus_tip_check": self.tip_check.as_json(),
            "dwells": [d.as_json() for d in self.dwells],
            "dwell_of": self.naming.dwell_of,
            "left_over": list(self.naming.left_over),
            "not_touched": list(self.naming.missing),
            "naming_rms_mm": self.naming.rms_mm,
            "naming_next_rms_mm": self.naming.next_rms_mm if np.isfinite(self.naming.next_rms_mm) else None,
        }


class TouchRefused(CalibrationRefused):
    """A refusal that still has its named points, for the picture."""

    def __init__(self, error: CalibrationRefused, measured: Fiducials | None, fle_mm: float) -> None:
        super().__init__(error.code, error.reason, advice=error.advice, figures=error.figures)
        self.measured = measured
        self.fle_mm = fle_mm


def localisation_mm(dwells: tuple[Dwell, ...], tip: StylusTip) -> float:
    """FLE, root of the mean square length: rest of the tip, its calibration, its divot."""
    rest = float(np.median([np.trace(d.covariance) for d in dwells]))
    return float(np.sqrt(rest + np.trace(tip.covariance) + 3.0 * (MACHINING_MM**2 + SEATING_MM**2)))


def register_touches(
    times_ns: NDArray[np.int64],
    poses: Poses,
    tip: StylusTip,
    nominal: Fiducials,
    *,
    targets: Mapping[str, ArrayLike],
    check_names: tuple[str, ...] = (),
    fle_mm: float | None = None,
) -> TouchedPhantom:
    """Compute ``PhantomToReference`` from poses ``StylusToReference`` (n, 4, 4).

    ``fle_mm``: localisation error, by default from the touches themselves. Raises ``CalibrationRefused`` with the
    codes of ``find_dwells``, ``check_tip``, ``name_dwells`` and ``register_fiducials``, and ``no swivel``.
    """
    dwells = find_dwells(times_ns, poses, tip.tip_mm)
    checked = check_tip(times_ns, poses, tip.tip_mm, dwells, tip.covariance)
    if checked.wrong(LEAST_OFF_MM):
        checked = against_phantom(checked, times_ns, poses, tip.tip_mm, nominal, TOLERANCE_MM)
        checked.refuse_wrong(f"its calibrated tip ({tip.source})", LEAST_OFF_MM, "stylus tip")
    naming = name_dwells(nominal, [d.point_mm for d in dwells], tolerance_mm=TOLERANCE_MM)
    touched = tuple(dwells[k] for k in naming.dwell_of.values())
    still = [name for name, k in naming.dwell_of.items() if dwells[k].swivel_deg < LEAST_SWIVEL_DEG]
    fle = fle_mm if fle_mm is not None else localisation_mm(touched, tip)
    if len(still) == len(touched):
        raise TouchRefused(
            CalibrationRefused(
                "no swivel",
                f"the stylus was held still at every fiducial (less than {LEAST_SWIVEL_DEG:g} deg): a wrong tip would "
                "stay unseen",
                advice="Swivel the shaft while the tip rests",
            ),
            naming.measured,
            fle,
        )
    try:
        found = register_fiducials(nominal, naming.measured, fle_mm=fle, check_names=check_names, targets=targets)
    except CalibrationRefused as error:
        raise TouchRefused(error, naming.measured, fle) from None
    return TouchedPhantom(found, naming, dwells, tip, checked)


def require_place(measured: Matrix, stated: Matrix, middle_mm: ArrayLike) -> tuple[float, float]:
    """Refuse a phantom that lies elsewhere than the rig file says: upside down, turned, in the wrong fixture.

    Both ``PhantomToRig``; ``middle_mm`` a point of the phantom. Returns the difference there (mm) and the turn (deg);
    raises ``CalibrationRefused`` (``placement``).
    """
    off_mm = float(np.linalg.norm(apply(measured, middle_mm) - apply(stated, middle_mm)))
    turn_deg = float(np.degrees(Rotation.from_matrix(measured[:3, :3] @ stated[:3, :3].T).magnitude()))
    if off_mm > OFF_PLACE_MM or turn_deg > OFF_PLACE_DEG:
        raise CalibrationRefused(
            "placement",
            f"the phantom lies {off_mm:.0f} mm and {turn_deg:.0f} deg from where the rig file has it: is it upside "
            "down or the wrong way round in its fixture, or are the fiducials of another phantom?",
            advice="Look at it; TrackerToRig and PhantomToRig in [frames] say where it should be",
            figures={"off_mm": off_mm, "turn_deg": turn_deg},
        )
    return off_mm, turn_deg
