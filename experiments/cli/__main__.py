"""``python -m experiments.cli``, and what the ``phantomrig`` script and the installed command run.

Python puts the folder of start and ``PYTHONPATH`` before its own library: a ``json.py`` or a folder ``rig`` there
would be run in our place. So Python is started again in isolation (``-I``) where it was not, and our rooms come right
after the standard library.
"""

import os
import sys

PLACE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""Where the rooms stand: the checkout, or the packages' folder of an installed copy."""
ROOMS = ("rig", "hal", "experiments", "analysis")


def isolate() -> None:
    """Start again without what the place of start and the environment add to the search path."""
    if not sys.flags.isolated:
        os.execv(sys.executable, [sys.executable, "-I", os.path.abspath(__file__), *sys.argv[1:]])


def put_first() -> None:
    """Our rooms right after the standard library, before everything that is installed."""
    others = [entry for entry in sys.path if entry != PLACE]
    installed = [i for i, entry in enumerate(others) if entry.endswith(("site-packages", "dist-packages"))]
    others.insert(installed[0] if installed else len(others), PLACE)
    sys.path[:] = others


def start() -> None:
    """Run the command; an incomplete environment is reported in one line (exit code 2)."""
    isolate()
    put_first()
    try:
        from experiments.cli.main import main
        from experiments.cli.shadows import tell_shadows
    except ImportError as error:
        if (error.name or "").split(".")[0] in ROOMS:
            raise
        sys.stderr.write(
            f"phantomrig: cannot start: {error}. A package of its environment ({sys.prefix}) is missing or damaged: "
            "delete that folder and call again, or install phantomrig again\n"
        )
        sys.exit(2)
    tell_shadows()
    main()


if __name__ == "__main__":
    start()
