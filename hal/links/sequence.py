"""Sequence metafiles (``.igs.mha``, ``.igs.mhd`` with a data file): tracked frames as PLUS and Slicer record them.

A text header with global fields, per-frame fields ``Seq_Frame0000_<Name>``, then pixels, plain or zlib. Nothing of
the header is dropped: every field is kept as text, in order; one that is given twice with two values is refused.
Recordings without pixels (tracker only, ``DimSize = 0 0 N`` or none) are read too. Times are decimal seconds and
become integer nanoseconds exactly. Pixels must be exactly as many as announced, with their checksum.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation, Overflow
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.clock import NS_PER_S
from hal.errors import ConfigError
from hal.types import Matrix

_FRAME_KEY = re.compile(r"Seq_Frame(\d+)_(\w+)\Z")
_TRANSFORM = "Transform"
_STATUS = "TransformStatus"
_MAX_HEADER_BYTES = 64 << 20
MAX_PIXEL_BYTES = 8 << 30
MAX_INDEX_DIGITS = 7
MOST_BARE_FRAMES = 100_000
"""So many frames may have no field at all (hours of images without times); more are a wrong number."""
_LONGEST_STAMP = 40
"""Characters of a time stamp; nanoseconds since 1970 need 20."""
_MAX_TIME_NS = (1 << 63) - 1
"""292 years: what 64 bits hold."""
SIMULATED_KEYS = ("Simulated", "PhantomrigSimulated")
"""Header fields that label a recording: of an exported trial, and of a calibration's poses."""
ELEMENTS = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""MetaImage element types that frames use."""
FLIPS = {"MF": (False, False), "UF": (True, False), "MN": (False, True), "UN": (True, True)}
"""True where columns and rows must be reversed to get the MF order (marked side first, near side first)."""


@dataclass(frozen=True)
class SequenceFrame:
    """One frame's header fields; ``transforms`` holds all of them, ``invalid`` names those not to be used."""

    index: int
    time_ns: int | None
    """Since the recorder's own zero; None when the frame has no ``Timestamp``."""
    transforms: dict[str, Matrix] = field(repr=False)
    invalid: frozenset[str]
    fields: dict[str, str] = field(repr=False)
    """Every field as text, in the order of the file."""

    @property
    def image_valid(self) -> bool:
        return self.fields.get("ImageStatus", "OK").upper() == "OK"


@dataclass(frozen=True)
class Sequence:
    """A recording. ``pixels`` has shape (frames, rows, columns[, components]) as stored, or is None."""

    path: Path
    header: dict[str, str] = field(repr=False)
    frames: tuple[SequenceFrame, ...] = field(repr=False)
    pixels: NDArray[np.generic] | None = field(repr=False)

    @property
    def orientation(self) -> str:
        """Orientation of the image's rows and columns on the probe, as written (``MFA``, ``UN``, ``XX``)."""
        return self.header.get("UltrasoundImageOrientation", "")

    @property
    def simulated(self) -> bool:
        """True when the header says that a simulated rig made the recording."""
        return any(self.header.get(key, "").strip().lower() == "true" for key in SIMULATED_KEYS)

    def image(self, index: int) -> NDArray[np.generic]:
        """Pixels of one frame in MF order: columns from the marked side, rows away from the probe."""
        if self.pixels is None:
            raise ConfigError(f"{self.path} is a recording without images")
        image: NDArray[np.generic] = self.pixels[index]
        code = self.orientation[:2].upper()
        if code[::-1] in FLIPS:  # FM and its like: rows and columns are exchanged
            image, code = np.swapaxes(image, 0, 1), code[::-1]
        columns, rows = FLIPS.get(code, (False, False))
        if columns:
            image = image[:, ::-1]
        return image[::-1] if rows else image


def exact_ns(text: str) -> int:
    """Nanoseconds of decimal seconds, exactly; raises ``ValueError`` also for more than 292 years."""
    try:
        seconds = Decimal(text if len(text) <= _LONGEST_STAMP else "nan")
        if not seconds.is_finite() or abs(seconds) * NS_PER_S > _MAX_TIME_NS:
            raise InvalidOperation
    except (InvalidOperation, Overflow):
        raise ValueError(f"{text[:60]!r} is no possible number of seconds") from None
    return int((seconds * NS_PER_S).to_integral_value())


