"""Elements of a probe by its reverberation in air: dips along the first band that is not white.

After the in-air modules of WAD-QC [their description read]. Few elements make the first bands, so that a dead one is
a dip of 5 dB or less (an aperture of four); a weak group is a shallow broad one. Elements at the ends are judged apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.figures.style import COLOUR, LIMIT, Stamp, new_figure
from analysis.qa.evaluation import Evaluation, Parameters, Plot, Tables
from analysis.qa.outcome import Figure, Outcome
from rig.record import Field

Array = NDArray[np.float64]

NEIGHBOURS_MM = (2.0, 6.0)
"""A dip is measured against the face on both sides of it, so far off; at the ends on one side."""
EDGE = 0.1
"""Share of the face at either end that is judged apart."""
LEAST_PICTURES_N = 3
FIGURES = {
    "dip_db": ("dB", "deepest dip along the face below its neighbours, ends left out"),
    "edge_dip_db": ("dB", "deepest dip within a tenth of the face from its ends"),
    "dips_n": ("", "dips as deep as a dead element makes"),
    "nonuniformity_db": ("dB", "standard deviation of the level along the face"),
    "band_spacing_mm": ("mm", "distance of the bands in the picture"),
    "bands_extent_mm": ("mm", "depth at which the bands sink into the noise"),
}


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """Dips of the mean profile over all pictures; no figure where no bands are seen."""
    bands, along = tables["bands"], tables["along"]
    n = len(bands)
    if n < LEAST_PICTURES_N:
        return Outcome((), invalid=f"{n} pictures came, at least {LEAST_PICTURES_N} are needed")
    if not np.all(np.isfinite(bands.spacing_mm) & np.isfinite(bands.first_mm)):
        return Outcome((), invalid="no bands are seen: is the probe in air, its face clean and dry, and the preset on?")
    profile = along.groupby("at_mm").level_db.agg(["mean", "std"])
    at, level = profile.index.to_numpy(float), profile["mean"].to_numpy(float)
    dips = _dips(at, level)
    end_mm = (1.0 - 2.0 * EDGE) * float(np.max(np.abs(at)))
    inner = np.abs(at) <= end_mm
    least = parameters["dead_db"]
    assert isinstance(least, float)
    deep = (dips >= least).astype(int)
    runs = int(np.sum(np.diff(deep, prepend=0) == 1))
    # Pictures of a probe at rest may be alike to the last digit: their spread does not hold how uneven elements are.
    uneven = 1.4826 * float(np.median(np.abs(dips - np.median(dips))))
    spread = np.hypot(profile["std"].to_numpy(float) / math.sqrt(n), uneven)
    figures = [_deepest("dip_db", at, dips, spread, inner, n), _deepest("edge_dip_db", at, dips, spread, ~inner, n)]
    sd = float(np.std(level[dips < least], ddof=1))
    figures += [
        Figure("dips_n", FIGURES["dips_n"][1], float(runs), "", 0.0, n, f"at least {least:g} dB deep"),
        Figure("nonuniformity_db", FIGURES["nonuniformity_db"][1], sd, "dB", sd / math.sqrt(2.0 * len(at)), n),
        _mean("band_spacing_mm", bands.spacing_mm.to_numpy(float)),
        _mean("bands_extent_mm", bands.extent_mm.to_numpy(float)),
    ]
    notes = ("levels take grey as proportional to decibels", "weak elements in a wide group show as a shallow dip only")
    return Outcome(tuple(figures), notes, extra={"at_mm": at.tolist(), "level_db": level.tolist()})


def _dips(at: Array, level: Array) -> Array:
    """How far each place lies below the lower of its two sides, or its only side; dB."""
    out = np.zeros(len(at))
    for k in range(len(at)):
        sides = []
        for sign in (-1, 1):
            away = sign * (at - at[k])
            side = level[(away >= NEIGHBOURS_MM[0]) & (away <= NEIGHBOURS_MM[1])]
            if len(side):
                sides.append(float(np.median(side)))
        out[k] = min(sides) - level[k] if sides else 0.0
    return out


def _deepest(name: str, at: Array, dips: Array, spread: Array, use: NDArray[np.bool_], n: int) -> Figure:
    k = int(np.argmax(np.where(use, dips, -np.inf)))
    why = f"at {at[k]:.1f} mm from the middle of the face"
    return Figure(name, FIGURES[name][1], float(dips[k]), "dB", float(spread[k]), n, why)


def _mean(name: str, values: Array) -> Figure:
    u = float(np.std(values, ddof=1) / math.sqrt(len(values))) or None
    return Figure(name, FIGURES[name][1], float(values.mean()), FIGURES[name][0], u, len(values))


def draw(tables: Tables, outcome: Outcome, stamp: Stamp) -> Sequence[Plot]:
    """Level along the face, and with depth."""
    drawing = new_figure(2.4, stamp)
    left, right = drawing.subplots(1, 2)
    left.plot(outcome.extra["at_mm"], outcome.extra["level_db"], color=COLOUR["in_plane"])
    half = max(abs(x) for x in outcome.extra["at_mm"])  # type: ignore[attr-defined]
    for side in (-1, 1):
        left.axvline(side * (1.0 - 2.0 * EDGE) * half, color=LIMIT, linewidth=0.8, linestyle="--")
    left.set(xlabel="along the face (mm)", ylabel="level in the band (dB)")
    depth = tables["depths"].groupby("depth_mm").level_db.mean()
    right.plot(depth.index, depth, color=COLOUR["out_of_plane"])
    right.set(xlabel="depth below the face (mm)", ylabel="level (dB)")
    caption = (
        "Left: level along the first band that is not white; a dead element is a narrow dip, beyond the dashed lines "
        "the ends are judged apart. Right: mean level with depth; the bands are reverberations in the lens."
    )
    return (Plot("bands", "Reverberation in air", caption, "Levels along the face and with depth", drawing),)


ULTRASOUND_AIR = Evaluation(
    name="ultrasound_air",
    words="dead and weak elements of a probe, by its reverberation in air",
    tables={
        "bands": (Field("picture", ""), Field("spacing_mm", "mm"), Field("first_mm", "mm"), Field("extent_mm", "mm")),
        "along": (Field("picture", ""), Field("at_mm", "mm"), Field("level_db", "dB")),
        "depths": (Field("picture", ""), Field("depth_mm", "mm"), Field("level_db", "dB")),
    },
    figures=FIGURES,
    evaluate=evaluate,
    parameters={
        "pictures": (5, "pictures, the probe at rest"),
        "lift_mm": (30.0, "how far over the phantom a probe holder lifts the probe"),
        "dynamic_range_db": (60.0, "of the display, black to white"),
        "dead_db": (2.5, "a dip that counts: one dead element of an aperture of eight makes 2.3 dB, of four 5 dB"),
    },
    draw=draw,
    least={"pictures": 3, "dynamic_range_db": 1.0},
)
