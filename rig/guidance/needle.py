"""Needle in the image: shaft and tip along the expected line, from one frame or from a commanded motion.

The carrier (or the operator's stylus) says where the needle should be. A strip of the frame around that line is
resampled; in it the shaft is a nearly straight bright row and the tip its deep end. Coordinates of the strip: ``s``
along the
needle with 0 at the predicted tip (+ deeper), ``t`` across in the image plane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix, Pixels, Vector
from rig.geometry.registration import apply_transform, invert_rigid
from rig.guidance.needle_line import NeedleLine
from rig.guidance.scan_lines import FloatImage, invert_affine

STEP_MM = 0.25
BACK_MM = 32.0
AHEAD_MM = 9.0
HALF_WIDTH_MM = 5.0
ROW_MM = 22.0
"""Length over which the brightness of a row is averaged."""


@dataclass(frozen=True)
class StripSettings:
    """Search ranges and thresholds of the strip; grey values 0..255.

    Unless a source stands beside it, a number was tuned on simulated frames of the seeds 100-112 [A].
    """

    max_offset_mm: float = 3.0
    max_turn_deg: float = 4.0
    shaft_grey: float = 14.0
    """Mean contrast of the shaft against its neighbourhood that counts as seen."""
    changed_grey: float = 8.0
    """The same against a reference frame of the same pose."""
    tip_grey: float = 12.0
    """Contrast that separates needle from speckle in the change-point sum."""
    half_amplitude_grey: float = 25.5
    """6 dB on the grey scale: 255 / 60 dB x 6 dB."""
    tip_echo_grey: float = 12.0
    """Tip over shaft that makes the tip a point echo of its own."""
    max_plane_angle_deg: float = 12.0
    max_plane_offset_mm: float = 5.0
    over_clutter: float = 1.25
    """How far the row must stand out above the best row anywhere around it. Simulated frames of the seeds 421-424: 88 %
    of the needles do, and no frame without one; lines placed at random into a recorded spine without a needle: 8 of 420
    do, where the contrast alone said yes to 236."""
    min_row_mm: float = 6.0
    """A row that ends so near to the start of the strip is no needle that came from there."""


@dataclass(frozen=True)
class NeedleView:
    """Needle as the image shows it."""

    found: bool
    reason: str
    tip_rig_mm: Vector = field(repr=False)
    """Tip in the image plane, Rig frame (NaN when not found)."""
    direction_rig: Vector = field(repr=False)
    along_mm: float
    """Seen tip minus predicted tip along the needle (+ deeper)."""
    across_mm: float
    """Seen minus predicted tip across the needle in the image plane."""
    sd_along_mm: float
    sd_across_mm: float
    plane_offset_mm: float
    """Distance of the predicted tip from the image plane, signed along Probe y."""
    plane_angle_deg: float
    """Angle between predicted needle and image plane."""
    shaft_contrast: float
    end_contrast: float
    """Mean contrast of the last 3 mm before the seen tip."""
    end_drop: float
    """Contrast before the seen tip minus contrast beyond it."""
    onward: float
    """Contrast that goes on beyond the seen tip along the same line, as a share of the shaft's."""
    seen_length_mm: float
    referenced: bool
    """Seen against a reference frame of the same pose (speckle removed)."""


@dataclass(frozen=True)
class Strip:
    """Grey values around the expected needle, and the way back to the Rig frame."""

    values: FloatImage = field(repr=False)
    """Shape (across, along)."""
    s_mm: NDArray[np.float64] = field(repr=False)
    t_mm: NDArray[np.float64] = field(repr=False)
    tip_probe_mm: Vector = field(repr=False)
    """Predicted tip dropped onto the image plane."""
    along_probe: Vector = field(repr=False)
    across_probe: Vector = field(repr=False)
    inside: NDArray[np.bool_] = field(repr=False)
    """True where a sample lies inside the sector (any non-black pixel near it)."""
    plane_offset_mm: float
    plane_angle_deg: float

    def rig_point(self, s: float, t: float, ProbeToRig: Matrix) -> Vector:
        point = self.tip_probe_mm + s * self.along_probe + t * self.across_probe
        return apply_transform(ProbeToRig, point)


