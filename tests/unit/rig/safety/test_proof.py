"""The self-test proves every interlock of a rig, and finds each one that can no longer trip or no longer pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from hal.clock import VirtualClock
from rig.lanes import Channel
from rig.safety.axes_watch import AxesWatch
from rig.safety.delivery_watch import DeliveryWatch
from rig.safety.estop import EStopLatch, EStopState
from rig.safety.interlocks import Guard, Level, levels_for
from rig.safety.limits import Limits
from rig.safety.line_at_rest import LineAtRest
from rig.safety.pressure import PressureWatch, Verdict
from rig.safety.proof import prove_all
from rig.safety.stop import Severity, Trip
from rig.safety.volume import VolumeLedger

ROLES = ("holder", "carrier", "pump", "pressure", "needle_force", "probe_force", "contact", "estop")
TRIP = Trip("any", Severity.HARD, "always")


@dataclass(frozen=True)
class Line:
    compliance_ul_kpa: float = 0.5
    resistance_kpa_min_ml: float = 3.1
    k_line: float = 1.5


def unproven(limits: Limits | None = None, line: Line | None = None) -> dict[str, tuple[bool, bool]]:
    """Interlocks that are not proven, with whether they tripped and passed."""
    limits = limits or Limits()
    levels = levels_for(limits, 22, pedal_holds=True)
    watches: dict[str, Any] = {
        "holder": AxesWatch("holder", limits.motion, VirtualClock()),
        "carrier": AxesWatch("carrier", limits.motion, VirtualClock()),
        "pump": DeliveryWatch(limits.volume, VirtualClock()),
    }
    guards = [
        Guard(
            Channel(role, lambda: None, 0.1),
            tuple(x for x in levels if x.role == role),
            limits.polling_of(role),
            0,
            watches.get(role),
        )
        for role in ROLES
    ]
    return {p.name: (p.trips, p.passes) for p in prove_all(guards, limits, line or Line()) if not p.proven}


def test_every_interlock_of_the_shipped_limits_is_proven() -> None:
    assert unproven() == {}


def test_other_limits_and_lines_are_proven_as_well() -> None:
    from rig.safety.limits import MotionLimits, PressureLimits, VolumeLimits

    small = Limits(
        motion=MotionLimits(stray=0.02, hand_speed_mm_s=1.0), volume=VolumeLimits(injection_ml=0.01, hand_ml=0.01),
        pressure=PressureLimits(zero_kpa=0.5),
    )  # fmt: skip
    large = Limits(
        motion=MotionLimits(stray=1.0, hand_speed_mm_s=250.0), volume=VolumeLimits(injection_ml=20.0, hand_ml=5.0),
        pressure=PressureLimits(zero_kpa=20.0),
    )  # fmt: skip
    for limits in (small, large):
        for line in (Line(), Line(5.0, 13.4, 2.0), Line(0.1, 0.5, 1.0)):
            assert unproven(limits, line) == {}


@pytest.mark.parametrize(
    ("what", "method", "names"),
    [
        (AxesWatch, "_moved", {"holder_moved", "carrier_moved"}),
        (AxesWatch, "_astray", {"holder_astray", "carrier_astray"}),
        (AxesWatch, "_ahead", {"holder_ahead", "carrier_ahead"}),
        (AxesWatch, "_hand", {"holder_hand", "carrier_hand"}),
        (DeliveryWatch, "_running", {"pump_uncommanded"}),
        (DeliveryWatch, "_judge", {"pump_beyond", "pump_ahead"}),
        (VolumeLedger, "evaluate", {"volume_ledger"}),
        (LineAtRest, "evaluate", {"pressure_at_rest"}),
        (PressureWatch, "_silent", {"pressure_silent"}),
    ],
)
def test_a_watch_that_has_lost_one_of_its_rules_is_found(
    monkeypatch: pytest.MonkeyPatch, what: type, method: str, names: set[str]
) -> None:
    monkeypatch.setattr(what, method, lambda *_: None)
    found = unproven()
    assert set(found) == names and all(found[name] == (False, True) for name in names)


def test_a_watch_that_trips_on_everything_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeliveryWatch, "_judge", lambda *_: TRIP)
    assert unproven() == {"pump_beyond": (True, False), "pump_ahead": (True, False)}
    monkeypatch.undo()
    monkeypatch.setattr(VolumeLedger, "evaluate", lambda _: TRIP)
    assert unproven() == {"volume_ledger": (True, False)}
    monkeypatch.undo()
    monkeypatch.setattr(LineAtRest, "evaluate", lambda *_: TRIP)
    assert unproven() == {"pressure_at_rest": (True, False)}
    monkeypatch.undo()
    monkeypatch.setattr(AxesWatch, "_ahead", lambda *_: TRIP)
    found = unproven()
    assert found["holder_ahead"] == (True, False) and found["carrier_ahead"] == (True, False)


def test_levels_ages_and_faults_that_can_no_longer_trip_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Level, "evaluate", lambda *_: None)
    names = {level.name for level in levels_for(Limits(), 22, pedal_holds=True)}
    assert set(unproven()) == names
    monkeypatch.undo()
    for method, ending in (("evaluate_age", "_stale"), ("evaluate_fault", "_fault"), ("evaluate_frozen", "_frozen")):
        monkeypatch.setattr(Guard, method, lambda *_: None)
        judged = ("pressure", "needle_force") if ending == "_frozen" else ROLES
        assert unproven() == {f"{role}{ending}": (False, True) for role in judged}
        monkeypatch.undo()
        monkeypatch.setattr(Guard, method, lambda *_: TRIP)
        assert unproven() == {f"{role}{ending}": (True, False) for role in judged}
        monkeypatch.undo()


@pytest.mark.parametrize("state", list(EStopState))
def test_a_latch_that_always_says_the_same_is_found(monkeypatch: pytest.MonkeyPatch, state: EStopState) -> None:
    monkeypatch.setattr(EStopLatch, "update", lambda *_: state)
    assert "estop" in unproven()


@pytest.mark.parametrize("answer", [True, False])
def test_a_latch_that_is_always_or_never_released_is_found(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr(EStopLatch, "acknowledge", lambda *_: answer)
    assert "estop" in unproven()


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_ladder_that_always_says_the_same_is_found(monkeypatch: pytest.MonkeyPatch, verdict: Verdict) -> None:
    monkeypatch.setattr(PressureWatch, "judge", lambda *_: (verdict, None))
    assert {"tip_pressure", "tip_pressure_hard"} <= set(unproven())
