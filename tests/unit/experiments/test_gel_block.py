"""Before the first needle of a cartridge a person says which block of gel is in, and used roots are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments.gel_block import ask_for_block
from experiments.protocol.plan import PlannedCartridge, PlannedTrial
from hal.clock import VirtualClock
from hal.errors import DeviceError
from hal.phantom.ledger import Ledger, PriorTrack
from hal.types import Instruction, InstructionKind, OperatorResponse

TRIAL = PlannedTrial("T003", "L4_LM", "L4", "left", 1, "C02", 1, 5)
CARTRIDGE = PlannedCartridge("C02", 5, (TRIAL,))


class Answering:
    """A controller whose operator types what was prepared."""

    def __init__(self, answers: Sequence[str]) -> None:
        self.clock = VirtualClock()
        self.journal = self
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[str] = []
        self._answers = list(answers)

    def append(self, kind: str, data: dict[str, Any]) -> None:
        self.entries.append((kind, data))

    def wait_out_pause(self) -> None: ...

    def ask(self, instruction: Instruction, timeout_s: float) -> OperatorResponse:
        assert instruction.kind is InstructionKind.NAME
        self.asked.append(instruction.text)
        text = self._answers.pop(0)
        return OperatorResponse(0, text != "n", text)


def _asked(controller: Answering, ledgers: Path, **more: Any) -> Any:
    return ask_for_block(
        controller, CARTRIDGE, ledgers, phantom="lumbar_ref", age_h=24.0, still_to_do=(TRIAL,), **more  # type: ignore[arg-type]
    )  # fmt: skip


def test_block_and_lot_are_asked_and_the_ledger_is_opened_before_the_first_needle(tmp_path: Path) -> None:
    controller = Answering(["B12", "L3"])
    block = _asked(controller, tmp_path / "blocks")
    assert "Change the gel: cartridge C02" in controller.asked[0] and "lot of block B12" in controller.asked[1]
    assert controller.entries[-1][0] == "cartridge.identified"
    assert controller.entries[-1][1]["block"] == "B12" and controller.entries[-1][1]["lot"] == "L3"
    assert Ledger(tmp_path / "blocks" / "B12.jsonl").lot == block.lot == "L3"


def test_a_block_of_which_a_root_was_used_is_refused_and_another_one_asked_for(tmp_path: Path) -> None:
    used = Ledger(tmp_path / "B12.jsonl")
    used.pour(0, lot="L3", phantom="lumbar_ref")
    used.insert(1, PriorTrack("L4", "left", "T001", None, None))
    controller = Answering(["B12", "L3", "B13", "L3"])
    assert _asked(controller, tmp_path).name == "B13"
    assert "L4 left was used" in controller.asked[2]


def test_a_root_whose_trial_was_killed_counts_as_used(tmp_path: Path) -> None:
    Ledger(tmp_path / "B12.jsonl").begin(1, "L4", "left", "T001")
    assert _asked(Answering(["B12", "L3", "B13", "L3"]), tmp_path).name == "B13"


@pytest.mark.parametrize("kind", ["retired", "other lot"])
def test_a_retired_block_or_one_of_another_lot_is_refused(tmp_path: Path, kind: str) -> None:
    ledger = Ledger(tmp_path / "B12.jsonl")
    ledger.pour(0, lot="L3", phantom="lumbar_ref")
    if kind == "retired":
        ledger.append("retired", 1, reason="bubbles")
    lot = "L3" if kind == "retired" else "L4"
    assert _asked(Answering(["B12", lot, "B13", "L3"]), tmp_path).name == "B13"


def test_a_cartridge_that_goes_on_takes_its_own_block_only(tmp_path: Path) -> None:
    controller = Answering(["B13", "B12", "L3"])
    assert _asked(controller, tmp_path, goes_on_with="B12").name == "B12"
    assert "B13 is another block" in controller.asked[1]


def test_three_blocks_that_will_not_do_end_the_study_with_what_to_do(tmp_path: Path) -> None:
    for name in ("A", "B", "C"):
        Ledger(tmp_path / f"{name}.jsonl").begin(1, "L4", "left", "T001")
    with pytest.raises(DeviceError, match=r"no usable block of gel .* resume the run"):
        _asked(Answering(["A", "1", "B", "1", "C", "1"]), tmp_path)


def test_who_cannot_change_the_gel_ends_the_study(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="the operator could not"):
        _asked(Answering(["n"]), tmp_path)
    assert list(tmp_path.iterdir()) == []
