"""Check that a certified frame may replace the one that the rig file states: what moves the rig is not moved in
silence by a wrong certificate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from hal.errors import ConfigError
from hal.poses import why_no_image
from rig.calibration.certificates.certificate import Certificate
from rig.calibration.phantom.touch import OFF_PLACE_DEG, OFF_PLACE_MM
from rig.config import Frames, Placement, RigConfig
from rig.geometry.uncertain import is_rigid

MOVES = ("HolderToRig", "CarrierToRig", "PhantomToRig")
"""Frames that decide where probe and needle go."""
SCALED = ("ImageToProbe",)
"""Frames that hold a pixel pitch, and are no rigid transform."""


def require_one_of_each(certificates: Sequence[Certificate]) -> None:
    """Two kinds of calibration may give one frame; raises ``ConfigError`` rather than take either in silence."""
    for name in Frames.model_fields:
        several = [c.identity for c in certificates if c.transform == name]
        if len(several) > 1:
            raise ConfigError(f"{' and '.join(several)} both give {name}: withdraw one of them")


def placed(c: Certificate, config: RigConfig) -> Placement:
    """Frame as certified.

    Raises ``ConfigError`` for a matrix that is no place of a body (mirrored, scaled, sheared), and for one that
    lies elsewhere than the rig file states, where that decides where probe and needle go.
    """
    matrix = np.asarray(c.matrix)
    if tuple(matrix[3]) != (0.0, 0.0, 0.0, 1.0) or (c.transform not in SCALED and not is_rigid(matrix)):
        raise ConfigError(
            f"{c.identity}: {c.transform} is no place of a rigid body: its matrix is mirrored, scaled or sheared, or "
            "its last row is not 0 0 0 1; calibrate again"
        )
    why = why_no_image(matrix) if c.transform in SCALED else ""
    if why:
        raise ConfigError(f"{c.identity}: {c.transform} {why}; calibrate again")
    if c.transform in MOVES and c.transform in config.frames.model_fields_set:
        stated = getattr(config.frames, c.transform).as_matrix()
        off_mm = float(np.linalg.norm(matrix[:3, 3] - stated[:3, 3]))
        turn_deg = float(np.degrees(Rotation.from_matrix(matrix[:3, :3] @ stated[:3, :3].T).magnitude()))
        if off_mm > OFF_PLACE_MM or turn_deg > OFF_PLACE_DEG:
            raise ConfigError(
                f"{c.identity}: {c.transform} lies {off_mm:.0f} mm and {turn_deg:.0f} deg from what [frames] states "
                f"({OFF_PLACE_MM:g} mm and {OFF_PLACE_DEG:g} deg at most): a certificate of another bench? Where the "
                "bench was rebuilt, state its new place in the rig file"
            )
    _, spread = c.step().transform.point(np.zeros(3))
    u_mm = float(np.sqrt(np.diag(spread).max()))
    turn = float(np.linalg.eigvalsh(c.step().transform.covariance[:3, :3])[-1])
    known = {"uncertainty_mm": u_mm, "uncertainty_deg": float(np.degrees(np.sqrt(max(turn, 0.0))))}
    return Placement.model_validate({"matrix": c.matrix, **known})
