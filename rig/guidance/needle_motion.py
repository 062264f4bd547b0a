"""Needle tip from changes in the image: a commanded small feed, and a small test injection.

Frames before and after differ by speckle that did not move (nothing), by the tip that moved (bright where it is now),
and by fluid (dark where there was texture).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from hal.types import Matrix, Pixels, Vector
from rig.geometry.registration import apply_transform, invert_rigid
from rig.guidance.needle import STEP_MM, cut_strip
from rig.guidance.scan_lines import FloatImage, invert_affine


@dataclass(frozen=True)
class MotionSettings:
    """Thresholds of the difference image (grey values 0..255).

    Unless a source stands beside it, a number was tuned on simulated frames of the seeds 100-112 [A].
    """

    reach_mm: float = 5.0
    """Search radius about the predicted tip."""
    min_change_grey: float = 12.0
    min_ratio: float = 3.0
    """Change near the tip over the change elsewhere in the strip."""
    min_left: float = 0.18
    """Darkening where the tip was, over the strength of the pair: texture of a sliding shaft has no such partner."""
    max_ahead: float = 0.6
    """Change ahead of the place over the change at it."""
    max_second: float = 0.75
    """Strength of a second place that moved over that of the first."""


@dataclass(frozen=True)
class MotionView:
    """Tip from a commanded feed."""

    found: bool
    reason: str
    tip_rig_mm: Vector = field(repr=False)
    along_mm: float
    across_mm: float
    sd_mm: float
    change_grey: float
    ratio: float
    plane_offset_mm: float


def find_motion(
    before: Pixels, after: Pixels, ImageToProbe: Matrix, ProbeToRig: Matrix,
    tip_rig_mm: Vector, direction_rig: Vector, feed_mm: float, settings: MotionSettings | None = None,
) -> MotionView:  # fmt: skip
    """Tip after a commanded feed of ``feed_mm`` (0.5..2); ``tip_rig_mm`` is the prediction after the feed."""
    cfg = settings or MotionSettings()
    gone = np.full(3, np.nan)

    def no(reason: str, change: float = 0.0, ratio: float = 0.0, offset: float = float("nan")) -> MotionView:
        return MotionView(False, reason, gone, float("nan"), float("nan"), float("nan"), change, ratio, offset)

    first = cut_strip(before, ImageToProbe, ProbeToRig, tip_rig_mm, direction_rig, back_mm=14.0, ahead_mm=12.0)
    second = cut_strip(after, ImageToProbe, ProbeToRig, tip_rig_mm, direction_rig, back_mm=14.0, ahead_mm=12.0)
    difference = cv2.GaussianBlur(second.values - first.values, (0, 0), 0.35 / STEP_MM)
    # The tip echo left one place and came to another, ``feed_mm`` further on: look for the pair.
    # Out of plane only the part of the feed that lies in the image is seen.
    moved = abs(feed_mm) * float(np.cos(np.radians(second.plane_angle_deg)))
    steps = int(np.clip(round(moved / STEP_MM), 1, 12))
    # Where the tip was: shallower by the feed, or deeper when it was withdrawn.
    old = np.roll(difference, steps if feed_mm > 0 else -steps, axis=1)
    old[:, slice(0, steps) if feed_mm > 0 else slice(-steps, None)] = 0.0
    pair = 0.6 * difference - 0.4 * old
    sg, tg = second.s_mm[None, :], second.t_mm[:, None]
    near = (sg**2 + tg**2) <= cfg.reach_mm**2
    # Texture that decorrelates everywhere (the probe moved, the gel relaxes) is the background of the test.
    background = float(np.sqrt(np.mean(pair[~near & (sg > -11.0)] ** 2))) + 1.0
    gain = np.where(near, pair, -1e9)
    peak_at = np.unravel_index(int(np.argmax(gain)), gain.shape)
    peak = float(gain[peak_at])
    ratio = peak / background
    offset = second.plane_offset_mm
    if peak < cfg.min_change_grey or ratio < cfg.min_ratio:
        return no(
            f"nothing moved with the needle (change {peak:.0f} grey, {ratio:.1f} x the rest)", peak, ratio, offset
        )
    _, labels = cv2.connectedComponents((near & (pair > 0.55 * peak)).astype(np.uint8))
    blob = labels == labels[peak_at]
    weight = np.where(blob, pair, 0.0)
    weight = weight / weight.sum()
    across, along = float((weight * tg).sum()), float((weight * sg).sum())
    size = float(np.sqrt((weight * ((sg - along) ** 2 + (tg - across) ** 2)).sum()))
    if float((weight * old).sum()) > -cfg.min_left * peak:
        return no("nothing left the place where the tip was", peak, ratio, offset)
    # Texture of a shaft that slides past changes too: then the true tip is further on.
    ahead = (sg > along + 2.0) & (np.abs(tg - across) < 2.5)
    onward = float(np.abs(difference)[ahead].max()) if ahead.any() else 0.0
    here = float(np.abs(difference)[blob].max())
    if onward > cfg.max_ahead * here:
        return no(f"it moved further on as well ({onward / here:.0%}): the tip may be deeper", peak, ratio, offset)
    along_line = (np.abs(tg - across) < 2.5) & (np.abs(sg - along) > 2.0)
    if along_line.any() and float(pair[along_line].max()) > 1.15 * peak:
        return no("something moved more elsewhere along the needle", peak, ratio, offset)
    # A second, separate place that moved as strongly makes the answer ambiguous.
    rest = np.where(near & ~cv2.dilate(blob.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool), pair, 0.0)
    if float(rest.max()) > cfg.max_second * peak:
        return no(f"two places moved (second at {float(rest.max()) / peak:.0%})", peak, ratio, offset)
    tip = second.rig_point(along, across, ProbeToRig)
    return MotionView(True, "", tip, along, across, float(np.clip(0.2 + 0.3 * size, 0.3, 2.0)), peak, ratio, offset)


@dataclass(frozen=True)
class FluidSettings:
    """Thresholds of the fluid patch.

    Unless a source stands beside it, a number was tuned on simulated frames of the seeds 100-112 [A].
    """

    reach_mm: float = 8.0
    accept_mm: float = 5.0
    """``facts/domain.md`` 4.2 (c)."""
    min_drop_grey: float = 10.0
    min_ratio: float = 3.0


@dataclass(frozen=True)
class FluidView:
    """Patch of fluid that was not there before the test injection."""

    found: bool
    reason: str
    centre_rig_mm: Vector = field(repr=False)
    distance_mm: float
    """From the predicted tip, in the image plane."""
    sd_mm: float
    area_mm2: float
    expected_area_mm2: float
    """Central section of a sphere of the volume that was injected."""
    drop_grey: float


def find_fluid(
    before: Pixels, after: Pixels, ImageToProbe: Matrix, ProbeToRig: Matrix,
    tip_rig_mm: Vector, volume_ml: float, settings: FluidSettings | None = None,
) -> FluidView:  # fmt: skip
    """Echo-poor patch between frames before and after a test injection of ``volume_ml``, probe and needle at rest."""
    cfg = settings or FluidSettings()
    tip = apply_transform(invert_rigid(ProbeToRig), tip_rig_mm)
    half = cfg.reach_mm + 8.0
    axis = np.arange(-half, half + 1e-9, STEP_MM)
    x, z = np.meshgrid(tip[0] + axis, tip[2] + axis)
    ProbeToImage = invert_affine(ImageToProbe)
    column = (ProbeToImage[0, 0] * x + ProbeToImage[0, 2] * z + ProbeToImage[0, 3]).astype(np.float32)
    row = (ProbeToImage[1, 0] * x + ProbeToImage[1, 2] * z + ProbeToImage[1, 3]).astype(np.float32)

    def cut(pixels: Pixels) -> FloatImage:
        return np.asarray(cv2.remap(pixels, column, row, cv2.INTER_LINEAR, borderValue=0), dtype=np.float32)

    # Radius of a sphere of that volume; the smoothing is about its size, at least a speckle.
    radius = float(np.cbrt(3e3 * max(volume_ml, 0.01) / (4 * np.pi)))
    expected = float(np.pi * radius**2)
    sigma = float(np.clip(0.4 * radius, 0.8, 1.8)) / STEP_MM
    change = cv2.GaussianBlur(cut(before) - cut(after), (0, 0), sigma)
    dx, dz = np.meshgrid(axis, axis)
    near = dx**2 + dz**2 <= cfg.reach_mm**2
    rest = float(np.std(change[~near])) + 0.5
    gain = np.where(near, change, -1e9)
    at = np.unravel_index(int(np.argmax(gain)), gain.shape)
    drop = float(gain[at])
    gone = np.full(3, np.nan)
    if drop < cfg.min_drop_grey or drop < cfg.min_ratio * rest:
        return FluidView(False, f"no new dark patch (drop {drop:.0f} grey)", gone, float("nan"), float("nan"), 0.0,
                         expected, drop)  # fmt: skip
    _, labels = cv2.connectedComponents((near & (change > 0.5 * drop)).astype(np.uint8))
    blob = labels == labels[at]
    weight = np.where(blob, change, 0.0)
    weight = weight / weight.sum()
    cx, cz = float((weight * dx).sum()), float((weight * dz).sum())
    distance = float(np.hypot(cx, cz))
    centre = apply_transform(ProbeToRig, np.array([tip[0] + cx, 0.0, tip[2] + cz]))
    area = float(blob.sum()) * STEP_MM**2
    if distance > cfg.accept_mm:
        reason = f"the new patch lies {distance:.1f} mm from the predicted tip, limit {cfg.accept_mm:.0f}"
        return FluidView(False, reason, centre, distance, float("nan"), area, expected, drop)
    return FluidView(True, "", centre, distance, float(np.clip(0.35 * radius, 0.8, 2.5)), area, expected, drop)
