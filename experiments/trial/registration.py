"""Where the phantom lies by what was seen of its bone: the frames, and the registration that they give."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix, Vector
from rig.guidance.common_errors import frame_shifts, pose_shifts
from rig.guidance.lumbar.anatomy_fit import AnatomyFit
from rig.guidance.panorama import SweepFrame

BONE_CONFIDENCE = 0.35
"""Scan lines less sure of their bone take no part in a registration [A]."""


@dataclass(frozen=True)
class Sweep:
    """The bone that was seen on the way to the level."""

    lines: tuple[tuple[float, tuple[SweepFrame, ...]], ...] = field(default=(), repr=False)
    """Longitudinal: lateral place (mm, towards the target side) and frames of every scan line."""
    across: tuple[SweepFrame, ...] = field(default=(), repr=False)
    """Transverse frames about the level."""

    @property
    def frames(self) -> tuple[SweepFrame, ...]:
        return (*chain.from_iterable(frames for _, frames in self.lines), *self.across)


@dataclass(frozen=True)
class Registration:
    """The registration in force: nominal until bone was fitted."""

    PhantomToRig: Matrix = field(repr=False)
    fit: AnatomyFit | None = field(default=None, repr=False)
    moved: NDArray[np.float64] | None = field(default=None, repr=False)
    """(6, ``PARAMETERS_N``) of ``rig.guidance.common_errors``: how the fit answers to what all frames share."""

    def to_rig(self, point_phantom_mm: Vector) -> Vector:
        """A point of the phantom, Rig frame."""
        return np.asarray(self.PhantomToRig[:3, :3] @ point_phantom_mm + self.PhantomToRig[:3, 3])


def bone_points(frames: tuple[SweepFrame, ...]) -> list[NDArray[np.float64]]:
    """Bone of these frames, Rig frame, one array (n, 3) per frame."""
    return [f.surface.rig_points(f.ProbeToRig, BONE_CONFIDENCE) for f in frames]


def registered(fit: AnatomyFit, frames: tuple[SweepFrame, ...], before: Registration | None = None) -> Registration:
    """A fit that is ``ok`` to the ``bone_points`` of these frames; ``before``: the registration that it began from."""
    assert fit.ok and fit.fit is not None
    shifts = np.concatenate([frame_shifts(p, f.ProbeToRig) for p, f in zip(bone_points(frames), frames, strict=True)])
    started = None
    if before is not None and before.fit is not None and before.fit.fit is not None and before.moved is not None:
        started = (before.fit.fit, before.moved)
    return Registration(fit.PhantomToRig, fit, pose_shifts(fit.fit, shifts[fit.used], started))
