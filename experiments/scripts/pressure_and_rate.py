"""Pressure against rate and viscosity: what does a faster injection, or a thicker fluid, ask of the line and the gel?

    phantomrig run pressure_and_rate --trials 6

Every fluid is a run of its own, planned before the first one begins; the landmark arm serves, since no picture is
needed. Leaves pressure_and_rate.png.
"""

import pandas as pd

from experiments import compare, rig_file, study, technique

LINE_KPA_MIN_ML = 3.14
"""Of the shipped line and needle with water; it grows with the viscosity."""
rates = {
    f"{rate:g}_ml_min": technique("L4_LM", {"injection.rate_ml_min": rate, "injection.test_ml": 0.1})
    for rate in (1.0, 2.0, 3.0)
}
studies = {
    name: study(
        "lumbar",
        {"study.id": name, "study.title": f"Pressure against rate, {name}"},
        techniques=rates,
        rig=rig_file("simulated", {"sim.viscosity_mpa_s": by, "line.resistance_kpa_min_ml": by * LINE_KPA_MIN_ML}),
    )
    for name, by in (("water", 1.0), ("suspension", 2.0))
}
runs = {name: one.run() for name, one in studies.items()}
trials = pd.concat(run.trials.assign(fluid=name) for name, run in runs.items())
print(trials.groupby(["fluid", "technique"], observed=True)[["p_open_kpa", "p_peak_kpa", "v_inj_ml"]].median())
compare(runs, "p_peak_kpa").savefig("pressure_and_rate.png", dpi=150, facecolor="white")
