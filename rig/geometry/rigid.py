"""Whether a recorded pose is a rigid one: judged by ``hal.poses``, as where poses come in over a wire."""

from __future__ import annotations

from hal.poses import RIGID, why_not_rigid

__all__ = ["RIGID", "why_not_rigid"]
