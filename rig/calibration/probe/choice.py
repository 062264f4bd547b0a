"""Choice among several labellings when the phantom is symmetric: the tracked motion decides.

Turned about or mirrored, one picture of a symmetric phantom looks the same; but the wire points then move against the
tracked poses. Each way round is tried for the whole recording, and the best must be clearly better than the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hal.errors import CalibrationRefused
from rig.calibration.probe.errors import Points, errors_mm
from rig.calibration.probe.frames import Observations
from rig.calibration.probe.solve import fit_linear

_CLEARLY = 1.25
"""The second best way round must misfit this many times as much."""
_FITS_MM = 5.0
"""Above it no way round is the right one: wrong wires or poses, whatever the ratio [A]."""


def choose(observations: Observations) -> tuple[Points, float]:
    """Points of the labelling that fits the motion, and how many times worse the next one fits (inf: no other).

    Raises ``CalibrationRefused`` (``ambiguous``) when two ways round fit alike, ``misfit`` when neither fits.
    """
    options = [np.array([a.section[:, :2] for a in item]) for item in observations.labellings]
    counts = np.array([len(o) for o in options])
    if counts.max(initial=1) == 1:
        return points_of(observations, np.zeros(len(options), dtype=np.intp)), float("inf")
    reference = options[int(np.argmax(counts))]
    tried: dict[bytes, tuple[float, NDArray[np.intp]]] = {}
    for start in reference:
        pick = np.array([int(np.argmin(np.linalg.norm(o - start, axis=(1, 2)))) for o in options], dtype=np.intp)
        for _ in range(4):
            points = points_of(observations, pick)
            matrix = fit_linear(points.middle_px.reshape(-1, 2), points.probe_mm.reshape(-1, 3)).ImageToProbe
            rms = float(np.sqrt(np.mean(errors_mm(points, matrix) ** 2)))
            tried[pick.tobytes()] = (rms, pick)
            better = np.zeros_like(pick)
            misfit = np.full(len(pick), np.inf)
            for k in range(int(counts.max())):
                trial = np.minimum(k, counts - 1)
                error = np.sqrt(np.mean(errors_mm(points_of(observations, trial), matrix) ** 2, axis=1))
                closer = error < misfit
                misfit[closer], better[closer] = error[closer], trial[closer]
            if np.array_equal(better, pick):
                break
            pick = better
    ranked = sorted(tried.values(), key=lambda t: t[0])
    best_rms, best = ranked[0]
    others = [rms for rms, pick in ranked[1:] if np.mean(pick != best) > 0.2]
    ratio = others[0] / max(best_rms, 1e-9) if others else float("inf")
    if ratio < _CLEARLY and best_rms > _FITS_MM:
        raise CalibrationRefused(
            "misfit",
            f"no way round of the wire pattern fits the tracked motion (best {best_rms:.1f} mm): the poses are not "
            "those of the pictures, or the wires not those of the definition",
            advice="Check the transforms' names and units, the time stamps and the phantom definition",
            figures={"best_rms_mm": best_rms, "next_rms_mm": others[0]},
        )
    if ratio < _CLEARLY:
        raise CalibrationRefused(
            "ambiguous",
            f"two ways round of the wire pattern fit alike ({best_rms:.2f} and {others[0]:.2f} mm)",
            advice="Move the probe along the wires and tilt it while recording",
            figures={"best_rms_mm": best_rms, "next_rms_mm": others[0]},
        )
    return points_of(observations, best), ratio


def points_of(observations: Observations, choice: NDArray[np.intp]) -> Points:
    """Points with the chosen labelling of each frame."""
    return Points(observations.phantom, observations.dots_px(choice), observations.PhantomToProbe, observations.frame)
