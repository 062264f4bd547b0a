"""One approach or arm, summarised from its trial rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis import clusters, intervals
from analysis.results import Group, Proportion, Quantity
from analysis.violations import VIOLATIONS
from rig.record import Row

PLANES: Mapping[str, str] = {
    "in_plane": "in-plane",
    "out_of_plane": "out-of-plane",
    "landmark": "landmark",
}
"""Needle planes in the order of all tables, with the words of the report."""
COMPONENTS: Mapping[str, str] = {
    "lateral": "tte_lat_mm",
    "axial": "tte_axial_mm",
    "in-plane": "err_inplane_mm",
    "elevational": "err_elevational_mm",
    "depth": "err_depth_mm",
}
METHODS = ("direct", "motion", "fluid")
"""Ways to confirm the tip."""
TIMES: Mapping[str, str] = {"scan": "t_scan_s", "needle": "t_needle_s", "total": "t_total_s"}


def column(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    """Measured values of a number column, shape (n,); empty cells left out."""
    values = [row[name] for row in rows]
    return np.array([float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)])


def closed(rows: Sequence[Row]) -> list[Row]:
    """Trials that count. An interrupted one, ended by a person or by a fault of the program, is no failure of a
    technique; it is listed apart, and its study gives no verdict (``criteria.shortfall``) until a resumed run has
    repeated it. One that a device fault ended is no failure of a technique either; it is repeated as a trial of its
    own."""
    return [row for row in rows if row["outcome"] not in ("interrupted", "device_fault")]


def faulted(rows: Sequence[Row]) -> list[Row]:
    """Trials that a device fault ended."""
    return [row for row in rows if row["outcome"] == "device_fault"]


def benches(rows: Sequence[Row]) -> list[str]:
    """Bench of each row; empty text where the record knows of none."""
    return [str(row["bench"] or "") for row in rows]


def outward(row: Row, name: str) -> float:
    """A signed error with + = away from the midline on either side.

    The phantom's X points to its left, so ``err_x_mm`` of a right-sided trial is turned; the columns along the image
    axes are written that way already.
    """
    value = float(str(row[name]))
    return -value if name == "err_x_mm" and row["side"] == "right" else value


def error_vectors(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Errors of shape (n, 3): away from the midline, cranial, deep (mm), so that sides can be pooled."""
    found = []
    for row in rows:
        x, y, z = row["err_x_mm"], row["err_y_mm"], row["err_z_mm"]
        if isinstance(x, float) and isinstance(y, float) and isinstance(z, float):
            found.append((outward(row, "err_x_mm"), y, z))
    return np.array(found, dtype=np.float64).reshape(len(found), 3)


def judged(rows: Sequence[Row], name: str, *, missing_counts: bool = True) -> Proportion:
    """Share of true cells; an empty cell is a failure, or left out with ``missing_counts=False``."""
    values = [row[name] for row in rows if missing_counts or row[name] is not None]
    return intervals.proportion(sum(value is True for value in values), len(values))


def far_confirmations(rows: Sequence[Row]) -> dict[str, Proportion]:
    """Per method the share of confirmed tips that truly were more than 2 mm away, with its one-sided upper bound.

    Confirmations of one trial share its errors: the bound goes by the trial. A row without truth is left out.
    """
    found = {}
    for method in METHODS:
        known = [row for row in rows if isinstance(row[f"n_confirm_far_{method}"], int)]
        pairs = [(int(str(row[f"n_confirm_far_{method}"])), int(str(row[f"n_confirm_{method}"]))) for row in known]
        pairs = [(far, n) for far, n in pairs if n]
        far_n, n = sum(far for far, _ in pairs), sum(n for _, n in pairs)
        if not n:
            found[method] = Proportion(0, 0, intervals.refused("", 0, "no confirmation whose truth is known"))
            continue
        bound = clusters.counted_bound(
            np.array([float(far) for far, _ in pairs]), np.array([float(k) for _, k in pairs]), lower=False,
            what="trials",
        )  # fmt: skip
        share = Quantity(far_n / n, "", n, hi=bound.value, level=bound.level, method=bound.method, note=bound.note)
        found[method] = Proportion(far_n, n, share)
    return found


