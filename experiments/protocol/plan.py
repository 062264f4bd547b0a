"""The randomised list of cartridges and trials of a study.

Parallel work is by cartridge: trials within one are sequential, one insertion per root and side, so that
trials stay independent. Repeats are blocks: every approach appears once per block in random order
(``facts/domain.md`` 7.4), and the plan depends on the study file and the seed alone. Benches take whole blocks in turn,
so that every bench compares all approaches; a cartridge never leaves its bench.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.protocol.study import Study
from experiments.protocol.technique import Technique


@dataclass(frozen=True)
class PlannedTrial:
    """One trial before it happens."""

    trial_id: str
    technique: str
    level: str
    side: str
    block: int
    cartridge_id: str
    order_in_cartridge: int
    seed: int
    repeats: str = ""
    """Trial that a device fault ended and that this one repeats."""


@dataclass(frozen=True)
class PlannedCartridge:
    """One pour of the phantom and its trials."""

    cartridge_id: str
    seed: int
    trials: tuple[PlannedTrial, ...]
    bench: int = 1
    bench_seed: int | None = None
    """Seed of a simulated bench, unless the rig file names one."""

    @property
    def bench_id(self) -> str:
        """Name of the bench in the record."""
        return f"B{self.bench:02d}"


BENCHES = 0
"""Where a cartridge's number stands in the path of a seed: cartridges count from 1."""


def _seed(study_seed: int, *path: int) -> int:
    return int(np.random.SeedSequence([study_seed, *path]).generate_state(1, np.uint32)[0])


def plan(study: Study, techniques: dict[str, Technique]) -> tuple[PlannedCartridge, ...]:
    """Lay out all trials.

    A trial goes to the first cartridge that still has its root and side free; the side alternates over
    repeats from a random start, so that both sides are used evenly.
    """
    design, seed = study.design, study.study.seed
    rng = np.random.default_rng([seed, 0x706C616E])
    names = list(design.techniques)
    first_side = {name: int(rng.integers(len(design.sides))) for name in names}
    pours: list[tuple[int, list[tuple[str, str, int, str]]]] = []
    own: dict[int, list[list[tuple[str, str, int, str]]]] = {}
    """The same by bench."""
    searched: dict[tuple[int, str, str], int] = {}
    """Per bench, root and side: the first cartridge that may still have it free. One that was passed over stays so."""
    for block in range(design.repeats):
        for index in rng.permutation(len(names)):
            name = names[index]
            level = techniques[name].level
            side = design.sides[(first_side[name] + block) % len(design.sides)]
            bench = block % design.benches + 1
            here = own.setdefault(bench, [])
            at = searched.get((bench, level, side), 0)
            while at < len(here) and len(here[at]) >= design.cartridge_trials_max:
                at += 1
            if at == len(here):
                here.append([])
                pours.append((bench, here[at]))
            here[at].append((name, side, block + 1, level))
            searched[bench, level, side] = at + 1
    cartridges = []
    number = 0
    for index, (bench, sites) in enumerate(pours, start=1):
        cartridge_id = f"C{index:02d}"
        trials = []
        for order, (name, at_side, block, at_level) in enumerate(sites, start=1):
            number += 1
            trials.append(
                PlannedTrial(
                    f"T{number:03d}", name, at_level, at_side, block, cartridge_id, order, _seed(seed, index, order)
                )
            )
        bench_seed = _seed(seed, BENCHES, bench)
        cartridges.append(PlannedCartridge(cartridge_id, _seed(seed, index), tuple(trials), bench, bench_seed))
    return tuple(cartridges)


def reserve(
    study: Study, cartridges: Sequence[PlannedCartridge], spent: Sequence[PlannedTrial]
) -> tuple[PlannedCartridge, ...]:
    """Cartridges beyond the plan for trials whose roots are spent and which are run again, in the order given.

    Each keeps its identity, its block, its seed and its bench; it goes to the first reserve cartridge that has its root
    free.
    """
    home = {trial.trial_id: cartridge for cartridge in cartridges for trial in cartridge.trials}
    groups: list[tuple[PlannedCartridge, list[PlannedTrial]]] = []
    for trial in spent:
        here = home[trial.repeats or trial.trial_id]
        for at, group in groups:
            taken = {(other.level, other.side) for other in group}
            room = len(group) < study.design.cartridge_trials_max and (trial.level, trial.side) not in taken
            if at.bench == here.bench and room:
                break
        else:
            group = []
            groups.append((here, group))
        group.append(trial)
    out = []
    for index, (at, group) in enumerate(groups, start=len(cartridges) + 1):
        name = f"C{index:02d}"
        moved = tuple(replace(t, cartridge_id=name, order_in_cartridge=k) for k, t in enumerate(group, start=1))
        out.append(PlannedCartridge(name, _seed(study.study.seed, index), moved, at.bench, at.bench_seed))
    return tuple(out)


def repeated(trial: PlannedTrial) -> PlannedTrial:
    """New trial that replaces one that a device fault ended."""
    return replace(trial, trial_id=f"{trial.trial_id}R1", repeats=trial.trial_id)
