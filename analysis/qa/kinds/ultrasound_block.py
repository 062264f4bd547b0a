"""An ultrasound scanner on a QA block: distances, widths, speed of sound, uniformity, depth, cysts, dead zone.

After AAPM Ultrasound Task Group 1 (1998) and IEC 61391-1 and -2 [neither compared with the document]. The tables hold
what was found in the pictures beside what the block's layout says; an evaluation sees no picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.qa.evaluation import Evaluation, Parameters, Tables
from analysis.qa.kinds.ultrasound_block_pictures import draw
from analysis.qa.kinds.ultrasound_distances import DIRECTIONS, Distances, depth_intercept, distances
from analysis.qa.outcome import Figure, Outcome, share_of
from analysis.tables import DataFrame
from hal.phantom.qa_block import KINDS
from rig.record import Field

Array = NDArray[np.float64]

SIGNAL_DB = 3.0
"""Signal to noise (in power, of both together over noise) of the depth of penetration: a ratio of 1.4 in amplitude."""
RING_MM = 10.0
"""Depths at which a picture in air shows the probe's own ringing and not noise."""
SMOOTH_N = 3
NEIGHBOURS_MM = (3.0, 9.0)
"""A dip is measured against the face on both sides of it, so far off."""
SEEN_SHARE = 0.5
MOST = 1e4
"""No place (mm), level (dB), speed (m/s) or count of pixels of one class is larger."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "block": ("position_u_mm", "sound_speed_m_s", "sound_speed_u_m_s", "assumed_m_s", "unverified_n"),
    "places": ("picture", "view_x_mm"),
    "wires": ("picture", "kind", "true_x_mm", "true_z_mm", "x_mm", "z_mm", "range_mm"),
    "discs": ("true_x_mm", "true_z_mm", "true_diameter_mm", "contrast_db", "cnr", "seen"),
    "across": ("at_mm", "level_db", "n"),
    "depths": ("at_mm", "level_db", "n", "air"),
}
"""What must be a number in every row; of wires in the rows of those that were found."""
TABLES: Mapping[str, tuple[Field, ...]] = {
    "block": (
        Field("position_u_mm", "mm"), Field("sound_speed_m_s", "m/s"), Field("sound_speed_u_m_s", "m/s"),
        Field("assumed_m_s", "m/s"), Field("unverified_n", ""),
    ),
    "places": (Field("picture", ""), Field("view_x_mm", "mm"), Field("score", ""), Field("mirrored", "")),
    "wires": (
        Field("picture", ""), Field("kind", ""), Field("true_x_mm", "mm"), Field("true_z_mm", "mm"),
        Field("isolated", ""), Field("found", ""), Field("x_mm", "mm"), Field("z_mm", "mm"), Field("range_mm", "mm"),
        Field("axial_mm", "mm"), Field("lateral_mm", "mm"), Field("level_db", "dB"), Field("apart", ""),
    ),
    "discs": (
        Field("picture", ""), Field("true_x_mm", "mm"), Field("true_z_mm", "mm"), Field("true_diameter_mm", "mm"),
        Field("true_contrast_db", "dB"), Field("x_mm", "mm"), Field("z_mm", "mm"), Field("diameter_mm", "mm"),
        Field("contrast_db", "dB"), Field("cnr", ""), Field("seen", ""),
    ),
    "across": (Field("picture", ""), Field("at_mm", "mm"), Field("level_db", "dB"), Field("n", "")),
    "depths": (Field("picture", ""), Field("at_mm", "mm"), Field("level_db", "dB"), Field("n", ""), Field("air", "")),
}  # fmt: skip
FIGURES: Mapping[str, tuple[str, str]] = {
    **{
        name: entry
        for way in DIRECTIONS
        for name, entry in {
            f"{way}_scale_percent": ("%", f"{way} distances: slope of shown on true, less one"),
            f"{way}_residual_mm": ("mm", f"{way} distances: largest departure from the line"),
            f"{way}_error_mm": ("mm", f"{way} distances: largest error"),
        }.items()
    },
    "axial_intercept_mm": ("mm", "shown depth at a true depth of zero (stand-off of the face included)"),
    "sound_speed_m_s": ("m/s", "speed of sound in the gel, as the scanner's depths have it"),
    "sound_speed_error_percent": ("%", "speed of sound, as the scanner has it, against the block's own"),
    "axial_fwhm_mm": ("mm", "axial width of a wire (-6 dB), mean over depth"),
    "lateral_fwhm_mm": ("mm", "lateral width of a wire (-6 dB) at the reference depth"),
    "lateral_fwhm_widest_mm": ("mm", "lateral width of a wire (-6 dB), widest of all depths"),
    "uniformity_dip_db": ("dB", "deepest dip along the face below its neighbours"),
    "penetration_mm": ("mm", "depth of penetration"),
    "cyst_contrast_db": ("dB", "contrast of the largest cysts"),
    "cyst_cnr": ("", "contrast to noise of the largest cysts"),
    "cyst_smallest_mm": ("mm", "smallest cyst that is seen"),
    "grey_error_db": ("dB", "largest error of a grey target's contrast"),
    "dead_zone_mm": ("mm", "shallowest wire that is apart from the main bang"),
    "unseen_share": ("", "wires of column and rows that were not found"),
}


def evaluate(tables: Tables, parameters: Parameters) -> Outcome:
    """All figures; of structures that no picture shows the figure is left open."""
    faults = [fault for name, columns in NEEDED.items() for fault in _unusable(name, tables.get(name), columns)]
    if faults:
        return Outcome((), invalid="; ".join(faults))
    block, wires = tables["block"].iloc[0], tables["wires"]
    found = wires[wires.found > 0.5]
    ways = distances(found, float(block.position_u_mm))
    figures = [figure for name, way in ways.items() for figure in _of_distances(name, way)]
    zero = depth_intercept(found, float(block.position_u_mm))
    if zero is None:
        figures.append(_figure("axial_intercept_mm", None, why="fewer than three wires of the column were found"))
    else:
        figures.append(_figure("axial_intercept_mm", *zero, ways["axial"].wires_n if ways["axial"] else 0))
    figures += _speed(ways["axial"], float(block.sound_speed_m_s), float(block.sound_speed_u_m_s), block.assumed_m_s)
    reference_mm = float(parameters["resolution_depth_mm"])  # type: ignore[arg-type]
    widths, curve = _widths(found, reference_mm)
    dip, profile = _uniformity(tables["across"])
    depth, levels = _penetration(tables["depths"])
    figures += [*widths, dip, depth, *_cysts(tables.get("discs")), _dead_zone(wires)]
    lined = wires[wires.kind.isin([KINDS.index("column"), KINDS.index("row")])]
    unseen = int(np.sum(lined.found < 0.5))
    figures.append(share_of("unseen_share", FIGURES["unseen_share"][1], unseen, len(lined)))
    notes = [f"{int(tables['places'].picture.nunique())} pictures of {len(set(tables['places'].view_x_mm))} views"]
    if block.unverified_n:
        notes.append(
            f"{int(block.unverified_n)} entries of the block's layout were not compared with the block (its file says "
            "which): errors of the layout count as errors of the scanner"
        )
    notes.append("widths are those of a fitted Gaussian, and all levels take grey as proportional to decibels")
    notes.append("electrical safety is not covered")
    extra: dict[str, object] = {"widths": curve, "across": profile, "depths": levels}
    return Outcome(tuple(figures), tuple(notes), extra=extra)


def _unusable(name: str, table: DataFrame | None, columns: Sequence[str]) -> list[str]:
    """Columns of a table that hold no numbers of a picture, in words."""
    if table is None:
        return []
    if name == "wires":
        table = table[table.found > 0.5]
    bad = [c for c in columns if not np.all(np.abs(table[c].to_numpy(float)) <= MOST)]
    if name == "block" and not bad and not (table.sound_speed_m_s.iloc[0] > 0.0 and table.assumed_m_s.iloc[0] > 0.0):
        bad = ["sound_speed_m_s and assumed_m_s, which are speeds,"]
    return [f"{name}: {', '.join(bad)} hold no numbers that a picture of a block gives"] if bad else []


def _figure(name: str, value: float | None, u: float | None = None, n: int = 0, why: str = "") -> Figure:
    unit, words = FIGURES[name]
    return Figure(name, words, None if value is None or not math.isfinite(value) else value, unit, u, n, why)


def _of_distances(name: str, way: Distances | None) -> list[Figure]:
    names = [f"{name}_{what}" for what in ("scale_percent", "residual_mm", "error_mm")]
    if way is None:
        return [_figure(n, None, why="fewer than three wires in this direction were found") for n in names]
    values = (
        (100 * (way.slope - 1), 100 * way.u_slope),
        (way.residual_mm, way.u_distance_mm), (way.error_mm, way.u_distance_mm),
    )  # fmt: skip
    return [_figure(n, v, u, way.wires_n) for n, (v, u) in zip(names, values, strict=True)]


def _speed(way: Distances | None, true_m_s: float, u_m_s: float, assumed_m_s: float) -> list[Figure]:
    if way is None:
        why = "it follows from axial distances, which were not found"
        return [_figure(n, None, why=why) for n in ("sound_speed_m_s", "sound_speed_error_percent")]
    shown = assumed_m_s / way.slope
    u_shown = shown * way.u_slope / way.slope
    error, u_error = 100 * (shown / true_m_s - 1), 100 * math.hypot(u_shown / true_m_s, u_m_s / true_m_s)
    return [
        _figure("sound_speed_m_s", shown, u_shown, way.wires_n),
        _figure("sound_speed_error_percent", error, u_error, way.wires_n),
    ]


def _widths(found: DataFrame, reference_mm: float) -> tuple[list[Figure], dict[str, list[float]]]:
    """Widths of isolated wires by depth, and at the reference depth."""
    alone = found[(found.isolated > 0.5) & np.isfinite(found.axial_mm)]
    rows = []
    for _, one in alone.groupby(["true_x_mm", "true_z_mm"]):
        error = [float(one[c].std(ddof=1) / math.sqrt(len(one))) if len(one) > 1 else math.nan for c in
                 ("axial_mm", "lateral_mm")]  # fmt: skip
        rows.append((float(one.range_mm.mean()), float(one.axial_mm.mean()), float(one.lateral_mm.mean()), *error))
    rows.sort()
    names = ("axial_fwhm_mm", "lateral_fwhm_mm", "lateral_fwhm_widest_mm")
    curve = {k: [r[i] for r in rows] for i, k in enumerate(("range_mm", "axial_mm", "lateral_mm"))}
    if len(rows) < 3:
        return [_figure(n, None, why="fewer than three wires stand alone in the picture") for n in names], curve
    depth, axial, lateral, _, u_lateral = np.array(rows).T
    n = len(rows)
    u_mean = float(np.std(axial, ddof=1) / math.sqrt(n))
    widest = int(np.argmax(lateral))
    if not depth[0] <= reference_mm <= depth[-1]:
        why = f"no wires on both sides of {reference_mm:g} mm"
        at_reference = _figure("lateral_fwhm_mm", None, why=why)
    else:
        # A straight line through the wires around the reference depth: single wires lie on their own speckle.
        near = np.argsort(np.abs(depth - reference_mm), kind="stable")[: min(n, 5)]
        line = np.polyfit(depth[near] - reference_mm, lateral[near], 1)
        rest = lateral[near] - np.polyval(line, depth[near] - reference_mm)
        u = float(np.sqrt(np.sum(rest**2) / max(len(near) - 2, 1) / len(near)))
        at_reference = _figure("lateral_fwhm_mm", float(line[1]), u, len(near))
    return [
        _figure("axial_fwhm_mm", float(axial.mean()), u_mean, n),
        at_reference,
        _figure("lateral_fwhm_widest_mm", float(lateral[widest]), _known(u_lateral[widest]), 1,
                f"at {depth[widest]:.0f} mm"),
    ], curve  # fmt: skip


def _known(u: float) -> float | None:
    return float(u) if math.isfinite(u) else None


def _uniformity(across: DataFrame) -> tuple[Figure, dict[str, list[float]]]:
    """Dip of the mean power along the face; its uncertainty comes from the spread between pictures."""
    table = across.assign(power=10 ** (across.level_db / 10) * across.n)
    sums = table.groupby("at_mm")[["power", "n"]].sum()
    at, mean = sums.index.to_numpy(float), (sums.power / sums.n).to_numpy(float)
    if len(at) < 8:
        return _figure("uniformity_dip_db", None, why="too little plain gel near the face"), {}
    smooth = np.convolve(np.pad(mean, SMOOTH_N // 2, mode="edge"), np.ones(SMOOTH_N) / SMOOTH_N, mode="valid")
    level = 10 * np.log10(smooth)
    dips = np.full(len(at), -math.inf)
    for k in range(len(at)):
        sides = []
        for sign in (-1, 1):
            away = sign * (at - at[k])
            side = level[(away >= NEIGHBOURS_MM[0]) & (away <= NEIGHBOURS_MM[1])]
            if len(side):
                sides.append(float(np.median(side)))
        if len(sides) == 2:
            dips[k] = min(sides) - level[k]
    worst = int(np.argmax(dips))
    spread = across[np.abs(across.at_mm - at[worst]) <= SMOOTH_N / 2].level_db
    u = float(spread.std(ddof=1) / math.sqrt(len(spread))) if len(spread) > 1 else None
    why = f"at {at[worst]:.1f} mm from the middle of the face"
    return _figure("uniformity_dip_db", float(dips[worst]), u, int(across.picture.nunique()), why), {
        "at_mm": at.tolist(), "level_db": level.tolist(),
    }  # fmt: skip


def _penetration(depths: DataFrame) -> tuple[Figure, dict[str, list[float]]]:
    """Deepest depth at which the gel still stands above the noise of the pictures taken in air."""

    def levels(part: DataFrame) -> tuple[Array, Array]:
        sums = part.assign(power=10 ** (part.level_db / 10) * part.n).groupby("at_mm")[["power", "n"]].sum()
        return sums.index.to_numpy(float), 10 * np.log10((sums.power / sums.n).to_numpy(float))

    gel_at, gel = levels(depths[depths.air < 0.5])
    curve = {"at_mm": gel_at.tolist(), "gel_db": gel.tolist()}
    air = depths[depths.air > 0.5]
    if not len(air):
        return _figure("penetration_mm", None, why="no picture was taken in air, so the noise is not known"), curve
    air_at, noise = levels(air)
    curve |= {"air_at_mm": air_at.tolist(), "air_db": noise.tolist()}
    use = (gel_at > RING_MM) & (gel_at <= air_at.max())
    above = gel[use] - np.interp(gel_at[use], air_at, noise) >= SIGNAL_DB
    at, pitch = gel_at[use], float(np.median(np.diff(gel_at)))
    if not len(at) or not above[0]:
        return _figure("penetration_mm", None, why="the gel does not stand above the noise anywhere"), curve
    lost = np.flatnonzero(~above)
    deepest = at[-1] if not len(lost) else at[lost[0] - 1]
    why = "" if len(lost) else "the whole depth shown: the setting is too shallow to find the end"
    return _figure("penetration_mm", float(deepest + pitch / 2), pitch / math.sqrt(3), len(at), why), curve


def _cysts(discs: DataFrame | None) -> list[Figure]:
    names = ("cyst_contrast_db", "cyst_cnr", "cyst_smallest_mm")
    if discs is None or not len(discs):
        why = "no cyst or grey target lies in the pictures"
        return [_figure(n, None, why=why) for n in (*names, "grey_error_db")]
    cysts, grey = discs[~np.isfinite(discs.true_contrast_db)], discs[np.isfinite(discs.true_contrast_db)]
    figures = []
    if len(cysts):
        large = cysts[cysts.true_diameter_mm == cysts.true_diameter_mm.max()]
        n = len(large)
        for name, column in (("cyst_contrast_db", "contrast_db"), ("cyst_cnr", "cnr")):
            u = float(large[column].std(ddof=1) / math.sqrt(n)) if n > 1 else None
            figures.append(_figure(name, float(large[column].mean()), u, n))
        shares = cysts.groupby("true_diameter_mm").seen.mean()
        seen = [float(d) for d, share in shares.items() if share >= SEEN_SHARE]
        smallest = min(seen) if seen else None
        figures.append(_figure("cyst_smallest_mm", smallest, 0.0, len(cysts), "" if seen else "no cyst is seen"))
    else:
        figures += [_figure(n, None, why="no cyst lies in the pictures") for n in names]
    if len(grey):
        off = grey.assign(off=grey.contrast_db - grey.true_contrast_db).groupby(["true_x_mm", "true_z_mm"]).off
        means, errors = off.mean(), off.std(ddof=1) / np.sqrt(off.count())
        worst = means.abs().idxmax()
        figures.append(_figure("grey_error_db", abs(float(means[worst])), _known(float(errors[worst])), len(grey)))
    else:
        figures.append(_figure("grey_error_db", None, why="the block has no grey target in these pictures"))
    return figures


def _dead_zone(wires: DataFrame) -> Figure:
    name = "dead_zone_mm"
    near = wires[wires.kind == KINDS.index("dead_zone")]
    if not len(near):
        return _figure(name, None, why="no wire of the dead zone lies in the pictures")
    rows = []
    for (_, z), one in near.groupby(["true_x_mm", "true_z_mm"]):
        ok = one[(one.found > 0.5) & (one.apart > 0.5)]
        rows.append((float(z), len(ok) >= SEEN_SHARE * len(one), float(ok.range_mm.min()) if len(ok) else math.nan))
    rows.sort(reverse=True)
    value, why = math.nan, "the shallowest wire of the block is seen"
    for _, seen, depth in rows:
        if not seen:
            why = ""
            break
        value = min(value, depth) if math.isfinite(value) else depth
    if not math.isfinite(value):
        return _figure(name, None, why="no wire is apart from the main bang")
    return _figure(name, value, 0.1, len(near), why)


ULTRASOUND_BLOCK = Evaluation(
    name="ultrasound_block",
    words="distances, resolution, speed of sound, uniformity, penetration, cysts and dead zone on a QA block",
    tables=TABLES,
    figures=FIGURES,
    evaluate=evaluate,
    parameters={
        "block": ("qa_ks107bg", "the block: one that is shipped, or the path of its file"),
        "views_x_mm": (
            (0.0, 48.0, -62.0, -38.0),
            "where the probe stands along the window; first the column",
        ),
        "pictures": (4, "pictures of each view"),
        "step_mm": (3.0, "shift along the wires between two pictures, so that their speckle differs"),
        "lift_mm": (30.0, "how far the probe is lifted into air for the noise; 0: no picture in air"),
        "dynamic_range_db": (60.0, "of the display, black to white"),
        "resolution_depth_mm": (50.0, "depth of the lateral resolution"),
        "temperature_c": (22.0, "of the block, for its speed of sound"),
    },
    draw=draw,
    optional=frozenset({"discs"}),
    least={"views_x_mm": -500.0, "temperature_c": -50.0, "dynamic_range_db": 1.0},
)
