"""Which test files stand nearest to a source file: by name first, then by how many imports lie between."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOMS = ("hal", "rig", "experiments", "analysis")
DISTANCE_MAX = 3
"""Tests that reach a file only over more imports than this say little about it [A]."""


def nearest_tests(root: Path, file: str, first: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Test files that reach a source file in the order in which they are to be tried, those of ``first`` before all
    others; no scenarios."""
    stem = Path(file).stem
    ranked: list[tuple[tuple[bool, float, int, str], str]] = []
    for test in sorted(root.glob("tests/**/test_*.py")):
        name = str(test.relative_to(root))
        if any(far in name for far in ("hardware", "real_data", "scenario")):
            continue
        steps = _steps(root, test, file)
        own = stem in test.stem
        if steps is None:
            continue
        rank = steps - (1.0 if own else 0.0)
        ranked.append(((name not in first, rank, test.stat().st_size, name), name))
    return tuple(name for _, name in sorted(ranked))


def _steps(root: Path, test: Path, file: str) -> int | None:
    """Imports between a test file and a source file; 1 = it imports it itself, None = it never does."""
    seen, front = {str(test.relative_to(root))}, [str(test.relative_to(root))]
    for steps in range(1, DISTANCE_MAX + 1):
        front = [i for f in front for i in imports(root, f) if i not in seen and not seen.add(i)]  # type: ignore[func-returns-value]
        if file in front:
            return steps
    return None


@cache
def imports(root: Path, file: str) -> tuple[str, ...]:
    """Files of the project that a file imports, those within functions included."""
    return tuple(dict.fromkeys(_imported(root, ast.parse((root / file).read_bytes()))))


def _imported(root: Path, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            path = name.replace(".", "/")
            if path.split("/")[0] not in (*ROOMS, "tests"):
                continue
            for candidate in (f"{path}.py", f"{path}/__init__.py"):
                if (root / candidate).is_file():
                    yield candidate