def put_once(fields: dict[str, str], key: str, value: str) -> None:
    """Enter a field; raises ``ValueError`` when it is there already with another value."""
    if fields.setdefault(key, value) != value:
        raise ValueError(f"{key} is given twice ({fields[key][:60]!r}, {value[:60]!r}); which one holds is unknown")


def frame_index(digits: str) -> int:
    """Number of a frame as written in a key; raises ``ValueError`` for one that no recording has."""
    if len(digits) > MAX_INDEX_DIGITS:
        raise ValueError(f"a frame number of {len(digits)} digits is not possible")
    return int(digits)


def data_beside(path: Path, where: str) -> Path:
    """Data file that a header names, which must be beside it; raises ``ValueError``."""
    name = where.removeprefix("./")
    if "\0" in name or "/" in name or "\\" in name or name in ("", ".", "..") or name == path.name:
        raise ValueError(f"its data file {where[:60]!r} is no other file in the same folder; only such a one is read")
    return path.parent / name


def unpacked(data: bytes, expected: int, window_bits: int) -> bytes:
    """Decompress exactly ``expected`` bytes of a zlib or gzip stream and verify its checksum.

    Raises ``ValueError`` when there are more, and when the stream is damaged or ends early (then, if nothing is
    damaged, it says how many bytes there are as its second argument). Never holds more than ``expected`` + 1 bytes.
    """
    unpacker = zlib.decompressobj(window_bits)
    try:
        raw = unpacker.decompress(data, expected + 1)
        if len(raw) == expected and not unpacker.eof:
            raw += unpacker.decompress(unpacker.unconsumed_tail, 1)  # reads the checksum behind the pixels
    except zlib.error as error:
        raise ValueError(f"its compressed pixels are damaged: {error}") from None
    if len(raw) < expected:
        raise ValueError("was cut off", len(raw))
    if len(raw) > expected:
        raise ValueError("holds more pixels than its header announces; which of the two is wrong is unknown")
    if not unpacker.eof:
        raise ValueError("was cut off behind its pixels (their checksum is not there)")
    return raw


