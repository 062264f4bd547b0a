"""Cost of one closed-loop trial on this machine: processor time, pace, frames, and the time of its report."""

from __future__ import annotations

import tempfile
from pathlib import Path

from analysis.report.make import make_report
from experiments.messages import say
from experiments.protocol.study import load_study, narrowed
from experiments.rehearsal import prepare_guidance, run_trial
from hal.clock import NS_PER_S, WallClock

STUDY = "lumbar"
TECHNIQUE = "L4_IP_T"


def measure_trial() -> dict[str, float]:
    """Run one in-plane trial on the shipped simulated rig in a temporary folder and make its report.

    Keys: ``trial_setup_s`` (phantom prepared for guidance, once per process), ``trial_cpu_s`` (one core),
    ``trial_wall_s``, ``trial_virtual_s``, ``trial_realtime_factor``, ``frames_per_trial``, ``report_s``. Pouring the
    cartridge is part of the trial.
    """
    clock = WallClock()
    study = narrowed(load_study(STUDY), trials=1, seed=None, techniques=(TECHNIQUE,))
    start_ns = clock.now_ns()
    prepare_guidance(study.design.phantom)
    setup_ns = clock.now_ns() - start_ns
    with tempfile.TemporaryDirectory(prefix="phantomrig-bench-") as place:
        trial = run_trial(Path(place), study)
        start_ns = clock.now_ns()
        make_report(trial.run, say)
        report_ns = clock.now_ns() - start_ns
    return {
        "trial_setup_s": setup_ns / NS_PER_S,
        "trial_cpu_s": trial.cpu_s,
        "trial_wall_s": trial.wall_s,
        "trial_virtual_s": trial.virtual_s,
        "trial_realtime_factor": trial.virtual_s / trial.wall_s,
        "frames_per_trial": float(trial.frames_n),
        "report_s": report_ns / NS_PER_S,
    }
