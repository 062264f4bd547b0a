"""The rig's devices for a person at a prompt. Every call scans while it waits and obeys every limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from hal.errors import DeviceError
from hal.types import Matrix, NeedlePose, Pose6
from rig.control.controller import Controller
from rig.geometry.transforms import compose, from_pose6, invert, to_pose6
from rig.guidance.planning import probe_pose
from rig.instruments.jogs import NeedleAdvance, advance, depth_mm, move_needle, move_probe, withdraw
from rig.instruments.syringe import InjectionResult, inject
from rig.instruments.view import View, take_view
from rig.roles import CARRIER, HOLDER

PROBE_MM_S = 10.0
OUT_MM = 1.0
"""A needle that was taken out stands this far above the skin."""


@dataclass(frozen=True)
class Desk:
    """Shared part of the tools: the controller, and the turn to use it."""

    controller: Controller
    call: Callable[[], AbstractContextManager[None]]

    @contextmanager
    def doing(self, what: str, **how: object) -> Iterator[Controller]:
        """Run one call: its name and arguments go into the journal before it acts."""
        with self.call():
            self.controller.journal.append("by_hand", {"what": what, **how})
            yield self.controller


class Probe:
    """The probe holder."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def pose(self) -> Pose6:
        """``ProbeToHolder``, read now."""
        with self._desk.call():
            return self._desk.controller.read(HOLDER).pose

    @property
    def ProbeToRig(self) -> Matrix:
        """Pose of the probe face, 4 x 4, mm."""
        return compose(self._desk.controller.rig.frames.get("Holder", "Rig"), from_pose6(self.pose))

    def move(self, ProbeToRig: Matrix | None = None, *, speed_mm_s: float = PROBE_MM_S, **axes: float) -> Pose6:
        """Move to ``ProbeToRig``, or change single axes of the holder: ``move(x_mm=3, c_deg=90)``.

        Raises ``LimitViolation`` before anything is sent, ``HoldRequested``, ``DeviceError``.
        """
        with self._desk.doing("probe.move", ProbeToRig=ProbeToRig, speed_mm_s=speed_mm_s, **axes) as controller:
            here = controller.read(HOLDER).pose
            if ProbeToRig is not None:
                here = to_pose6(compose(invert(controller.rig.frames.get("Holder", "Rig")), np.asarray(ProbeToRig)))
            target = replace(here, **_known(axes, Pose6, "the probe holder"))
            pose: Pose6 = move_probe(controller, target, speed_mm_s).pose
            return pose

    def over(
        self, x_mm: float, y_mm: float, *, press_mm: float = 0.0, turn_deg: float = 0.0, speed_mm_s: float = PROBE_MM_S
    ) -> Pose6:
        """Place the face over a point of the phantom, upright, using the phantom's place in the rig file.

        ``turn_deg``: 0 is transverse, 90 longitudinal; ``press_mm``: how far it presses into the skin.
        """
        ProbeToPhantom = probe_pose(x_mm, y_mm, press_mm, 0.0, 0.0, turn_deg)
        PhantomToRig = self._desk.controller.rig.frames.get("Phantom", "Rig")
        return self.move(compose(PhantomToRig, ProbeToPhantom), speed_mm_s=speed_mm_s)


class Eye:
    """The scanner."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def frame(self) -> View:
        """The next frame: ``.pixels`` (rows, columns) uint8, ``.ImageToRig`` and the pose of the probe with it."""
        with self._desk.doing("eye.frame") as controller:
            return take_view(controller)


class Needle:
    """The needle in its carrier."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def pose(self) -> NeedlePose:
        """Axes of the carrier, read now."""
        with self._desk.call():
            return self._desk.controller.read(CARRIER).pose

    @property
    def depth_mm(self) -> float:
        """Depth of the tip below the skin along the needle, by the carrier; negative in air."""
        return depth_mm(self.pose, self._desk.controller.rig.config.needle.mount)

    def place(self, *, speed_mm_s: float | None = None, **axes: float) -> NeedlePose:
        """Change axes of the carrier with the needle in air: ``place(x_mm=30, y_mm=5, lateral_deg=25)``.

        An inserted needle turns its bevel and feeds only; anything else raises ``LimitViolation``.
        """
        with self._desk.doing("needle.place", speed_mm_s=speed_mm_s, **axes) as controller:
            here = controller.read(CARRIER).pose
            target = replace(here, **_known(axes, NeedlePose, "the needle carrier"))
            speed = speed_mm_s or controller.limits.motion.bone_speed_mm_s
            pose: NeedlePose = move_needle(controller, target, speed).state.pose
            return pose

    def step(self, mm: float, *, speed_mm_s: float | None = None) -> NeedleAdvance:
        """Push the needle ``mm`` deeper (back, when negative).

        Into new ground no further than the limit beyond the last place where the tip was seen: say so with
        ``tip_seen``. Raises ``LimitViolation`` before anything is sent, ``HoldRequested``, ``DeviceError``.
        """
        with self._desk.doing("needle.step", mm=mm, speed_mm_s=speed_mm_s) as controller:
            speed = speed_mm_s or controller.limits.motion.bone_speed_mm_s
            return advance(controller, mm, speed) if mm > 0.0 else withdraw(controller, -mm, speed)

    def tip_seen(self, how: str) -> None:
        """Confirm that the tip is where the carrier says: the person saw it, and ``how`` is kept in the record."""
        if not how.strip():
            raise ValueError("say how the tip was seen: the record keeps these words")
        with self._desk.doing("needle.tip_seen", how=how, feed_mm=self.pose.feed_mm) as controller:
            controller.travel.confirm()

    def out(self) -> NeedlePose:
        """Take the needle out along its own axis."""
        with self._desk.doing("needle.out") as controller:
            here = controller.read(CARRIER).pose
            above_mm = depth_mm(here, controller.rig.config.needle.mount) + OUT_MM
            if above_mm <= 0.0:
                return here
            speed = controller.limits.motion.bone_speed_mm_s
            pose: NeedlePose = withdraw(controller, above_mm, speed).state.pose
            return pose


class Syringe:
    """The pump with its pressure sensor."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def infuse(self, volume_ml: float, *, rate_ml_min: float = 1.0, test: bool = False) -> InjectionResult:
        """Infuse under watched pressure; a pressure rule ends it with a verdict, any other stop rule is raised.

        Raises ``LimitViolation`` before anything is sent: the volumes of a whole session count as those of one trial.
        """
        with self._desk.doing("syringe.infuse", volume_ml=volume_ml, rate_ml_min=rate_ml_min) as controller:
            return inject(controller, volume_ml, rate_ml_min, test=test)


def _known(axes: dict[str, float], pose: type[Pose6] | type[NeedlePose], whose: str) -> dict[str, Any]:
    """Axes that were named; raises ``DeviceError`` for one that the device does not have."""
    names = tuple(field.name for field in fields(pose))
    for name in axes:
        if name not in names:
            raise DeviceError(f"{whose} has no {name}; it has {', '.join(names)}")
    return {name: float(value) for name, value in axes.items()}
