"""Ultrasound frames that guidance consumed: compressed without loss, with pose, time and detections.

``frames.h5``: ``time_ns``, ``sequence_n``, ``dropped_n`` (n), ``ImageToProbe`` and ``ProbeToRig`` (n, 4, 4),
``detections`` (JSON text), ``label``, ``sha256`` of the pixels (n), ``pixel_set`` and ``pixel_index`` (n, -1 =
pixels not kept), and per image size a data set ``pixels_<rows>x<columns>`` (k, rows, columns) of uint8.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hal.errors import RecordError
from hal.files import parse_json
from hal.types import Frame, Matrix, Pixels
from rig.record.canonical import Json, canonical_json, plain
from rig.record.hdf5 import whole_hdf5
from rig.record.segments import SegmentWriter, read_segment

_FRAME = 1
_COMPRESSION = 1
"""zlib level: the fastest; speckle hardly compresses better at higher ones."""


@dataclass(frozen=True)
class RecordedFrame:
    """One frame as read back."""

    time_ns: int
    sequence_n: int
    dropped_n: int
    ImageToProbe: Matrix
    ProbeToRig: Matrix
    detections: dict[str, Json]
    """Findings of guidance; pixels as ``[column, row]`` under names that end in ``_px``, e.g. ``tip_px``."""
    label: str
    sha256: str
    pixels: Pixels | None
    """None when only the frame's hash was kept."""


