"""The tip of record of a trial: the reference instrument read at one moment, with the needle at rest."""

from __future__ import annotations

from experiments.trial.trial import Trial
from rig.instruments.reference import BODY, PERIOD_S, READINGS_N, TIP, TipAtRest, judged_after_move, read_tip, tip_now

__all__ = ["BODY", "PERIOD_S", "READINGS_N", "TIP", "note_reference", "read_reference", "withdraw_frozen"]


def note_reference(trial: Trial, moment: str) -> None:
    """Read the tip for the trial's row."""
    trial.log.reference[moment] = read_reference(trial, moment)


def withdraw_frozen(trial: Trial, moved_mm: float = 0.0) -> None:
    """The needle is out, by ``moved_mm``: what a tracker said that does not show it is taken back."""
    now_mm = tip_now(trial.controller)
    for moment, found in trial.log.reference.items():
        judged = judged_after_move(found, now_mm, moved_mm)
        if judged is not found:
            trial.log.reference[moment] = judged
            trial.log.reference_mm.pop(moment, None)
            trial.log.reference_axis = None
            trial.event("reference", moment=moment, **judged.as_event())


def read_reference(trial: Trial, moment: str) -> TipAtRest:
    """Read the tip in the Phantom frame; the witness notes the same moment.

    For a tip that was not measured only the reason is recorded: the trial is then ``truth_missing``.
    """
    if trial.witness is not None:
        trial.witness.note(moment)
    ReferenceToPhantom = trial.controller.rig.frames.get("Reference", "Phantom")
    found = read_tip(trial.controller, ReferenceToPhantom)
    if found.tip_mm is None:
        trial.event("reference", moment=moment, **found.as_event())
        return found
    trial.log.reference_mm[moment] = found.tip_mm
    trial.log.reference_axis = found.axis
    trial.event("reference", moment=moment, tip_phantom_mm=found.tip_mm, **found.as_event())
    return found
