"""A recorded trial as sequences that Slicer, SimpleITK and pynrrd open.

Three kinds of sequence, because one file has one image size and one clock of frames:

* ``<trial>``: the frames whose pixels were kept (one file per image size),
* ``<trial>_poses``: every frame that guidance consumed, poses and findings without pixels,
* ``<trial>_stream_<name>``: every sample of one signal, its values under the names of the record, units in the header;
  the axes of holder and needle carrier also as the transforms that they make.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hal.errors import ConfigError, RecordError
from hal.links.sequence import Sequence
from hal.types import Matrix
from rig.formats.formats import write_recording
from rig.formats.motions import recorded_mount, stream_track
from rig.formats.recording import FrameEntry, make_recording, matrix_text
from rig.geometry.needle_mount import ON_AXIS, NeedleMount
from rig.record.frames import FrameReader, RecordedFrame
from rig.record.reading import RecordedTrial
from rig.record.streams import Stream


def trial_recordings(trial: RecordedTrial) -> dict[str, Sequence]:
    """Sequences of one trial by file stem. Raises ``ConfigError`` for a trial without frames and samples."""
    frames, streams = trial.frames(), trial.streams()
    simulated = str(bool(trial.meta.get("simulated", True)))
    about = {
        "TrialId": trial.trial_id,
        "Simulated": simulated,
        "Approach": str(trial.meta.get("approach", "")) or "unknown",
    }
    placed: dict[str, list[list[float]]] = trial.meta.get("frames", {})
    about |= {f"{name}Transform": matrix_text(np.array(matrix)) for name, matrix in placed.items()}
    mount = recorded_mount(trial)
    found = dict(_images(trial.trial_id, frames, about))
    if len(frames):
        heads = _once(list(frames.heads))
        entries = [_entry(head, image_valid=False) for head in heads]
        left_out = {"RepeatedFramesLeftOut": str(len(frames) - len(heads))}
        stem = f"{trial.trial_id}_poses"
        found[stem] = make_recording(Path(stem), entries, None, header=about | left_out)
    for name, stream in streams.items():
        if len(stream.time_ns):
            stem = f"{trial.trial_id}_stream_{name}"
            found[stem] = _samples(stem, stream, about, mount)
    if not found:
        raise ConfigError(f"trial {trial.trial_id} recorded no frame and no sample; there is nothing to export")
    return found


def export_trial(trial: RecordedTrial, folder: Path, ending: str = ".igs.mha") -> list[Path]:
    """Write the sequences of one trial into ``folder``; returns the files.

    Poses and streams get one black pixel per sample (frame status INVALID), so that SimpleITK opens them too.
    Raises ``ConfigError`` and ``RecordError``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"cannot make {folder}: {error.strerror}") from error
    written = []
    recordings = trial_recordings(trial)
    there = [f"{stem}{ending}" for stem in recordings if (folder / f"{stem}{ending}").exists()]
    if there:
        raise ConfigError(f"{folder / there[0]} exists already and is not written over; give another folder")
    for stem, sequence in recordings.items():
        pixels = sequence.pixels
        if pixels is None:
            pixels = np.zeros((len(sequence.frames), 1, 1), dtype=np.uint8)
        whole = Sequence(sequence.path, sequence.header, sequence.frames, pixels)
        written.append(write_recording(whole, folder / f"{stem}{ending}"))
    return written


def _once(heads: list[RecordedFrame]) -> list[RecordedFrame]:
    """Without frames whose time is not after the one before: guidance may consume one picture twice, and no reader
    of sequences takes two frames of one time."""
    kept: list[RecordedFrame] = []
    for head in heads:
        if not kept or head.time_ns > kept[-1].time_ns:
            kept.append(head)
    return kept


def _images(trial_id: str, frames: FrameReader, about: dict[str, str]) -> dict[str, Sequence]:
    images: dict[tuple[int, int], list[tuple[RecordedFrame, np.ndarray]]] = {}
    kept = [n for n in range(len(frames)) if frames.kept(n)]
    alone = {id(head) for head in _once([frames.heads[n] for n in kept])}
    for n in kept:
        head = frames.heads[n]
        if id(head) in alone:
            pixels = frames.pixels(n)
            if pixels is not None:
                images.setdefault((pixels.shape[0], pixels.shape[1]), []).append((head, pixels))
    found = {}
    for rows, columns in images:
        some = images[rows, columns]
        stem = trial_id if len(images) == 1 else f"{trial_id}_{columns}x{rows}"
        entries = [_entry(head, image_valid=True) for head, _ in some]
        found[stem] = make_recording(Path(stem), entries, np.stack([image for _, image in some]), header=about)
    return found


def _entry(head: RecordedFrame, *, image_valid: bool) -> FrameEntry:
    fields = {
        "FrameNumber": str(head.sequence_n),
        "DroppedBefore": str(head.dropped_n),
        "Label": head.label or "none",
        "Detections": json.dumps(head.detections, separators=(",", ":")),
        "PixelsSha256": head.sha256,
    }
    poses = {"ImageToProbe": head.ImageToProbe, "ProbeToRig": head.ProbeToRig}
    poses["ImageToRig"] = head.ProbeToRig @ head.ImageToProbe
    return FrameEntry(head.time_ns, poses, frozenset(), fields, image_valid)


def _samples(stem: str, stream: Stream, about: dict[str, str], mount: NeedleMount = ON_AXIS) -> Sequence:
    units = {f"Unit_{name}": unit or "1" for name, unit in stream.units.items()}
    names = list(stream.values)
    table = np.stack([stream.values[name] for name in names], axis=1) if names else np.empty((len(stream.time_ns), 0))
    poses: dict[int, dict[str, Matrix]] = {}
    named = stream_track(stream, mount)
    if named is not None and "To" in named[0]:
        poses = {t: {named[0]: m} for t, m in zip(named[1].time_ns.tolist(), named[1].matrices, strict=True)}
    entries = [
        FrameEntry(t, poses.get(t, {}), fields=dict(zip(names, map(repr, row), strict=True)), image_valid=False)
        for t, row in zip(stream.time_ns.tolist(), table.tolist(), strict=True)
    ]
    return make_recording(Path(stem), entries, None, header={**about, "StreamName": stream.name, **units})
