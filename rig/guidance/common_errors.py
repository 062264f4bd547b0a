"""Errors that all frames of one gel and one probe calibration share, and their remainder at the aim point.

Bone and needle are seen in the same image with the same speed of sound. What moves the bone moves the registered aim
point with it; a tip that is confirmed in that image moves too. Only the difference of the two is an error of where the
needle goes. More points or more frames do not make these errors smaller.

Parameters (``PARAMETERS_N``): the twelve of the error of ``ImageToProbe`` (``UncertainTransform.spread``: a point q of
the Probe frame is really at ``q + D [q; 1]``), then the relative error of the speed of sound. Ranges count from the
face, so that the last one is a scaling about the face's centre (``Trial.image_to_probe``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix, Vector
from rig.geometry.registration import Points, SurfaceFit

IMAGE_N = 12
PARAMETERS_N = IMAGE_N + 1
Shifts = NDArray[np.float64]
"""(3, ``PARAMETERS_N``): what each parameter moves a point by; mm per unit of the parameter."""


def point_shifts(point_rig_mm: Vector, ProbeToRig: Matrix) -> Shifts:
    """Shifts of a point that one frame shows, along the axes of the Rig frame."""
    return np.asarray(frame_shifts(np.asarray(point_rig_mm, dtype=np.float64)[None, :], ProbeToRig)[0])


def frame_shifts(points_rig_mm: Points, ProbeToRig: Matrix) -> NDArray[np.float64]:
    """The same for points (n, 3) of one frame, shape (n, 3, ``PARAMETERS_N``)."""
    turn = ProbeToRig[:3, :3]
    q = (points_rig_mm - ProbeToRig[:3, 3]) @ turn  # Probe frame
    whole = np.hstack([q, np.ones((len(q), 1))])
    in_probe = np.zeros((len(q), 3, PARAMETERS_N))
    for row in range(3):
        in_probe[:, row, 4 * row : 4 * row + 4] = whole
    in_probe[:, :, IMAGE_N] = q
    return np.asarray(np.einsum("ij,njk->nik", turn, in_probe))


def pose_shifts(
    fit: SurfaceFit, shifts: NDArray[np.float64], before: tuple[SurfaceFit, NDArray[np.float64]] | None = None
) -> NDArray[np.float64]:
    """Change of a fitted pose per parameter, shape (6, ``PARAMETERS_N``).

    ``shifts`` (n, 3, ``PARAMETERS_N``) of the points that were fitted, in their order, Rig frame (A of the fit).
    ``before``: the fit whose pose this one started from and kept near, with its own change.
    """
    turn = fit.AToB[:3, :3]
    out = np.zeros((6, shifts.shape[2]))
    for k in range(shifts.shape[2]):
        started = None
        if before is not None:
            first, moved = before
            arm = fit.centre_mm - first.centre_mm
            started = np.concatenate([moved[:3, k], moved[3:, k] + np.cross(moved[:3, k], arm)])
        out[:, k] = fit.moved_by(shifts[:, :, k] @ turn.T, started)
    return out


def aim_shifts(fit: SurfaceFit, moved: NDArray[np.float64], aim_phantom_mm: Vector) -> Shifts:
    """Shift of the registered aim point per parameter, along the axes of the Phantom frame."""
    return np.stack([fit.moved_point(moved[:, k], aim_phantom_mm) for k in range(moved.shape[1])], axis=1)
