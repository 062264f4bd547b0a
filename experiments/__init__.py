"""Work done with a rig: studies and calibrations. The names below are for scripts and notebooks::

from experiments import study, technique

run = study("lumbar", techniques={"flat": technique("L4_IP_T", {"path.lateral_deg.preferred": 30.0})}).run()
run.trials.groupby("technique").tte_mm.median()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import experiments.rooms as _rooms  # noqa: F401 - first: from here on our rooms are found before folders of the user's
import hal as _hal  # noqa: F401 - before NumPy and its like: see hal.arithmetic

if TYPE_CHECKING:
    from experiments.procedures import measure, procedure
    from experiments.study_run import EndedEarly, StudyRun, compare
    from experiments.trial.own import OwnTrial, changed_mm2
    from experiments.varied import Varied, phantom, rig_file, technique
    from experiments.varied_study import VariedStudy, study

__all__ = [
    "EndedEarly",
    "OwnTrial",
    "StudyRun",
    "Varied",
    "VariedStudy",
    "changed_mm2",
    "compare",
    "measure",
    "phantom",
    "procedure",
    "rig_file",
    "study",
    "technique",
]
_STANDS_IN = {
    "OwnTrial": "trial.own", "changed_mm2": "trial.own", "measure": "procedures", "procedure": "procedures",
    "EndedEarly": "study_run", "StudyRun": "study_run", "compare": "study_run", "VariedStudy": "varied_study",
    "study": "varied_study", "Varied": "varied", "phantom": "varied", "rig_file": "varied", "technique": "varied",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _STANDS_IN:
        raise AttributeError(f"experiments has no {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"experiments.{_STANDS_IN[name]}"), name)


def __dir__() -> list[str]:
    return __all__
