"""Looking: move the probe, take a frame with the pose that belongs to it, keep the path that the probe went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from experiments.trial.log import TrialLog
from hal.types import Matrix, Pose6
from rig.control.controller import Controller
from rig.geometry.transforms import from_pose6, invert, to_pose6
from rig.instruments.jogs import move_probe
from rig.instruments.view import View, take_view
from rig.live.scene import LiveScene
from rig.record import TrialRecord

PAUSE_NS = 300_000_000
"""A movement counts as a new one after a pause of 0.3 s (``facts/domain.md`` 7.1)."""


__all__ = ["Sight", "View"]


class Sight:
    """Probe and scanner of one trial."""

    def __init__(
        self,
        controller: Controller,
        record: TrialRecord,
        log: TrialLog,
        speed_mm_s: float,
        scene: LiveScene | None = None,
    ) -> None:
        self._controller = controller
        self._scene = scene
        self._record = record
        self._log = log
        self._speed_mm_s = speed_mm_s
        self._HolderToRig = controller.rig.frames.get("Holder", "Rig")
        self._here: Pose6 | None = None
        self._arrived_ns = -PAUSE_NS

    @property
    def ProbeToRig(self) -> Matrix:
        """Pose of the probe by the newest report of the holder."""
        now_ns = self._controller.clock.now_ns()
        return np.asarray(self._HolderToRig @ from_pose6(self._controller.probe_pose_at(now_ns)))

    def move(self, ProbeToRig: Matrix, speed_mm_s: float | None = None) -> None:
        """Bring the probe face to a pose; raises ``LimitViolation`` outside the workspace."""
        pose = _nearest_turn(to_pose6(invert(self._HolderToRig) @ ProbeToRig), self._here)
        now_ns = self._controller.clock.now_ns()
        if self._here is not None:
            a, b = np.array(self._here.as_tuple()), np.array(pose.as_tuple())
            self._log.probe_path_mm += float(np.linalg.norm(b[:3] - a[:3]))
            self._log.probe_rot_deg += float(np.abs(b[3:] - a[3:]).sum())
        if now_ns - self._arrived_ns >= PAUSE_NS:
            self._log.probe_moves_n += 1
        move_probe(self._controller, pose, speed_mm_s or self._speed_mm_s)
        self._here = pose
        self._arrived_ns = self._controller.clock.now_ns()

    def take(self, label: str = "", detections: Mapping[str, object] | None = None, *, keep: bool = False) -> View:
        """The next frame taken from now on."""
        view = take_view(self._controller)
        frame = view.frame
        self._log.frames_read_n += 1
        self._log.frames_unread_n += frame.dropped_n
        self._record.frames.frame(frame, view.ProbeToRig, detections or {}, label=label, keep=keep)
        if self._scene is not None:
            self._scene.frame(frame, view.ProbeToRig)
        return view

    def look(self, ProbeToRig: Matrix, label: str = "", *, keep: bool = False) -> View:
        """Move there and take a frame."""
        self.move(ProbeToRig)
        return self.take(label, keep=keep)

    def keep(self, view: View, label: str, detections: Mapping[str, object]) -> None:
        """Record a frame again with what was found in it, pixels and all."""
        self._record.frames.frame(view.frame, view.ProbeToRig, detections, label=label, keep=True)


def _nearest_turn(pose: Pose6, here: Pose6 | None) -> Pose6:
    """The same rotation C without a needless full turn."""
    if here is None:
        return pose
    turns = round((here.c_deg - pose.c_deg) / 360.0)
    return replace(pose, c_deg=pose.c_deg + 360.0 * turns)
