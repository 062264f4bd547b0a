"""The tip of record of a trial: the reference instrument read at one moment, with the needle at rest."""

from __future__ import annotations

from experiments.trial import Trial
from hal.types import Vector
from rig.instruments.reference import BODY, PERIOD_S, READINGS_N, TIP, TipAtRest, read_tip

__all__ = ["BODY", "PERIOD_S", "READINGS_N", "TIP", "note_reference", "read_reference"]


def note_reference(trial: Trial, moment: str) -> None:
    """Read the tip for the trial's row: the needle has been in air and has moved since."""
    trial.log.reference[moment] = read_reference(trial, moment, before_mm=trial.log.tip_in_air_mm)


def read_reference(trial: Trial, moment: str, *, before_mm: Vector | None = None) -> TipAtRest:
    """Read the tip in the Phantom frame; the witness notes the same moment.

    Of a tip that was not measured nothing but the reason is told: the trial is then ``truth_missing``. ``before_mm``:
    see ``read_tip``.
    """
    if trial.witness is not None:
        trial.witness.note(moment)
    ReferenceToPhantom = trial.controller.rig.frames.get("Reference", "Phantom")
    found = read_tip(trial.controller, ReferenceToPhantom, before_mm=before_mm)
    if found.tip_mm is None:
        trial.event("reference", moment=moment, **found.as_event())
        return found
    trial.log.reference_mm[moment] = found.tip_mm
    trial.log.reference_axis = found.axis
    trial.event("reference", moment=moment, tip_phantom_mm=found.tip_mm, **found.as_event())
    return found
