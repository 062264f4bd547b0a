"""Who stated an uncertainty: certificate before rig file before assumption, and no assumption for a measurement."""

from __future__ import annotations

import numpy as np
import pytest

from rig.calibration.certificates import stated
from rig.calibration.certificates.certificate import Certificate
from rig.calibration.certificates.in_force import InForce
from rig.calibration.result import Value
from rig.config import Placement, RigConfig, load_config


def _certificate(
    kind: str, *, transform: str = "", values: dict[str, Value] | None = None, **result: object
) -> Certificate:
    placed = {"transform": transform, "matrix": tuple(tuple(float(v) for v in row) for row in np.eye(4))}
    spread = tuple(tuple(float(v) for v in row) for row in np.diag([1e-6] * 3 + [0.04] * 3))
    return Certificate(
        "AB-1", kind, "tracker", "7", "somebody", "2026-01-10T10:00:00+00:00", "", "method", result, True,
        values=values or {}, **({**placed, "covariance": spread} if transform else {}),
    )  # fmt: skip


class _Tracker:
    tip_uncertainty_mm = 0.42
    sees_bending = False


@pytest.fixture
def config() -> RigConfig:
    return load_config("simulated")


def _tracker_table(config: RigConfig, **table: object) -> RigConfig:
    devices = {**config.devices, "tracker": {"driver": "igtl_tracker", "url": "rigsim://tracker", **table}}
    return config.model_copy(update={"devices": devices})


def test_a_certificate_stands_before_the_rig_file(config: RigConfig) -> None:
    speed = stated.speed(config, InForce((_certificate("sound_speed"),)), 3.0)
    assert (speed.kind, speed.source, speed.u) == ("certificate", "AB-1", 3.0)
    assert stated.speed(config, InForce(), 5.0).kind == "default [A]"


def test_what_a_driver_would_assume_of_the_instrument_is_not_a_statement(config: RigConfig) -> None:
    silent = stated.instrument(_tracker_table(config), InForce(), _Tracker())  # type: ignore[arg-type]
    assert silent.u is None and silent.kind == "not known"
    found = stated.instrument(_tracker_table(config, tip_uncertainty_mm=0.42), InForce(), _Tracker())  # type: ignore[arg-type]
    assert found.u == 0.42 and found.kind == "rig file"
    assert stated.instrument(config, InForce(), None).u is None


def test_a_qualification_brings_its_degrees_of_freedom_and_holds_the_bend(config: RigConfig) -> None:
    in_force = InForce((_certificate("reference_instrument", straight_n=21),))
    one = stated.instrument(config, in_force, _Tracker())  # type: ignore[arg-type]
    assert one.dof == 20.0 and one.source == "AB-1"
    assert stated.bending_included(in_force) and not stated.bending_included(InForce())


def test_a_phantom_that_nobody_registered_in_the_instrument_is_not_known(config: RigConfig) -> None:
    silent = config.frames.model_copy(update={"PhantomToReference": Placement()})
    nobody = stated.phantom_in_instrument(config.model_copy(update={"frames": silent}), InForce(), np.zeros(3))
    assert nobody.u is None and nobody.kind == "not known"
    stated_by = stated.phantom_in_instrument(config, InForce(), np.zeros(3))
    assert stated_by.u == pytest.approx(0.1) and stated_by.kind == "rig file"
    in_force = InForce((_certificate("phantom_registration", transform="PhantomToReference"),))
    near = stated.phantom_in_instrument(config, in_force, np.zeros(3))
    far = stated.phantom_in_instrument(config, in_force, np.array([0.0, 0.0, 300.0]))
    assert near.u == pytest.approx(0.2) and far.u is not None and far.u > 0.3


def test_a_place_of_the_phantom_that_the_rig_file_states_grows_with_the_turn(config: RigConfig) -> None:
    placed = Placement(uncertainty_mm=0.2, uncertainty_deg=0.2)
    frames = config.frames.model_copy(update={"PhantomToReference": placed})
    stated_by = stated.phantom_in_instrument(
        config.model_copy(update={"frames": frames}), InForce(), np.array([0.0, 0.0, 60.0])
    )
    turn_mm = 60.0 * np.radians(0.2) * np.sqrt(2.0 / 3.0)
    assert stated_by.kind == "rig file" and stated_by.u == pytest.approx(np.hypot(0.2, turn_mm))


def test_an_image_calibration_keeps_its_own_spread_and_else_is_assumed(config: RigConfig) -> None:
    words, spread = stated.image_spread(config, InForce())
    assert words.kind == "default [A]" and spread[3, 3] == pytest.approx(0.25)
    words, spread = stated.image_spread(config, InForce((_certificate("probe", transform="ImageToProbe"),)))
    assert words.kind == "certificate" and spread[3, 3] == pytest.approx(0.04)


def test_a_base_without_a_stated_uncertainty_is_not_known(config: RigConfig) -> None:
    by_name = {one.name: one for one in stated.bases(config, InForce())}
    assert by_name["PhantomToRig"].u == 2.0
    bare = config.model_copy(update={"frames": type(config.frames)()})
    assert all(one.u is None and one.kind == "not known" for one in stated.bases(bare, InForce()))


def test_a_latency_that_was_measured_replaces_the_assumed_one() -> None:
    assert stated.latency(InForce()).distribution == "rectangular"
    measured = InForce((_certificate("temporal", values={"lag_s": Value(0.031, 0.002, "s")}),))
    assert stated.latency(measured).u == 0.002
