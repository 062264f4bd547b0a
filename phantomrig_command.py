"""The installed command ``phantomrig``: a name of its own, so that no other folder ``rig`` can stand in its way."""

import os
import sys


def main() -> None:
    """Hand over to ``experiments/cli/__main__.py`` beside this file, in isolation from the place of start."""
    command = os.path.join(os.path.dirname(os.path.abspath(__file__)), "experiments", "cli", "__main__.py")
    os.execv(sys.executable, [sys.executable, "-I", command, *sys.argv[1:]])