def read_sequence(path: Path, *, with_pixels: bool = True) -> Sequence:
    """Read one recording; raises ``ConfigError`` with one clear message for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return _Reader(path, file.read(), with_pixels).sequence()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


class _Reader:
    def __init__(self, path: Path, data: bytes, with_pixels: bool) -> None:
        self._path = path
        self._data = data
        self._with_pixels = with_pixels
        self._header: dict[str, str] = {}
        self._frames: dict[int, dict[str, str]] = {}

    def _fail(self, what: str) -> ConfigError:
        return ConfigError(f"{self._path}: {what}")

    def sequence(self) -> Sequence:
        at = self._read_header()
        size = self._size()
        count = size[2] if size is not None else len(self._frames)
        known = max(self._frames, default=-1) + 1
        if known > count:
            raise self._fail(f"has fields of frame {known - 1} but announces {count} frames")
        if count > len(self._frames) + MOST_BARE_FRAMES:
            raise self._fail(f"announces {count} frames and has fields of {len(self._frames)}; was its header cut off?")
        frames = tuple(self._frame(index, self._frames.get(index, {})) for index in range(count))
        pixels = self._pixels(at, size) if self._with_pixels and size is not None and size[0] * size[1] else None
        return Sequence(self._path, self._header, frames, pixels)

    def _read_header(self) -> int:
        """Collect the fields; returns where the data start."""
        at = 0
        while True:
            end = self._data.find(b"\n", at, at + 1_000_000)
            if end < 0 or end > _MAX_HEADER_BYTES:
                raise self._fail("is no sequence metafile, or was cut off inside its header (no ElementDataFile)")
            line = self._data[at:end]
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                raise self._fail("is no sequence metafile: its header is not text") from None
            at = end + 1
            if not text.strip():
                continue
            key, separator, value = text.partition("=")
            key, value = key.strip(), value.strip()
            if not separator or not key:
                raise self._fail(f"is no sequence metafile: {text.strip()[:60]!r} is not of the form key = value")
            match = _FRAME_KEY.match(key)
            try:
                if match is not None:
                    put_once(self._frames.setdefault(frame_index(match[1]), {}), match[2], value)
                else:
                    put_once(self._header, key, value)
            except ValueError as error:
                raise self._fail(f"{key[:40]}: {error}") from None
            if key == "ElementDataFile":
                return at

    def _size(self) -> tuple[int, int, int] | None:
        text = self._header.get("DimSize")
        if text is None:
            return None
        try:
            numbers = [int(word) for word in text.split()]
        except ValueError:
            numbers = []
        if len(numbers) == 4 and numbers[2] == 1:  # newer writers: width, height, 1, frames
            del numbers[2]
        if len(numbers) != 3 or min(numbers) < 0:
            raise self._fail(f"DimSize = {text!r} is not columns, rows and frames")
        if max(numbers) > 1_000_000:
            raise self._fail(f"DimSize = {text!r} is too large to be true")
        return numbers[0], numbers[1], numbers[2]

    def _frame(self, index: int, fields: dict[str, str]) -> SequenceFrame:
        transforms: dict[str, Matrix] = {}
        invalid = set()
        for key, value in fields.items():
            if key.endswith(_STATUS):
                if value.upper() != "OK":
                    invalid.add(key[: -len(_STATUS)])
            elif key.endswith(_TRANSFORM):
                transforms[key[: -len(_TRANSFORM)]] = self._matrix(index, key, value)
        stamp = fields.get("Timestamp")
        return SequenceFrame(
            index, None if stamp is None else self._time_ns(index, stamp), transforms, frozenset(invalid), fields
        )

    def _matrix(self, index: int, key: str, value: str) -> Matrix:
        try:
            matrix = np.array([float(word) for word in value.split()]).reshape(4, 4)
        except ValueError:
            raise self._fail(f"frame {index}: {key} is not sixteen numbers") from None
        return matrix

    def _time_ns(self, index: int, text: str) -> int:
        try:
            return exact_ns(text)
        except ValueError as error:
            raise self._fail(f"frame {index}: Timestamp {error}") from None

    def _pixels(self, at: int, size: tuple[int, int, int]) -> NDArray[np.generic]:
        name = self._header.get("ElementType", "")
        if name not in ELEMENTS:
            raise self._fail(f"ElementType {name!r} cannot be read; known: {', '.join(ELEMENTS)}")
        big = self._header.get("BinaryDataByteOrderMSB", self._header.get("ElementByteOrderMSB", "False"))
        kind = np.dtype(ELEMENTS[name]).newbyteorder(">" if big.lower() == "true" else "<")
        try:
            components = int(self._header.get("ElementNumberOfChannels", "1"))
        except ValueError:
            components = 0
        expected = size[0] * size[1] * size[2] * components * kind.itemsize
        if not 0 < expected <= MAX_PIXEL_BYTES:
            raise self._fail(f"{expected} bytes of pixels are announced, which is not possible")
        if self._header.get("BinaryData", "True").lower() != "true" or self._header.get("HeaderSize", "0") != "0":
            raise self._fail("pixels written as text, or behind a header of their own (HeaderSize), are not read")
        data = self._raw(at, expected, expected // size[2], size[2])
        shape = (size[2], size[1], size[0]) if components == 1 else (size[2], size[1], size[0], components)
        return np.frombuffer(data, kind, count=expected // kind.itemsize).reshape(shape)

    def _raw(self, at: int, expected: int, frame_bytes: int, count: int) -> bytes:
        where = self._header["ElementDataFile"]
        try:
            data = self._data[at:] if where == "LOCAL" else data_beside(self._path, where).read_bytes()
        except ValueError as error:
            raise self._fail(str(error)) from None
        except OSError as error:
            raise self._fail(f"its data file {where} cannot be read: {error.strerror}") from None
        there = len(data)
        try:
            if self._header.get("CompressedData", "False").lower() == "true":
                return unpacked(data, expected, zlib.MAX_WBITS)
        except ValueError as error:
            if len(error.args) == 1:
                raise self._fail(str(error)) from None
            there = error.args[1]
        if there < expected:
            raise self._fail(f"was cut off: pixels of {there // frame_bytes} of {count} frames are there")
        if there > expected:
            raise self._fail(f"holds {there - expected} bytes more than the {expected} that its header announces")
        return data
