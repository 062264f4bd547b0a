"""A person against the robot: the same technique, with the needle in a hand that follows instructions from the image.

    phantomrig run freehand_and_robot --trials 10

Two rigs, hence two runs, planned before the first one begins; both have the same reference instrument.
"""

import pandas as pd

from experiments import compare, study

rigs = {"robot": "simulated", "freehand": "freehand"}
studies = {
    who: study(
        "lumbar",
        {"study.id": who, "study.title": f"L4 in plane, needle held by: {who}"},
        techniques=["L4_IP_T"],
        rig=rig,
    )
    for who, rig in rigs.items()
}
runs = {who: one.run() for who, one in studies.items()}
trials = pd.concat(run.trials for run in runs.values())
print(trials.groupby("guidance", observed=True)[["tte_mm", "n_passes", "n_redirections", "t_needle_s"]].median())
compare(runs).savefig("freehand_and_robot.png", dpi=150, facecolor="white")
