"""Import of this project's packages from its own place, whatever folders of the user's come before in the search path.

A script in a folder with an ``analysis.py`` or a folder ``rig`` of its own would else run these in our place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

PLACE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOMS = ("analysis", "experiments", "hal", "rig")


class OwnRooms:
    """Finds this project's packages by name; everything else is left to the finders after it."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Finder method of the import system."""
        return PathFinder.find_spec(name, [PLACE], target) if name in ROOMS else None


def claim() -> None:
    """Put the finder first; raises ``ImportError`` when a module of the user's already has one of our names."""
    for name in ROOMS:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None and os.path.dirname(os.path.dirname(os.path.abspath(file))) != PLACE:
            raise ImportError(f"{file} has the name of a part of phantomrig, {name!r}: rename it, or import it later")
    if not any(isinstance(finder, OwnRooms) for finder in sys.meta_path):
        sys.meta_path.insert(0, OwnRooms())


claim()
