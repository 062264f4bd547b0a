"""Pressure against rate and viscosity: what does a faster injection, or a thicker fluid, ask of the line and the gel?

    phantomrig run pressure_and_rate --trials 6

Every fluid is a run of its own, planned before the first one begins; the landmark arm serves, since no picture is
needed. At the tip (``p_peak_kpa``) the loss in the line is taken off; the sensor in the line feels both.
"""

import pandas as pd

from experiments import rig_file, study, technique

LINE_KPA_MIN_ML = 3.14
"""Resistance of the shipped line and needle with water; it grows with the viscosity."""
rates = {f"{rate:g}": technique("L4_LM", {"injection.rate_ml_min": rate}) for rate in (1.0, 2.0, 3.0)}
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
line = pd.concat({name: run.stream("injection").groupby("trial_id").sensor_kpa.max() for name, run in runs.items()})
trials = pd.concat({name: run.trials.set_index("trial_id") for name, run in runs.items()}, names=["fluid"])
table = trials.assign(line_kpa=line).groupby(["technique", "fluid"], observed=True)[["line_kpa", "p_peak_kpa"]].median()
print(table.unstack())
label = "SIMULATED " if all(run.simulated for run in runs.values()) else ""
axes = table.line_kpa.unstack().plot(marker="o", xlabel="rate (mL/min)", ylabel="median peak in the line (kPa)")
axes.set_title(f"{label}pressure against rate, {len(trials)} trials")
axes.figure.savefig("pressure_and_rate.png", dpi=150)
