"""Assignment of dots to wires: one image against a wire phantom, with the reason when it is not possible.

Across the outer wires an image plane, however oblique, shows the phantom's cross-section through an affine map. Three
dots in line propose where one N is; two N's fix the map; the map predicts the rest. A symmetric phantom allows several
labellings of one image; all are kept, and the tracked motion decides later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rig.calibration.probe.dots import Dots
from rig.calibration.probe.wires import WirePhantom

Array = NDArray[np.float64]

OFF_LINE_MM = 0.9
"""Largest distance of a middle dot from the line of its outer dots (PLUS: 0.6; oblique wires have lopsided echoes)."""
OFF_PLACE_MM = 1.5
"""Largest distance of an outer dot from where the other patterns put it."""
_RMS_MM = 0.8
_TRIPLES = 250
_COMBINATIONS = 60
_DISTINCT = 0.3
"""Two labellings are different when the linear parts of their maps differ by this share."""


@dataclass(frozen=True)
class Scale:
    """Knowledge of the pixel pitch; ``low`` ``high`` bound apparent over true lengths (oblique cuts stretch)."""

    pitch_mm: tuple[float, float]
    """Per column and per row."""
    low: float
    high: float

    @staticmethod
    def guess(pitch_mm: float) -> Scale:
        """One rough number for both directions, good to about 30 %."""
        return Scale((pitch_mm, pitch_mm), 0.68, 1.75)

    @staticmethod
    def measured(column_mm: float, row_mm: float) -> Scale:
        """Pitch found from the dots themselves; cuts up to 48 deg oblique are accepted."""
        return Scale((column_mm, row_mm), 0.86, 1.5)


@dataclass(frozen=True)
class Labelling:
    """One dot per wire (order of ``WirePhantom.wires``), shape (wires, 2), pixels in MF order."""

    dots_px: Array = field(repr=False)
    section: Array = field(repr=False)
    """2x3: cross-section of the phantom (mm, 1) to pixels."""
    rms_mm: float
    cost: float
    """Misfit and faintness of its dots together; smaller is better."""


@dataclass(frozen=True)
class Refusal:
    """Why an image (or its pose) cannot be used: a short code for counting and a sentence for a person."""

    code: str
    """``image``, ``pose``, ``time``, ``repeat``, ``dots``, ``line``, ``spacing``."""
    text: str


class Labeller:
    """Labels images of one phantom; ``scale`` None means that nothing is known of the pixel pitch but about how much
    larger it is from row to row than from column to column (``row_per_column``)."""

    def __init__(self, phantom: WirePhantom, scale: Scale | None, row_per_column: float = 1.0) -> None:
        self._phantom = phantom
        self._unscaled = np.array([1.0, row_per_column])
        self._scale = scale
        self._outer = phantom.outer_mm
        self._width = np.array([p.width_mm for p in phantom.patterns])
        self._range = np.array([p.middle_range for p in phantom.patterns])
        self._base = _base_pair(self._outer)
        homogeneous = np.concatenate([self._outer.reshape(-1, 2), np.ones((2 * len(self._outer), 1))], axis=1)
        self._all = homogeneous
        self._solve_all = np.linalg.pinv(homogeneous, rcond=1e-6)
        base = homogeneous[[2 * p + k for p in self._base for k in (0, 1)]]
        self._solve_base = np.linalg.pinv(base, rcond=1e-6)
        u, s, _ = np.linalg.svd(base)
        self._null = u[:, int(np.sum(s > 1e-6 * s[0])) :]

    def label(self, dots: Dots) -> tuple[Labelling, ...] | Refusal:
        """All distinct labellings, best first, or the reason why there is none."""
        wires = 3 * len(self._outer)
        count = len(dots.strength)
        if count < wires:
            return Refusal("dots", f"dots: {count} found of {wires}")
        pitch = self._unscaled if self._scale is None else np.array(self._scale.pitch_mm)
        place = dots.centre_px * pitch
        triples = [self._triples(place, k) for k in range(len(self._outer))]
        for k, found in enumerate(triples):
            if not len(found.index):
                names = ", ".join(w.name for w in self._phantom.patterns[k].wires)
                size = "" if self._scale is None else f" {self._width[k]:.0f} mm apart"
                return Refusal("line", f"line: among {count} dots no three lie in line{size} as wires {names} do")
        found_any, missing = self._combine(place, triples)
        if not found_any:
            if missing is not None:
                seen = wires - len(missing)
                return Refusal("dots", f"dots: {seen} found of {wires}; missing: {', '.join(missing)}")
            return Refusal("spacing", "spacing: no arrangement of the dots fits the distances between the wires")
        kept: list[Labelling] = []
        for item in sorted(found_any, key=lambda i: i[0]):
            labelling = self._finish(item, place, pitch)
            if labelling is not None and all(_differ(labelling, other) for other in kept):
                kept.append(labelling)
        if not kept:
            return Refusal("spacing", "spacing: the best arrangement misses the distances between the wires")
        return tuple(kept)

    def _triples(self, place: Array, pattern: int) -> _Triples:
        """Ordered dots (outer, middle, outer) that could be this pattern."""
        span = place[None, :, :] - place[:, None, :]
        length = np.linalg.norm(span, axis=2)
        np.fill_diagonal(length, 1.0)
        scale = length / self._width[pattern]
        fits = ~np.eye(len(place), dtype=bool)
        if self._scale is not None:
            fits &= (scale > self._scale.low) & (scale < self._scale.high)
        a, c = np.nonzero(fits)
        to_middle = place[None, :, :] - place[a][:, None, :]
        line = span[a, c][:, None, :]
        size = length[a, c][:, None]
        share = (to_middle * line).sum(axis=2) / size**2
        off = np.abs(to_middle[..., 0] * line[..., 1] - to_middle[..., 1] * line[..., 0]) / size
        low, high = self._range[pattern]
        good = (share > low - 0.04) & (share < high + 0.04) & (off / scale[a, c][:, None] < OFF_LINE_MM)
        good[np.arange(len(a)), a] = False
        good[np.arange(len(c)), c] = False
        pair, b = np.nonzero(good)
        index = np.stack([a[pair], b, c[pair]], axis=1)
        best = np.argsort(index.sum(axis=1), kind="stable")[:_TRIPLES]
        return _Triples(index[best], scale[index[best, 0], index[best, 2]])

    def _combine(
        self, place: Array, triples: list[_Triples]
    ) -> tuple[list[tuple[float, NDArray[np.intp]]], list[str] | None]:
        """Whole arrangements (cost so far, dots by wire), and the wires that the fullest incomplete one lacks."""
        first, second = self._base
        one, two = triples[first], triples[second]
        if first == second:  # a single N
            ranks = one.index.sum(axis=1)
            return [(float(ranks[k]), one.index[k]) for k in range(min(len(ranks), _COMBINATIONS))], None
        ends_one, ends_two = place[one.index[:, (0, 2)]], place[two.index[:, (0, 2)]]
        part_one = np.einsum("nk,tnd->tkd", self._null[:2], ends_one)
        part_two = np.einsum("nk,tnd->tkd", self._null[2:], ends_two)
        misfit = np.linalg.norm((part_one[:, None] + part_two[None]).reshape(len(ends_one), len(ends_two), -1), axis=2)
        scale = np.sqrt(one.scale[:, None] * two.scale[None])
        misfit /= scale
        shared = (one.index[:, None, :, None] == two.index[None, :, None, :]).any(axis=(2, 3))
        rank = one.index.sum(axis=1)[:, None] + two.index.sum(axis=1)[None]
        cost = misfit / 0.4 + rank / (3.0 * len(self._outer))
        cost[shared | (misfit > OFF_PLACE_MM)] = np.inf
        order = np.argsort(cost, axis=None, kind="stable")
        whole: list[tuple[float, NDArray[np.intp]]] = []
        fullest: list[str] | None = None
        tried = 0
        for flat in order:
            i, j = divmod(int(flat), cost.shape[1])
            if not np.isfinite(cost[i, j]) or tried >= _COMBINATIONS:
                break
            section = (self._solve_base @ np.concatenate([ends_one[i], ends_two[j]])).T
            if not self._plausible(section):
                continue
            tried += 1
            dots, missing = self._rest(place, section, {first: one.index[i], second: two.index[j]}, triples)
            if missing:
                fullest = missing if fullest is None or len(missing) < len(fullest) else fullest
            else:
                whole.append((float(cost[i, j]), dots))
        return whole, fullest

    def _plausible(self, section: Array) -> bool:
        stretch = np.linalg.svd(section[:, :2], compute_uv=False)
        if stretch[1] < 1e-6 * stretch[0]:  # all patterns in one layer: only the direction along it is known
            stretch = stretch[:1]
        if self._scale is None:
            return bool(stretch[0] <= 1.9 * stretch[-1])
        return bool(stretch[-1] > self._scale.low and stretch[0] < self._scale.high)

    def _rest(
        self, place: Array, section: Array, known: dict[int, NDArray[np.intp]], triples: list[_Triples]
    ) -> tuple[NDArray[np.intp], list[str]]:
        """Dots by wire, with the other patterns searched where the map puts them; names of those not found."""
        used = {int(k) for index in known.values() for k in index}
        scale = float(np.linalg.svd(section[:, :2], compute_uv=False)[0])
        dots = np.full(3 * len(self._outer), -1, dtype=np.intp)
        missing: list[str] = []
        for k, pattern in enumerate(self._phantom.patterns):
            if k in known:
                dots[3 * k : 3 * k + 3] = known[k]
                continue
            predicted = self._outer[k] @ section[:, :2].T + section[:, 2]
            index = triples[k].index
            off = np.linalg.norm(place[index[:, (0, 2)]] - predicted, axis=2).max(axis=1) / scale
            off[np.isin(index, list(used)).any(axis=1)] = np.inf
            value = off / 0.4 + index.sum(axis=1) / 3.0
            value[off > OFF_PLACE_MM] = np.inf
            best = int(np.argmin(value))
            if np.isfinite(value[best]):
                dots[3 * k : 3 * k + 3] = index[best]
                used |= {int(n) for n in index[best]}
                continue
            near = np.linalg.norm(place[None] - predicted[:, None], axis=2).min(axis=1) / scale < OFF_PLACE_MM
            missing += [pattern.wires[n].name for n, seen in ((0, near[0]), (1, False), (2, near[1])) if not seen]
        return dots, missing

    def _finish(self, item: tuple[float, NDArray[np.intp]], place: Array, pitch: Array) -> Labelling | None:
        """The arrangement with its map fitted to all outer dots; None when it misses them."""
        _, index = item
        at = place[index]
        outer = at.reshape(-1, 3, 2)[:, (0, 2)].reshape(-1, 2)
        section = (self._solve_all @ outer).T
        misfit = np.linalg.norm(self._all @ section.T - outer, axis=1)
        scale = float(np.linalg.svd(section[:, :2], compute_uv=False)[0])
        rms = float(np.sqrt(np.mean(misfit**2))) / scale
        if rms > _RMS_MM or misfit.max() / scale > OFF_PLACE_MM or not self._plausible(section):
            return None
        cost = rms / 0.4 + float(index.mean())
        return Labelling(at / pitch, section / pitch[:, None], rms, cost)


@dataclass(frozen=True)
class _Triples:
    index: NDArray[np.intp]
    scale: Array


def _base_pair(outer: Array) -> tuple[int, int]:
    """The two patterns that fix the map best: those whose outer wires span the largest area."""
    count = len(outer)
    best, pair = -1.0, (0, 0)
    for i in range(count):
        for j in range(i + 1, count):
            four = outer[[i, j]].reshape(-1, 2)
            s = np.linalg.svd(four - four.mean(axis=0), compute_uv=False)
            if s[0] * s[1] > best + 1e-9:
                best, pair = float(s[0] * s[1]), (i, j)
    return pair


def _differ(a: Labelling, b: Labelling) -> bool:
    gap = np.linalg.norm(a.section[:, :2] - b.section[:, :2])
    return bool(gap > _DISTINCT * np.linalg.norm(b.section[:, :2]))
