"""The randomised list: blocks, cartridges and benches follow from the study file and the seed alone."""

import pytest

from experiments.protocol.plan import PlannedCartridge, plan
from experiments.protocol.study import Study, load_study, narrowed
from experiments.run import check_rig
from hal.errors import ConfigError
from rig.config import RigConfig, load_config


def study(*, repeats: int = 3, benches: int = 1, seed: int = 1) -> Study:
    shipped = load_study("lumbar")
    design = shipped.design.model_dump() | {"repeats": repeats, "benches": benches}
    head = shipped.study.model_dump() | {"seed": seed}
    return Study.model_validate(shipped.model_dump() | {"design": design, "study": head})


def planned(*, repeats: int = 3, benches: int = 1, seed: int = 1) -> tuple[PlannedCartridge, ...]:
    asked = study(repeats=repeats, benches=benches, seed=seed)
    return plan(asked, asked.loaded())


def simulated(**sim: object) -> RigConfig:
    config = load_config("simulated")
    return config.model_copy(update={"sim": {**config.sim, **sim}})


def test_the_bench_follows_from_the_seed_of_the_study() -> None:
    assert planned(seed=1)[0].bench_seed == planned(seed=1)[0].bench_seed
    assert planned(seed=1)[0].bench_seed != planned(seed=2)[0].bench_seed


def test_all_cartridges_of_a_study_stand_on_one_bench_unless_it_asks_for_more() -> None:
    assert {(c.bench_id, c.bench_seed) for c in planned()} == {("B01", planned()[0].bench_seed)}


def test_each_bench_takes_whole_blocks_and_shares_no_cartridge() -> None:
    cartridges = planned(repeats=5, benches=2)
    blocks = {bench: {t.block for c in cartridges if c.bench == bench for t in c.trials} for bench in (1, 2)}
    assert blocks == {1: {1, 3, 5}, 2: {2, 4}}
    approaches: dict[tuple[int, int], list[str]] = {(c.bench, t.block): [] for c in cartridges for t in c.trials}
    for c in cartridges:
        for t in c.trials:
            approaches[c.bench, t.block].append(t.technique)
    assert all(sorted(found) == sorted(study().design.techniques) for found in approaches.values())


def test_every_bench_has_a_seed_of_its_own_that_is_no_cartridge_s() -> None:
    cartridges = planned(repeats=50, benches=50)
    benches = {c.bench: c.bench_seed for c in cartridges}
    assert len(set(benches.values())) == 50
    assert not set(benches.values()) & {c.seed for c in cartridges}


def test_more_benches_do_not_change_what_is_done() -> None:
    one, many = planned(repeats=4), planned(repeats=4, benches=4)
    flat = [sorted((t.block, t.technique, t.side) for c in found for t in c.trials) for found in (one, many)]
    assert flat[0] == flat[1]


def test_a_bench_without_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="each takes at least one whole block, and repeats is 3"):
        study(repeats=3, benches=4)


def test_a_study_narrowed_to_fewer_blocks_has_fewer_benches() -> None:
    assert narrowed(study(repeats=5, benches=4), trials=2, seed=None, techniques=()).design.benches == 2


def test_several_benches_on_a_rig_file_that_names_one_are_refused() -> None:
    asked = study(benches=2)
    with pytest.raises(ConfigError, match=r"asks for 2 benches, and sim\.bench_seed of the rig file"):
        check_rig(asked, simulated(bench_seed=7), asked.loaded())


def test_a_rig_file_may_name_the_bench_of_a_study() -> None:
    asked = study()
    check_rig(asked, simulated(bench_seed=7), asked.loaded())


def test_a_rig_without_an_emergency_stop_input_holds_no_study() -> None:
    asked, rig = load_study("lumbar"), load_config("simulated")
    check_rig(asked, rig, asked.loaded())
    bare = rig.model_copy(update={"safety": rig.safety.model_copy(update={"estop_inputs": ()})})
    with pytest.raises(ConfigError, match="no emergency-stop input, which every trial needs"):
        check_rig(asked, bare, asked.loaded())
