"""Volume from a tracked recording and its calibration; frames that could not be used are named."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.links.sequence import Sequence
from hal.poses import why_no_image, why_no_pose
from hal.types import Matrix
from rig.calibration.probe.dots import luminance
from rig.calibration.volume.reconstruction import Compounding, Interpolation, Volume, reconstruct
from rig.geometry.graph import AmbiguousTransform, FrameGraph, frames_of
from rig.geometry.transforms import FrameError, TransformGraph

LOOP_MM, LOOP_DEG = 0.05, 0.05
"""Two ways between two frames of one recording agree to this: six printed digits at 1 m give 0.01 mm [A]."""
_CHANGES = 12
"""A pixel of the ultrasound picture differs between frames by at least this many grey levels."""


@dataclass(frozen=True)
class SweepVolume:
    """A reconstructed sweep. ``axes`` are unit vectors in the volume's frame: columns, rows, normal of the images."""

    volume: Volume
    used_n: int
    refused: tuple[tuple[int, str], ...]
    clip_px: tuple[int, int, int, int]
    axes: NDArray[np.float64] = field(repr=False)
    interpolation: str
    compounding: str
    hole_voxels: int

    def as_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "kind": "volume",
            "used_n": self.used_n,
            "refused": [{"frame": k, "reason": text} for k, text in self.refused],
            "clip_px": list(self.clip_px),
            "interpolation": self.interpolation,
            "compounding": self.compounding,
            "hole_voxels": self.hole_voxels,
            "volume": self.volume.as_json(),
        }


def reconstruct_sweep(
    recording: Sequence,
    transforms: dict[str, Matrix],
    *,
    image: str = "Image",
    frame: str = "Reference",
    spacing_mm: float = 0.5,
    clip_px: tuple[int, int, int, int] | None = None,
    interpolation: Interpolation = "nearest",
    compounding: Compounding = "mean",
    hole_voxels: int = 9,
) -> SweepVolume:
    """Reconstruct a recording in ``frame``; ``transforms`` are the fixed ones (``ImageToProbe``, ...).

    ``clip_px`` None: the part of the image that changes from frame to frame. Raises ``ConfigError``.
    """
    if recording.pixels is None:
        raise ConfigError(f"{recording.path}: is a recording without images; a volume needs them")
    if recording.frames and all(frame.time_ns is None for frame in recording.frames):
        raise ConfigError(
            f"{recording.path}: no frame has a Timestamp, so pictures and poses cannot be shown to belong together"
        )
    poses: list[Matrix] = []
    used: list[int] = []
    refused: list[tuple[int, str]] = []
    for item in recording.frames:
        known = dict(transforms)
        for name, matrix in item.transforms.items():
            if name not in item.invalid and name not in transforms:
                why = why_no_image(matrix) if name.startswith(image) else why_no_pose(matrix)
                if why:
                    raise ConfigError(f"{recording.path}: frame {item.index}: {name} {why}")
                known[name] = matrix
        if not item.image_valid:
            refused.append((item.index, "ImageStatus is INVALID"))
            continue
        try:
            poses.append(_pose(known, image, frame))
            used.append(item.index)
        except FrameError as error:
            why = f"INVALID: {', '.join(sorted(item.invalid))}" if item.invalid else str(error)
            refused.append((item.index, why))
    if len(used) < 2:
        why = refused[0][1] if refused else "it has fewer than two frames"
        raise ConfigError(f"{recording.path}: no sweep can be made of it: {why}")
    stack = np.array(poses)
    if np.ptp(stack, axis=0).max() < 1e-9:
        raise ConfigError(f"{recording.path}: all poses are the same; the tracker is frozen or the probe was not moved")
    images = [_grey(recording, k) for k in used]
    if all(np.array_equal(images[0], picture) for picture in images[1:]):
        raise ConfigError(f"{recording.path}: all pictures are the same; the picture is frozen")
    clip = clip_px if clip_px is not None else changing_part(images)
    volume = reconstruct(
        images,
        stack,
        spacing_mm=spacing_mm,
        clip_px=clip,
        interpolation=interpolation,
        compounding=compounding,
        hole_voxels=hole_voxels,
        frame=frame,
    )
    axes = stack[:, :3, :3].mean(axis=0).T
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return SweepVolume(volume, len(used), tuple(refused), clip, axes, interpolation, compounding, hole_voxels)


def _pose(known: dict[str, Matrix], image: str, frame: str) -> Matrix:
    """``ImageToFrame``; recordings may hold one pose twice (raw, and relative to a reference) as long as both agree.

    Names that do not read ``AToB`` cannot take part. Raises ``FrameError``.
    """
    graph = FrameGraph()
    for name, matrix in known.items():
        try:
            frames_of(name)
        except FrameError:
            continue
        graph.add(name, matrix, redundant=True)
    for gap in graph.loops():
        if gap.gap_mm > LOOP_MM or gap.gap_deg > LOOP_DEG:
            raise AmbiguousTransform(
                f"{gap.step} and {' + '.join(gap.around)} differ by {gap.gap_mm:.3f} mm and {gap.gap_deg:.3f} deg"
            )
    try:
        return graph.get(image, frame)
    except AmbiguousTransform:  # the ways agree: the shortest has the least rounding
        plain = TransformGraph()
        for step in graph.steps:
            plain.add(step.name, step.transform.matrix)
        return plain.get(image, frame)


def _grey(recording: Sequence, index: int) -> NDArray[np.uint8]:
    """One image as bytes; rounded, since the weights of the three colours add up to a hair below one.

    Raises ``ConfigError`` for pixels of another type: cutting them off at 255 would be a silent loss.
    """
    if recording.pixels is None or recording.pixels.dtype != np.uint8:
        kind = None if recording.pixels is None else recording.pixels.dtype
        raise ConfigError(f"{recording.path}: pixels of type {kind} are not read here; 8-bit grey or colour is needed")
    return np.ascontiguousarray(np.rint(np.clip(luminance(recording.image(index)), 0, 255)).astype(np.uint8))


def changing_part(images: list[NDArray[np.uint8]]) -> tuple[int, int, int, int]:
    """Column, row, columns, rows of the part that differs between frames: no frame of the screen, scales or logos."""
    low, high = images[0].copy(), images[0].copy()
    for picture in images[1:]:
        np.minimum(low, picture, out=low)
        np.maximum(high, picture, out=high)
    changed = ((high - low) >= _CHANGES).astype(np.uint8)
    opened = cv2.morphologyEx(changed, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    solid = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((41, 41), np.uint8))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(solid)
    if len(stats) < 2:
        return 0, 0, images[0].shape[1], images[0].shape[0]
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, w, h = cv2.boundingRect(((parts == largest) & (opened > 0)).astype(np.uint8))
    return int(x), int(y), int(w), int(h)
