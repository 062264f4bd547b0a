"""Fingers that look for a spinous process: how often they find which one."""

from __future__ import annotations

from collections import Counter

import pytest

from hal.clock import VirtualClock
from hal.sim.bench import Bench, BenchSpec
from hal.sim.operator import SimulatedOperator, profile
from hal.sim.settings import sim_settings
from hal.types import Instruction, InstructionKind
from rig.config import load_config

N = 400


@pytest.fixture(scope="module")
def bench():
    config = load_config("simulated")
    graph = config.frames.graph()
    frames = {f"{n}ToRig": graph.get(n, "Rig") for n in ("Phantom", "Holder", "Carrier", "Tracker")}
    return Bench(BenchSpec(sim_settings({}), frames, config.probe, "22G_quincke_120", 0.5), VirtualClock(), 7)


@pytest.mark.parametrize("who", ["expert", "intermediate", "novice"])
@pytest.mark.parametrize(("asked", "above", "below"), [("L5", "L4", "S1"), ("L4", "L3", "L5")])
def test_a_level_is_found_and_missed_as_often_as_the_profile_says(bench, who, asked, above, below):
    person = profile(who)
    operator = SimulatedOperator(bench.world, person, bench.clock, 11)
    places = {level: float(operator._spinous(level)[1]) for level in ("L2", "L3", "L4", "L5", "S1")}
    found = Counter()
    for _ in range(N):
        operator.begin(Instruction(InstructionKind.PALPATE, "feel", manner=(f"{asked}.spinous",)))
        while operator.poll() is None:
            bench.clock.sleep(1.0)
        found[min(places, key=lambda level: abs(places[level] - float(operator._mark[1])))] += 1
    sd = 0.5 / N**0.5
    wrong = 1.0 - person.palpation_right - person.palpation_cranial
    assert found[asked] / N == pytest.approx(person.palpation_right, abs=3.5 * sd)
    assert found[above] / N == pytest.approx(person.palpation_cranial, abs=3.5 * sd)
    assert found[below] / N == pytest.approx(wrong, abs=3.5 * sd)


def test_below_l5_a_finger_feels_the_sacral_crest(bench):
    operator = SimulatedOperator(bench.world, profile("expert"), bench.clock, 11)
    crest = bench.world.built.nominal.landmarks["S1.median_crest"]
    assert operator._spinous("S1") == pytest.approx(crest, abs=3.0)
