"""Fluid of a trial: every injection is counted, journalled and streamed the same way."""

from __future__ import annotations

from experiments.trial.trial import Trial
from rig.instruments.syringe import InjectionResult, inject
from rig.record import Field
from rig.safety.pressure import TipReading

INJECTION_EVENT = ("verdict", "reason", "pumped_ml", "pumped_min_ml", "pumped_max_ml", "delivered_ml")
"""Values of an injection in a trial's journal; all its numbers are in the entry ``infusion`` before it."""
FIELDS = (Field("sensor_kpa", "kPa"), Field("tip_kpa", "kPa"), Field("flow_ml_min", "mL/min"))
STREAM = "injection"


def inject_in(trial: Trial, volume_ml: float, rate_ml_min: float, *, test: bool) -> InjectionResult:
    """Inject under the pressure rule, through the line as it was measured in air."""
    streams = trial.record.streams

    def note(result: InjectionResult) -> None:
        trial.log.note_injection(result, test=test)
        event = {key: value for key, value in result.as_dict().items() if key in INJECTION_EVENT}
        trial.event("injection", purpose="test" if test else "main", **event)

    def tell(reading: TipReading) -> None:
        """As the pressure rule judged it, at once: a kill keeps it."""
        if not streams.declares(STREAM):
            streams.declare(STREAM, FIELDS)
        streams.sample(STREAM, reading.time_ns, [reading.sensor_kpa, reading.tip_kpa, reading.flow_ml_min])

    return inject(trial.controller, volume_ml, rate_ml_min, test=test, line=trial.line, note=note, tell=tell)
