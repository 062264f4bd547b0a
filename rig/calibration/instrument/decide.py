"""Check that an uncertainty is small enough to decide a criterion, before anything is measured.

Decision rule: acceptance below ``limit - g``, rejection above ``limit + g`` with ``g = 1.645 u`` (5 % risk on each
side, ILAC-G8:09/2019, JCGM 106), nothing in between. An instrument with ``U = 2 u`` above a third of the limit leaves
more than half of the span below the limit undecided or at the mercy of the instrument: it blocks the study.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hal.errors import ConfigError

GUARD = 1.645
"""One-sided 95 % point of the normal distribution."""
MAX_RATIO = 1.0 / 3.0
"""Largest U/limit that may decide: the 3:1 rule of metrology [A: many sites ask 4:1; give ``max_ratio``]."""


@dataclass(frozen=True)
class Decision:
    """Verdict with its numbers; all in the unit of the limit."""

    can_decide: bool
    reason: str
    limit: float
    standard_uncertainty: float
    expanded_uncertainty: float
    """k = 2."""
    ratio: float
    """Expanded uncertainty over limit."""
    max_ratio: float
    acceptance_limit: float
    """A measured value up to here is accepted at 5 % risk; negative: nothing could ever be accepted."""
    rejection_limit: float
    radial_offset: float
    """For a length of three components: what noise alone adds to a true value at the limit."""
    largest_uncertainty: float
    """Standard uncertainty that would still decide."""

    def as_json(self) -> dict[str, object]:
        return {
            "can_decide": self.can_decide,
            "reason": self.reason,
            "limit": self.limit,
            "standard_uncertainty": self.standard_uncertainty,
            "expanded_uncertainty": self.expanded_uncertainty,
            "ratio": self.ratio,
            "max_ratio": self.max_ratio,
            "acceptance_limit": self.acceptance_limit,
            "rejection_limit": self.rejection_limit,
            "radial_offset": self.radial_offset,
            "largest_uncertainty": self.largest_uncertainty,
        }


def can_decide(criterion_limit: float, uncertainty: float, *, max_ratio: float = MAX_RATIO) -> Decision:
    """Decide whether an instrument of standard uncertainty ``uncertainty`` (one component) suits ``criterion_limit``.

    Both in one unit. An unknown uncertainty (NaN, infinite) decides nothing. Raises ``ConfigError`` for a limit that is
    not positive or an uncertainty below zero.
    """
    if not (math.isfinite(criterion_limit) and criterion_limit > 0.0):
        raise ConfigError(f"a criterion's limit must be a number > 0, got {criterion_limit}")
    if uncertainty < 0.0:
        raise ConfigError(f"an uncertainty is not negative, got {uncertainty}")
    u = uncertainty if math.isfinite(uncertainty) else float("inf")
    expanded = 2.0 * u
    ratio = expanded / criterion_limit
    largest = 0.5 * max_ratio * criterion_limit
    good = ratio <= max_ratio * (1.0 + 1e-12)
    accept, reject = criterion_limit - GUARD * u, criterion_limit + GUARD * u
    if not math.isfinite(u):
        reason = "the instrument's uncertainty is not known: it decides nothing"
    elif good:
        reason = f"U = {expanded:.3g} is {ratio:.2f} of the limit {criterion_limit:.3g}, {max_ratio:.2f} is allowed"
    else:
        reason = (
            f"U = {expanded:.3g} is {ratio:.2f} of the limit {criterion_limit:.3g}, only {max_ratio:.2f} is allowed: "
            f"a standard uncertainty of {largest:.3g} or less is needed"
        )
    offset = math.sqrt(criterion_limit**2 + 3.0 * u**2) - criterion_limit
    return Decision(good, reason, criterion_limit, u, expanded, ratio, max_ratio, accept, reject, offset, largest)
