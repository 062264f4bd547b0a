"""A target that no shipped technique has: the L3 root, reached in two stages with a plane opened 6 mm before it.

    phantomrig run new_target --trials 10

The procedure is the script's own: advance, open the plane with a little fluid, look, go on, inject.
"""

from experiments import OwnTrial, changed_mm2, compare, measure, procedure, study

L3 = {"id": "L3_IP", "name": "L3 root in two stages, in-plane", "level": "L3"}
OPENED = measure("opened_mm2", "mm2", "area of the picture that the first fluid changed", at_least=2.0)
PRESSURE = measure("main_opening_kpa", "kPa", "opening pressure of the injection at the root", at_most=40.0)


@procedure("L4_IP_T", L3, measures=[OPENED, PRESSURE])
def in_two_stages(trial: OwnTrial) -> None:
    """Follow the steps of the shipped techniques, with a stop on the way."""
    trial.prepare()
    trial.find_level()
    trial.plan()
    trial.advance(short_of_mm=6.0)
    before = trial.look("before the plane was opened")
    trial.infuse(0.1)
    trial.measured("opened_mm2", changed_mm2(before, trial.look("after")))
    trial.advance()
    trial.measured("main_opening_kpa", trial.inject().opening_kpa)
    trial.withdraw()


named = {"study.id": "new_target", "study.title": "L3 root in two stages"}
run = study("lumbar", named, techniques={"L3_two_stages": in_two_stages}, criteria=[]).run()
print(run.trials[["side", "outcome", "tte_mm", "opened_mm2", "main_opening_kpa", "v_inj_ml"]])
compare(run, "opened_mm2").savefig("new_target.png", dpi=150, facecolor="white")
