"""Conversion: recordings, clips, trials, transforms and points from one format to another."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hal.errors import ConfigError, RecordError
from hal.links.sequence import Sequence
from rig.formats.clips import dicom_recording, video_recording, write_clip
from rig.formats.formats import ENDINGS, read_recording, write_recording
from rig.formats.motions import sequence_tracks, trial_tracks
from rig.formats.perk_tutor import PerkLog, read_perk_log, write_perk_log
from rig.formats.points import read_fiducials, write_fiducials
from rig.formats.recording import FrameEntry, make_recording
from rig.formats.tfm import read_tfm, write_tfm
from rig.formats.trial import export_trial
from rig.record.reading import RecordedTrial

VIDEO = (".mp4", ".avi", ".mov", ".mkv")
POINTS = (".fcsv", ".mrk.json")


def convert(source: Path, target: Path) -> Path:
    """Convert ``source`` into the format that the name of ``target`` says; returns what was written.

    Sequences (``.igs.mha|mhd|nrrd``) from sequences, ``.dcm``, video and Perk Tutor logs; ``.dcm`` and ``.xml`` from
    sequences; point lists and ``.tfm`` among themselves; a trial's folder into a **folder** of sequences (or an
    ``.xml`` log). Raises ``ConfigError`` with one message; an existing target is never written over.
    """
    if not source.exists():
        raise ConfigError(f"{source}: there is no such file or folder")
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{target} exists already and is not written over; give another name")
    if not target.parent.is_dir():
        raise ConfigError(f"{target.parent}: there is no such folder to write into")
    try:
        if (source / "trials").is_dir():
            raise ConfigError(f"{source}: is a run folder; name one trial, such as {source / 'trials'}/T001")
        if source.is_dir():
            return _trial(source, target)
        if target.is_dir():
            raise ConfigError(f"{target} is a folder; give the name of a file")
        if target.suffix.lower() == ".tfm":
            return write_tfm(target, _linear(source))
        if target.name.endswith(POINTS):
            return write_fiducials(target, read_fiducials(source))
        return _sequence(source, target)
    except RecordError as error:
        raise ConfigError(f"{source}: {error}") from error


def _trial(source: Path, target: Path) -> Path:
    if not (source / "meta.json").is_file():
        raise ConfigError(f"{source}: is no trial folder (it has no meta.json)")
    trial = RecordedTrial(source, source.name)
    if target.suffix.lower() == ".xml":
        return write_perk_log(target, PerkLog(trial_tracks(trial), simulated=bool(trial.meta.get("simulated", True))))
    ending = ".igs.nrrd" if target.name.endswith("nrrd") else ".igs.mha"
    if target.suffix and not target.is_dir():
        raise ConfigError(f"{target}: a trial becomes several sequences; give a folder (its name may end in nrrd)")
    export_trial(trial, target, ending)
    return target


def _linear(source: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if source.suffix.lower() != ".tfm":
        raise ConfigError(f"{source}: only a .tfm becomes a .tfm")
    return read_tfm(source)


def _sequence(source: Path, target: Path) -> Path:
    suffix = target.suffix.lower()
    if suffix not in (*ENDINGS, ".dcm", ".xml"):
        known = ", ".join((*ENDINGS, ".dcm", ".xml", ".tfm", *POINTS))
        raise ConfigError(f"{target}: no format of this name can be written; known: {known}")
    sequence = _read(source)
    if suffix == ".dcm":
        return write_clip(sequence, target)
    if suffix == ".xml":
        tracks = sequence_tracks(sequence)
        if not tracks:
            raise ConfigError(f"{source}: holds no valid pose, so there is nothing for a log of poses")
        return write_perk_log(target, PerkLog(tracks, simulated=sequence.simulated))
    return write_recording(sequence, target)


def _read(source: Path) -> Sequence:
    suffix = source.suffix.lower()
    if suffix in ENDINGS:
        return read_recording(source)
    if suffix == ".dcm":
        return dicom_recording(source)
    if suffix in VIDEO:
        return video_recording(source)
    if suffix == ".xml":
        return _from_log(source)
    raise ConfigError(f"{source}: no recording by its name; known: {', '.join((*ENDINGS, '.dcm', '.xml', *VIDEO))}")


def _from_log(source: Path) -> Sequence:
    """One frame per pose: a log has no common clock of frames, and none is made up."""
    log = read_perk_log(source)
    poses = [
        (time_ns, name, matrix)
        for name, track in log.tracks.items()
        for time_ns, matrix in zip(track.time_ns.tolist(), track.matrices, strict=True)
    ]
    merged: dict[int, dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]] = {}
    for time_ns, name, matrix in sorted(poses, key=lambda pose: pose[0]):
        merged.setdefault(time_ns, {})[name.removesuffix("Transform")] = matrix
    header = {"Simulated": "True"} if log.simulated else {}
    return make_recording(source, [FrameEntry(time_ns, pose) for time_ns, pose in merged.items()], None, header=header)
