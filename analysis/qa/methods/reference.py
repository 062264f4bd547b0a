"""The rule before a test: whether a reference may decide, and which instruments would do.

U is the expanded uncertainty (k = 2) of the combination that is used: instrument, fixture and temperature together. It
is held against the smaller of the limit and the figure that is expected, since a reference that is good enough for a
wide limit may still be all that a good device's figure shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hal.errors import ConfigError


@dataclass(frozen=True)
class ReferenceRule:
    """Largest share that U may have, by method."""

    name: str
    words: str
    share_max: float
    of_expected: bool
    """Whether the expected figure counts beside the limit."""
    verified: bool = False
    """Whether the share was compared with the document; rules of our own are not in any."""

    def largest(self, limit: float | None, expected: float | None) -> float | None:
        """Largest U that is allowed; None when there is neither limit nor expected figure."""
        scales = [abs(limit)] if limit is not None else []
        if expected is not None and self.of_expected:
            scales.append(abs(expected))
        return self.share_max * min(scales) if scales else None


ISO_9283_QUARTER = ReferenceRule("ISO 9283", "at most a quarter of the characteristic", 0.25, True)
ISO_230_2_THIRD = ReferenceRule(
    "ISO 230-2", "U is printed with every figure; at most a third of the limit", 1 / 3, False
)
TUR_4 = ReferenceRule("TUR 4", "test uncertainty ratio of at least four", 0.25, False)
RULES = {rule.name: rule for rule in (ISO_9283_QUARTER, ISO_230_2_THIRD, TUR_4)}


@dataclass(frozen=True)
class ReferenceInstrument:
    """Typical instrument, to be named when another does not do; its own certificate is what counts."""

    name: str
    unit: str
    u_fixed: float
    """Expanded uncertainty, k = 2."""
    u_per_m: float = 0.0
    """Growth of it with distance, per metre."""
    verified: bool = False

    def expanded(self, range_m: float = 0.0) -> float:
        """U at a distance."""
        return self.u_fixed + self.u_per_m * range_m


INSTRUMENTS = (
    ReferenceInstrument("probe of 0.001 mm", "mm", 0.002),
    ReferenceInstrument("lever gauge", "mm", 0.004),
    ReferenceInstrument("dial gauge", "mm", 0.012),
    ReferenceInstrument("laser tracker", "mm", 0.015, 0.006),
    ReferenceInstrument("optical tracker", "mm", 0.25),
)
"""Typical figures as recalled, best first; none is from a certificate."""


@dataclass(frozen=True)
class ReferenceVerdict:
    """Whether a reference may decide one figure."""

    allowed: bool
    words: str
    largest: float | None
    """Largest U allowed, in the unit of the figure."""
    share: float | None
    """Of U in what it is held against."""
    would_do: tuple[str, ...] = ()
    """Instruments that would, when this one does not."""


def may_decide(
    rule: ReferenceRule,
    expanded: float | None,
    *,
    unit: str,
    limit: float | None = None,
    expected: float | None = None,
    range_m: float = 0.0,
    instruments: Sequence[ReferenceInstrument] = INSTRUMENTS,
) -> ReferenceVerdict:
    """Hold the reference's U against limit and expected figure, before anything is measured.

    Args:
        rule: of the method.
        expanded: U (k = 2) of the combination used; None: nobody has stated it, which decides nothing.
        unit: of all numbers.
        limit: of the criterion; None: the figure is only reported.
        expected: figure of a healthy device.
        range_m: distance at which the reference works.
        instruments: those that may be named.
    """
    if expanded is not None and expanded <= 0.0:
        raise ConfigError(f"expanded uncertainty of the reference: must be above 0, got {expanded:g} {unit}")
    largest = rule.largest(limit, expected)
    if largest is None:
        return ReferenceVerdict(True, "no limit and no expected figure: U is printed beside the figure", None, None)
    if expanded is not None and expanded <= largest * (1.0 + 1e-9):
        share = rule.share_max * expanded / largest
        words = f"U = {expanded:g} {unit} is {100 * share:.0f} % of what it is held against ({rule.name}: {rule.words})"
        return ReferenceVerdict(True, words, largest, share)
    able = tuple(i.name for i in instruments if i.unit == unit and i.expanded(range_m) <= largest)
    instead = f"; would do: {', '.join(able)}" if able else "; no listed instrument would do"
    if expanded is None:
        words = f"nobody has stated the uncertainty of the reference; at most {largest:.3g} {unit} is allowed"
        return ReferenceVerdict(False, words + instead, largest, None, able)
    share = rule.share_max * expanded / largest if largest > 0.0 else float("inf")
    words = f"U = {expanded:g} {unit}, and at most {largest:.3g} {unit} is allowed ({rule.name}: {rule.words})"
    return ReferenceVerdict(False, words + instead, largest, share, able)


def guarded_limit(limit: float, expanded: float) -> float:
    """Acceptance limit with a guard band of U, for a ratio below four. Raises ``ConfigError`` when nothing is left."""
    left = limit - expanded
    if left <= 0.0:
        raise ConfigError(f"a guard band of {expanded:g} leaves nothing of a limit of {limit:g}")
    return left


def minimum_weight(s: float, share_max: float = 0.001, k: float = 2.0) -> float:
    """Smallest net weight that a balance of repeatability ``s`` decides, in the unit of ``s`` (USP 41: 2000 s)."""
    return k * s / share_max
