"""Motion signals for temporal calibration: one number per time stamp, from poses or images of a water-bath floor."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.errors import CalibrationRefused
from hal.links.sequence import Sequence
from rig.calibration.tool.pivot import refuse_unless_rigid
from rig.geometry.transforms import invert

MIN_SAMPLES_N = 20
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MotionSignal:
    """Position along one direction against time; ``unit`` is mm or px."""

    name: str
    times_ns: NDArray[np.int64] = field(repr=False)
    values: Floats = field(repr=False)
    unit: str = "mm"
    left_out_n: int = 0
    """Samples of the recording that hold no valid position."""

    @property
    def swing(self) -> float:
        """Range between the 2nd and 98th percentile: a lost sample does not make a swing."""
        return float(np.subtract(*np.percentile(self.values, [98.0, 2.0])))

    @property
    def rate_hz(self) -> float:
        return float(1e9 / np.median(np.diff(self.times_ns)))


def motion_signal(
    name: str, times_ns: ArrayLike, positions: ArrayLike, *, direction: ArrayLike | None = None, unit: str = "mm"
) -> MotionSignal:
    """Signal from positions (n,) or (n, k): along ``direction``, or along their first principal component.

    NaN positions are left out and counted. Raises ``CalibrationRefused`` for missing, repeated or backward time stamps,
    too few samples and constant input.
    """
    given = np.asarray(times_ns)
    p = np.asarray(positions, dtype=np.float64)
    p = p[:, None] if p.ndim == 1 else p
    if given.ndim != 1 or len(given) != len(p):
        raise CalibrationRefused("missing time stamps", f"{name}: {len(p)} positions have {given.size} time stamps")
    if given.dtype.kind == "f":
        lost = int(np.sum(~np.isfinite(given)))
        if lost:
            raise CalibrationRefused("missing time stamps", f"{name}: {lost} of {len(p)} samples have no time stamp")
    t = given.astype(np.int64)
    valid = np.all(np.isfinite(p), axis=1)
    left_out = int(np.sum(~valid))
    t, p = t[valid], p[valid]
    if len(t) < MIN_SAMPLES_N:
        raise CalibrationRefused(
            "too few samples", f"{name}: {len(t)} valid samples (of {len(given)}), at least {MIN_SAMPLES_N} needed"
        )
    steps = np.diff(t)
    if np.all(steps == 0):
        raise CalibrationRefused("missing time stamps", f"{name}: all samples carry the same time stamp")
    if np.any(steps <= 0):
        at = int(np.argmax(steps <= 0))
        raise CalibrationRefused(
            "time stamps disordered",
            f"{name}: {int(np.sum(steps <= 0))} time stamps repeat or go back, first at sample {at + 1} of {len(t)}",
            advice="Repeated stamps mean repeated frames: leave them out when recording",
        )
    centred = p - p.mean(axis=0)
    if float(np.abs(centred).max()) < 1e-9:
        raise CalibrationRefused("constant input", f"{name}: nothing moves, all {len(t)} positions are the same")
    if direction is None:
        _, _, vt = np.linalg.svd(centred, full_matrices=False)
        along = vt[0] * (1.0 if vt[0][int(np.argmax(np.abs(vt[0])))] > 0 else -1.0)
    else:
        along = np.asarray(direction, dtype=np.float64)
        along = along / np.linalg.norm(along)
    return MotionSignal(name, t, centred @ along, unit, left_out)


def pose_signal(sequence: Sequence, tool: str, reference: str = "") -> MotionSignal:
    """Motion of the origin of ``tool`` (``ProbeToTracker``), seen from ``reference`` (``ReferenceToTracker``) if given.

    Invalid poses are left out and counted; raises ``CalibrationRefused`` when the recording has no such transform.
    """
    known = sorted({name for f in sequence.frames for name in f.transforms})
    for name in filter(None, (tool, reference)):
        if name not in known:
            raise CalibrationRefused(
                "no such transform", f"{sequence.path.name} has no {name}; it has {', '.join(known) or 'none'}"
            )
    positions = np.full((len(sequence.frames), 3), np.nan)
    for k, frame in enumerate(sequence.frames):
        if tool in frame.transforms and not {tool, reference} & frame.invalid:
            for name in filter(None, (tool, reference)):
                refuse_unless_rigid(sequence, frame, name)
            matrix = frame.transforms[tool]
            if reference:
                if reference not in frame.transforms:
                    continue
                matrix = invert(frame.transforms[reference]) @ matrix
            positions[k] = matrix[:3, 3]
    return motion_signal(f"{sequence.path.name}:{tool}", frame_times_ns(sequence), positions)


def frame_times_ns(sequence: Sequence) -> NDArray[np.int64]:
    """Time stamps of all frames; raises ``CalibrationRefused`` when some have none."""
    missing = [f.index for f in sequence.frames if f.time_ns is None]
    if missing:
        raise CalibrationRefused(
            "missing time stamps",
            f"{sequence.path.name}: {len(missing)} of {len(sequence.frames)} frames have no Timestamp, "
            f"first frame {missing[0]}",
        )
    return np.array([f.time_ns for f in sequence.frames], dtype=np.int64)


def floor_signal(sequence: Sequence, *, min_columns: int = 20) -> MotionSignal:
    """Height (px, along the beam) of the flat echo of a water-bath floor at the middle of the image.

    Per column the 50 %-of-peak centre of gravity about the brightest row, then a line through the columns by repeated
    trimming about a median line. Frames without ``min_columns`` bright columns on one line give NaN.
    """
    if sequence.pixels is None:
        raise CalibrationRefused("no images", f"{sequence.path.name} holds no images")
    times = frame_times_ns(sequence)
    heights = np.array([_floor_height(_grey(sequence, k), min_columns) for k in range(len(times))])
    return motion_signal(f"{sequence.path.name}:floor", times, heights, unit="px")


def _grey(sequence: Sequence, index: int) -> NDArray[np.generic]:
    image = sequence.image(index)
    return image if image.ndim == 2 else image.mean(axis=2)


def _floor_height(image: NDArray[np.generic], min_columns: int) -> float:
    peak = image.max(axis=0).astype(np.float64)
    noise = float(np.median(image.astype(np.float32)))
    top = float(np.percentile(peak, 98.0))
    columns = np.flatnonzero(peak > noise + 0.3 * (top - noise))
    if len(columns) < min_columns or top - noise < 8:
        return float("nan")
    strip = image[:, columns].astype(np.float64)
    rows = np.arange(len(image), dtype=np.float64)[:, None]
    best = strip.argmax(axis=0)
    near = np.abs(rows - best) <= 12
    weight = np.where(near & (strip >= 0.5 * peak[columns]), strip, 0.0)
    depth = (weight * rows).sum(axis=0) / weight.sum(axis=0)
    middle = (image.shape[1] - 1) / 2.0
    x = columns - middle
    keep = np.ones(len(x), dtype=bool)
    slope, height = 0.0, float(np.median(depth))
    third = max(1, len(x) // 3)
    if x[-third:].mean() > x[:third].mean():  # a median line to start from: a few strong echoes do not turn it
        slope = float(
            (np.median(depth[-third:]) - np.median(depth[:third])) / (np.median(x[-third:]) - np.median(x[:third]))
        )
        height = float(np.median(depth - slope * x))
    for limit in (20.0, 10.0, 6.0, 6.0):
        keep = np.abs(depth - height - slope * x) < limit
        if int(keep.sum()) < min_columns:
            return float("nan")
        slope, height = (float(v) for v in np.polyfit(x[keep], depth[keep], 1))
    return height
