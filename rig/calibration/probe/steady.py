"""Check that every frame belongs to the others.

A frame whose dots were taken for other wires (clutter, a double echo) lies far from what all the others say: it is
left out, with the distance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rig.calibration.probe.errors import Points, errors_mm
from rig.calibration.probe.frames import FrameVerdict, Observations
from rig.calibration.probe.labelling import Refusal
from rig.calibration.probe.solve import fit_linear

Array = NDArray[np.float64]

STRAY_MM = 2.5
"""A frame nearer to the others than this is kept whatever the scatter [A]."""
_STRAY_TIMES = 6.0
"""... and one farther than this many times the median frame is not [A]."""
_MOST_STRAYS = 0.25
"""More strays than this share are no strays: the recording contradicts itself as a whole [A]."""
_RUN_N = 3
"""More strays than this one after the other are no mistaken dots: something moved."""


def strays(points: Points) -> dict[int, float]:
    """Rows of ``points`` that no fit to the others meets: root mean square distance of their wires, mm."""
    kept = np.ones(len(points.frame), dtype=bool)
    off = np.zeros(len(kept))
    for _ in range(10):
        part = points.pick(kept)
        matrix = fit_linear(part.middle_px.reshape(-1, 2), part.probe_mm.reshape(-1, 3)).ImageToProbe
        off = np.sqrt(np.mean(errors_mm(points, matrix) ** 2, axis=1))
        after = off < max(STRAY_MM, _STRAY_TIMES * float(np.median(off)))
        if (~after).mean() > _MOST_STRAYS:
            return {}
        if np.array_equal(after, kept):
            break
        kept = after
    far = np.flatnonzero(~kept)
    runs = np.split(far, np.flatnonzero(np.diff(far) > 1) + 1)
    if any(len(run) > _RUN_N for run in runs):
        return {}
    return {int(k): float(off[k]) for k in far}


def without_strays(seen: Observations, points: Points) -> tuple[Observations, Points]:
    """Both inputs without the frames that :func:`strays` finds; their verdict says why (code ``motion``)."""
    found = strays(points)
    if not found:
        return seen, points
    kept = np.ones(len(points.frame), dtype=bool)
    kept[list(found)] = False
    reasons = {
        int(points.frame[k]): Refusal(
            "motion",
            f"motion: its dots lie {off:.1f} mm from where all other frames put the wires; other echoes were taken "
            "for wires",
        )
        for k, off in found.items()
    }
    verdicts = tuple(
        FrameVerdict(v.index, reasons[v.index], v.candidates_n) if v.index in reasons else v for v in seen.verdicts
    )
    less = replace(
        seen,
        frame=seen.frame[kept],
        PhantomToProbe=seen.PhantomToProbe[kept],
        labellings=tuple(item for item, keep in zip(seen.labellings, kept, strict=True) if keep),
        verdicts=verdicts,
        time_s=seen.time_s[kept],
        stretch_mm=None if seen.stretch_mm is None else seen.stretch_mm[kept],
    )
    return less, points.pick(kept)
