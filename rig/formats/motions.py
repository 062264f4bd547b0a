"""Poses of tools from any recording: a trial, a sequence, a Perk Tutor log.

A trial gives ``ProbeToRig`` at every frame that guidance consumed, and every stream whose fields are the axes of a
carrier: six of a probe holder (``ProbeToHolder``) or of a needle carrier (``NeedleToCarrier``), or the sixteen
numbers ``m00``..``m33`` of a tracked pose under the stream's own name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.links.sequence import Sequence
from hal.poses import why_refused
from hal.types import Matrix, NeedlePose, Pose6
from rig.formats.perk_tutor import PerkLog, PoseTrack
from rig.geometry.needle_mount import ON_AXIS, NeedleMount
from rig.geometry.transforms import from_pose6
from rig.record.reading import RecordedTrial
from rig.record.streams import Stream

HOLDER = ("x_mm", "y_mm", "z_mm", "a_deg", "b_deg", "c_deg")
CARRIER = ("x_mm", "y_mm", "lateral_deg", "tilt_deg", "feed_mm", "bevel_deg")
MATRIX = tuple(f"m{row}{column}" for row in range(4) for column in range(4))


def trial_tracks(trial: RecordedTrial) -> dict[str, PoseTrack]:
    """Tracks of one trial by name ``AToB``; times strictly increase (a pose at the time of the one before is the
    same reading again and is left out)."""
    frames = trial.frames()
    found: dict[str, PoseTrack] = {}
    if len(frames):
        times = np.array([head.time_ns for head in frames.heads], dtype=np.int64)
        found["ProbeToRig"] = increasing(times, np.array([head.ProbeToRig for head in frames.heads]))
    mount = recorded_mount(trial)
    for stream in trial.streams().values():
        named = stream_track(stream, mount)
        if named is not None and len(stream.time_ns):
            found[named[0]] = named[1]
    return found


def recorded_mount(trial: RecordedTrial) -> NeedleMount:
    """Recorded seat of the needle in its carrier; on the axis for a record that does not state it."""
    mount = trial.meta.get("needle_mount")
    return ON_AXIS if mount is None else NeedleMount(tuple(mount["offset_mm"]), tuple(mount["run_out_mm"]))


def stream_track(stream: Stream, mount: NeedleMount = ON_AXIS) -> tuple[str, PoseTrack] | None:
    """Name and poses of a stream that holds the axes of a carrier; None for any other stream."""
    fields = set(stream.values)
    if fields >= set(HOLDER):
        return "ProbeToHolder", _posed(stream, HOLDER, lambda row: from_pose6(Pose6(*row)))
    if fields >= set(CARRIER):
        return "NeedleToCarrier", _posed(stream, CARRIER, lambda row: mount.frame(NeedlePose(*row)))
    if fields >= set(MATRIX):
        return stream.name, _posed(stream, MATRIX, lambda row: np.array(row).reshape(4, 4))
    return None


def _posed(stream: Stream, fields: tuple[str, ...], pose: Callable[[list[float]], Matrix]) -> PoseTrack:
    table = np.stack([stream.values[name] for name in fields], axis=1)
    measured = np.isfinite(table).all(axis=1)
    matrices = np.array([pose(row) for row in table[measured].tolist()]).reshape(-1, 4, 4)
    return increasing(stream.time_ns[measured], matrices)


def sequence_tracks(sequence: Sequence) -> dict[str, PoseTrack]:
    """Tracks of a recording, each over the frames in which its transform is there, valid and timed.

    Raises ``ConfigError`` for a valid pose that is not finite, is mirrored or has a scaled axis: a tracker gives none.
    ``ImageTo...`` holds pixel sizes, which must be possible.
    """
    names = dict.fromkeys(name for frame in sequence.frames for name in frame.transforms)
    found = {}
    for name in names:
        used = [
            frame
            for frame in sequence.frames
            if name in frame.transforms and name not in frame.invalid and frame.time_ns is not None
        ]
        for frame in used:
            _require_pose(name, frame.transforms[name], f"{sequence.path}: frame {frame.index}")
        if used:
            times = np.array([frame.time_ns for frame in used], dtype=np.int64)
            found[name] = increasing(times, np.array([frame.transforms[name] for frame in used]))
    return found


def _require_pose(name: str, matrix: Matrix, where: str) -> None:
    why = why_refused(name, matrix)
    if why:
        raise ConfigError(f"{where}: {name} {why}")


def log_tracks(log: PerkLog) -> dict[str, PoseTrack]:
    """Tracks of a Perk Tutor log in order of time, every sample kept (also those its own player loses).

    Raises ``ConfigError`` as ``sequence_tracks`` does.
    """
    found = {}
    for name, track in log.tracks.items():
        for n, matrix in enumerate(track.matrices, 1):
            _require_pose(name, matrix, f"log entry {n} of its transform")
        order = np.argsort(track.time_ns, kind="stable")
        found[name] = increasing(track.time_ns[order], track.matrices[order])
    return found


def increasing(times: NDArray[np.int64], matrices: NDArray[np.float64]) -> PoseTrack:
    """A track without samples whose time is not after that of the last one kept."""
    if len(times) == 0:
        return PoseTrack(times, matrices.reshape(-1, 4, 4))
    newest = np.maximum.accumulate(times)
    keep = np.concatenate(([True], times[1:] > newest[:-1]))
    return PoseTrack(times[keep], matrices[keep])


def require_tracks(tracks: Mapping[str, PoseTrack], what: str) -> Mapping[str, PoseTrack]:
    """Tracks that can be a motion (two samples or more); raises ``ConfigError`` when there is none."""
    usable = {name: track for name, track in tracks.items() if len(track.time_ns) > 1}
    if not usable:
        raise ConfigError(f"{what}: holds no moving tool (no transform with two valid, timed poses)")
    return usable