def cut_strip(
    pixels: Pixels, ImageToProbe: Matrix, ProbeToRig: Matrix, tip_rig_mm: Vector, direction_rig: Vector,
    back_mm: float = BACK_MM, ahead_mm: float = AHEAD_MM,
) -> Strip:  # fmt: skip
    """Resample the frame around a needle that should end at ``tip_rig_mm`` and come along ``direction_rig``."""
    RigToProbe = invert_rigid(ProbeToRig)
    tip = apply_transform(RigToProbe, tip_rig_mm)
    direction = RigToProbe[:3, :3] @ direction_rig
    offset = float(tip[1])
    angle = float(np.degrees(np.arcsin(np.clip(direction[1], -1.0, 1.0))))
    along = np.array([direction[0], 0.0, direction[2]])
    norm = float(np.linalg.norm(along))
    along = along / norm if norm > 1e-6 else np.array([0.0, 0.0, 1.0])
    across = np.array([along[2], 0.0, -along[0]])
    tip = np.array([tip[0], 0.0, tip[2]])
    s = np.arange(-back_mm, ahead_mm + 1e-9, STEP_MM)
    t = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 1e-9, STEP_MM)
    grid = tip + s[None, :, None] * along + t[:, None, None] * across
    ProbeToImage = invert_affine(ImageToProbe)
    column = grid @ ProbeToImage[0, :3] + ProbeToImage[0, 3]
    row = grid @ ProbeToImage[1, :3] + ProbeToImage[1, 3]
    values = cv2.remap(pixels, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_CONSTANT, borderValue=0).astype(np.float32)  # fmt: skip
    inside = cv2.blur((values > 0).astype(np.float32), (9, 9)) > 0.2
    return Strip(values, s, t, tip, along, across, inside, offset, angle)


def _not_found(reason: str, strip: Strip, contrast: float = 0.0) -> NeedleView:
    gone = np.full(3, np.nan)
    return NeedleView(False, reason, gone, gone, float("nan"), float("nan"), float("nan"), float("nan"),
                      strip.plane_offset_mm, strip.plane_angle_deg, contrast, 0.0, 0.0, 0.0, 0.0, False)  # fmt: skip


def contrast_of(values: FloatImage) -> FloatImage:
    """Strip minus its local background across the needle (median over t per column, smoothed along s)."""
    background = np.median(values, axis=0)
    background = cv2.blur(background[None, :].astype(np.float32), (21, 1))[0]
    return np.asarray(cv2.GaussianBlur(values, (7, 3), sigmaX=1.5, sigmaY=0.7) - background, dtype=np.float32)


def change_of(values: FloatImage, reference: FloatImage) -> FloatImage:
    """Increase in brightness since the reference, slightly smoothed."""
    return np.asarray(cv2.GaussianBlur(np.maximum(values - reference, -10.0), (5, 3), sigmaX=1.0, sigmaY=0.7),
                      dtype=np.float32)  # fmt: skip


@lru_cache(maxsize=16)
def _sheared(
    rows: int, columns: int, first_mm: float, max_turn_deg: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], FloatImage]:
    """Slopes that are tried, and for each where a strip of this size is read: flat indices of the two rows between
    which a sample lies, shape (slopes, rows, columns), and how far it lies from the first one."""
    slopes = np.tan(np.radians(np.linspace(-max_turn_deg, max_turn_deg, 13)))
    shift = slopes[:, None] * (first_mm + STEP_MM * np.arange(columns)) / STEP_MM
    whole = np.floor(shift).astype(np.int64)
    index = np.arange(rows)[None, :, None] + whole[:, None, :]
    column = np.arange(columns)
    low, high = (np.clip(index + k, 0, rows - 1) * columns + column for k in (0, 1))
    return slopes, low, high, (shift - whole).astype(np.float32)[:, None, :]


def _best_line(contrast: FloatImage, strip: Strip, cfg: StripSettings, upto: float) -> tuple[float, float, float]:
    """Offset at s = 0, slope and mean contrast of the brightest row."""
    s = strip.s_mm
    use = np.flatnonzero((s <= upto) & (s >= upto - ROW_MM))
    part = np.ascontiguousarray(contrast[:, use])
    slopes, low, high, frac = _sheared(len(strip.t_mm), len(use), float(s[use[0]]), cfg.max_turn_deg)
    rows = np.clip(part.take(low) * (1 - frac) + part.take(high) * frac, -20.0, 60.0).mean(axis=2)
    rows = np.where(np.abs(strip.t_mm) <= cfg.max_offset_mm, rows, -1e9)
    slope, row = np.unravel_index(int(np.argmax(rows)), rows.shape)
    return float(strip.t_mm[row]), float(slopes[slope]), float(rows[slope, row])


ASIDE_MM = (-22.0, -16.5, -11.0, 11.0, 16.5, 22.0)
TURNED_DEG = (-60.0, -40.0, -20.0, 20.0, 40.0, 60.0)
RIVALS_MIN_N = 2
INSIDE_MIN = 0.6
"""A rival counts when so much of it lies inside the sector."""


