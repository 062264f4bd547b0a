"""A copy of the tree in which rules may be broken."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

COPIED = ("hal", "rig", "experiments", "analysis", "tests", "docs", "pyproject.toml", "README.md", "phantomrig")


class Shadow:
    """One copy of the tree, with its compiled kernels."""

    def __init__(self, root: Path, place: Path) -> None:
        self.root = place
        self.listened = place.with_name("listened")
        """What each test file calls, and how long it takes, as far as it was run."""
        self.listened.mkdir()
        for name in COPIED:
            source = root / name
            if source.is_dir():
                shutil.copytree(source, place / name, ignore=shutil.ignore_patterns(".hypothesis"))
            elif source.is_file():
                shutil.copy2(source, place / name)

    @contextlib.contextmanager
    def broken(self, file: str, source: bytes) -> Iterator[None]:
        """The file with a fault in it, for a while; afterwards it is as it was, its time included."""
        path = self.root / file
        was, times = path.read_bytes(), path.stat()
        for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            cached.unlink()
        path.write_bytes(source)
        try:
            yield
        finally:
            path.write_bytes(was)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
