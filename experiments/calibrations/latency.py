"""Lag between the pictures and the probe holder's own position, from the holder's motion over the phantom.

The probe slides along its width over gel with uneven strokes and pauses; the picture's content moves against it.
Both streams carry times of the rig's clock: what is left between them is the lag that a moving probe would suffer.
The holder's play is part of it: half of it, over the speed of the slide, looks like a late probe.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.calibrations.clear_way import require_clear, way_over
from hal.errors import LinkError
from hal.types import Frame, HolderState, Matrix, Pose6
from rig.calibration.time.image import lateral_signal
from rig.calibration.time.lag import TemporalCalibration, estimate_lag
from rig.calibration.time.signal import MotionSignal, motion_signal
from rig.control.controller import Controller
from rig.geometry.transforms import from_pose6
from rig.instruments.jogs import check_probe, move_probe
from rig.instruments.picture_stream import PictureStream
from rig.lanes import Sample

REACH_MM = 5.5
"""Half of the slide: over the 8 mm of motion that temporal calibration asks for."""
SPEEDS_MM_S = (8.0, 15.0)
PAUSES_S = (0.05, 0.4)
"""Uneven strokes and pauses, so that only one lag fits."""
LIFT_MM = 15.0
APPROACH_MM_S = 10.0


@dataclass(frozen=True)
class LatencyMeasurement:
    """Result of the measurement, and its data."""

    calibration: TemporalCalibration
    picture: MotionSignal = field(repr=False)
    holder: MotionSignal = field(repr=False)
    frames_n: int
    dropped_n: int
    """Frames that the scanner made and nobody read."""

    def as_json(self) -> dict[str, object]:
        return self.calibration.as_json() | {"frames_n": self.frames_n, "dropped_n": self.dropped_n}


class _Listener(PictureStream):
    """Keeps the reports of the holder beside the pictures."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller, "the probe moved")
        self.poses: list[HolderState] = []
        self._holder = controller.rig.channels["holder"]

    def __enter__(self) -> _Listener:
        super().__enter__()
        self._holder.listeners.append(self._pose)
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._holder.listeners.remove(self._pose)

    @property
    def frames(self) -> list[Frame]:
        return [picture.frame for picture in self.pictures]

    def _pose(self, sample: Sample[Any]) -> None:
        self.poses.append(sample.value)


def measure_latency(
    controller: Controller, ProbeToHolder: Pose6, *, strokes_n: int = 24, seed: int = 1, max_lag_s: float = 0.3
) -> LatencyMeasurement:
    """Slide the probe about a pose on the skin and compare picture and holder; the probe is lifted at the end.

    ``ProbeToHolder``: face pressed on the gel over something to see. Before anything moves it raises
    ``LimitViolation`` for a pose outside the workspace, ``ConfigError`` for a needle in the gel and ``SafetyStop`` when
    the operator does not agree; then ``HoldRequested`` when the pictures stop, ``LinkError`` without any, and
    ``CalibrationRefused`` (see ``estimate_lag``) when the data cannot tell the lag.
    """
    draw = np.random.default_rng(seed)
    along = from_pose6(ProbeToHolder)[:3, 0]
    targets = [_beside(ProbeToHolder, along, x) for x in _places_mm(strokes_n, draw)]
    above = replace(ProbeToHolder, z_mm=ProbeToHolder.z_mm - LIFT_MM)
    check_probe(ProbeToHolder, SPEEDS_MM_S[1], controller.limits.motion)
    for pose in (above, *targets):
        check_probe(pose, SPEEDS_MM_S[1], controller.limits.motion)
    require_clear(controller, "the lag is measured")
    for pose in (*way_over(controller, above), ProbeToHolder):
        move_probe(controller, pose, APPROACH_MM_S)
    with (
        _Listener(controller) as listener,
        controller.watching(listener.rule),
        controller.attending("holder", "probe_force"),
    ):
        controller.wait(max_lag_s + 0.3)
        for target in targets:
            move_probe(controller, target, float(draw.uniform(*SPEEDS_MM_S)))
            controller.wait(float(draw.uniform(*PAUSES_S)))
        controller.wait(max_lag_s + 0.3)
    move_probe(controller, above, APPROACH_MM_S)
    if not listener.frames:
        raise LinkError("no ultrasound picture came while the probe moved; check the scanner and its link")
    picture = _picture(listener.frames, listener.poses, along)
    holder = motion_signal(
        "holder",
        np.array([state.time_ns for state in listener.poses]),
        np.array([_along(state.pose, along) for state in listener.poses]),
        direction=(1.0,),
    )
    calibration = estimate_lag(picture, holder, max_lag_s=max_lag_s, same_sense=True)
    return LatencyMeasurement(
        calibration, picture, holder, len(listener.frames), sum(frame.dropped_n for frame in listener.frames)
    )


def _places_mm(n: int, draw: np.random.Generator) -> NDArray[np.float64]:
    """Turning points: right and left in turn, none like the other."""
    sides = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    return np.asarray(sides * draw.uniform(0.55, 1.0, n) * REACH_MM)


def _beside(pose: Pose6, along: NDArray[np.float64], by_mm: float) -> Pose6:
    x, y, z = (float(v) for v in by_mm * along)
    return replace(pose, x_mm=pose.x_mm + x, y_mm=pose.y_mm + y, z_mm=pose.z_mm + z)


def _along(pose: Pose6, along: NDArray[np.float64]) -> float:
    return float(np.array([pose.x_mm, pose.y_mm, pose.z_mm]) @ along)


def _picture(frames: list[Frame], poses: list[HolderState], along: NDArray[np.float64]) -> MotionSignal:
    """The frame taken nearest to the middle of the slide is the one that the others are compared with."""
    times = np.array([frame.time_ns for frame in frames])
    held = np.array([state.time_ns for state in poses])
    places = np.interp(times, held, [_along(state.pose, along) for state in poses])
    middle = int(np.argmin(np.abs(places - 0.5 * (places.min() + places.max()))))
    ImageToProbe: Matrix = frames[middle].ImageToProbe
    reach_mm = 2.2 * REACH_MM / 2.0 + 1.0
    return lateral_signal(
        "ultrasound", times, [frame.pixels for frame in frames], ImageToProbe, reference=middle, reach_mm=reach_mm
    )
