"""One frame and the pose of the probe that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hal.types import Frame, Matrix, Pixels
from rig.control.controller import Controller
from rig.geometry.transforms import from_pose6

SETTLE_S = 0.082
"""One frame period at 20 Hz and 30 ms of capture: before that only frames that began earlier can arrive, and fetching
them is work for nothing. A slower scanner is simply waited for longer."""


@dataclass(frozen=True)
class View:
    """One frame with the pose of the probe at its moment."""

    frame: Frame
    ProbeToRig: Matrix = field(repr=False)

    @property
    def pixels(self) -> Pixels:
        """Grey values, shape (rows, columns), uint8."""
        return self.frame.pixels

    @property
    def ImageToProbe(self) -> Matrix:
        return self.frame.ImageToProbe

    @property
    def ImageToRig(self) -> Matrix:
        """Pixel (column, row, 0) to Rig, mm."""
        return np.asarray(self.ProbeToRig @ self.frame.ImageToProbe)


def take_view(controller: Controller) -> View:
    """The next frame taken from now on; raises ``HoldRequested`` (source ``image_lost``) when none comes in time."""
    now_ns = controller.clock.now_ns()
    controller.wait(SETTLE_S)
    frame = controller.frame(newer_than_ns=now_ns)
    HolderToRig = controller.rig.frames.get("Holder", "Rig")
    return View(frame, HolderToRig @ from_pose6(controller.probe_pose_at(frame.time_ns)))
