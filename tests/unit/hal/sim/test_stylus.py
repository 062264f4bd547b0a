"""The stylus in the simulated operator's hand, as a tracker sees it."""

from __future__ import annotations

import numpy as np
import pytest

from hal.clock import VirtualClock
from hal.errors import DeviceError
from hal.sim.bench import Bench, BenchSpec
from hal.sim.settings import sim_settings
from hal.types import Instruction, InstructionKind
from rig.config import load_config


def bench(**sim):
    config = load_config("simulated")
    graph = config.frames.graph()
    frames = {f"{n}ToRig": graph.get(n, "Rig") for n in ("Phantom", "Holder", "Carrier", "Tracker")}
    return Bench(BenchSpec(sim_settings(sim), frames, config.probe, "22G_quincke_120", 0.5), VirtualClock(), 7)


@pytest.fixture(scope="module")
def plain():
    return bench()


def touch(bench, *manner, seconds=0.0):
    bench.operator.begin(Instruction(InstructionKind.TOUCH, "touch", seconds, manner=manner))


def tips_until_answered(bench):
    """Tip in the Phantom frame every 0.05 s until the operator answers, (n, 3)."""
    out = []
    while bench.operator.poll() is None:
        pose = bench.world.stylus.pose_at(bench.clock.now_ns())
        out.append(pose[:3, :3] @ bench.world.stylus.tip_mm + pose[:3, 3])
        bench.clock.sleep(0.05)
    return np.array(out)


def test_no_tracker_reports_a_stylus_that_nobody_took(plain):
    assert set(plain.world.tracked(0)) == {"NeedleTipToTracker", "PhantomToTracker"}


def test_the_tip_rests_in_every_divot_that_was_named_and_in_no_other(plain):
    touch(plain, "fiducials", "F2", "F5", "F6")
    tips = tips_until_answered(plain)
    for name, at in plain.world.built.nominal.fiducials.items():
        resting = np.linalg.norm(tips - at, axis=1) < 0.6
        assert (resting.sum() * 0.05 > 2.5) == (name in ("F2", "F5", "F6")), name
    assert "StylusToTracker" in plain.world.tracked(plain.clock.now_ns())


def test_a_stop_freezes_the_stylus(plain):
    touch(plain, "fiducials")
    plain.clock.sleep(4.0)
    plain.operator.cancel()
    plain.clock.sleep(1.0)
    before = plain.world.stylus.pose_at(plain.clock.now_ns())
    plain.clock.sleep(3.0)
    assert np.array_equal(before, plain.world.stylus.pose_at(plain.clock.now_ns()))


def test_a_divot_that_is_not_there_cannot_be_touched(plain):
    with pytest.raises(DeviceError, match="no divot F9"):
        touch(plain, "fiducials", "F9")


def test_the_body_on_the_phantom_is_reported_where_the_bench_has_it():
    reference = {"translation_mm": (-80.0, 100.0, -20.0), "rotation_deg": (0.0, 0.0, 30.0)}
    exact = {"reference_mm": 0.0, "reference_deg": 0.0}
    with_body, without = bench(reference_body=reference), bench(placement=exact)
    a = without.world.tracked(0)["PhantomToTracker"]
    b = with_body.world.tracked(0)["PhantomToTracker"]
    ReferenceToPhantom = np.linalg.inv(a) @ b
    assert ReferenceToPhantom[:3, 3] == pytest.approx((-80.0, 100.0, -20.0), abs=1e-9)
    assert np.degrees(np.arctan2(ReferenceToPhantom[1, 0], ReferenceToPhantom[0, 0])) == pytest.approx(30.0)


def test_the_body_that_the_rig_file_takes_for_the_phantom_is_off_by_its_registration():
    exact = bench(placement={"reference_mm": 0.0, "reference_deg": 0.0}).world.tracked(0)
    in_sight = bench().world.tracked(0)
    assert np.array_equal(exact["NeedleTipToTracker"], in_sight["NeedleTipToTracker"])
    off_mm = np.linalg.norm((np.linalg.inv(exact["PhantomToTracker"]) @ in_sight["PhantomToTracker"])[:3, 3])
    assert 0.01 < off_mm < 0.5


def test_a_hidden_stylus_is_reported_as_not_seen_while_the_body_is():
    hidden = bench(faults=[{"device": "tracker", "kind": "hidden", "from_s": 0.0, "to_s": 1.0}])
    touch(hidden, "pivot", seconds=5.0)
    core = next(d.core for d in hidden.cores() if d.role == "tracker")
    seen = core._port.tracked(0)
    assert seen["StylusToTracker"] is None and seen["PhantomToTracker"] is not None
    assert core._port.tracked(2_000_000_000)["StylusToTracker"] is not None