class FrameWriter:
    """Takes frames. ``close`` turns the segment into ``frames.h5`` and removes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segment = SegmentWriter(folder / "frames.seg")
        self.count = 0

    def frame(
        self,
        frame: Frame,
        ProbeToRig: Matrix,
        detections: Mapping[str, object] | None = None,
        *,
        label: str = "",
        keep: bool = True,
    ) -> None:
        """Record one frame; ``keep=False`` keeps pose, detections and the hash of the pixels only.

        ``label`` marks frames that figures look for: ``at_injection`` is the one the final tip was read in.
        """
        pixels = np.ascontiguousarray(frame.pixels, dtype=np.uint8)
        rows, columns = pixels.shape
        data = pixels.tobytes()
        head = canonical_json(
            {
                "ImageToProbe": np.asarray(frame.ImageToProbe, dtype=float).ravel(),
                "ProbeToRig": np.asarray(ProbeToRig, dtype=float).ravel(),
                "columns": columns if keep else 0,
                "detections": plain(detections or {}),
                "dropped_n": frame.dropped_n,
                "label": label,
                "rows": rows if keep else 0,
                "sequence_n": frame.sequence_n,
                "sha256": hashlib.sha256(data).hexdigest(),
                "time_ns": frame.time_ns,
            }
        )
        packed = zlib.compress(data, _COMPRESSION) if keep else b""
        self._segment.block(_FRAME, struct.pack("<I", len(head)) + head + packed)
        self.count += 1

    def close(self) -> Path | None:
        """Write ``frames.h5``; None when there was no frame."""
        self._segment.close()
        return finish_frames(self._folder)


def finish_frames(folder: Path) -> Path | None:
    """Turn ``frames.seg`` into ``frames.h5``, up to its last whole frame; None when there was no frame."""
    segment, path = folder / "frames.seg", folder / "frames.h5"
    if next(_blocks(segment), None) is None:
        segment.unlink()
        return None
    with whole_hdf5(path) as file:
        _copy(segment, file)
    segment.unlink()
    return path


def _copy(segment: Path, file: h5py.File) -> None:
    heads: list[dict[str, Json]] = []
    places: list[tuple[str, int]] = []
    for head, packed in _blocks(segment):
        heads.append(head)
        if not packed:
            places.append(("", -1))
            continue
        rows, columns = int(str(head["rows"])), int(str(head["columns"]))
        name = f"pixels_{rows}x{columns}"
        if name not in file:
            file.create_dataset(
                name,
                shape=(0, rows, columns),
                maxshape=(None, rows, columns),
                chunks=(1, rows, columns),
                dtype=np.uint8,
                compression="gzip",
                compression_opts=_COMPRESSION,
            )
        data = file[name]
        index = data.shape[0]
        data.resize(index + 1, axis=0)
        data.id.write_direct_chunk((index, 0, 0), packed)  # the bytes are a zlib stream already
        places.append((name, index))
    text = h5py.string_dtype("utf-8")
    for name in ("time_ns", "sequence_n", "dropped_n"):
        file.create_dataset(name, data=np.array([int(str(head[name])) for head in heads], dtype=np.int64))
    for name in ("ImageToProbe", "ProbeToRig"):
        matrices = np.array([head[name] for head in heads], dtype=np.float64).reshape(-1, 4, 4)
        file.create_dataset(name, data=matrices).attrs["unit"] = "mm"
    found = [canonical_json(head["detections"]).decode() for head in heads]
    file.create_dataset("detections", data=found, dtype=text)
    for name in ("label", "sha256"):
        file.create_dataset(name, data=[str(head[name]) for head in heads], dtype=text)
    file.create_dataset("pixel_set", data=[name for name, _ in places], dtype=text)
    file.create_dataset("pixel_index", data=np.array([index for _, index in places], dtype=np.int64))


def _blocks(segment: Path) -> Iterator[tuple[dict[str, Json], bytes]]:
    for kind, payload in read_segment(segment):
        if kind == _FRAME:
            (length,) = struct.unpack_from("<I", payload)
            yield parse_json(payload[4 : 4 + length]), payload[4 + length :]


class FrameReader:
    """Frames of a trial folder, pixels loaded one at a time; from HDF5 or from the segment of a killed run."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "frames.h5"
        self._segment = folder / "frames.seg"
        self.heads: tuple[RecordedFrame, ...] = ()
        """All frames in order, without their pixels."""
        self._places: list[tuple[str, int]] = []
        self._packed: list[tuple[int, int, bytes]] = []
        if self._path.exists():
            self._read_hdf5()
        elif self._segment.exists():
            self._read_segment()

    def __len__(self) -> int:
        return len(self.heads)

    def _read_hdf5(self) -> None:
        try:
            with h5py.File(self._path, "r") as file:
                strings = {name: file[name].asstr()[()] for name in ("detections", "label", "sha256", "pixel_set")}
                numbers = {name: file[name][()] for name in ("time_ns", "sequence_n", "dropped_n", "pixel_index")}
                to_probe, to_rig = file["ImageToProbe"][()], file["ProbeToRig"][()]
        except (OSError, KeyError, ValueError) as error:
            raise RecordError(f"cannot read {self._path}: {error}") from error
        self._places = [(str(s), int(i)) for s, i in zip(strings["pixel_set"], numbers["pixel_index"], strict=True)]
        self.heads = tuple(
            RecordedFrame(
                int(numbers["time_ns"][n]),
                int(numbers["sequence_n"][n]),
                int(numbers["dropped_n"][n]),
                to_probe[n],
                to_rig[n],
                parse_json(strings["detections"][n]),
                str(strings["label"][n]),
                str(strings["sha256"][n]),
                None,
            )
            for n in range(len(to_probe))
        )

    def _read_segment(self) -> None:
        heads: list[RecordedFrame] = []
        for head, packed in _blocks(self._segment):
            detections = head["detections"]
            heads.append(
                RecordedFrame(
                    int(str(head["time_ns"])),
                    int(str(head["sequence_n"])),
                    int(str(head["dropped_n"])),
                    np.array(head["ImageToProbe"], dtype=float).reshape(4, 4),
                    np.array(head["ProbeToRig"], dtype=float).reshape(4, 4),
                    detections if isinstance(detections, dict) else {},
                    str(head["label"]),
                    str(head["sha256"]),
                    None,
                )
            )
            self._packed.append((int(str(head["rows"])), int(str(head["columns"])), packed))
        self.heads = tuple(heads)

    def kept(self, n: int) -> bool:
        """True when the pixels of frame ``n`` were kept."""
        return bool(self._packed[n][2]) if self._packed else self._places[n][1] >= 0

    def pixels(self, n: int) -> Pixels | None:
        """Grey values of frame ``n``, shape (rows, columns); None when they were not kept.

        Raises ``RecordError`` when the pixels do not match the hash recorded with the frame.
        """
        found: Pixels
        if not self.kept(n):
            return None
        if self._packed:
            rows, columns, packed = self._packed[n]
            found = np.frombuffer(zlib.decompress(packed), dtype=np.uint8).reshape(rows, columns)
        else:
            name, index = self._places[n]
            try:
                with h5py.File(self._path, "r") as file:
                    found = file[name][index]
            except (OSError, KeyError) as error:
                raise RecordError(f"cannot read {self._path}: {error}") from error
        if hashlib.sha256(np.ascontiguousarray(found).tobytes()).hexdigest() != self.heads[n].sha256:
            raise RecordError(f"{self._path}: frame {n} does not match its recorded hash")
        return found
