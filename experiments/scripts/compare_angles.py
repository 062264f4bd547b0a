"""L4 in plane at three angles: does the tip come equally near to its aim when the needle lies flatter?

    phantomrig run compare_angles --trials 10

Leaves the run folder with its report, and compare_angles.png where it was started.
"""

from experiments import study, technique

angles = {
    f"at_{deg}": technique("L4_IP_T", {"path.lateral_deg": {"preferred": deg, "lo": deg - 2, "hi": deg + 2}})
    for deg in (30, 37, 44)
}
named = {"study.id": "compare_angles", "study.title": "L4 in plane at three angles"}
run = study("lumbar", named, techniques=angles).run()
print(run.trials.groupby("technique")[["tte_mm", "angle_err_deg", "n_passes", "t_needle_s"]].median())
run.figure("errors").savefig("compare_angles.png", dpi=150, facecolor="white")
