"""Source of a playback: tracks, images and signals of one recording, with one common zero of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError, RecordError
from hal.links.grey import luminance
from hal.links.sequence import Sequence
from hal.poses import why_no_image
from hal.types import Matrix, Pixels
from rig.formats.clips import dicom_recording, video_recording
from rig.formats.formats import ENDINGS, read_recording
from rig.formats.motions import log_tracks, sequence_tracks, trial_tracks
from rig.formats.perk_tutor import PoseTrack, read_perk_log
from rig.record.frames import FrameReader
from rig.record.reading import RecordedTrial
from rig.record.streams import Stream

VIDEO = (".mp4", ".avi", ".mov", ".mkv")


@dataclass(frozen=True)
class Images:
    """Images in order of time; pixels come one at a time."""

    time_ns: NDArray[np.int64]
    sequence_n: tuple[int, ...]
    ImageToProbe: tuple[Matrix, ...] = field(repr=False)
    pixels: Callable[[int], Pixels] = field(repr=False)


@dataclass(frozen=True)
class Source:
    """A recording ready to be played."""

    name: str
    simulated: bool
    tracks: Mapping[str, PoseTrack]
    images: Images | None
    streams: Mapping[str, Stream]
    note: str = ""
    """Parts of the recording that cannot be played, and why."""

    @property
    def origin_ns(self) -> int:
        """Earliest time in the recording."""
        return min(self._ends(0))

    @property
    def end_ns(self) -> int:
        """Latest time in the recording."""
        return max(self._ends(-1))

    def _ends(self, at: int) -> list[int]:
        times = [track.time_ns for track in self.tracks.values()]
        times += [stream.time_ns for stream in self.streams.values() if len(stream.time_ns)]
        times += [] if self.images is None else [self.images.time_ns]
        return [int(one[at]) for one in times]


def open_source(path: Path, ImageToProbe: Matrix | None = None) -> Source:
    """Open a trial's folder, a sequence, a Perk Tutor log, a DICOM clip or a video; raises ``ConfigError``.

    ``ImageToProbe`` is needed for images whose frames carry no such transform (identity is never assumed: such
    images are left out).
    """
    try:
        source = _open(path, ImageToProbe)
    except RecordError as error:
        raise ConfigError(f"{path}: cannot be played: {error}") from error
    if not source.tracks and source.images is None and not any(len(s.time_ns) for s in source.streams.values()):
        raise ConfigError(f"{path}: holds nothing that can be played (no timed pose, image or sample)")
    return source


def _open(path: Path, given: Matrix | None) -> Source:
    if (path / "meta.json").is_file():
        trial = RecordedTrial(path, path.name)
        simulated = bool(trial.meta.get("simulated", True))
        return Source(path.name, simulated, trial_tracks(trial), _of_trial(trial.frames()), trial.streams())
    if path.is_dir():
        raise ConfigError(f"{path}: is no trial folder; of a run folder, name one of its trials")
    suffix = path.suffix.lower()
    if suffix == ".xml":
        log = read_perk_log(path)
        return Source(path.name, log.simulated, log_tracks(log), None, {})
    if suffix in ENDINGS:
        sequence = read_recording(path)
    elif suffix == ".dcm":
        sequence = dicom_recording(path)
    elif suffix in VIDEO:
        sequence = video_recording(path)
    else:
        raise ConfigError(f"{path}: not a recording that can be played")
    simulated = sequence.simulated
    images = _of_sequence(sequence, given)
    note = ""
    if images is None and sequence.pixels is not None:
        note = f"{len(sequence.frames)} images left out: INVALID, or no ImageToProbe transform was given"
    return Source(path.name, simulated, sequence_tracks(sequence), images, {}, note)


def _of_trial(frames: FrameReader) -> Images | None:
    kept = [n for n in range(len(frames)) if frames.kept(n)]
    kept = [n for k, n in enumerate(kept) if k == 0 or frames.heads[n].time_ns > frames.heads[kept[k - 1]].time_ns]
    if not kept:
        return None

    def pixels(k: int) -> Pixels:
        found = frames.pixels(kept[k])
        assert found is not None
        return found

    heads = [frames.heads[n] for n in kept]
    times = np.array([head.time_ns for head in heads], dtype=np.int64)
    return Images(times, tuple(h.sequence_n for h in heads), tuple(h.ImageToProbe for h in heads), pixels)


def _of_sequence(sequence: Sequence, given: Matrix | None) -> Images | None:
    if sequence.pixels is None:
        return None
    if sequence.pixels.dtype != np.uint8:
        raise ConfigError(f"{sequence.path}: pixels of type {sequence.pixels.dtype} cannot be played; 8-bit is needed")
    used, matrices = [], []
    for frame in sequence.frames:
        own = frame.transforms.get("ImageToProbe") if "ImageToProbe" not in frame.invalid else None
        matrix = given if given is not None else own
        if frame.image_valid and matrix is not None:
            why = why_no_image(matrix, (sequence.pixels.shape[2], sequence.pixels.shape[1]))
            if why:
                raise ConfigError(f"{sequence.path}: frame {frame.index}: ImageToProbe {why}")
            used.append(frame)
            matrices.append(matrix)
    if not used:
        return None
    times = np.array([frame.time_ns for frame in used], dtype=np.int64)
    return Images(
        times,
        tuple(frame.index + 1 for frame in used),
        tuple(matrices),
        lambda k: luminance(sequence.image(used[k].index)),
    )
