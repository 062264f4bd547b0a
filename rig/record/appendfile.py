"""A file that only grows and whose last complete write survives a full disk."""

from __future__ import annotations

import os
from pathlib import Path

from hal.errors import RecordError


class AppendFile:
    """Whole blocks of bytes, handed to the operating system one at a time.

    A block that does not fit (disk full, quota) is taken back, so the file stays readable up to the block before.
    ``keep_n``: of a file that stands already, the bytes that it keeps; what is behind them was cut off in the middle.
    Raises ``RecordError`` when the file exists already (without ``keep_n``) or cannot be written.
    """

    def __init__(self, path: Path, keep_n: int | None = None) -> None:
        self.path = path
        self.size = keep_n or 0
        try:
            new = os.O_CREAT | os.O_EXCL if keep_n is None else 0
            self._fd = os.open(path, new | os.O_WRONLY | os.O_APPEND, 0o644)
            if keep_n is not None:
                os.ftruncate(self._fd, keep_n)
        except FileExistsError:
            raise RecordError(f"{path.name} exists already: a record is never written over") from None
        except OSError as error:
            raise RecordError(f"cannot make {path.name} in {path.parent}: {error.strerror}") from error

    def append(self, block: bytes) -> None:
        """Write all of ``block`` or nothing of it."""
        done = 0
        try:
            while done < len(block):
                done += os.write(self._fd, block[done:])
        except OSError as error:
            if done:
                os.ftruncate(self._fd, self.size)
            raise RecordError(
                f"the record could not be written: {error.strerror} ({self.path}); "
                f"what was recorded before stays valid. Check free space and quota of the output folder"
            ) from error
        self.size += len(block)

    def close(self) -> None:
        """Force the bytes to the disk and close; closing twice is allowed."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def write_whole(path: Path, data: bytes) -> None:
    """Make ``path`` appear at once with all of ``data`` (temporary file, fsync, atomic rename).

    Raises ``RecordError``; a half-written file is never seen under the final name.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RecordError(
            f"cannot write {path.name} in {path.parent}: {error.strerror}; "
            f"what was recorded before stays valid. Check rights and free space of the folder"
        ) from error
