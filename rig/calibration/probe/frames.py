"""A tracked recording of a wire phantom as observations: labelled dots and poses, or the reason per frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.links.sequence import Sequence, SequenceFrame
from hal.poses import why_no_pose
from hal.types import Matrix
from rig.calibration.probe.dots import Dots, find_dots, luminance
from rig.calibration.probe.labelling import Labeller, Labelling, Refusal, Scale
from rig.calibration.probe.overlay import burned_in, cleared
from rig.calibration.probe.pitch import find_pitch
from rig.calibration.probe.plus_config import PlusConfig
from rig.calibration.probe.wires import WirePhantom
from rig.geometry.transforms import FrameError, TransformGraph

Array = NDArray[np.float64]

_SAMPLE = 16
_LABELLED = 0.6
"""Share of the sampled pictures that must be labelled before another way of looking at them is not tried."""


@dataclass(frozen=True)
class FrameVerdict:
    """Verdict on one frame: used, or why not."""

    index: int
    refusal: Refusal | None
    candidates_n: int = 0


@dataclass(frozen=True)
class Observations:
    """Usable frames of one recording; arrays share the first axis. ``labellings`` holds the alternatives per frame."""

    name: str
    phantom: WirePhantom = field(repr=False)
    frame: NDArray[np.intp] = field(repr=False)
    """Index in the recording."""
    PhantomToProbe: Array = field(repr=False)
    """Shape (n, 4, 4)."""
    labellings: tuple[tuple[Labelling, ...], ...] = field(repr=False)
    verdicts: tuple[FrameVerdict, ...] = field(repr=False)
    size_px: tuple[int, int]
    """Columns and rows of the image in MF order."""
    pitch_guess_mm: tuple[float, float]
    time_s: Array = field(repr=False)
    """Shape (n,)."""
    stretch_mm: Array | None = field(repr=False)
    """Shape (n, 3, 3), last index the tracker's axis: how the phantom shifts in the probe's frame, mm, per unit of
    scale of the positions along that axis. None when probe and reference are not seen by one tracker."""
    frozen: tuple[str, ...]
    """Poses of probe or reference that are the same to the last digit in all frames."""
    sample: tuple[tuple[Dots, Matrix], ...] = field(repr=False)
    """Raw dots and pose of some frames, labelled or not, for finding out what is wrong."""
    sample_frame: tuple[int, ...] = ()
    """Index in the recording of each item of ``sample``."""
    notes: tuple[str, ...] = ()

    def dots_px(self, choice: NDArray[np.intp] | None = None) -> Array:
        """Dots of the chosen labelling of every frame, shape (n, wires, 2)."""
        pick = np.zeros(len(self.frame), dtype=int) if choice is None else choice
        return np.array([item[k].dots_px for item, k in zip(self.labellings, pick, strict=True)])


def observe(
    sequence: Sequence, config: PlusConfig, phantom: WirePhantom, pitch_mm: float | None = None
) -> Observations:
    """Find and label the dots of every frame. ``pitch_mm``: rough pixel pitch, else the configuration's, else searched.

    Raises ``ConfigError`` when the recording as a whole cannot be used, naming what is wrong.
    """
    if sequence.pixels is None:
        raise ConfigError(f"{sequence.path}: is a recording without images; an N-wire calibration needs them")
    if not sequence.frames:
        raise ConfigError(f"{sequence.path}: holds no frame")
    notes: list[str] = []
    if sequence.orientation[:2].upper() not in ("MF", "UF", "MN", "UN", "FM", "FU", "NM", "NU"):
        notes.append(f"image orientation {sequence.orientation or 'not stated'!r} is unknown: taken as MF")
    poses, verdicts = _poses(sequence, config)
    _refuse_constant(sequence, poses)
    for k in poses:
        if k - 1 in poses and np.array_equal(sequence.pixels[k], sequence.pixels[k - 1]):
            verdicts[k] = FrameVerdict(k, Refusal("repeat", f"repeat: the same picture as frame {k - 1}"))
    usable = [k for k in poses if k not in verdicts]
    hint = pitch_mm if pitch_mm is not None else config.spacing_mm_per_px
    clip = config.clip_px
    shape = sequence.image(0).shape
    size = (shape[1], shape[0])
    if clip is not None and (clip[0] + clip[2] > size[0] or clip[1] + clip[3] > size[1]):
        notes.append(f"the configuration's clip rectangle {clip} lies outside the {size[0]}x{size[1]} image: ignored")
        clip = None
    most = 9 * len(phantom.patterns)
    grey = [luminance(sequence.image(k)) for k in _spread(usable)]
    overlay = burned_in(grey)
    found_pitch = find_pitch(phantom, [cleared(image, overlay) for image in grey], hint, clip, most)
    if overlay is not None and found_pitch.share < _LABELLED:  # dots at rest in a saturated picture look burned in too
        plain = find_pitch(phantom, grey, hint, clip, most)
        if plain.share > max(_LABELLED, found_pitch.share):
            overlay, found_pitch = None, plain
    if overlay is not None:
        notes.append(f"{100.0 * float(overlay.mean()):.1f} % of the picture never changes (text, scales): left out")
    notes += found_pitch.notes
    pitch = found_pitch.pitch_mm
    labeller = Labeller(phantom, Scale.measured(*pitch))
    dot_pitch = float(np.sqrt(pitch[0] * pitch[1]))
    found: dict[int, tuple[Labelling, ...]] = {}
    sample: list[tuple[Dots, Matrix]] = []
    sampled = set(_spread(usable))
    for k in usable:
        dots = find_dots(cleared(luminance(sequence.image(k)), overlay), dot_pitch, most, clip)
        result = labeller.label(dots)
        if k in sampled:
            sample.append((dots, poses[k]))
        count = len(dots.strength)
        if isinstance(result, Refusal):
            verdicts[k] = FrameVerdict(k, result, count)
        else:
            verdicts[k] = FrameVerdict(k, None, count)
            found[k] = result
    order = sorted(found)
    stack = np.array([poses[k] for k in order]).reshape(-1, 4, 4)
    return Observations(
        sequence.path.name, phantom, np.array(order, dtype=np.intp), stack, tuple(found[k] for k in order),
        tuple(verdicts[k] for k in sorted(verdicts)), size, pitch,
        np.array([(sequence.frames[k].time_ns or 0) / 1e9 for k in order]),
        _stretch_mm([sequence.frames[k] for k in order], config), _frozen([sequence.frames[k] for k in order], config),
        tuple(sample), tuple(k for k in usable if k in sampled), tuple(notes),
    )  # fmt: skip


def _poses(sequence: Sequence, config: PlusConfig) -> tuple[dict[int, Matrix], dict[int, FrameVerdict]]:
    names = config.frames
    fixed = {n: t.matrix for n, t in config.transforms.items() if names.image not in (t.source, t.target)}
    for name, matrix in fixed.items():
        if {config.transforms[name].source, config.transforms[name].target} == {names.phantom, names.reference}:
            _check_rigid(f"{config.path}: {name}", matrix)
    poses: dict[int, Matrix] = {}
    refused: dict[int, FrameVerdict] = {}

    def refuse(index: int, code: str, text: str) -> None:
        refused[index] = FrameVerdict(index, Refusal(code, f"{code}: {text}"))

    stamped = sum(f.time_ns is not None for f in sequence.frames)
    if stamped == 0:
        raise ConfigError(
            f"{sequence.path}: no frame has a Timestamp, so pictures and poses cannot be shown to belong together"
        )
    last_ns: int | None = None
    for frame in sequence.frames:
        if frame.time_ns is None:
            refuse(frame.index, "time", "the frame has no Timestamp")
            continue
        if last_ns is not None and frame.time_ns <= last_ns:
            refuse(frame.index, "time", "its Timestamp is not later than that of the frame before")
            continue
        last_ns = frame.time_ns
        if not frame.image_valid:
            refuse(frame.index, "image", "ImageStatus is INVALID")
            continue
        pose = _pose(frame, fixed, names.phantom, names.probe)
        if isinstance(pose, str):
            refuse(frame.index, "pose", pose)
            continue
        for name, matrix in frame.transforms.items():
            if name not in frame.invalid and (names.probe in name or names.reference in name):
                _check_rigid(f"{sequence.path}: frame {frame.index}: {name}", matrix)
        poses[frame.index] = pose
    if not poses:
        texts = {v.refusal.text for v in refused.values() if v.refusal is not None}
        raise ConfigError(f"{sequence.path}: no frame has a usable pose: {'; '.join(sorted(texts)[:3])}")
    return poses, refused


def _pose(frame: SequenceFrame, fixed: dict[str, Matrix], source: str, target: str) -> Matrix | str:
    """``PhantomToProbe``, or the reason why there is none."""
    graph = TransformGraph()
    for name, matrix in fixed.items():
        graph.add(name, matrix)
    for name, matrix in frame.transforms.items():
        if name not in frame.invalid and "To" in name:
            graph.add(name, matrix)
    try:
        return graph.get(source, target)
    except FrameError:
        if frame.invalid:
            return f"INVALID: {', '.join(sorted(frame.invalid))}"
        return f"no chain of transforms joins {source} and {target}; known frames: {', '.join(sorted(graph.frames))}"


def _stretch_mm(frames: list[SequenceFrame], config: PlusConfig) -> Array | None:
    """Shift of the reference in the probe's frame per unit of scale of each axis of the tracker (n, 3, axis)."""
    probe, reference = f"{config.frames.probe}To", f"{config.frames.reference}To"
    seen = {n.removeprefix(probe) for f in frames[:1] for n in f.transforms if n.startswith(probe)}
    seen &= {n.removeprefix(reference) for f in frames[:1] for n in f.transforms if n.startswith(reference)}
    if len(seen) != 1:
        return None
    tracker = seen.pop()
    try:
        at = np.array([[f.transforms[probe + tracker], f.transforms[reference + tracker]] for f in frames])
    except KeyError:
        return None
    apart_mm = at[:, 1, :3, 3] - at[:, 0, :3, 3]
    return np.asarray(np.swapaxes(at[:, 0, :3, :3], 1, 2) * apart_mm[:, None, :])


