"""Messages for the person who started a command: lines on stderr."""

from __future__ import annotations

import sys


def say(text: str = "") -> None:
    """Print for a person, on stderr."""
    print(text, file=sys.stderr, flush=True)
