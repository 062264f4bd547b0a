"""End of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """Reason for the end of a study."""

    run: Path
    planned_n: int
    completed_n: int
    verdict: str
    failure: str = ""
    """Why it ended early; empty when it did not."""
    failure_kind: str = ""
    """safety, device, operator, record or empty."""

    def as_json(self) -> dict[str, Any]:
        return {"run": str(self.run), "planned": self.planned_n, "completed": self.completed_n, "verdict": self.verdict}
