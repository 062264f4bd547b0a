"""A terminal that is lost while a command runs: what would be said is dropped, and everything else goes on."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, TypeVar, cast

T = TypeVar("T")

LOST = frozenset({errno.EIO, errno.EPIPE, errno.EBADF, errno.ENXIO})
"""The other side of a terminal or a pipe is gone."""


class Survivor:
    """A text stream that outlives its terminal; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._kept(lambda: self._stream.write(text), len(text))

    def writelines(self, lines: Any) -> None:
        self._kept(lambda: self._stream.writelines(lines), None)

    def flush(self) -> None:
        self._kept(self._stream.flush, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _kept(self, act: Callable[[], T], otherwise: T) -> T:
        try:
            return act()
        except OSError as error:
            if error.errno not in LOST:
                raise
            self._let_go()
            return otherwise

    def _let_go(self) -> None:
        """Put nothing in the terminal's place, so that what is still buffered does not fail again at the end."""
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())
            os.close(nothing)


@contextmanager
def surviving_terminal() -> Iterator[None]:
    """Inside the block stdout and stderr outlive their terminal."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, Survivor(stream)) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before
