"""Answers of the methods that find the tip, counted against the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.intervals import proportion_bound
from experiments.scorecard.bench import figure, quantile
from hal.types import Vector
from rig.guidance.confirmation import Confirmation

SCENES_N = 10
"""Scenes of each kind in one phantom."""
FALSE_MM = 2.0
"""A confirmed tip further than this from the true one, in three dimensions, is a false confirmation."""


@dataclass(frozen=True)
class Answer:
    """Answer of one method on one scene."""

    found: bool
    image_error_mm: float
    """Seen to true tip, both in the probe's own plane, so that pose errors do not count; NaN when not found."""
    confirmed: bool
    error_mm: float
    """Reported to true tip in three dimensions; NaN when not confirmed."""

    @property
    def false(self) -> bool:
        """Confirmed, and the tip is elsewhere."""
        return self.confirmed and self.error_mm > FALSE_MM


def answer(
    found: bool, confirmation: Confirmation, true_tip_mm: Vector, image_error_mm: float = float("nan")
) -> Answer:
    """Compare what was confirmed with the true tip (Rig, mm)."""
    error = float(np.linalg.norm(confirmation.tip_rig_mm - true_tip_mm)) if confirmation.confirmed else float("nan")
    return Answer(found, image_error_mm if found else float("nan"), confirmation.confirmed, error)


def counted(answers: list[Answer]) -> dict[str, Any]:
    """Figures of one method over scenes."""
    n = len(answers)
    false_n = sum(a.false for a in answers)
    image = [a.image_error_mm for a in answers if np.isfinite(a.image_error_mm)]
    errors = [a.error_mm for a in answers if a.confirmed]
    bound = proportion_bound(false_n, n, lower=False).value
    return {
        "scenes_n": n,
        "found_n": sum(a.found for a in answers),
        "image_error_median_mm": quantile(image, 0.5),
        "image_error_p95_mm": quantile(image, 0.95),
        "confirmed_n": len(errors),
        "error_3d_median_mm": quantile(errors, 0.5),
        "error_3d_p95_mm": quantile(errors, 0.95),
        "false_n": false_n,
        "false_share_upper_95": None if bound is None else figure(bound, 4),
        "false_errors_mm": [figure(a.error_mm) for a in answers if a.false],
    }


@dataclass
class Answers:
    """Answers of several methods to scenes of several kinds."""

    kinds: Sequence[str]
    methods: Sequence[str]
    of: dict[str, list[dict[str, Answer]]] = field(default_factory=dict)

    def add(self, kind: str, answers: dict[str, Answer]) -> None:
        self.of.setdefault(kind, []).append(answers)

    def figures(self) -> dict[str, Any]:
        """By method, each kind by itself and all together."""
        return {method: dict(self._kinds(method)) for method in self.methods}

    def _kinds(self, method: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for kind in self.kinds:
            yield kind, counted([answers[method] for answers in self.of.get(kind, [])])
        yield "all", counted([answers[method] for kind in self.kinds for answers in self.of.get(kind, [])])
