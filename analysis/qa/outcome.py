"""Findings of a QA test: figures with their uncertainty, and open questions, before any limit is considered."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One number of a test."""

    name: str
    words: str
    value: float | None
    """None: not evaluated, or withheld; ``why`` says why."""
    unit: str = ""
    u: float | None = None
    """Standard uncertainty, k = 1, in the same unit; None where nobody knows it."""
    n: int = 0
    """Readings or repeats behind it."""
    why: str = ""

    @property
    def expanded(self) -> float | None:
        """Expanded uncertainty, k = 2."""
        return None if self.u is None else 2.0 * self.u


@dataclass(frozen=True)
class Outcome:
    """All figures of one test, in the order of the report."""

    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know of the data: gaps, corrections, readings left out."""
    invalid: str = ""
    """Why the data allow no figure at all; empty when they do."""
    extra: dict[str, object] = field(default_factory=dict, repr=False)
    """Curves and tables behind the figures, as JSON has them."""

    def figure(self, name: str) -> Figure | None:
        """The figure of this name, or None."""
        return next((figure for figure in self.figures if figure.name == name), None)


def share_of(name: str, words: str, k: int, n: int) -> Figure:
    """Share k of n; its uncertainty is that of a proportion with one more of each kind (Laplace), never zero."""
    p = (k + 1) / (n + 2)
    return Figure(name, words, k / n, "", math.sqrt(p * (1.0 - p) / (n + 2)), n)
