"""The controller: the abilities of a rig, whatever the experiment.

``rig.open("bench.toml")`` opens a rig to work with by hand (``rig.by_hand``).
"""

from typing import Any

import hal as _hal  # noqa: F401 - before NumPy and its like: see hal.arithmetic
from rig.version import __version__

__all__ = ["__version__"]

_BY_HAND = {"open": "open_rig", "close_all": "close_all", "OpenedRig": "OpenedRig"}


def __getattr__(name: str) -> Any:  # an opened rig needs everything, the version nothing
    if name not in _BY_HAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rig import by_hand

    return getattr(by_hand, _BY_HAND[name])


def __dir__() -> list[str]:
    return sorted([*globals(), *_BY_HAND])
