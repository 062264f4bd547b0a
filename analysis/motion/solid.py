"""A closed triangle mesh as a body: which points are inside, where a line leaves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DIRECTION = np.array([0.5334, 0.7126, 0.4557])
"""Direction of the ray that decides inside: askew, so that it meets no edge of a mesh aligned with the axes."""
_CHUNK = 4_000_000
"""Triangle-ray pairs per piece of work: about 300 MB of temporaries."""


@dataclass(frozen=True)
class Solid:
    """Triangles of a closed surface, shape (t, 3, 3), mm."""

    triangles: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.triangles.ndim != 3 or self.triangles.shape[1:] != (3, 3) or len(self.triangles) < 4:
            raise ValueError("a closed surface has at least four triangles")

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Inside by the parity of the crossings of a ray, shape (n,)."""
        inside = np.zeros(len(points), dtype=bool)
        low, high = self.triangles.min(axis=(0, 1)), self.triangles.max(axis=(0, 1))
        near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
        reach = float(np.linalg.norm(high - low)) * 2.0
        crossings = self._crossings(points[near], np.broadcast_to(_DIRECTION * reach, (len(near), 3)))
        inside[near] = [len(found) % 2 == 1 for found in crossings]
        return inside

    def first_crossing(self, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """Point where each line first meets the surface, shape (n, 3); the origin where it does not meet it."""
        found = np.zeros_like(starts)
        for n, crossings in enumerate(self._crossings(starts, ends - starts)):
            if len(crossings):
                found[n] = starts[n] + crossings.min() * (ends[n] - starts[n])
        return found

    def share_inside(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of each segment between neighbours that lies inside, shape (n - 1,)."""
        inside = self.contains(points)
        shares = np.zeros(len(points) - 1)
        for n, found in enumerate(self._crossings(points[:-1], np.diff(points, axis=0))):
            cuts = np.concatenate(([0.0], np.sort(found), [1.0]))
            pieces = np.diff(cuts)
            shares[n] = pieces[0 if inside[n] else 1 :: 2].sum()
        return shares

    def _crossings(self, starts: NDArray[np.float64], spans: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Positions 0..1 of all crossings along each span.

        Source: Moeller and Trumbore 1997, J Graph Tools 2:21, without culling.
        """
        a = self.triangles[:, 0]
        e1, e2 = self.triangles[:, 1] - a, self.triangles[:, 2] - a
        found: list[NDArray[np.float64]] = []
        rows = max(1, _CHUNK // len(a))
        for at in range(0, len(starts), rows):
            start, span = starts[at : at + rows, None, :], spans[at : at + rows, None, :]
            p = np.cross(span, e2)
            det = np.einsum("ntk,tk->nt", p, e1)
            with np.errstate(divide="ignore", invalid="ignore"):
                inverse = 1.0 / det
                from_a = start - a
                u = np.einsum("ntk,ntk->nt", from_a, p) * inverse
                q = np.cross(from_a, e1)
                v = np.einsum("ntk,nxk->nt", q, span) * inverse
                t = np.einsum("ntk,tk->nt", q, e2) * inverse
                hit = (np.abs(det) > 1e-14) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t >= 0) & (t <= 1)
            found += [t[n][hit[n]] for n in range(len(hit))]
        return found
