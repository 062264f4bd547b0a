"""Bone surface along the scan lines: bright echo with a shadow behind it, joined by dynamic programming.

Idea after Foroughi et al. (Ultrasound Med Biol 2007): intensity and shadow make the cost of a sample, continuity
between lines is a cost of transition. "No bone" is one more state of every line.

Convention, fixed here: **the surface is the middle of the brightest stretch of the echo** (samples within
``PLATEAU_GREY`` of the peak, so a saturated echo counts at its middle). Range is measured from the transducer face.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix, Pixels, ProbeGeometry
from rig.geometry.registration import Points, apply_transform
from rig.guidance.scan_lines import FloatImage, ScanLines, to_scan_lines

PLATEAU_GREY = 6.0


@dataclass(frozen=True)
class BoneSettings:
    """Weights of the search; grey values are 0..255.

    Unless a source stands beside it, a number was tuned on simulated frames of the seeds 100-112 [A].
    """

    min_range_mm: float = 6.0
    """Skin and face reverberation end above this range."""
    contact_mm: tuple[float, float] = (6.0, 16.0)
    """Ranges in which a line that touches the skin shows tissue."""
    contact_grey: float = 12.0
    """Mean grey there below which the line has no contact (lifted edge, air)."""
    edge_margin_mm: float = 3.0
    """The last stretch of the picture has no room for a shadow."""
    contrast_grey: float = 70.0
    """Step from the tissue above to the echo that counts as full."""
    above_mm: float = 10.0
    shadow_gap_mm: float = 1.8
    shadow_mm: float = 14.0
    no_bone_score: float = 0.25
    """Score per line that a bone path has to beat."""
    jump_cost: float = 1.1
    """Price of a break in range between neighbouring lines, and half of it for bone <-> no bone."""
    slope_cost: float = 0.03
    """Price per sample of range change between neighbouring lines."""
    max_slope: int = 8
    min_confidence: float = 0.35


@dataclass(frozen=True)
class BoneSurface:
    """Answer for one frame, one entry per scan line."""

    grid: ScanLines = field(repr=False)
    found: NDArray[np.bool_] = field(repr=False)
    range_mm: NDArray[np.float64] = field(repr=False)
    """True range from the face after the speed-of-sound scaling; NaN where no bone was seen."""
    confidence: NDArray[np.float64] = field(repr=False)
    """0..1; for a line without bone the confidence that there is none."""
    contact: NDArray[np.bool_] = field(repr=False)
    """True where the line sees tissue at all; a line without contact says nothing about bone."""
    range_scale: float
    """c of the gel / c that the scanner assumes."""

    @property
    def lines(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.found)

    def probe_points(self, min_confidence: float = 0.0) -> Points:
        """Surface points, shape (n, 3), Probe frame, mm."""
        use = np.flatnonzero(self.found & (self.confidence >= min_confidence))
        return self.grid.at(use.astype(np.float64), self.range_mm[use])

    def rig_points(self, ProbeToRig: Matrix, min_confidence: float = 0.0) -> Points:
        """Surface points, shape (n, 3), Rig frame, mm."""
        return apply_transform(ProbeToRig, self.probe_points(min_confidence))


@numba.njit(cache=True, nogil=True)
def _scores(
    img: NDArray[np.float32], first: int, last: int, above: int, gap: int, shade: int, contrast: float
) -> NDArray[np.float32]:  # pragma: no cover - compiled
    lines, samples = img.shape
    out = np.zeros((lines, samples), dtype=np.float32)
    total = np.zeros(samples + 1)
    for i in range(lines):
        for s in range(samples):
            total[s + 1] = total[s] + img[i, s]
        for s in range(first, last):
            here = img[i, s]
            if here < img[i, s - 1] - 8.0 and here < img[i, s + 1] - 8.0:
                continue
            a0 = max(0, s - 3 - above)
            a1 = max(1, s - 3)
            up = (total[a1] - total[a0]) / (a1 - a0)
            b0 = min(samples - 1, s + gap)
            b1 = min(samples, s + gap + shade)
            down = (total[b1] - total[b0]) / max(1, b1 - b0)
            step = (here - up) / contrast
            if step <= 0.0:
                continue
            if step > 1.0:
                step = 1.0
            dark = 1.0 - down / max(up, 25.0)
            if dark <= 0.0:
                continue
            # An echo behind darkness is a reverberation in a shadow, not a surface.
            lit = (up - 8.0) / 20.0
            if lit <= 0.0:
                continue
            # A much brighter echo at the same range beside it: a side lobe of that one.
            beside = here
            for k in range(2, 11, 2):
                if i >= k and img[i - k, s] > beside:
                    beside = img[i - k, s]
                if i + k < lines and img[i + k, s] > beside:
                    beside = img[i + k, s]
            lobe = 1.0 - (beside - here - 60.0) / 50.0
            if lobe <= 0.0:
                continue
            out[i, s] = step * min(1.0, 1.25 * dark) * min(1.0, lit) * min(1.0, lobe)
    return out


@numba.njit(cache=True, nogil=True)
def _best_path(
    score: NDArray[np.float32], none: float, jump: float, slope_cost: float, max_slope: int
) -> NDArray[np.int32]:  # pragma: no cover - compiled
    lines, samples = score.shape
    value = np.zeros(samples + 1, dtype=np.float64)
    back = np.zeros((lines, samples + 1), dtype=np.int32)
    for s in range(samples):
        value[s] = score[0, s]
    value[samples] = none
    nxt = np.zeros(samples + 1, dtype=np.float64)
    for i in range(1, lines):
        best = -1e30
        best_at = 0
        for s in range(samples):
            if value[s] > best:
                best = value[s]
                best_at = s
        empty = float(value[samples])
        for s in range(samples):
            top = best - jump
            arg = best_at
            if empty - 0.5 * jump > top:
                top = empty - 0.5 * jump
                arg = samples
            lo = max(0, s - max_slope)
            hi = min(samples - 1, s + max_slope)
            for q in range(lo, hi + 1):
                v = value[q] - slope_cost * abs(q - s)
                if v > top:
                    top = v
                    arg = q
            nxt[s] = top + score[i, s]
            back[i, s] = arg
        if best - 0.5 * jump > empty:
            nxt[samples] = best - 0.5 * jump + none
            back[i, samples] = best_at
        else:
            nxt[samples] = empty + none
            back[i, samples] = samples
        for s in range(samples + 1):
            value[s] = nxt[s]
    path = np.zeros(lines, dtype=np.int32)
    at = 0
    for s in range(samples + 1):
        if value[s] > value[at]:
            at = s
    for i in range(lines - 1, -1, -1):
        path[i] = at
        at = back[i, at]
    return path


@numba.njit(cache=True, nogil=True)
def _refine(
    img: NDArray[np.float32], path: NDArray[np.int32], reach: int, plateau: float
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    lines, samples = img.shape
    out = np.full(lines, np.nan)
    for i in range(lines):
        s = path[i]
        if s >= samples:
            continue
        lo, hi = max(1, s - reach), min(samples - 2, s + reach)
        top = lo
        for q in range(lo, hi + 1):
            if img[i, q] > img[i, top]:
                top = q
        peak = img[i, top]
        a = top
        while a > 1 and img[i, a - 1] >= peak - plateau:
            a -= 1
        b = top
        while b < samples - 2 and img[i, b + 1] >= peak - plateau:
            b += 1
        # Linear interpolation of the two edges of the plateau.
        left = a - min(1.0, (img[i, a] - (peak - plateau)) / max(1e-3, img[i, a] - img[i, a - 1]))
        right = b + min(1.0, (img[i, b] - (peak - plateau)) / max(1e-3, img[i, b] - img[i, b + 1]))
        out[i] = 0.5 * (left + right)
    return out


def _smooth(img: FloatImage) -> FloatImage:
    return np.asarray(cv2.GaussianBlur(img, (5, 3), sigmaX=1.2, sigmaY=0.8), dtype=np.float32)


def find_bone(
    pixels: Pixels,
    ImageToProbe: Matrix,
    probe: ProbeGeometry,
    depth_mm: float,
    *,
    sound_speed_m_s: float = 1540.0,
    assumed_speed_m_s: float = 1540.0,
    settings: BoneSettings | None = None,
) -> BoneSurface:
    """Bone surface of one frame.

    ``depth_mm`` is the displayed depth. The scanner turned time into depth with ``assumed_speed_m_s``; ranges are
    scaled by ``sound_speed_m_s / assumed_speed_m_s`` along each scan line.
    """
    cfg = settings or BoneSettings()
    img, grid = to_scan_lines(pixels, ImageToProbe, probe, depth_mm)
    soft = _smooth(img)
    step = grid.step_mm
    first = max(2, int(cfg.min_range_mm / step))
    last = grid.samples - max(2, int(cfg.edge_margin_mm / step))
    score = _scores(soft, first, last, int(cfg.above_mm / step), int(cfg.shadow_gap_mm / step),
                    int(cfg.shadow_mm / step), cfg.contrast_grey)  # fmt: skip
    near = soft[:, int(cfg.contact_mm[0] / step) : int(cfg.contact_mm[1] / step)].mean(axis=1)
    contact = near >= cfg.contact_grey
    score[~contact] = 0.0
    path = _best_path(score, cfg.no_bone_score, cfg.jump_cost, cfg.slope_cost, cfg.max_slope)
    refined = _refine(soft, path, 3, PLATEAU_GREY)
    found = (path < grid.samples) & contact
    scale = sound_speed_m_s / assumed_speed_m_s
    here = score[np.arange(len(path)), np.minimum(path, grid.samples - 1)]
    strongest = score.max(axis=1)
    confidence = np.where(found, here, 1.0 - np.minimum(strongest, 1.0)).astype(np.float64)
    return BoneSurface(grid, found, np.where(found, refined * step * scale, np.nan), confidence, contact, scale)
