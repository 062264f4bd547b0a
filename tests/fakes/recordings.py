"""Public recordings and models of others: they are not part of the project, and tests that need them may be skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "PHANTOMRIG_DATA"
FOLDER = Path(os.environ.get(VARIABLE) or Path(__file__).resolve().parents[3] / "shared" / "data")
"""Where they are: named by the variable, else ``shared/data`` beside the source tree."""
HOW = f"{VARIABLE} names their folder, see docs/how-to/test-with-recordings.md"


def missing(name: str) -> str:
    return f"real data {name}: not on this machine; {HOW}"


def recording(name: str) -> Path:
    """A file of the folder; the test is skipped without it."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(missing(name))
    return path


def needs(*names: str) -> pytest.MarkDecorator:
    """Mark that skips without these files."""
    absent = [name for name in names if not (FOLDER / name).exists()]
    return pytest.mark.skipif(bool(absent), reason=missing(absent[0]) if absent else "")
