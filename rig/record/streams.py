"""Sampled signals of one trial (pressure, force, pose, ...): segments while running, HDF5 at close.

``streams.h5``: one group per stream with ``time_ns`` (int64, n) and one float64 data set of n per field,
each with the attribute ``unit``.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from hal.errors import RecordError
from hal.files import parse_json
from rig.record.canonical import canonical_json
from rig.record.hdf5 import whole_hdf5
from rig.record.segments import SegmentWriter, read_segment

_DECLARE = 1
_SAMPLE = 2


@dataclass(frozen=True)
class Field:
    """One signal of a stream; the unit is repeated in the name (``pressure_kpa``)."""

    name: str
    unit: str


@dataclass(frozen=True)
class Stream:
    """A stream as read back."""

    name: str
    time_ns: NDArray[np.int64]
    """Shape (n,)."""
    values: Mapping[str, NDArray[np.float64]]
    """Per field, shape (n,); NaN where nothing was measured."""
    units: Mapping[str, str]


class StreamWriter:
    """Takes samples of declared streams. ``close`` turns the segment into ``streams.h5`` and removes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segment = SegmentWriter(folder / "streams.seg")
        self._declared: dict[str, tuple[int, struct.Struct]] = {}

    def declares(self, name: str) -> bool:
        """True when this stream was named already."""
        return name in self._declared

    def declare(self, name: str, fields: Sequence[Field]) -> None:
        """Name a stream and its fields, once, before its first sample."""
        if name in self._declared:
            raise RecordError(f"stream {name} was declared twice")
        number = len(self._declared)
        listed = [[field.name, field.unit] for field in fields]
        self._segment.block(_DECLARE, canonical_json({"fields": listed, "name": name, "number": number}))
        self._declared[name] = (number, struct.Struct(f"<Hq{len(fields)}d"))

    def sample(self, name: str, time_ns: int, values: Sequence[float]) -> None:
        """Record one sample; ``values`` in the order of the declared fields, NaN for not measured."""
        if name not in self._declared:
            raise RecordError(f"stream {name} got a sample before it was declared")
        number, layout = self._declared[name]
        try:
            payload = layout.pack(number, time_ns, *values)
        except struct.error as error:
            raise RecordError(f"stream {name}: a sample does not fit its declaration ({error})") from error
        self._segment.block(_SAMPLE, payload)

    def close(self) -> Path | None:
        """Write ``streams.h5``; None when no stream was declared."""
        self._segment.close()
        return finish_streams(self._folder)


def finish_streams(folder: Path) -> Path | None:
    """Turn ``streams.seg`` into ``streams.h5``, up to its last whole sample; None when no stream was declared."""
    segment, path = folder / "streams.seg", folder / "streams.h5"
    streams = read_stream_segment(segment)
    if not streams:
        segment.unlink()
        return None
    with whole_hdf5(path) as file:
        for stream in streams.values():
            group = file.create_group(stream.name)
            group.create_dataset("time_ns", data=stream.time_ns).attrs["unit"] = "ns"
            group.attrs["fields"] = json.dumps(list(stream.values))
            for field, values in stream.values.items():
                group.create_dataset(field, data=values).attrs["unit"] = stream.units[field]
    segment.unlink()
    return path


def read_stream_segment(path: Path) -> dict[str, Stream]:
    """Streams of a segment, up to its last whole sample."""
    names: list[str] = []
    fields: list[list[list[str]]] = []
    times: list[array[int]] = []
    samples: list[array[float]] = []
    layouts: list[struct.Struct] = []
    for kind, payload in read_segment(path):
        if kind == _DECLARE:
            declared = parse_json(payload)
            names.append(declared["name"])
            fields.append(declared["fields"])
            times.append(array("q"))
            samples.append(array("d"))
            layouts.append(struct.Struct(f"<{len(declared['fields'])}d"))
        elif kind == _SAMPLE:
            number, time_ns = struct.unpack_from("<Hq", payload)
            times[number].append(time_ns)
            samples[number].extend(layouts[number].unpack_from(payload, 10))
    streams: dict[str, Stream] = {}
    for n, name in enumerate(names):
        table = np.array(samples[n], dtype=np.float64).reshape(len(times[n]), len(fields[n]))
        streams[name] = Stream(
            name,
            np.array(times[n], dtype=np.int64),
            {field: table[:, k].copy() for k, (field, _) in enumerate(fields[n])},
            {field: unit for field, unit in fields[n]},
        )
    return streams


def stream_names(folder: Path) -> tuple[str, ...]:
    """Names of a trial's streams, without their samples; raises ``RecordError`` for a damaged file."""
    path = folder / "streams.h5"
    if not path.exists():
        return tuple(sorted(read_streams(folder)))
    try:
        with h5py.File(path, "r") as file:
            return tuple(file)
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot read {path}: {error}") from error


def read_streams(folder: Path, only: str = "") -> dict[str, Stream]:
    """Streams of a trial folder: from ``streams.h5``, or from the segment that a killed run left; ``only`` one of them.

    Returns an empty dictionary when the trial has none; raises ``RecordError`` for a damaged file.
    """
    path = folder / "streams.h5"
    if not path.exists():
        segment = folder / "streams.seg"
        return read_stream_segment(segment) if segment.exists() else {}
    streams: dict[str, Stream] = {}
    try:
        with h5py.File(path, "r") as file:
            for name, group in file.items():
                if only not in ("", name):
                    continue
                fields = parse_json(group.attrs["fields"])
                streams[name] = Stream(
                    name,
                    group["time_ns"][()],
                    {field: group[field][()] for field in fields},
                    {field: str(group[field].attrs["unit"]) for field in fields},
                )
    except (OSError, KeyError, ValueError) as error:
        raise RecordError(f"cannot read {path}: {error}") from error
    return streams
