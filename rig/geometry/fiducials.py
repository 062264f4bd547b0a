"""A set of named points, and the properties that follow from its shape alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.errors import ConfigError
from hal.files import parse
from rig.geometry.tre import Points, fit_rigid_many

ALL_ORDERS_N = 8
"""Up to this many points every order is tried (8! = 40320); above it exchanges of two and three points."""


@dataclass(frozen=True)
class Fiducials:
    """Named points in one frame, mm."""

    names: tuple[str, ...]
    points_mm: Points = field(repr=False)
    """(n, 3)"""

    def __post_init__(self) -> None:
        p = np.asarray(self.points_mm, dtype=np.float64)
        if p.shape != (len(self.names), 3) or not np.all(np.isfinite(p)):
            raise ConfigError(
                f"{len(self.names)} named points need a finite ({len(self.names)}, 3) array, got {p.shape}"
            )
        doubled = sorted({n for n in self.names if self.names.count(n) > 1})
        if doubled:
            raise ConfigError(f"point names occur twice: {', '.join(doubled)}")
        object.__setattr__(self, "points_mm", p)

    @staticmethod
    def of(points: dict[str, ArrayLike]) -> Fiducials:
        return Fiducials(
            tuple(points), np.array([np.asarray(p, dtype=np.float64) for p in points.values()]).reshape(-1, 3)
        )

    def __len__(self) -> int:
        return len(self.names)

    def only(self, names: tuple[str, ...]) -> Fiducials:
        """The named points, in that order; raises ``ConfigError`` for one that is not there."""
        missing = [n for n in names if n not in self.names]
        if missing:
            raise ConfigError(f"points {', '.join(missing)} are not in the set ({', '.join(self.names)})")
        return Fiducials(names, self.points_mm[[self.names.index(n) for n in names]])

    @property
    def principal_spread_mm(self) -> NDArray[np.float64]:
        """(3,) root mean square extent along the principal axes, largest first."""
        if len(self) < 2:
            return np.zeros(3)
        centred = self.points_mm - self.points_mm.mean(axis=0)
        size = np.zeros(3)
        values = np.linalg.svd(centred, compute_uv=False)
        size[: len(values)] = values
        return np.asarray(size[:3] / np.sqrt(len(self)))


def read_fiducials(path: Path) -> Fiducials:
    """Points of a TOML with ``[[fiducial]] name, at_mm`` (a phantom file has them) or of a text table ``name x y z``.

    Raises ``ConfigError`` with the file and line of what cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    points: dict[str, ArrayLike] = {}
    names: list[str] = []
    if path.suffix == ".toml":
        document = parse(text, str(path))
        for place, fault in document.unfit():
            raise ConfigError(f"{document.place(place)}: {fault}")
        try:
            for row in document.data.get("fiducial", []):
                names.append(str(row["name"]))
                points[names[-1]] = _three(path, names[-1], row["at_mm"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path}: is no list of [[fiducial]] with name and at_mm: {error}") from None
    else:
        for number, line in point_lines(text.splitlines()):
            words = line.replace(",", " ").split()
            if words[0].lower() == "name":
                continue
            names.append(words[0])
            points[words[0]] = _three(path, f"line {number}", words[1:])
    if not points:
        raise ConfigError(f"{path}: holds no points")
    if len(names) != len(points):
        raise ConfigError(
            f"{path}: point names occur twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}"
        )
    return Fiducials.of(points)


_BEHIND = re.compile(r"(?<=\s)#.*")
_HASHED = re.compile(r"\s*#\S+(\s+|\s*,\s*)[-+.\d]\S*(\s+|\s*,\s*)[-+.\d]\S*(\s+|\s*,\s*)[-+.\d]\S*\s*")
"""``#1 104.3 5.0 20.0``: a point as PLUS names its landmarks, or a point that somebody took out."""


def point_lines(lines: Sequence[str], *, first: int = 1, after: bool = True) -> list[tuple[int, str]]:
    """Lines of a point table with their numbers, without remarks: lines that begin with ``#`` and, with ``after``, what
    stands behind a blank and ``#``.

    Where every point's name begins with ``#``, as PLUS names landmarks, these lines are the points.
    """
    plain, hashed = [], []
    for number, line in enumerate(lines, first):
        if _HASHED.fullmatch(line):
            hashed.append((number, line.strip()))
        rest = "" if line.lstrip().startswith("#") else _BEHIND.sub("", line) if after else line
        if rest.strip():
            plain.append((number, rest.strip()))
    return plain if any(line.replace(",", " ").split()[0].lower() != "name" for _, line in plain) else plain + hashed


def _three(path: Path, where: str, values: object) -> NDArray[np.float64]:
    try:
        p = np.array([float(v) for v in values], dtype=np.float64)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        p = np.zeros(0)
    if p.shape != (3,) or not np.all(np.isfinite(p)):
        raise ConfigError(f"{path}: {where}: a point is three numbers in mm, got {values!r}")
    return p


def candidate_orders(n: int) -> NDArray[np.int64]:
    """(m, n) orders to try, the identity first."""
    if n <= ALL_ORDERS_N:
        return np.array(list(itertools.permutations(range(n))), dtype=np.int64)
    orders = [list(range(n))]
    for i, j in itertools.combinations(range(n), 2):
        order = list(range(n))
        order[i], order[j] = order[j], order[i]
        orders.append(order)
    for i, j, k in itertools.combinations(range(n), 3):
        for a, b, c in ((j, k, i), (k, i, j)):
            order = list(range(n))
            order[i], order[j], order[k] = a, b, c
            orders.append(order)
    orders += [list(np.roll(range(n), s)) for s in range(1, n)] + [list(range(n))[::-1]]
    return np.array(orders, dtype=np.int64)


def fit_orders(points_a: Points, points_b: Points) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Orders of the points of B, best first (m, n), and the rms residual (mm) of the rigid fit of each (m,)."""
    orders = candidate_orders(len(points_a))
    b = points_b[orders]
    a = np.broadcast_to(points_a, b.shape)
    rotation, shift = fit_rigid_many(a, b)
    rest = np.einsum("mij,mnj->mni", rotation, a) + shift[:, None, :] - b
    rms = np.sqrt((rest**2).sum(axis=2).mean(axis=1))
    best = np.argsort(rms, kind="stable")
    return orders[best], rms[best]
