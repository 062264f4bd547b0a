"""Arrays of readings as the methods take them: finite, of the right shape, enough of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.errors import ConfigError

Readings = NDArray[np.float64]


def checked(values: ArrayLike, shape: tuple[int, ...], what: str, least: int = 1) -> Readings:
    """Values as an array of ``shape`` (-1: any length), the first axis at least ``least`` long.

    Raises ``ConfigError`` for another shape, too few readings, and readings that are missing or not finite.
    """
    found = np.asarray(values, dtype=np.float64)
    fits = found.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, found.shape, strict=True))
    if not fits:
        wanted = " x ".join("n" if side == -1 else str(side) for side in shape)
        raise ConfigError(f"{what}: an array of {wanted} numbers is needed, this one is {found.shape}")
    if len(found) < least:
        raise ConfigError(f"{what}: {len(found)} values, at least {least} are needed")
    missing = int(np.sum(~np.isfinite(found)))
    if missing:
        raise ConfigError(f"{what}: {missing} of {found.size} numbers are missing or not finite")
    return found
