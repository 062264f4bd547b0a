"""Notes for the uncertainty budget: they ask nobody, and one look is not made better by many."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experiments.trial.imaging import Imaging
from experiments.trial.registration import Registration
from experiments.trial.tip import SeenTip, Tip
from experiments.trial.uncertainty import one_look, seen_tip, write_uncertainty
from hal.clock import NS_PER_S
from hal.phantom.needles import load_needle
from hal.phantom.sound_speed import SoundSpeed
from hal.types import Pose6
from rig.calibration.certificates.in_force import InForce
from rig.config import load_config
from rig.guidance.bending import nominal_bending
from rig.guidance.confirmation import Confirmation, Method
from rig.guidance.needle_line import NeedleLine

GEL = SoundSpeed(1540.0, 5.0, 21.0, 2.0, 0.5, "test")
NEEDLE = load_needle("22G_quincke_120")
LINE = NeedleLine(np.zeros(3), np.array([0.6, 0.0, 0.8]))


class _Untouchable:
    """Devices and persons that must not be asked: a read costs the trial time, a question costs a person."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the hand was asked for {name}")


class _NoReading:
    def __init__(self, velocity_mm_s: float) -> None:
        self.velocity_mm_s = velocity_mm_s
        self.rig = SimpleNamespace(
            frames=SimpleNamespace(get=lambda a, b: np.eye(4)), config=load_config("simulated"), tracker=None
        )

    def probe_pose_at(self, time_ns: int) -> Pose6:
        return Pose6(self.velocity_mm_s * time_ns / NS_PER_S, 0.0, 0.0, 0.0, 0.0, 0.0)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the controller was asked for {name}")


def _trial(**more: Any) -> Any:
    events: list[tuple[str, dict[str, Any]]] = []
    facts = {
        "hand": _Untouchable(), "controller": _NoReading(5.0), "needle": NEEDLE, "calibrated": InForce(),
        "registration": Registration(np.eye(4)), "imaging": Imaging(120.0, 1540.0, GEL),
        "events": events,
        "approach_direction": LINE.direction, "target": SimpleNamespace(aim_mm=lambda d: np.array([10.0, 0.0, 60.0])),
        "event": lambda kind, **data: events.append((kind, data)),
    }  # fmt: skip
    return SimpleNamespace(**{**facts, **more})


def _confirmed(spread: np.ndarray | None) -> Confirmation:
    return Confirmation(True, Method.DIRECT, "", np.array([30.0, 0.0, 40.0]), 0.01 * np.eye(3), 0.1, spread)


def _seen(spread: np.ndarray | None) -> SeenTip | None:
    view = SimpleNamespace(ProbeToRig=np.eye(4), frame=SimpleNamespace(time_ns=NS_PER_S))
    bending = nominal_bending(LINE, NEEDLE)
    return seen_tip(_NoReading(5.0), Tip(bending, bending, 0.3, view), _confirmed(spread), 50.0, 0.2)


def test_a_confirmed_tip_is_noted_without_asking_device_or_person() -> None:
    seen = _seen(0.09 * np.eye(3))
    assert seen is not None and (seen.feed_mm, seen.feed_sd_mm, seen.pulled_back_mm) == (50.0, 0.2, 0.0)
    assert seen.velocity_mm_s == pytest.approx([5.0, 0.0, 0.0])


def test_the_entry_is_written_without_asking_device_or_person() -> None:
    trial = _trial()
    write_uncertainty(trial)
    ((kind, data),) = trial.events
    assert kind == "uncertainty" and data["seen"] is None
    assert data["path_mm"] == pytest.approx(75.0)
    assert data["expected_deflection_mm"] == pytest.approx(0.5 * NEEDLE.curvature_per_mm * 75.0**2)


def test_a_tip_without_a_view_of_its_own_is_not_noted() -> None:
    assert _seen(None) is None


def test_one_look_is_no_better_than_the_look_along_the_needle_and_better_across_it() -> None:
    seen = 0.25 * np.eye(3)
    spread = one_look(nominal_bending(LINE, NEEDLE), 60.0, seen)
    along = float(LINE.direction @ spread @ LINE.direction)
    assert along == pytest.approx(0.25, rel=1e-3)  # the carrier's feed adds nothing there
    assert 0.0 < spread[1, 1] < 0.25
