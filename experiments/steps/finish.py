"""ST11 and ST12: needle out at no more than 10 mm/s, probe up, closing checklist."""

from __future__ import annotations

from dataclasses import replace

from experiments.protocol.states import State
from experiments.steps.prepare import do_item
from experiments.trial.reference import withdraw_frozen
from experiments.trial.trial import Trial
from rig.instruments.jogs import move_probe
from rig.roles import HOLDER

LIFT_MM = 15.0


def withdraw(trial: Trial) -> State:
    """Out along the track."""
    moved_mm = trial.hand.out()
    trial.log.t_out_ns = trial.now_ns
    if trial.witness is not None:
        trial.witness.insertion_done()
    trial.event("needle_out")
    withdraw_frozen(trial, moved_mm)
    return State.CHECKOUT


def checkout(trial: Trial) -> State:
    """Probe off the skin, antisepsis after, notes."""
    if trial.controller.rig.holder is not None and trial.log.frames_read_n:
        here = trial.controller.read(HOLDER).pose
        move_probe(trial.controller, replace(here, z_mm=here.z_mm - LIFT_MM), 20.0)
    for item in trial.technique.checklist:
        if item.when == "after":
            do_item(trial, item)
    return State.DONE
