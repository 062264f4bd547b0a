"""The gel in the fixture: the block, its ledger, and the roots that are left.

Before the first needle of a cartridge a person puts an unused block in and says which: nothing else on a bench can
tell one pour from another. A block's ledger outlives the run; in a simulation it is the run folder's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from experiments.protocol.plan import PlannedCartridge, PlannedTrial
from experiments.trial.trial import Trial
from hal.errors import DeviceError
from hal.phantom.ledger import Ledger, PriorTrack
from hal.types import Instruction, InstructionKind
from rig.control.controller import Controller
from rig.instruments.at_rest import ATTEMPTS_MAX_N
from rig.safety.stop import HoldRequested

CHANGE_S = 1800.0
"""Longest time for changing a block: the same as for a pause."""
ASKED_MAX_N = 3
"""Blocks that may be refused before the study ends: nobody is asked for ever."""
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
"""Pattern of the name of a block or a lot: a block's is the name of its ledger's file."""


class GelBlock:
    """The block of one cartridge and its ledger."""

    def __init__(self, name: str, lot: str, ledger: Ledger) -> None:
        self.name = name
        self.lot = lot
        self.ledger = ledger

    @property
    def about(self) -> dict[str, object]:
        """Entry for the journal: identity, and content of the ledger before this run."""
        ledger = self.ledger
        return {
            "block": self.name,
            "lot": self.lot,
            "prior_tracks_n": ledger.n_prior_tracks,
            "used": [f"{level} {side}" for level, side in ledger.used],
            "remelts_n": ledger.remelts,
        }


def own_block(cartridge: PlannedCartridge, phantom: str, ledger: Ledger, time_ns: int, age_h: float) -> GelBlock:
    """Block that nobody is asked for: poured by the simulation, or on a rig without a person."""
    if not ledger.entries:
        ledger.pour(time_ns, lot="", phantom=phantom, seed=cartridge.seed, age_h=age_h)
    return GelBlock(cartridge.cartridge_id, "", ledger)


def ask_for_block(
    controller: Controller,
    cartridge: PlannedCartridge,
    ledgers: Path | Ledger,
    *,
    phantom: str,
    age_h: float,
    still_to_do: Sequence[PlannedTrial],
    goes_on_with: str = "",
) -> GelBlock:
    """Have the gel changed, ask which block is in, and open its ledger.

    ``ledgers`` is the folder of a bench's ledgers, or the one ledger of a simulated cartridge. ``goes_on_with`` names
    the block of a cartridge that was interrupted: no other will do. A block of which a root that is still to be used
    has been used is refused and another one asked for. Raises ``DeviceError`` when no usable block was named.
    """
    why = ""
    for _ in range(ASKED_MAX_N):
        name = _ask(controller, _words(cartridge, still_to_do, goes_on_with, why), ("block", cartridge.cartridge_id))
        if goes_on_with and name != goes_on_with:
            why = f"{name} is another block; cartridge {cartridge.cartridge_id} continues in {goes_on_with}. "
            continue
        ledger = ledgers if isinstance(ledgers, Ledger) else _opened(ledgers, name)
        lot = _ask(controller, f"Type the lot of block {name}.", ("lot", ledger.lot or "simulated"))
        why = _refused(name, lot, ledger, still_to_do)
        if why:
            controller.journal.append("block_refused", {"block": name, "lot": lot, "reason": why})
            continue
        if not ledger.entries:
            ledger.pour(controller.clock.now_ns(), lot=lot, phantom=phantom, seed=cartridge.seed, age_h=age_h)
        block = GelBlock(name, lot, ledger)
        controller.journal.append("cartridge.identified", {"cartridge_id": cartridge.cartridge_id, **block.about})
        return block
    raise DeviceError(
        f"cartridge {cartridge.cartridge_id}: no usable block of gel was named in {ASKED_MAX_N} answers. {why}"
        "Its trials were not begun. Pour or fetch an unused block, then resume the run",
        device="operator",
    )


def _words(cartridge: PlannedCartridge, still_to_do: Sequence[PlannedTrial], goes_on_with: str, why: str) -> str:
    roots = ", ".join(f"{trial.level} {trial.side}" for trial in still_to_do)
    if goes_on_with:
        return (
            f"{why}Cartridge {cartridge.cartridge_id} continues: put block {goes_on_with} into the fixture as it was. "
            f"Still to be used: {roots}. Type the number of the block that is in"
        )
    return (
        f"{why}Change the gel: cartridge {cartridge.cartridge_id} needs a block of which these roots are unused: "
        f"{roots}. Type the number of the block that is in"
    )


def _ask(controller: Controller, text: str, manner: tuple[str, ...]) -> str:
    """Ask for a name that a person types; a stop rule that fires meanwhile is waited out: nothing moves here."""
    instruction = Instruction(InstructionKind.NAME, text, manner=manner)
    for attempt in range(ATTEMPTS_MAX_N):
        try:
            controller.wait_out_pause()
            answer = controller.ask(instruction, CHANGE_S)
            break
        except HoldRequested as hold:
            controller.journal.append("hold_between_trials", {"source": hold.source, "reason": hold.reason})
            if attempt + 1 == ATTEMPTS_MAX_N:
                raise DeviceError(f"stop rules kept firing while the gel was changed: {hold.reason}") from hold
    name = answer.text.strip()
    if not answer.done:
        raise DeviceError(f"the operator could not: {text}", device="operator")
    if not NAME.fullmatch(name):
        raise DeviceError(
            f"{name!r} names no block or lot: letters, digits, '_', '-' and '.', at most 64", device="operator"
        )
    return name


def _opened(folder: Path, name: str) -> Ledger:
    folder.mkdir(parents=True, exist_ok=True)
    return Ledger(folder / f"{name}.jsonl")


def _refused(name: str, lot: str, ledger: Ledger, still_to_do: Sequence[PlannedTrial]) -> str:
    """Reason why a block cannot be used; empty when it can."""
    if ledger.lot and ledger.lot != lot:
        return f"Block {name} is of lot {ledger.lot} by its ledger, not of {lot}. "
    if ledger.retired:
        return f"Block {name} is retired. "
    used = [f"{t.level} {t.side}" for t in still_to_do if not ledger.is_free(t.level, t.side)]
    return f"Block {name} cannot be used: {', '.join(used)} was used. " if used else ""


def note_insertion(ledger: Ledger, trial: Trial) -> None:
    """Note what the trial left in its block: a track with the bounds of its injected volume, or nothing at all."""
    log, planned = trial.log, trial.planned
    if not log.punctures_n:
        ledger.unused(trial.now_ns, planned.level, planned.side, planned.trial_id)
        return
    tip = log.reference_mm.get("at_injection")
    place = None if tip is None else (float(tip[0]), float(tip[1]), float(tip[2]))
    ledger.insert(
        trial.now_ns,
        PriorTrack(
            planned.level, planned.side, planned.trial_id, None, place, log.injected.min_ml, log.injected.max_ml
        ),
    )
