"""The path in force: what was planned, and how it looks without the needle."""

from __future__ import annotations

from dataclasses import dataclass, field

from experiments.trial.sight import View
from rig.guidance.needle_line import NeedleLine
from rig.guidance.planning import Plan


@dataclass(frozen=True)
class Path:
    """One planned way of the needle to the aim point."""

    plan: Plan
    empty: tuple[View, ...] = field(default=(), repr=False)
    """Frames without the needle: of the working view and the planes beside it, or, out of plane, of planes that cross
    the planned needle every millimetre."""

    @property
    def line(self) -> NeedleLine:
        """Axis of the planned needle, Rig frame."""
        return NeedleLine(self.plan.entry_mm, self.plan.direction)
