"""Tables, numbers and the report of a run folder: ``run = open_run("runs/...")``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import hal as _hal  # noqa: F401 - before NumPy and its like: see hal.arithmetic

if TYPE_CHECKING:
    from analysis.run import Run

__all__ = ["open_run"]


def open_run(folder: str | Path) -> Run:
    """Open a run folder: ``trials``, ``events``, ``stream``, ``frames`` as DataFrames, ``results``, ``report``.

    A folder that is damaged or was not sealed opens with what is there; ``faults`` and the printed run say what is not.
    Raises ``ConfigError`` for a folder that is no run folder.
    """
    from analysis.run import Run  # pandas takes its time, and much of this package needs none

    return Run.open(Path(folder))