def _rivals(tip_rig_mm: Vector, strip: Strip, ProbeToRig: Matrix) -> Iterator[tuple[Vector, Vector]]:
    """Ends and directions (Rig) of rows where no needle is expected: beside the strip, and across its middle."""
    along, across = ProbeToRig[:3, :3] @ strip.along_probe, ProbeToRig[:3, :3] @ strip.across_probe
    for aside_mm in ASIDE_MM:
        yield tip_rig_mm + aside_mm * across, along
    middle = tip_rig_mm - 0.5 * ROW_MM * along
    for turn in np.radians(TURNED_DEG):
        direction = np.cos(turn) * along + np.sin(turn) * across
        yield middle + 0.5 * ROW_MM * direction, direction


def _clutter(
    pixels: Pixels, reference: Pixels | None, ImageToProbe: Matrix, ProbeToRig: Matrix, tip_rig_mm: Vector,
    strip: Strip, cfg: StripSettings,
) -> tuple[float, int]:  # fmt: skip
    """Mean contrast of the best row where no needle is expected, and the number of places that could be checked.

    Bone, fascia and speckle make bright rows too: a needle has to beat those of its own frame.
    """
    best, count = 0.0, 0
    for tip, direction in _rivals(tip_rig_mm, strip, ProbeToRig):
        here = cut_strip(pixels, ImageToProbe, ProbeToRig, tip, direction, back_mm=ROW_MM, ahead_mm=0.0)
        if float(here.inside.mean()) <= INSIDE_MIN:
            continue
        if reference is None:
            contrast = contrast_of(here.values)
        else:
            before = cut_strip(reference, ImageToProbe, ProbeToRig, tip, direction, back_mm=ROW_MM, ahead_mm=0.0)
            contrast = change_of(here.values, before.values)
        best, count = max(best, _best_line(contrast, here, cfg, 0.0)[2]), count + 1
    return best, count


def find_needle(
    pixels: Pixels, ImageToProbe: Matrix, ProbeToRig: Matrix, tip_rig_mm: Vector, direction_rig: Vector,
    settings: StripSettings | None = None, reference: Pixels | None = None,
) -> NeedleView:  # fmt: skip
    """Shaft and tip of an in-plane needle in one frame.

    ``tip_rig_mm`` and ``direction_rig`` are the prediction. ``reference`` is a frame of the same probe pose without the
    needle: speckle belongs to the gel, so the difference leaves the needle. "Not found" when the needle is not
    expected in the plane, or when no row of the strip stands out from its background and from the rows elsewhere in the
    frame.
    """
    cfg = settings or StripSettings()
    strip = cut_strip(pixels, ImageToProbe, ProbeToRig, tip_rig_mm, direction_rig)
    if abs(strip.plane_angle_deg) > cfg.max_plane_angle_deg:
        return _not_found(f"the needle crosses the image plane at {strip.plane_angle_deg:.0f} deg", strip)
    if abs(strip.plane_offset_mm) > cfg.max_plane_offset_mm:
        return _not_found(f"the tip should lie {strip.plane_offset_mm:.1f} mm beside the image plane", strip)
    if reference is None:
        contrast, floor = contrast_of(strip.values), cfg.shaft_grey
    else:
        empty = cut_strip(reference, ImageToProbe, ProbeToRig, tip_rig_mm, direction_rig)
        contrast, floor = change_of(strip.values, empty.values), cfg.changed_grey
    offset, slope, mean = _best_line(contrast, strip, cfg, 0.0)
    if mean < floor:
        return _not_found(f"no shaft stands out (contrast {mean:.0f} grey)", strip, mean)
    clutter, rivals_n = _clutter(pixels, reference, ImageToProbe, ProbeToRig, tip_rig_mm, strip, cfg)
    if reference is None and rivals_n < RIVALS_MIN_N:
        return _not_found(
            "too little of the picture lies around it to tell a needle from other bright rows", strip, mean
        )
    if mean < cfg.over_clutter * clutter:
        return _not_found(
            f"rows of {clutter:.0f} grey lie elsewhere in the picture: one of {mean:.0f} need not be a needle",
            strip,
            mean,
        )
    return _end_of_line(contrast, strip, offset, slope, mean, cfg, ProbeToRig, reference is not None)


def _profile(contrast: FloatImage, strip: Strip, offset: float, slope: float) -> NDArray[np.float64]:
    """Brightest contrast within +- 0.5 mm of the line, along s."""
    centre = (offset + slope * strip.s_mm - strip.t_mm[0]) / STEP_MM
    index = np.clip(np.round(centre)[None, :] + np.arange(-2, 3)[:, None], 0, len(strip.t_mm) - 1).astype(np.int64)
    return np.asarray(np.take_along_axis(contrast, index, 0).max(axis=0), dtype=np.float64)


