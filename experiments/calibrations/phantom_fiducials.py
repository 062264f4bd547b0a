"""A phantom registered by a person: the stylus touches the fiducials in any order while the tracker is listened to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.calibrations.listening import (
    Listener,
    Report,
    body_of,
    relative,
    require_reports,
)
from experiments.calibrations.record import ask_to_touch
from hal.types import Matrix
from rig.calibration.phantom.touch import TouchedPhantom, register_touches, require_place
from rig.calibration.tool.stylus import StylusTip
from rig.control.controller import Controller
from rig.geometry.fiducials import Fiducials
from rig.geometry.transforms import compose

TEXT = (
    "Take the stylus and touch the fiducials of the phantom in any order ({names}): rest the tip in each divot for "
    "two to three seconds and swivel the shaft meanwhile; then answer"
)
LEAST_SEEN = 0.7
"""A person who hides the markers for longer is asked to stand elsewhere [A]."""
ROUND_S = 120.0
"""A round over six fiducials takes half a minute; who is slower has a few minutes more (``PATIENCE_S``)."""


@dataclass(frozen=True)
class Touched:
    """Reports received during one round."""

    reports: tuple[Report, ...] = field(repr=False)
    tool: str
    body: str
    times_ns: NDArray[np.int64] = field(repr=False)
    poses: NDArray[np.float64] = field(repr=False)
    """(n, 4, 4) of the stylus in the body's frame."""

    @property
    def ReferenceToTracker(self) -> Matrix:
        """Mean position and middle orientation of the body during the round."""
        seen = [r.poses[self.body].matrix for r in self.reports if r.seen(self.body)]
        out = seen[len(seen) // 2].copy()
        out[:3, 3] = np.mean([m[:3, 3] for m in seen], axis=0)
        return out


def touch_round(controller: Controller, tool: str, names: tuple[str, ...]) -> tuple[tuple[Report, ...], Listener]:
    """Ask the operator for one round and listen; raises ``SafetyStop`` when he declines, ``DeviceError`` when no
    answer comes, and stops the rig when the tracker fails."""
    with Listener(controller, tool) as listener, controller.watching(listener.rule):
        ask_to_touch(controller, TEXT.format(names=", ".join(names)), ("fiducials", *names), ROUND_S)
    return listener.reports(), listener


def touches_of(reports: tuple[Report, ...], listener: Listener) -> Touched:
    """The stylus against the body; raises ``ConfigError`` and ``CalibrationRefused`` (``not seen``)."""
    require_reports(reports, listener, LEAST_SEEN)
    body = body_of(reports)
    times_ns, poses = relative(reports, listener.tool, body)
    return Touched(reports, listener.tool, body, times_ns, poses)


def register(
    touched: Touched,
    tip: StylusTip,
    nominal: Fiducials,
    targets: dict[str, NDArray[np.float64]],
    check_names: tuple[str, ...],
    fle_mm: float | None,
) -> TouchedPhantom:
    """See ``register_touches``."""
    return register_touches(
        touched.times_ns, touched.poses, tip, nominal, targets=targets, check_names=check_names, fle_mm=fle_mm
    )


def place_in_rig(touched: Touched, found: TouchedPhantom, TrackerToRig: Matrix, PhantomToRig: Matrix) -> Matrix:
    """``PhantomToRig`` as touched, by the tracker's place; raises ``CalibrationRefused`` (``placement``)."""
    measured = compose(TrackerToRig, touched.ReferenceToTracker, found.PhantomToReference)
    require_place(measured, PhantomToRig, np.zeros(3))
    return measured
