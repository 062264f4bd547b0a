"""A copy of the tree in which rules may be broken."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.mutants.nearest import ROOMS, imports

COPIED = ("hal", "rig", "experiments", "analysis", "tests", "docs", "pyproject.toml", "README.md", "phantomrig")


class Shadow:
    """One copy of the tree, with its compiled kernels."""

    def __init__(self, root: Path, place: Path, listened: Path) -> None:
        self.root = place
        self.listened = listened
        """Folder with what each test file calls, and how long it takes, as far as it was run."""
        for name in COPIED:
            source = root / name
            if source.is_dir():
                shutil.copytree(source, place / name, ignore=shutil.ignore_patterns(".hypothesis"))
            elif source.is_file():
                shutil.copy2(source, place / name)

    @contextlib.contextmanager
    def broken(self, file: str, source: bytes) -> Iterator[None]:
        """The file with a fault in it, for a while; afterwards it is as it was, its time included.

        Compiled kernels are kept by the time of their own file only: those of files that import this one would come
        from before the fault, and what is compiled with the fault must not outlive it.
        """
        path = self.root / file
        was, times = path.read_bytes(), path.stat()
        for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            cached.unlink()
        path.write_bytes(source)
        kernels = self._kernels(file)
        aside = [(kernel, kernel.rename(kernel.with_name(f"{kernel.name}.aside"))) for kernel in kernels]
        try:
            yield
        finally:
            for kernel in self._kernels(file):
                kernel.unlink()
            for kernel, kept in aside:
                kept.rename(kernel)
            path.write_bytes(was)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _kernels(self, file: str) -> list[Path]:
        """Tests of the file itself and of those that import it."""
        users = [f for f in _sources(self.root) if file in imports(self.root, f)]
        return [
            kernel
            for source in (file, *users)
            for ending in ("nbi", "nbc")
            for kernel in (self.root / source).parent.glob(f"__pycache__/{Path(source).stem}.*.{ending}")
        ]


@cache
def _sources(root: Path) -> tuple[str, ...]:
    """Files of the project that hold compiled kernels."""
    found = (path for room in ROOMS for path in sorted((root / room).rglob("*.py")) if b"njit" in path.read_bytes())
    return tuple(str(path.relative_to(root)) for path in found)
