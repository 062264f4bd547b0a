"""HDF5 files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from hal.errors import RecordError


@contextmanager
def whole_hdf5(path: Path) -> Iterator[h5py.File]:
    """Write to a temporary file and rename it when the block ends well.

    The default file format is used: files of the newest one cannot be read after a kill. Raises ``RecordError``.
    """
    part = path.with_name(path.name + ".part")
    try:
        with h5py.File(part, "w", track_order=True) as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RecordError(
            f"cannot write {path.name} in {path.parent}: {error}; the samples stay in the segment beside it"
        ) from error
