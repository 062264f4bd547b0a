"""One grey value per pixel from any format that a capture chain delivers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.types import Pixels

_RGB = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Luminance of red, green, blue (ITU-R BT.601)."""


def luminance(pixels: NDArray[np.generic], *, blue_first: bool = False) -> Pixels:
    """8-bit grey image (rows, columns), contiguous and writable; a fourth component is ignored.

    Raises ``ConfigError`` for pixels that are not 8-bit: which of their values is white is not known.
    """
    if pixels.dtype != np.uint8:
        raise ConfigError(f"pixels of type {pixels.dtype} are not read here; 8-bit grey or colour is needed")
    if pixels.ndim == 3 and pixels.shape[2] < 3:
        pixels = pixels[..., 0]
    if pixels.ndim == 2:
        return np.require(pixels, np.uint8, ["C", "W"])
    colour = pixels[..., :3]
    weights = _RGB[::-1] if blue_first else _RGB
    grey: Pixels = np.rint(colour.astype(np.float32) @ weights).astype(np.uint8)
    return grey
