"""One trial through the whole simulated rig while something goes wrong, with what was sent on every line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from experiments import cartridge
from experiments.cartridge import CartridgeJob, CartridgeResult
from experiments.protocol.plan import PlannedCartridge, PlannedTrial
from experiments.protocol.technique import load_technique
from hal.clock import NS_PER_S
from hal.sim import bench as benches
from hal.sim.bench import Bench
from hal.sim.build import build
from rig.config import load_config
from rig.record import read_chain
from tests.fakes.short_trial import rig

SEED = 101


@dataclass
class Line:
    """Writes of the host to one device, (time, bytes) each, and the true places of its axes at those times."""

    sent: list[tuple[int, bytes]] = field(default_factory=list)
    axes: list[tuple[int, np.ndarray]] = field(default_factory=list)

    def watch(self, core: Any) -> None:
        """Listen to everything that the host sends to ``core``, also when the cable swallows it."""
        receive = core.receive

        def received(data: bytes, now_ns: int) -> None:
            self.sent.append((now_ns, bytes(data)))
            receive(data, now_ns)
            if hasattr(core, "axes_at"):
                self.axes.append((now_ns, np.array(core.axes_at(now_ns))))

        core.receive = received

    def holding(self, mark: bytes) -> list[tuple[int, bytes]]:
        return [(at, data) for at, data in self.sent if mark in data]


@dataclass
class FaultTrial:
    """Results of one trial: on disk, on the lines and in the world."""

    folder: Path
    result: CartridgeResult
    row: dict[str, Any] | None
    events: list[dict[str, Any]]
    bench: Bench
    lines: dict[str, Line]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Data of all journal entries of one kind."""
        return [e["data"] for e in self.events if e["kind"] == kind]

    def at_s(self, kind: str, **wanted: object) -> float:
        """Time of the first entry of a kind whose data hold ``wanted`` (the beginning of text is enough)."""
        return next(e["time_ns"] for e in self.events if e["kind"] == kind and _like(e["data"], wanted)) / NS_PER_S

    @property
    def states(self) -> list[str]:
        return [e["state"].split()[0] for e in self.of("state.entered")]

    @property
    def safe(self) -> dict[str, tuple[bool, str]]:
        """Reports of the last safe state by device."""
        return {r["device"]: (r["safe"], r["detail"]) for r in self.of("make_safe")[-1]["reports"]}

    @property
    def end_ns(self) -> int:
        return int(self.bench.clock.now_ns())

    def displaced_ml(self, now_ns: int) -> float:
        """Truth: what has left the syringe."""
        return float(self.bench.world.plunger.displaced_ml(now_ns))

    def axes(self, role: str, now_ns: int) -> np.ndarray:
        """Truth: axes of holder or carrier, at the end of the trial or later."""
        core = {d.role: d.core for d in self.bench.cores()}[role]
        return np.array(core.axes_at(now_ns))


@cache
def _poured_once(phantom: Any, seed: int, errors: Any) -> Any:
    return build(phantom, seed, errors)


def _like(data: dict[str, Any], wanted: dict[str, object]) -> bool:
    return all(str(data.get(key)).startswith(str(value)) for key, value in wanted.items())


@contextmanager
def watched() -> Iterator[list[tuple[Bench, dict[str, Line]]]]:
    """Every bench that is built inside the block, with its lines."""
    found: list[tuple[Bench, dict[str, Line]]] = []
    simulate = cartridge.simulate

    def built(*args: Any, **kwargs: Any) -> Any:
        bench = simulate(*args, **kwargs)
        lines = {device.role: Line() for device in bench.cores()}
        for device in bench.cores():
            lines[device.role].watch(device.core)
        found.append((bench, lines))
        return bench

    # The same cartridge is poured once: it is never written to, and costs 2 s.
    with patch.object(cartridge, "simulate", built), patch.object(benches, "build", _poured_once):
        yield found


def run_faulty(
    folder: Path, technique: str, *faults: dict[str, Any], seed: int = SEED, redirections_max_n: int | None = None
) -> FaultTrial:
    """Run one trial without its waiting times of antisepsis, with ``[[sim.faults]]``."""
    for name in ("cartridges", "trials"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    data = load_technique(technique).model_copy(update={"checklist": ()})
    if redirections_max_n is not None:
        data = data.model_copy(
            update={"advance": data.advance.model_copy(update={"redirections_max_n": redirections_max_n})}
        )
    planned = PlannedTrial("T001", technique, data.level, "left", 1, "C01", 1, seed)
    config = rig(frame_quality="fast", faults=list(faults)).model_copy(
        update={"safety": load_config("simulated").safety}
    )
    job = CartridgeJob(folder, PlannedCartridge("C01", seed, (planned,)), {technique: data}, config, "lumbar_ref", 24.0)
    with watched() as found:
        result = cartridge.run_cartridge(job)
    (bench, lines) = found[0]
    row_file = folder / "trials" / "T001" / "row.json"
    row = json.loads(row_file.read_text()) if row_file.exists() else None
    journal = folder / "cartridges" / "C01" / "journal.jsonl"
    events = [json.loads(line)["body"] for line in journal.read_text().splitlines()]
    chain = read_chain(journal)
    assert chain.fault == "" and not chain.cut_tail, chain.fault
    return FaultTrial(folder, result, row, events, bench, lines)
