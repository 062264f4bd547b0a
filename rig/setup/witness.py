"""Truth of a simulated trial, for scoring only.

A witness notes what the world knows at the three moments when a reference instrument is read, and whenever guidance
takes the tip for confirmed; the notes go to ``truth/`` in the run folder. Techniques can ask it to note, never to tell:
``note`` and ``confirmed`` return nothing.
"""

from __future__ import annotations

from typing import Any, Protocol

from hal.types import Vector


class Witness(Protocol):
    """Notes that a simulated bench gives the record."""

    def begin(self, level: str, side: str, approach: Vector) -> None:
        """Begin a trial at this root along ``approach`` (unit, nominal Phantom frame): forget earlier notes."""

    def note(self, moment: str) -> None:
        """Write down the truth of this moment under its name."""

    def confirmed(self, method: str, tip_rig_mm: Vector) -> None:
        """Note the true tip at the moment when guidance confirmed ``tip_rig_mm`` (Rig frame) by ``method``."""

    def testimony(self) -> dict[str, Any]:
        """Everything noted since ``begin``; only the record and scoring read it."""

    def insertion_done(self) -> None:
        """Note that the needle is out: its path becomes an old track of the cartridge."""
