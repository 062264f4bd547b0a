"""Files of the user's that are named like ours or like Python's: they are left alone, and that is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from experiments.cli.output import say

PLACE = Path(__file__).resolve().parents[2]
ROOMS = ("rig", "hal", "experiments", "analysis")


def shadows(folder: Path) -> Iterator[str]:
    """Names in a folder that Python, started there, would take for a room of ours or a module of its library."""
    try:
        if folder.resolve() == PLACE:
            return
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        name = entry.name.removesuffix(".py")
        if name not in ROOMS and name not in sys.stdlib_module_names:
            continue
        if entry.name != name or (entry / "__init__.py").is_file():
            yield entry.name


def tell_shadows() -> None:
    """One line on stderr for the folder of start and those of ``PYTHONPATH``."""
    try:
        folders = [Path.cwd(), *(Path(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p)]
    except OSError:  # the folder of start was deleted
        return
    tell_shadows_in(*folders)


def tell_shadows_in(*folders: Path) -> None:
    """One line on stderr per folder that has any."""
    for folder in dict.fromkeys(folders):
        found = list(shadows(folder))
        if found:
            names = ", ".join(found[:5]) + (" ..." if len(found) > 5 else "")
            say(f"phantomrig: {names} in {folder} is named like a part of phantomrig or of Python; it is not used")
