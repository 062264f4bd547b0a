"""True seat of the needle in the carrier: beside its axis, too far in or out, and bent before use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from hal.types import NeedlePose

Aside = Annotated[float, Field(ge=-50.0, le=50.0)]
GUIDE_MM = 70.0
"""Feed at which the tip leaves the guide: from there on a bent shaft stands out freely [A]."""


@dataclass(frozen=True)
class MountError:
    """Needle frame of the carrier: z along the axis, x in the plane of the lateral angle; mm."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    offset_mm: tuple[Aside, Aside, Aside] = (0.0, 0.0, 0.0)
    """Offset of the tip, whatever the bevel; z: the needle is longer, or sits further out, than the feed's zero
    says."""
    run_out_mm: tuple[Aside, Aside] = (0.0, 0.0)
    """The part that turns with the bevel, at bevel 0."""
    bend_per_mm: Annotated[float, Field(ge=-0.01, le=0.01)] = 0.0
    """Curvature of a shaft that was bent before: the free end stands off by ``bend (feed + 70 mm)^2 / 2`` towards
    the bevel's opening."""

    @property
    def none(self) -> bool:
        return self == MountError()

    def local_mm(self, pose: NeedlePose) -> tuple[float, float, float]:
        """Offset of the tip from the place that the axes give, needle frame."""
        turn = math.radians(pose.bevel_deg)
        c, s = math.cos(turn), math.sin(turn)
        free_mm = max(0.0, pose.feed_mm + GUIDE_MM)
        a, b = self.run_out_mm[0] + 0.5 * self.bend_per_mm * free_mm**2, self.run_out_mm[1]
        x, y, z = self.offset_mm
        return x + c * a - s * b, y + s * a + c * b, z