def not_evaluated(rows: Sequence[Row]) -> dict[str, int]:
    """Violation codes by the number of trials that could not have shown them.

    ``V1 (way)``: only the place where the tip came to rest could be judged.
    """
    found: Counter[str] = Counter()
    for row in rows:
        could = {part.strip() for part in str(row["violations_evaluable"] or "").split(";")}
        for code in VIOLATIONS:
            if code not in could:
                found["V1 (way)" if code == "V1" and "V1 (tip)" in could else code] += 1
    return {code: found[code] for code in ("V1", "V1 (way)", *tuple(VIOLATIONS)[1:]) if found[code]}


def _split(rows: Sequence[Row], name: str) -> dict[str, int]:
    parts = Counter(part.strip() for row in rows for part in str(row[name] or "").split(";") if part.strip())
    return dict(sorted(parts.items()))


def summarise(key: str, label: str, rows: Sequence[Row], planned_n: int, *, level: str, plane: str) -> Group:
    """Summarise the trials of one group; ``rows`` include the interrupted ones."""
    counted = closed(rows)
    errors = column(counted, "tte_mm")
    vectors = error_vectors(counted)
    bias, test = intervals.bias_vector(vectors, "mm")
    names = sorted({str(row["guidance"]) for row in rows if row["guidance"]})

    def numbers(name: str) -> NDArray[np.float64]:
        return column(counted, name)

    def total(name: str) -> int:
        return int(numbers(name).sum())

    spread: Callable[[int], Quantity] = lambda k: intervals.spread(vectors[:, k], "mm")  # noqa: E731
    bias_values = [b.value for b in bias if b.value is not None]
    length = (
        Quantity(float(np.linalg.norm(bias_values)), "mm", len(vectors), note="length of the mean error")
        if len(bias_values) == 3
        else intervals.refused("mm", 0, "not measured")
    )
    return Group(
        key=key,
        label=label,
        level=level,
        plane=plane,
        guidance=", ".join(names),
        planned_n=planned_n,
        closed_n=len(counted),
        interrupted_n=sum(row["outcome"] == "interrupted" for row in rows),
        device_fault_n=len(faulted(rows)),
        evaluated_n=len(errors),
        truth_missing_n=sum(row["outcome"] == "truth_missing" for row in counted),
        outcomes=dict(sorted(Counter(str(row["outcome"]) for row in rows).items())),
        bias=bias,
        bias_length=length,
        bias_test=test,
        sd=(spread(0), spread(1), spread(2)),
        mean=intervals.mean(errors, "mm"),
        rms=intervals.rms(errors, "mm"),
        median=intervals.quantile(errors, 0.5, "mm"),
        p95=intervals.quantile(errors, 0.95, "mm"),
        largest=intervals.largest(errors, "mm"),
        tolerance=intervals.tolerance_bound(errors, "mm"),
        components={name: intervals.mean(numbers(cells), "mm") for name, cells in COMPONENTS.items()},
        component_sd={name: intervals.spread(numbers(cells), "mm") for name, cells in COMPONENTS.items()},
        success=judged(counted, "success"),
        placement=judged(counted, "placement_success"),
        spread=judged(counted, "spread_success", missing_counts=False),
        first_pass=judged(counted, "first_pass_success"),
        level_correct=judged(counted, "level_correct"),
        times={name: intervals.quantile(numbers(cells), 0.5, "s") for name, cells in TIMES.items()},
        passes=intervals.mean(numbers("n_passes"), ""),
        redirections=intervals.mean(numbers("n_redirections"), ""),
        punctures=intervals.mean(numbers("n_skin_punctures"), ""),
        holds=intervals.mean(numbers("n_holds"), ""),
        hold_reasons=_split(counted, "hold_reasons"),
        violations=_split(counted, "violations"),
        tip_confirmed=intervals.mean(numbers("tip_confirmed_frac"), ""),
        tip_visible=intervals.mean(numbers("tip_visible_frac"), ""),
        confirmations={name: total(f"n_confirm_{name}") for name in METHODS},
        far_confirmations=far_confirmations(counted),
        reference_error=intervals.rms(numbers("reference_err_mm"), "mm"),
        image_tip_error=intervals.rms(numbers("image_tip_err_mm"), "mm"),
        aim_error=intervals.rms(numbers("aim_err_mm"), "mm"),
        steer_error=intervals.rms(numbers("steer_err_mm"), "mm"),
        peak_pressure=intervals.quantile(numbers("p_peak_kpa"), 0.5, "kPa"),
        peak_force=intervals.quantile(numbers("force_peak_n"), 0.5, "N"),
    )
