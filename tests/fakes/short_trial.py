"""One trial of a technique on the simulated bench, for scenario tests."""

from __future__ import annotations

import json
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from experiments import cartridge
from experiments.cartridge import CartridgeJob, CartridgeResult, run_cartridge
from experiments.protocol.plan import PlannedCartridge, PlannedTrial
from experiments.protocol.states import State
from experiments.protocol.technique import ChecklistItem, Technique, load_technique
from experiments.trial.trial import Walk
from rig.config import RigConfig, load_config
from rig.live.scene import LiveScene


@dataclass(frozen=True)
class ShortTrial:
    """Results of one trial."""

    folder: Path
    result: CartridgeResult
    row: dict[str, Any] | None
    events: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Data of all journal entries of one kind."""
        return [e["data"] for e in self.events if e["kind"] == kind]


def rig(name: str = "simulated", **sim: Any) -> RigConfig:
    """A shipped rig file with changed ``[sim]`` settings and one emergency-stop input, the holder's: every further one
    is read 25 times a second, a sixth of a trial's computing (``test_estop_latency`` has them all)."""
    config = load_config(name)
    one = config.safety.model_copy(update={"estop_inputs": ("holder",)})
    return config.model_copy(update={"sim": {**config.sim, **sim}, "safety": one})


def in_a_second(item: ChecklistItem) -> ChecklistItem:
    """The item with a second for what acts and for what dries."""
    return item.model_copy(update={"wait_s": min(1.0, item.wait_s), "contact_s": min(1.0, item.contact_s)})


def impatient(technique: Technique) -> Technique:
    """The technique with a second for everything that its checklist lets wait: the rig is read all that time."""
    return technique.model_copy(update={"checklist": tuple(in_a_second(item) for item in technique.checklist)})


@cache
def usual(technique: str, side: str = "left", seed: int = 101, rig_name: str = "simulated") -> ShortTrial:
    """A trial to look at, run once per process: for tests that change nothing of it."""
    folder = Path(tempfile.mkdtemp(prefix="usual-trial-"))
    return run_short(folder, technique, side=side, seed=seed, config=rig(rig_name))


def _to(until: State, walk: Walk) -> str:
    walk.to(until)
    walk.state = State.WITHDRAW
    walk.to(State.DONE)
    return f"asked for up to {until.value}"


def run_short(
    folder: Path,
    technique: str,
    *,
    side: str = "left",
    seed: int = 101,
    config: RigConfig | None = None,
    scene: LiveScene | None = None,
    data: Technique | None = None,
    patient: bool = False,
    until: State | None = None,
) -> ShortTrial:
    """Run one trial in ``folder``; ``scene`` looks on; ``data`` takes the place of the technique's file; with ``until``
    only up to a state, and then out.

    The waiting times of the checklist are kept only when it is ``patient``.
    """
    for name in ("cartridges", "trials"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    data = data or load_technique(technique)
    if not patient:
        data = impatient(data)
    planned = PlannedTrial("T001", technique, data.level, side, 1, "C01", 1, seed)
    job = CartridgeJob(
        folder, PlannedCartridge("C01", seed, (planned,)), {technique: data}, config or rig(), "lumbar_ref", 24.0
    )
    with nullcontext() if until is None else patch.object(cartridge, "lead_of", lambda *_: partial(_to, until)):
        result = run_cartridge(job, scene=scene)
    row_file = folder / "trials" / "T001" / "row.json"
    row = json.loads(row_file.read_text()) if row_file.exists() else None
    lines = (folder / "cartridges" / "C01" / "journal.jsonl").read_text().splitlines()
    return ShortTrial(folder, result, row, [json.loads(line)["body"] for line in lines])
