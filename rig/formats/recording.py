"""Making sequences of tracked frames, and the checks that a sequence from elsewhere must pass.

In memory a recording is ``hal.links.sequence.Sequence``: global fields and per-frame fields as text, in order,
and pixels of shape (frames, rows, columns[, components]). Text is what makes a round trip exact: numbers that we
did not make are never formatted again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.clock import NS_PER_S
from hal.errors import ConfigError
from hal.links.sequence import ELEMENTS, Sequence, SequenceFrame
from hal.types import Matrix

FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
"""Names of frame fields that every reader of sequence metafiles splits alike."""
HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_. ]*\Z")
LARGEST_STEP_S = 3600.0
"""Two frames of one recording are not further apart; a larger step is a stamp that went wrong."""
SWAP_GAIN = 4.0
"""Pixels whose neighbours differ this many times less after exchanging their bytes were read in the wrong order."""
ELEMENT_NAMES = {kind: name for name, kind in ELEMENTS.items()}
"""MetaImage name of a numpy kind such as ``u1``."""


@dataclass(frozen=True)
class FrameEntry:
    """One frame to be recorded: time since the recorder's zero, poses ``AToB`` (mm) and further fields."""

    time_ns: int
    transforms: Mapping[str, Matrix] = field(default_factory=dict)
    invalid: frozenset[str] = frozenset()
    """Transforms that were not valid at this moment."""
    fields: Mapping[str, str] = field(default_factory=dict)
    image_valid: bool = True


def time_text(time_ns: int) -> str:
    """Seconds with nine decimals: every nanosecond keeps its own text."""
    sign, size = ("-", -time_ns) if time_ns < 0 else ("", time_ns)
    return f"{sign}{size // NS_PER_S}.{size % NS_PER_S:09d}"


def matrix_text(matrix: Matrix) -> str:
    """Sixteen numbers, row by row, in the shortest form that gives the same doubles back."""
    return " ".join(repr(value).removesuffix(".0") for value in np.asarray(matrix, dtype=np.float64).ravel().tolist())


def one_line(text: str, what: str) -> str:
    """Text that fits the line of a header; raises ``ConfigError``."""
    if "\n" in text or "\r" in text or text != text.strip():
        raise ConfigError(f"{what} holds a line break or outer blanks and cannot be written: {text[:60]!r}")
    return text


def make_recording(
    path: Path,
    frames: Items[FrameEntry],
    pixels: NDArray[np.generic] | None,
    *,
    header: Mapping[str, str] | None = None,
    orientation: str = "MFA",
) -> Sequence:
    """Sequence of new frames; ``pixels`` (frames, rows, columns[, components]) or None for poses only.

    Raises ``ConfigError`` for names that cannot be written or a wrong number of images.
    """
    if pixels is not None and len(pixels) != len(frames):
        raise ConfigError(f"{path.name}: {len(pixels)} images for {len(frames)} frames")
    kind = "XX" if pixels is None else "BRIGHTNESS"
    top = {"UltrasoundImageOrientation": orientation, "UltrasoundImageType": kind}
    for name, text in (header or {}).items():
        if HEADER_NAME.match(name) is None:
            raise ConfigError(f"{path.name}: {name!r} cannot be the name of a header field")
        top[name] = one_line(text, f"{path.name}: header field {name}")
    made = tuple(_frame(path, n, entry, pixels is not None) for n, entry in enumerate(frames))
    return Sequence(path, top, made, pixels)


def _frame(path: Path, index: int, entry: FrameEntry, has_image: bool) -> SequenceFrame:
    texts: dict[str, str] = {}
    for name, matrix in entry.transforms.items():
        if FIELD_NAME.match(name) is None:
            raise ConfigError(f"{path.name}: {name!r} cannot be the name of a transform (letters, digits, underscores)")
        if matrix.shape != (4, 4) or not np.all(np.isfinite(matrix)):
            raise ConfigError(f"{path.name}: {name} of frame {index} is not a finite 4x4 matrix")
        texts[f"{name}Transform"] = matrix_text(matrix)
        texts[f"{name}TransformStatus"] = "INVALID" if name in entry.invalid else "OK"
    texts["Timestamp"] = time_text(entry.time_ns)
    texts["ImageStatus"] = "OK" if has_image and entry.image_valid else "INVALID"
    for name, text in entry.fields.items():
        if FIELD_NAME.match(name) is None or name in texts:
            raise ConfigError(f"{path.name}: {name!r} cannot be the name of a frame field")
        texts[name] = one_line(text, f"{path.name}: field {name} of frame {index}")
    transforms = {name: np.asarray(matrix, dtype=np.float64) for name, matrix in entry.transforms.items()}
    return SequenceFrame(index, entry.time_ns, transforms, entry.invalid, texts)


def check_times(sequence: Sequence) -> NDArray[np.int64]:
    """Times of all frames (ns); raises ``ConfigError`` when one is missing, not after the one before, or far off."""
    for frame in sequence.frames:
        if frame.time_ns is None:
            missing = sum(other.time_ns is None for other in sequence.frames)
            raise ConfigError(
                f"{sequence.path}: frame {frame.index} has no Timestamp ({missing} of {len(sequence.frames)} frames);"
                " times are never guessed from a nominal rate"
            )
    times = np.array([frame.time_ns for frame in sequence.frames], dtype=np.int64)
    steps = np.diff(times)
    if len(steps) and steps.min() <= 0:
        at = int(np.argmax(steps <= 0)) + 1
        raise ConfigError(
            f"{sequence.path}: the time of frame {at} is not after that of frame {at - 1}"
            f" ({time_text(int(times[at - 1]))} s, {time_text(int(times[at]))} s)"
        )
    if len(steps) and steps.max() > LARGEST_STEP_S * NS_PER_S:
        at = int(np.argmax(steps)) + 1
        raise ConfigError(
            f"{sequence.path}: frame {at} is {steps.max() / NS_PER_S:.0f} s after the one before; is its stamp right?"
        )
    return times


def check_byte_order(sequence: Sequence) -> None:
    """Refuse pixels of two or more bytes that become far smoother when their bytes are exchanged.

    Neighbouring pixels of an image are alike; read in the wrong byte order they are noise. Floats are judged by
    how many are finite and not absurd. Raises ``ConfigError``.
    """
    pixels = sequence.pixels
    if pixels is None or pixels.dtype.itemsize == 1 or pixels.size < 64:
        return
    sample = pixels[:: max(1, len(pixels) // 8)]
    swapped = sample.view(sample.dtype.newbyteorder())
    as_read, other = _roughness(sample), _roughness(swapped)
    if as_read > SWAP_GAIN * other:
        raise ConfigError(
            f"{sequence.path}: the byte order of its pixels is wrong: neighbours differ {as_read / other:.0f} times"
            " less when the bytes are exchanged (see BinaryDataByteOrderMSB / endian)"
        )


def _roughness(pixels: NDArray[np.generic]) -> float:
    """Mean step between columns relative to the range of the type (integers) or of the values (floats)."""
    if pixels.dtype.kind == "f":
        with np.errstate(all="ignore"):
            size = np.abs(pixels.astype(np.float64))
            return float(np.mean(~np.isfinite(size) | (size > 1e12) | ((size > 0) & (size < 1e-12)))) + 1e-3
    steps = np.abs(np.diff(pixels.astype(np.float64), axis=2))
    return float(steps.mean()) + 1e-9
