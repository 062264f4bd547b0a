"""Check that a recorded pose is rigid: by ``hal.poses``, as where poses arrive over a wire."""

from __future__ import annotations

from hal.poses import RIGID, why_not_rigid

__all__ = ["RIGID", "why_not_rigid"]
