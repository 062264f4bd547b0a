"""Axes of a simulated controller in the order of a pose; hand-set values are filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hal.sim.devices.motion_config import GrblConfig
from hal.sim.devices.motion_grbl import GrblCore
from hal.sim.simulators import BOTH, SimDevice, SimPlace

HOLDER_ORDER = "XYZABC"
"""``hal.types.Pose6``."""
CARRIER_ORDER = "XYABZC"
"""``hal.types.NeedlePose``: x, y, lateral, tilt, feed, bevel."""


class PoseAxes:
    """An ``AxesSource`` of shape (6,) in pose order for a controller with up to six axes."""

    def __init__(self, core: GrblCore, order: str, set_by_hand: Mapping[str, float] | None = None) -> None:
        letters = core.config.letters
        hand = set_by_hand or {}
        self._core = core
        self._fixed = np.array([hand.get(letter, 0.0) for letter in order])
        self._slots = np.array([order.index(letter) for letter in letters])
        self._last: NDArray[np.float64] | None = None
        self._pose = self._fixed

    def axes_at(self, now_ns: int) -> NDArray[np.float64]:
        """True axes; read-only."""
        axes = self._core.axes_at(now_ns)
        if axes is not self._last:
            pose = self._fixed.copy()
            pose[self._slots] = axes
            pose.setflags(write=False)
            self._last, self._pose = axes, pose
        return self._pose


def pose_motion(place: SimPlace, config: GrblConfig, order: str) -> SimDevice:
    """A controller of this configuration as the rig file states it, whose axes make a pose in ``order``."""
    play, scale = place.axes.get("backlash", config.backlash), place.axes.get("scale", config.scale)
    config = replace(config, backlash=play, scale=scale)
    stated = config.as_stated(str(place.settings.get("axes", config.letters)), place.settings.get("limits", {}))
    core = GrblCore(stated, place.surroundings, seed=place.seed)
    axes = core if stated.letters == order else PoseAxes(core, order, place.settings.get("set_by_hand"))
    return SimDevice(place.role, place.driver, core, None, BOTH, axes=axes)
