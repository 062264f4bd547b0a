"""A simulated trial of a study: for the rehearsal before devices are watched, and for timing."""

from __future__ import annotations

import resource
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.cartridge import CartridgeJob, anatomy, run_cartridge
from experiments.protocol.plan import plan
from experiments.protocol.study import Study, narrowed
from experiments.request import copies_of
from hal.clock import NS_PER_S, WallClock
from hal.errors import DeviceError, RigError
from rig.config import load_config
from rig.record import RecordedPlan, RunFolder


@dataclass(frozen=True)
class SimulatedTrial:
    """One trial on the shipped simulated rig, sealed in a run folder."""

    run: Path
    virtual_s: float
    cpu_s: float
    wall_s: float
    frames_n: int


def run_trial(place: Path, study: Study) -> SimulatedTrial:
    """Run the first cartridge of a study on the shipped simulated rig, in this process, with a run folder in ``place``.

    Raises ``DeviceError`` when it did not come to its end.
    """
    clock = WallClock()
    config, techniques = load_config("simulated"), study.loaded()
    cartridge = plan(study, techniques)[0]
    run = RunFolder.create(place, "bench", clock, files=copies_of(study, config), seed=study.study.seed, simulated=True)
    run.plan(
        [
            RecordedPlan(
                t.trial_id, t.cartridge_id, t.technique, techniques[t.technique].approach(t.side), t.level, t.side,
                techniques[t.technique].plane, "robot", t.block, t.order_in_cartridge,
            )
            for t in cartridge.trials
        ]
    )  # fmt: skip
    job = CartridgeJob(run.path, cartridge, techniques, config, study.design.phantom, study.design.cartridge_age_h)
    cpu_s, start_ns = _cpu_s(), clock.now_ns()
    result = run_cartridge(job)
    cpu_s, wall_s = _cpu_s() - cpu_s, (clock.now_ns() - start_ns) / NS_PER_S
    if result.failure:
        raise DeviceError(f"the simulated trial did not end: {result.failure}", device="bench")
    run.adopt(cartridge.cartridge_id)
    run.devices(result.devices)
    run.seal("finished")
    frames_n = sum(int(str(row["frames_read"] or 0)) for row in RunFolder.open(run.path).rows)
    return SimulatedTrial(run.path, result.virtual_s, cpu_s, wall_s, frames_n)


def prepare_guidance(phantom: str) -> None:
    """Compute what guidance needs once per process and phantom."""
    nominal = anatomy(phantom).phantom
    nominal.bone_distance(np.zeros((1, 3)))


def rehearse(study: Study) -> None:
    """Run a simulated trial of the study's first technique with ultrasound, so that everything is compiled and
    computed.

    On the wall clock whatever computes for seconds during a trial would keep the devices from being read, and an
    interlock would rightly stop the rig. How the rehearsal goes does not matter: its technique is judged elsewhere.
    """
    prepare_guidance(study.design.phantom)
    seen = [name for name, technique in study.loaded().items() if technique.plane != "landmark"]
    if seen:
        with tempfile.TemporaryDirectory(prefix="phantomrig-rehearsal-") as place, suppress(RigError):
            run_trial(Path(place), narrowed(study, trials=1, seed=None, techniques=(seen[0],)))


def _cpu_s() -> float:
    """User and system time of all threads of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
