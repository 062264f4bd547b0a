"""Acceptance region of each technique, from the technique files that the run folder keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rig.record import RecordedRun

RADIUS_MM, STRICT_MM = 5.0, 3.0
"""Values of a technique file that leaves them out (``experiments.protocol.technique.Acceptance``)."""


@dataclass(frozen=True)
class AcceptedRegion:
    """``[acceptance]`` of one technique."""

    radius_mm: float
    strict_mm: float
    by_channel: bool
    """Judged by a channel (S1), not by the distance to the aim point."""


def acceptances(run: RecordedRun) -> dict[str, AcceptedRegion]:
    """Acceptance regions by technique; a technique without a file in the folder is left out. Raises ``ConfigError``."""
    found = {}
    for path in sorted((run.path / "techniques").glob("*.toml")):
        whole = run.toml(f"techniques/{path.name}")
        table: Mapping[str, Any] = whole.get("acceptance", {})
        found[str(whole.get("id", path.stem))] = AcceptedRegion(
            float(table.get("radius_mm", RADIUS_MM)),
            float(table.get("strict_mm", STRICT_MM)),
            table.get("channel_radius_mm") is not None,
        )
    return found


def spheres(accepted: Mapping[str, AcceptedRegion], techniques: Iterable[object]) -> list[AcceptedRegion]:
    """The different acceptances by distance among some techniques, smallest radius first."""
    known = {accepted[str(name)] for name in techniques if str(name) in accepted}
    return sorted((a for a in known if not a.by_channel), key=lambda a: (a.radius_mm, a.strict_mm))