def _frozen(frames: list[SequenceFrame], config: PlusConfig) -> tuple[str, ...]:
    """True for poses without jitter: a real tracker's poses jitter even for a clamped object."""
    names = config.frames
    found = []
    ours = (f"{names.probe}To", f"{names.reference}To")
    for name in sorted({n for f in frames for n in f.transforms if n.startswith(ours)}):
        poses = [f.transforms[name] for f in frames if name in f.transforms]
        if len(poses) > 1 and all(np.array_equal(poses[0], pose) for pose in poses[1:]):
            found.append(name)
    return tuple(found)


def _check_rigid(what: str, matrix: Matrix) -> None:
    """Raise ``ConfigError`` naming the axis when a pose is scaled, skewed or mirrored."""
    why = why_no_pose(matrix)
    if why:
        raise ConfigError(f"{what} {why}")


def _refuse_constant(sequence: Sequence, poses: dict[int, Matrix]) -> None:
    some = [sequence.image(k) for k in _spread(list(poses))]
    if all(image.min() == image.max() for image in some):
        raise ConfigError(f"{sequence.path}: every picture is of one grey value; was the probe in the water?")
    if len(some) > 1 and all(np.array_equal(some[0], image) for image in some[1:]):
        raise ConfigError(f"{sequence.path}: all pictures are the same; the picture is frozen")
    stack = np.array(list(poses.values()))
    if len(stack) > 1 and np.ptp(stack, axis=0).max() < 1e-9:
        raise ConfigError(f"{sequence.path}: all poses are the same; the tracker is frozen or the probe was not moved")


def _spread(items: list[int]) -> list[int]:
    if len(items) <= _SAMPLE:
        return items
    return [items[int(k)] for k in np.linspace(0, len(items) - 1, _SAMPLE)]