def _end_in_speckle(profile: NDArray[np.float64], level: float) -> int:
    """Last sample of the bright row in a plain frame: change point of a limited sum, so one bright speckle cannot
    carry it.
    """
    drive = np.clip(profile, -level, 1.5 * level) - 0.5 * level
    return int(np.argmax(np.cumsum(drive)))


def _end_in_change(profile: NDArray[np.float64], level: float, floor: float) -> int:
    """Last sample of the last bright stretch (at least 0.75 mm) in a difference against a reference frame."""
    bright = profile > max(floor, 0.3 * level)
    need = int(0.75 / STEP_MM)
    run = 0
    for k in range(len(profile) - 1, -1, -1):
        run = run + 1 if bright[k] else 0
        if run >= need:
            return k + need - 1
    return 0


def _end_of_line(
    contrast: FloatImage, strip: Strip, offset: float, slope: float, mean: float, cfg: StripSettings,
    ProbeToRig: Matrix, changed: bool,
) -> NeedleView:  # fmt: skip
    s = strip.s_mm
    profile = _profile(contrast, strip, offset, slope)
    lit = profile[(s < -1.0) & (s > -18.0)]
    level = float(np.clip(np.quantile(lit, 0.6), cfg.tip_grey, 120.0))
    end = _end_in_change(profile, level, cfg.tip_grey) if changed else _end_in_speckle(profile, level)
    if end >= len(s) - 2:
        return _not_found("the bright row runs on past the end of the search band", strip, mean)
    # A line that ends shows half its amplitude at its end (the beam is symmetric): 6 dB below its last stretch.
    top = float(profile[max(0, end - 8) : end + 1].max()) if changed else level
    half = max(top - cfg.half_amplitude_grey, 0.5 * top)
    while end > 0 and profile[end] < half:
        end -= 1
    if s[end] - s[0] < cfg.min_row_mm:
        return _not_found("the bright row ends where the search band begins", strip, mean)
    before, after = float(profile[end]), float(profile[min(end + 1, len(s) - 1)])
    part = (before - half) / (before - after) if before > half > after else 0.0
    along = float(s[end] + part * STEP_MM)
    shaft = profile[max(0, end - 40) : max(1, end - 12)]
    if changed and top > float(np.median(shaft)) + cfg.tip_echo_grey:
        # The tip is a point echo brighter than the shaft: the middle of the last crest, not the end of its blur.
        crest = end
        while crest > 0 and profile[crest - 1] >= profile[crest]:
            crest -= 1
        low, high = crest, crest
        while low > 0 and profile[low - 1] > profile[crest] - 10.0 and crest - low < 4:
            low -= 1
        while high < end and profile[high + 1] > profile[crest] - 10.0 and high - crest < 4:
            high += 1
        along = float(s[low : high + 1].mean())
    tail = profile[max(0, end - int(3.0 / STEP_MM)) : end + 1]
    dark = cv2.blur((profile[: end + 1] < 0.35 * level).astype(np.float32)[None, :], (9, 1))[0] > 0.85
    gaps = np.flatnonzero(dark)
    seen = (end - (gaps[-1] if len(gaps) else 0)) * STEP_MM
    beyond = profile[end + 3 : end + 13]
    drop = float(profile[max(0, end - 6) : end + 1].mean() - beyond.mean()) if len(beyond) else 0.0
    noise = float(np.std(contrast[np.abs(strip.t_mm) > 3.0])) + 1.0
    ahead = slice(min(end + 4, len(s) - 4), len(s))
    control = [
        float(_profile(contrast, strip, offset + shift, slope)[ahead].mean()) for shift in (-3.2, -2.2, 2.2, 3.2)
    ]
    onward = (float(profile[ahead].mean()) - float(np.median(control))) / level
    sd_along = float(np.clip(0.2 + 0.6 * noise / max(drop, 1.0), 0.2, 3.0))
    across = float(offset + slope * along)
    tip = strip.rig_point(along, across, ProbeToRig)
    way = ProbeToRig[:3, :3] @ (strip.along_probe + slope * strip.across_probe)
    return NeedleView(True, "", tip, way / np.linalg.norm(way), along, across, sd_along, 0.25, strip.plane_offset_mm,
                      strip.plane_angle_deg, mean, float(tail.mean()), drop, onward, float(seen), changed)  # fmt: skip


def line_view(pixels: Pixels, ImageToProbe: Matrix, ProbeToRig: Matrix, line: NeedleLine, feed_mm: float) -> NeedleView:
    """``find_needle`` for a straight commanded needle."""
    return find_needle(pixels, ImageToProbe, ProbeToRig, line.at(feed_mm), line.direction)
