"""How far off a protection may be before the self-test finds it: each example lies near the limit that it proves.

A watch is made that goes by other figures than the rig's; the proof of the rig's own limits must say so, and must not
when the figures are off by less than its examples are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from hal.clock import VirtualClock
from hal.types import ContactReading, MotionMode
from rig.lanes import Channel, Sample
from rig.safety import axes_watch, delivery_watch, pressure, proof, volume, watch_proof
from rig.safety.axes_watch import AxesWatch
from rig.safety.delivery_watch import DeliveryWatch
from rig.safety.interlocks import Guard, levels_for
from rig.safety.limits import Limits, PressureLimits
from rig.safety.line_at_rest import LineAtRest
from rig.safety.polling import POLLING
from rig.safety.pressure import PressureWatch
from rig.safety.proof import prove_all
from rig.safety.volume import VolumeLedger

Patch = pytest.MonkeyPatch
SHIPPED = Limits()
BOTH = ("holder", "carrier")


@dataclass(frozen=True)
class Line:
    compliance_ul_kpa: float = 0.5
    resistance_kpa_min_ml: float = 3.1
    k_line: float = 1.5


def unproven(limits: Limits = SHIPPED, line: Line = Line()) -> dict[str, tuple[bool, bool]]:
    """Interlocks of actuators and of the pressure that are not proven, with whether they tripped and passed."""
    watches: dict[str, Any] = {
        "holder": AxesWatch("holder", limits.motion, VirtualClock()),
        "carrier": AxesWatch("carrier", limits.motion, VirtualClock()),
        "pump": DeliveryWatch(limits.volume, VirtualClock()),
    }
    guards = [
        Guard(Channel(role, lambda: None, 0.1), (), limits.polling_of(role), 0, watches.get(role))
        for role in ("holder", "carrier", "pump", "pressure")
    ]
    return {p.name: (p.trips, p.passes) for p in prove_all(guards, limits, line) if not p.proven}


def blind(*names: str) -> dict[str, tuple[bool, bool]]:
    """These no longer trip."""
    return {name: (False, True) for name in names}


def nervous(*names: str) -> dict[str, tuple[bool, bool]]:
    """These trip on what they must let pass."""
    return {name: (True, False) for name in names}


def axes(what: str) -> tuple[str, ...]:
    return tuple(f"{role}_{what}" for role in BOTH)


def moving_by(patch: Patch, **factors: float) -> None:
    """Axes are watched by limits that are so many times those of the rig."""

    def watch(role: str, motion: Any, clock: Any) -> AxesWatch:
        return AxesWatch(role, replace(motion, **{k: f * getattr(motion, k) for k, f in factors.items()}), clock)

    patch.setattr(watch_proof, "AxesWatch", watch)


@pytest.mark.parametrize(
    ("factor", "found"),
    [
        (2.45, {}),
        (2.55, blind(*axes("astray"))),  # more than 2 x stray beyond its corridor is astray: shown 5 x
        (2.95, blind(*axes("astray"))),
        (3.05, blind(*axes("astray"), *axes("moved"))),
        (0.55, {}),
        (0.45, nervous(*axes("moved"))),
    ],
)
def test_axes_that_may_stray_by_another_figure_are_found(
    monkeypatch: Patch, factor: float, found: dict[str, tuple[bool, bool]]
) -> None:
    moving_by(monkeypatch, stray=factor)
    assert unproven() == found


@pytest.mark.parametrize(
    ("factor", "found"),
    [(1.95, {}), (2.05, blind(*axes("hand"))), (0.025, {}), (0.015, nervous(*axes("hand")))],
)
def test_a_hand_that_may_push_at_another_speed_is_found(
    monkeypatch: Patch, factor: float, found: dict[str, tuple[bool, bool]]
) -> None:
    moving_by(monkeypatch, hand_speed_mm_s=factor)
    assert unproven() == found


@pytest.mark.parametrize(
    ("ahead_mm", "found"),
    [
        (7.9, {}),  # 9 mm in a second at 1 mm/s
        (8.1, blind(*axes("ahead"))),
        (0.1, {}),
        (-0.1, nervous(*axes("ahead"), *axes("astray"))),
    ],
)
def test_axes_that_may_be_ahead_by_another_way_are_found(
    monkeypatch: Patch, ahead_mm: float, found: dict[str, tuple[bool, bool]]
) -> None:
    monkeypatch.setattr(axes_watch, "AHEAD_MM", ahead_mm)
    assert unproven() == found


def test_a_watch_that_does_not_hear_that_axes_move_is_found(monkeypatch: Patch) -> None:
    class Deaf(AxesWatch):
        def evaluate(self, sample: Sample[Any]) -> Any:
            return super().evaluate(Sample(replace(sample.value, mode=MotionMode.IDLE), sample.time_ns))

    monkeypatch.setattr(watch_proof, "AxesWatch", Deaf)
    assert unproven() == blind(*axes("uncommanded"))


# ---- the pump ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count_ml", "found"),
    [
        (0.085, {}),
        (0.095, blind("pump_beyond")),  # 1.1 mL of 1.0, with 1 % of its own
        (0.11, blind("pump_beyond", "pump_uncommanded")),
        (-0.015, nervous("pump_beyond", "pump_ahead", "pump_uncommanded")),
        (0.495, blind("pump_beyond", "pump_uncommanded", "pump_ahead")),
        (0.385, blind("pump_beyond", "pump_uncommanded")),  # 0.5 mL in the second that may bring 0.1
    ],
)
def test_a_count_that_may_be_off_by_another_volume_is_found(
    monkeypatch: Patch, count_ml: float, found: dict[str, tuple[bool, bool]]
) -> None:
    monkeypatch.setattr(delivery_watch, "COUNT_ML", count_ml)
    assert unproven() == found


def test_a_watch_that_does_not_hear_that_the_pump_runs_is_found(monkeypatch: Patch) -> None:
    class Deaf(DeliveryWatch):
        def evaluate(self, sample: Sample[Any]) -> Any:
            return super().evaluate(Sample(replace(sample.value, running=False), sample.time_ns))

    monkeypatch.setattr(watch_proof, "DeliveryWatch", Deaf)
    assert unproven() == blind("pump_uncommanded")


@pytest.mark.parametrize(("factor", "found"), [(1.95, {}), (2.05, blind("pump_hand"))])
def test_a_hand_that_may_pump_another_volume_is_found(
    monkeypatch: Patch, factor: float, found: dict[str, tuple[bool, bool]]
) -> None:
    monkeypatch.setattr(
        watch_proof,
        "DeliveryWatch",
        lambda limits, clock: DeliveryWatch(replace(limits, hand_ml=factor * limits.hand_ml), clock),
    )
    assert unproven() == found


@pytest.mark.parametrize(
    ("factor", "found"),
    [(1.1, {}), (1.12, blind("volume_ledger")), (0.991, {}), (0.985, nervous("volume_ledger"))],
)
def test_a_ledger_that_lets_another_volume_in_is_found(
    monkeypatch: Patch, factor: float, found: dict[str, tuple[bool, bool]]
) -> None:
    monkeypatch.setattr(
        watch_proof,
        "VolumeLedger",
        lambda limits: VolumeLedger(replace(limits, injection_ml=factor * limits.injection_ml)),
    )
    assert unproven() == found  # 1.1 x 5 mL and 0.1 mL against 5 mL, 1 % and 5 uL


def test_a_ledger_whose_count_may_be_far_off_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(volume, "COUNT_ML", 0.7)
    assert unproven() == blind("volume_ledger")


# ---- the pressure ------------------------------------------------------------------------------------------


def laddered(patch: Patch, **factors: float) -> None:
    def watch(line: Any, ladder: PressureLimits, *rest: Any) -> PressureWatch:
        return PressureWatch(line, replace(ladder, **{k: f * getattr(ladder, k) for k, f in factors.items()}), *rest)

    patch.setattr(proof, "PressureWatch", watch)


@pytest.mark.parametrize("line", [Line(), Line(5.0, 13.4, 2.0), Line(0.5, 0.0, 1.0)])
@pytest.mark.parametrize(
    ("factors", "found"),
    [
        ({"hard_kpa": 1.04}, {}),
        ({"hard_kpa": 1.06}, blind("tip_pressure_hard")),
        ({"hold_kpa": 1.16}, {}),  # 87.5 kPa, between hold and stop
        ({"hold_kpa": 1.18}, blind("tip_pressure")),
        ({"hold_kpa": 0.91}, {}),
        ({"hold_kpa": 0.85}, nervous("line_blocked", "tip_pressure", "tip_pressure_hard")),
        ({"stop_kpa": 0.86, "hard_kpa": 0.64}, {}),
        ({"stop_kpa": 0.86, "hard_kpa": 0.63}, blind("tip_pressure")),  # a hard stop already at 86.9 kPa
        ({"hold_kpa": 2.7, "stop_kpa": 2.05, "hard_kpa": 1.49}, blind("tip_pressure", "tip_pressure_hard")),
        (
            {"hold_kpa": 2.85, "stop_kpa": 2.14, "hard_kpa": 1.56, "line_kpa": 1.1},
            blind("tip_pressure", "tip_pressure_hard", "line_blocked"),
        ),
    ],
)
def test_a_ladder_with_another_step_is_found(
    monkeypatch: Patch, line: Line, factors: dict[str, float], found: dict[str, tuple[bool, bool]]
) -> None:
    laddered(monkeypatch, **factors)
    assert unproven(line=line) == found


@pytest.mark.parametrize("line", [Line(), Line(0.5, 13.4, 1.5)])
@pytest.mark.parametrize(
    ("least", "found"),
    [(0.21, {}), (0.19, blind("pressure_silent")), (0.98, {}), (1.02, nervous("pressure_silent"))],
)
def test_a_watch_that_asks_for_another_share_of_the_answer_is_found(
    monkeypatch: Patch, line: Line, least: float, found: dict[str, tuple[bool, bool]]
) -> None:
    monkeypatch.setattr(pressure, "ANSWER_LEAST", least)
    assert unproven(line=line) == found


@pytest.mark.parametrize(("factor", "found"), [(1.95, {}), (2.05, blind("pressure_at_rest"))])
def test_a_line_at_rest_that_may_read_something_else_is_found(
    monkeypatch: Patch, factor: float, found: dict[str, tuple[bool, bool]]
) -> None:
    monkeypatch.setattr(
        proof, "LineAtRest", lambda ladder: LineAtRest(replace(ladder, zero_kpa=factor * ladder.zero_kpa))
    )
    assert unproven() == found


@pytest.mark.parametrize(
    ("low_kpa", "high_kpa", "found"),
    [
        (-9.75, 9.75, {}),
        (-5.0, 10.25, blind("pressure_at_rest")),
        (-10.25, 5.0, blind("pressure_at_rest")),
        (-5.0, -0.25, nervous("pressure_at_rest")),
        (0.25, 5.0, nervous("pressure_at_rest")),
    ],
)
def test_a_line_at_rest_is_proven_on_both_sides(
    monkeypatch: Patch, low_kpa: float, high_kpa: float, found: dict[str, tuple[bool, bool]]
) -> None:
    class Between:
        def __init__(self, ladder: PressureLimits) -> None:
            assert ladder.zero_kpa == 5.0

        def evaluate(self, kpa: float) -> str | None:
            return None if low_kpa <= kpa <= high_kpa else "wrong"

    monkeypatch.setattr(proof, "LineAtRest", Between)
    assert unproven() == found


def test_a_line_at_rest_that_believes_what_is_no_number_is_found(monkeypatch: Patch) -> None:
    class Believing:
        def __init__(self, ladder: PressureLimits) -> None:
            self._zero_kpa = ladder.zero_kpa

        def evaluate(self, kpa: float) -> str | None:
            return "wrong" if abs(kpa) > self._zero_kpa else None

    monkeypatch.setattr(proof, "LineAtRest", Believing)
    assert unproven() == blind("pressure_at_rest")


def test_a_line_without_loss_is_not_asked_for_an_answer() -> None:
    limits, line = Limits(), Line(0.5, 0.0, 1.0)
    guard = Guard(Channel("pressure", lambda: None, 0.1), (), limits.polling_of("pressure"), 0)
    names = {p.name for p in prove_all([guard], limits, line)}
    assert "pressure_silent" not in names and {"line_blocked", "tip_pressure", "tip_pressure_hard"} <= names
    assert "pressure_silent" in {p.name for p in prove_all([guard], limits, Line(0.5, 0.001, 1.0))}


# ---- ages, standing values and examples --------------------------------------------------------------------


@pytest.mark.parametrize("frozen_n", [2, 1000])
def test_any_number_of_equal_readings_that_a_rig_may_set_is_proven(frozen_n: int) -> None:
    limits = Limits(polling={"pressure": replace(POLLING["pressure"], frozen_n=frozen_n)})
    assert unproven(limits) == {}


def test_the_oldest_age_that_a_rig_may_set_is_proven() -> None:
    limits = Limits(polling={"pressure": replace(POLLING["pressure"], stale_idle_s=10.0, stale_attended_s=2.0)})
    assert unproven(limits) == {}


def test_a_contacts_example_is_that_contact_alone_and_its_counter_example_all_others() -> None:
    contacts = {"nerve_contact": "nerve", "vessel_contact": "vessel", "pedal": "pedal"}
    levels = {level.name: level for level in levels_for(Limits(), 22, pedal_holds=True)}
    for name, mine in contacts.items():
        assert levels[name].trips_on == ContactReading(0, **{c: c == mine for c in contacts.values()})
        assert levels[name].passes_on == ContactReading(0, **{c: c != mine for c in contacts.values()})
