"""ST0: checklist, antisepsis with its contact times, line primed and measured in air."""

from __future__ import annotations

from dataclasses import replace

from experiments.protocol.states import State
from experiments.protocol.technique import ChecklistItem
from experiments.trial.trial import Trial
from hal.clock import NS_PER_S
from hal.errors import DeviceError
from hal.types import Instruction, InstructionKind
from rig.instruments.syringe import InjectionResult, inject, line_drop_kpa
from rig.safety.pressure import Verdict

PRIME_ML = 0.15
"""Enough for the pressure to settle at the planned rate: 3 s at 3 mL/min against a time constant below 1 s."""
RESISTANCE_TOLERANCE = 0.20
"""PRE9 (domain 4.1): the measured line resistance lies within 20 % of what is expected."""
BASELINE_KPA = 0.3
"""Possible error of the difference of two pressures: three times the noise of the one reading before the flow."""
OPERATOR_S = 600.0


def setup(trial: Trial, then: State) -> State:
    """Everything before the probe, or the palpating finger, touches the phantom."""
    for item in trial.technique.checklist:
        if item.when == "before" and item.id != "PRE9":
            do_item(trial, item)
    prime_line(trial)
    return then


def do_item(trial: Trial, item: ChecklistItem) -> None:
    """One checklist item: confirmed by the operator where the rig has one, its times waited and written down."""
    controller, clock = trial.controller, trial.controller.clock
    start_ns = clock.now_ns()
    if controller.rig.operator is not None:
        kind = InstructionKind.SCRUB if item.contact_s > 0 else InstructionKind.CONFIRM
        answer = controller.ask(Instruction(kind, item.text, item.contact_s), OPERATOR_S)
        if not answer.done:
            raise trial.stop(f"checklist item {item.id} was not confirmed: {item.text}")
    elif item.contact_s > 0:
        controller.wait(item.contact_s)
    contact_s = (clock.now_ns() - start_ns) / NS_PER_S
    controller.wait(item.wait_s)
    waited_s = (clock.now_ns() - start_ns) / NS_PER_S - contact_s
    if contact_s + 1e-6 < item.contact_s or waited_s + 1e-6 < item.wait_s:
        trial.log.checklist_short.append(item.id)
    trial.event("checklist", id=item.id, text=item.text, contact_s=round(contact_s, 3), waited_s=round(waited_s, 3))


def prime_line(trial: Trial) -> None:
    """PRE9: zero the sensor, then a short flow through the needle in air gives the resistance of this set.

    The loss in the line is subtracted from every pressure of the trial, so a set that differs too much from what the
    rig file expects (a clot, a kink, another needle) ends the trial here: the tip pressure would read too low.
    """
    controller, rate = trial.controller, trial.technique.injection.rate_ml_min
    rig = controller.rig
    if rig.pump is None or rig.pressure is None:
        trial.event("checklist", id="PRE9", text="line resistance not measured: no pump or no pressure sensor")
        return
    try:
        controller.command("pressure", rig.pressure.zero, "zero the pressure sensor")
    except DeviceError as refused:
        raise trial.stop(f"the pressure sensor could not be zeroed: {refused}") from refused
    controller.line_at_rest.zeroed()
    result = inject(controller, PRIME_ML, rate)
    controller.volumes.reset()
    if result.verdict is Verdict.UNMONITORED:
        trial.event("checklist", id="PRE9", text="line primed; resistance not measured: the pressure is typed")
        return
    if result.verdict is not Verdict.FLOWING:
        raise trial.stop(f"the line could not be primed: {result.reason}")
    line = rig.config.line
    expected = line.k_line * line.resistance_kpa_min_ml
    measured = resistance_kpa_min_ml(result)
    within = abs(measured - expected) <= RESISTANCE_TOLERANCE * expected + BASELINE_KPA / rate
    trial.event(
        "checklist",
        id="PRE9",
        text="line resistance in air",
        measured_kpa_min_ml=round(measured, 4),
        expected_kpa_min_ml=round(expected, 4),
        within_20_percent=within,
    )
    if not within:
        raise trial.stop(
            f"line resistance in air {measured:.2f} kPa min/mL, expected {expected:.2f} within 20 %: look for a clot, "
            "a kink or another needle, and whether [line] of the rig file describes this set"
        )
    trial.line = replace(trial.line, resistance_kpa_min_ml=measured, k_line=1.0)


def resistance_kpa_min_ml(result: InjectionResult) -> float:
    """Pressure per flow (kPa min/mL) over the last part of the pumping time; NaN when nothing was seen to flow."""
    return line_drop_kpa(result) / result.rate_ml_min
