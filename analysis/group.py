"""One approach or arm, summarised from its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from analysis import clusters, intervals
from analysis.quantity import Proportion, Quantity
from analysis.results import Group
from analysis.tables import DataFrame, Series, measured, words
from analysis.violations import VIOLATIONS

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


APART = ("interrupted", "device_fault")
"""Outcomes that count for no technique."""


def column(trials: DataFrame, name: str) -> NDArray[np.float64]:
    """Measured values of a number column, shape (n,); empty cells left out."""
    return np.asarray(measured(trials, name)[name].to_numpy(dtype=np.float64))


def closed(trials: DataFrame) -> DataFrame:
    """Trials that count. An interrupted one, ended by a person or by a fault of the program, is no failure of a
    technique; it is listed apart, and its study gives no verdict (``criteria.shortfall``) until a resumed run has
    repeated it. One that a device fault ended is no failure of a technique either; it is repeated as a trial of its
    own."""
    return trials[~trials["outcome"].isin(APART)]


def faulted(trials: DataFrame) -> DataFrame:
    """Trials that a device fault ended."""
    return trials[trials["outcome"] == "device_fault"]


def benches(trials: DataFrame) -> list[str]:
    """Bench of each trial; empty text where the record names none."""
    return list(words(trials, "bench", missing=""))


def holds_true(trials: DataFrame, name: str) -> NDArray[np.bool_]:
    """True where a cell says yes, shape (n,); an empty cell does not, nor does a column of another type."""
    if trials[name].dtype != "boolean":
        return np.zeros(len(trials), dtype=bool)
    return np.asarray(trials[name].fillna(False).to_numpy(dtype=bool))


def outward(trials: DataFrame, name: str) -> NDArray[np.float64]:
    """A signed error, shape (n,), with + = away from the midline on either side; NaN where it was not measured.

    The phantom's X points to its left, so ``err_x_mm`` of a right-sided trial is turned; the columns along the image
    axes are written that way already.
    """
    values = trials[name].to_numpy(dtype=np.float64)
    turned = (trials["side"] == "right").to_numpy(dtype=bool) & (name == "err_x_mm")
    return np.asarray(np.where(turned, -values, values))


def error_vectors(trials: DataFrame) -> NDArray[np.float64]:
    """Errors of shape (n, 3): away from the midline, cranial, deep (mm), so that sides can be pooled."""
    names = ("err_x_mm", "err_y_mm", "err_z_mm")
    found = trials.dropna(subset=list(names))
    return np.stack([outward(found, name) for name in names], axis=1)


def judged(trials: DataFrame, name: str, *, missing_counts: bool = True) -> Proportion:
    """Proportion of true cells; an empty cell is a failure, or left out with ``missing_counts=False``."""
    n = len(trials) if missing_counts else int(trials[name].notna().sum())
    return intervals.proportion(int(holds_true(trials, name).sum()), n)


def far_confirmations(trials: DataFrame) -> dict[str, Proportion]:
    """Per method the share of confirmed tips that truly were more than 2 mm away, with its one-sided upper bound.

    Confirmations of one trial share its errors: the bound goes by the trial. A trial without truth is left out.
    """
    found = {}
    for method in METHODS:
        pair = [f"n_confirm_far_{method}", f"n_confirm_{method}"]
        known = trials[pair].dropna()
        far, of = known[known[pair[1]] > 0].to_numpy(dtype=np.float64).T
        far_n, n = int(far.sum()), int(of.sum())
        if not n:
            found[method] = Proportion(0, 0, intervals.refused("", 0, "no confirmation whose truth is known"))
            continue
        bound = clusters.counted_bound(far, of, lower=False, what="trials")
        share = Quantity(far_n / n, "", n, hi=bound.value, level=bound.level, method=bound.method, note=bound.note)
        found[method] = Proportion(far_n, n, share)
    return found


def not_evaluated(trials: DataFrame) -> dict[str, int]:
    """Violation codes by the number of trials that could not have shown them.

    ``V1 (way)``: only the place where the tip came to rest could be judged.
    """
    listed = _parts(trials, "violations_evaluable")
    could = {code: trials.index.isin(listed.index[listed == code]) for code in (*VIOLATIONS, "V1 (tip)")}
    at_rest = could["V1 (tip)"] & ~could["V1"]
    missed = {code: ~could[code] for code in VIOLATIONS}
    missed = {"V1": missed.pop("V1") & ~at_rest, "V1 (way)": at_rest, **missed}
    return {code: int(cells.sum()) for code, cells in missed.items() if cells.any()}


def counts(values: Series) -> dict[str, int]:
    """How often each word occurs, by the word."""
    return {str(word): int(n) for word, n in values.value_counts().sort_index().items()}


def _parts(trials: DataFrame, name: str) -> Series:
    """Words of a column that lists them with ``;``, one row each under the index of their trial."""
    return words(trials, name, missing="").str.split(";").explode().str.strip()


def _listed(trials: DataFrame, name: str) -> dict[str, int]:
    parts = _parts(trials, name)
    return counts(parts[parts != ""])


def summarise(key: str, label: str, trials: DataFrame, planned_n: int, *, level: str, plane: str) -> Group:
    """Summarise the trials of one group; ``trials`` include the interrupted ones."""
    counted = closed(trials)
    errors = column(counted, "tte_mm")
    vectors = error_vectors(counted)
    bias, test = intervals.bias_vector(vectors, "mm")
    names = sorted(set(words(trials, "guidance", missing="")) - {""})

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
        interrupted_n=int((trials["outcome"] == "interrupted").sum()),
        device_fault_n=len(faulted(trials)),
        evaluated_n=len(errors),
        truth_missing_n=int((counted["outcome"] == "truth_missing").sum()),
        outcomes=counts(words(trials, "outcome")),
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
        hold_reasons=_listed(counted, "hold_reasons"),
        violations=_listed(counted, "violations"),
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
