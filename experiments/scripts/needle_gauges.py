"""How far needles of several gauges and bevels bend away from a planned path that nobody corrects (L4 by landmarks).

    phantomrig run needle_gauges --trials 6

A rig holds one kind of needle, so that each is a run of its own; all are planned before the first one begins.
"""

import pandas as pd

from experiments import compare, rig_file, study, technique

NEEDLES = ("20G_tuohy_90", "22G_quincke_120", "22G_chiba_150", "25G_quincke_127", "25G_whitacre_90")
studies = {
    needle: study(
        "lumbar",
        {"study.id": needle, "study.title": f"Bending of {needle} without steering"},
        techniques={needle: technique("L4_LM", {"needle": needle})},
        rig=rig_file("simulated", {"needle.name": needle}),
    )
    for needle in NEEDLES
}
runs = {needle: one.run() for needle, one in studies.items()}
trials = pd.concat(run.trials for run in runs.values())
print(trials.groupby("technique")[["angle_err_deg", "tte_lat_mm", "force_peak_n"]].median())
compare(runs, "angle_err_deg").savefig("needle_gauges.png", dpi=150, facecolor="white")
