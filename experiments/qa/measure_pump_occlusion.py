"""A pump against a closed stopcock, until its own alarm or the pressure rule of the rig stops it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from analysis.qa.evaluation import Parameters
from analysis.qa.kinds import weighed
from analysis.qa.kinds.pump_occlusion import OWN_ALARM, PRESSURE_RULE
from experiments.calibrations.clear_way import require_no_needle
from experiments.qa.measure_pump_trumpet import prime, too_large
from experiments.qa.station import ANSWER_S, Station
from hal.clock import NS_PER_S
from hal.errors import DeviceError, SafetyStop
from hal.types import Instruction, InstructionKind
from rig.config import RigConfig
from rig.instruments.syringe import inject
from rig.instruments.weighing import weigh
from rig.roles import PRESSURE
from rig.safety.pressure import TipReading, Verdict

ROLES = ("pump", "pressure", "operator")
REST_READINGS = 10
PERIOD_S = 0.1
RELEASE_S = 5.0
CLEAR_S = 3.0


def refusal(parameters: Parameters, config: RigConfig) -> str:
    """Why this rig cannot deliver so much; empty when it can."""
    return too_large(config, weighed.value(parameters, "volume_ml"))


def measure(station: Station) -> None:
    """Close, pump until it stands, watch the closed line, open, weigh what comes.

    Raises ``DeviceError`` when the pump delivered its volume into a line that should be closed.
    """
    controller, rate = station.controller, station.number("rate_ml_min")
    require_no_needle(controller, "the line is closed")
    station.ask(
        "Occlusion: the stopcock between pressure sensor and needle is open, line and needle are without a bubble, "
        "the tip is under the surface of the vessel if there is a balance. Wear eye protection. Ready?"
    )
    assert controller.rig.pressure is not None
    controller.command("pressure", controller.rig.pressure.zero, "zero the pressure sensor")
    controller.line_at_rest.zeroed()
    prime(station)
    for left_n in reversed(range(int(station.number("repeats")))):
        before_g = weigh(controller).mass_g if controller.rig.balance is not None else math.nan
        with _said_when_closed(station):
            _stopcock(station, "close")
            rest_s = controller.clock.now_ns() / NS_PER_S
            _watch(station, REST_READINGS)
            start_s = controller.clock.now_ns() / NS_PER_S
            by = _push(station)
            _watch(station, max(1, int(station.number("hold_s") / PERIOD_S)))
            held_s = controller.clock.now_ns() / NS_PER_S
            _stopcock(station, "open")
        controller.wait(RELEASE_S)
        controller.line_at_rest.zeroed()  # open to air again
        after_g = weigh(controller).mass_g if controller.rig.balance is not None else math.nan
        row = (rate, by, rest_s, start_s, held_s, before_g, after_g)
        station.sample("occlusions", controller.clock.now_ns(), row)
        station.tell(f"stopped after {held_s - start_s - station.number('hold_s'):.1f} s; {left_n} closed lines left")


@contextmanager
def _said_when_closed(station: Station) -> Iterator[None]:
    """Tell the person what a test that ends here leaves behind."""
    try:
        yield
    except BaseException:
        station.tell("The test ends with the stopcock closed: the line may be under pressure. Open it slowly.")
        raise


def _push(station: Station) -> float:
    """Pump against the closed line; returns what stopped it."""
    controller, rate = station.controller, station.number("rate_ml_min")

    def note(reading: TipReading) -> None:
        station.sample("pressure", reading.time_ns, (reading.sensor_kpa,))

    controller.volumes.reset()  # nothing goes into a block
    try:
        done = inject(controller, station.number("volume_ml"), rate, tell=note)
    except SafetyStop as stop:
        if stop.source != "pump_alarm":
            raise
        _acknowledge_alarm(station, stop)
        return OWN_ALARM
    if done.verdict in (Verdict.BLOCKED, Verdict.OVER_PRESSURE):
        return PRESSURE_RULE
    raise DeviceError(
        f"the pump was not stopped by the closed line: {done.reason}; is the stopcock closed, does it leak?",
        device="pump",
    )


def _acknowledge_alarm(station: Station, stop: SafetyStop) -> None:
    """The alarm was what this test is for: it is acknowledged at the pump, which stands, and the rig goes on.

    Nothing moves before the person at the stopcock has answered.
    """
    controller = station.controller
    pump = controller.rig.pump
    assert pump is not None
    cleared = controller.rig.lanes["pump"].submit(pump.clear, "acknowledge the pump's alarm")
    deadline = controller.clock.deadline(CLEAR_S)
    while not cleared.done and not deadline.expired:
        controller.clock.sleep(0.005)
    if not cleared.done or cleared.error is not None or not controller.acknowledge():
        raise stop


def _watch(station: Station, readings_n: int) -> None:
    """Pressure of a line at rest."""
    for _ in range(readings_n):
        reading = station.controller.read(PRESSURE)
        station.sample("pressure", reading.time_ns, (reading.pressure_kpa,))
        station.controller.wait(PERIOD_S)


def _stopcock(station: Station, how: str) -> None:
    text = "Close the stopcock towards the needle" if how == "close" else "Open the stopcock slowly, towards the vessel"
    ask = Instruction(InstructionKind.CONFIRM, text, manner=("stopcock", how))
    if not station.controller.ask(ask, ANSWER_S).done:
        raise SafetyStop(f"the operator declined: {text}", source="operator")
