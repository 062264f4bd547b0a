"""Gauges and bevels that bend differently: the error that remains when the needle is steered in plane to the L4 root.

    phantomrig run needle_gauges --trials 6

A rig holds one kind of needle, so that each is a run of its own; all are planned before the first one begins.
"""

import pandas as pd

from experiments import compare, rig_file, study, technique
from hal.phantom.needles import load_needle


def line_kpa_min_ml(name: str) -> float:
    """Resistance of the shipped line (tubing 0.34, 22G x 120 mm 2.8) with another needle, by Hagen-Poiseuille."""
    return 0.34 + 2.8 * load_needle(name).length_mm / 120.0 * (0.413 / load_needle(name).id_mm) ** 4


studies = {
    needle: study(
        "lumbar",
        {"study.id": needle, "study.title": f"{needle} at L4 in plane"},
        techniques={needle: technique("L4_IP_T", {"needle": needle})},
        rig=rig_file("simulated", {"needle.name": needle, "line.resistance_kpa_min_ml": line_kpa_min_ml(needle)}),
    )
    for needle in ("20G_tuohy_90", "22G_quincke_120", "22G_chiba_150", "22G_whitacre_119")
}
runs = {needle: one.run() for needle, one in studies.items()}
trials = pd.concat(run.trials for run in runs.values())
print(trials.groupby("technique", observed=True)[["angle_err_deg", "tte_mm", "n_passes", "p_peak_kpa"]].median())
compare(runs, "angle_err_deg").savefig("needle_gauges.png", dpi=150, facecolor="white")
