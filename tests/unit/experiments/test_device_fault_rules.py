"""The end of a trial decides whether it counts as a device's fault, never the place of its tip."""

import pytest

from experiments.trial.device_fault import KINDS, RULES, Ports, fault_of
from hal.errors import DeviceAlarm, DeviceError, NoReply, SafetyStop
from rig.safety.stop import HoldRequested, Severity, Trip

PORTS = Ports.of({"pump": {"url": "A"}, "pressure": {"url": "B"}, "needle_force": {"url": "B"}, "operator": {}})


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("pressure_frozen", "pressure: frozen"),
        ("needle_force_stale", "needle_force: stale"),
        ("pump_uncommanded", "pump: uncommanded"),
        ("carrier_astray", "carrier: astray"),
        ("holder_stop", "holder: stop"),
    ],
)
def test_a_device_that_falls_silent_freezes_or_does_the_impossible_is_named(source: str, named: str) -> None:
    assert fault_of(SafetyStop("words", source=source), PORTS) == named


@pytest.mark.parametrize(
    "source", ["needle_force_hard", "carrier_alarm", "pump_alarm", "line_pressure", "tip_pressure_hard", "estop",
               "operator", "volume_ledger", "paused", ""],
)  # fmt: skip
def test_what_a_technique_or_a_person_may_have_caused_is_no_device_fault(source: str) -> None:
    assert fault_of(SafetyStop("words", source=source), PORTS) == ""


def test_a_line_that_one_device_has_names_it_and_a_shared_one_names_none() -> None:
    assert fault_of(NoReply("silent", port="A"), PORTS) == "pump: fault"
    assert fault_of(NoReply("silent", port="B"), PORTS) == ""


@pytest.mark.parametrize("error", [DeviceError("refused", device="pump"), DeviceAlarm("stall", device="pump"), None])
def test_a_device_that_answers_and_refuses_is_no_device_fault(error: Exception | None) -> None:
    assert fault_of(error, PORTS) == ""


def test_a_scanner_that_sends_no_picture_is_named() -> None:
    assert fault_of(HoldRequested(Trip("image_lost", Severity.HOLD, "no frame")), PORTS) == "ultrasound: stale"


def test_an_emergency_stop_is_a_device_fault_only_when_its_input_answers_no_more() -> None:
    stop = SafetyStop("the emergency-stop input counts as pressed", source="estop")
    assert fault_of(stop, PORTS) == ""
    assert fault_of(stop, PORTS, ["carrier"]) == "carrier: fault"


def test_every_rule_names_a_kind_that_is_reported_in_words() -> None:
    assert {kind for kinds in RULES.values() for kind in kinds} <= set(KINDS)
