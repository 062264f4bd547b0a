"""Touches of a stylus become a registered phantom, or a reason why not. Drawn recordings, 40 Hz."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hal.errors import CalibrationRefused, ConfigError
from rig.calibration.certificates.certificate import Certificate
from rig.calibration.phantom.touch import register_touches, require_place
from rig.calibration.tool.stylus import StylusTip, read_tip
from rig.geometry.fiducials import Fiducials
from rig.geometry.registration import rigid_matrix
from rig.geometry.transforms import apply

NOMINAL = Fiducials.of(
    {
        "F1": [-88, -95, 0],
        "F2": [88, -95, 0],
        "F3": [88, 115, 0],
        "F4": [-88, 115, 0],
        "F5": [-95, 10, 30],
        "F6": [95, -20, 45],
    }
)
TRUE_TIP = np.array([0.6, -0.9, 150.0])
TIP = StylusTip(TRUE_TIP, np.eye(3) * 0.03**2, "PIV-1")
PhantomToReference = rigid_matrix(np.radians([4.0, -7.0, 25.0]), np.array([40.0, -60.0, 25.0]))
TARGETS = {"L4.left": [25.0, 8.5, 59.0], "S1.right": [-18.0, -57.0, 40.0]}
RATE_HZ = 40.0


def touches(names, *, sway_deg=18.0, noise_mm=0.25, seed=3, points=NOMINAL):
    """Times and poses ``StylusToReference`` of a round over ``names``."""
    rng = np.random.default_rng(seed)
    stops = apply(PhantomToReference, points.only(tuple(names)).points_mm)
    way = [np.array([0.0, 0.0, -80.0]) + stops[0]]
    for stop in stops:
        way += [*np.linspace(way[-1], stop, 40), *np.tile(stop, (120, 1))]
    tip = np.array(way)
    t = np.arange(len(tip)) / RATE_HZ
    sway = np.column_stack([np.sin(2.6 * t), np.sin(3.6 * t), 0.0 * t]) * sway_deg
    turn = (
        Rotation.from_matrix(PhantomToReference[:3, :3]) * Rotation.from_euler("xyz", sway, degrees=True)
    ).as_matrix()
    poses = np.tile(np.eye(4), (len(t), 1, 1))
    poses[:, :3, :3] = turn
    poses[:, :3, 3] = tip - turn @ TRUE_TIP + rng.normal(0.0, noise_mm, tip.shape)
    return (t * 1e9).astype(np.int64), poses


def registered(names=("F4", "F1", "F6", "F2", "F5", "F3"), *, tip=TIP, nominal=NOMINAL, check=(), **more):
    return register_touches(*touches(names, **more), tip, nominal, targets=TARGETS, check_names=check)


def refusal(**more):
    with pytest.raises(CalibrationRefused) as caught:
        registered(**more)
    return caught.value


def test_the_pose_holds_the_targets_within_its_predicted_error_whatever_the_order():
    errors, predicted = [], []
    for seed in range(12):
        names = np.random.default_rng(seed).permutation(NOMINAL.names)
        found = registered(tuple(names), seed=seed)
        for target in found.registration.targets:
            at = np.array(TARGETS[target.name])
            errors.append(np.linalg.norm(apply(found.PhantomToReference, at) - apply(PhantomToReference, at)))
            predicted.append(target.closed_mm)
    assert np.sqrt(np.mean(np.square(errors))) < 1.3 * np.mean(predicted)
    assert np.mean(predicted) < 0.2


def test_names_come_from_distances_so_that_two_cannot_be_swapped():
    found = registered(("F2", "F1", "F3", "F4", "F6", "F5"))
    for name, k in found.naming.dwell_of.items():
        true = apply(PhantomToReference, NOMINAL.only((name,)).points_mm[0])
        assert np.linalg.norm(found.dwells[k].point_mm - true) < 0.5, name


def test_held_out_fiducials_measure_the_error():
    found = registered(check=("F5",))
    checks = found.registration.checks
    assert checks is not None and set(checks.errors_mm) == {"F5"} and checks.max_mm < 0.6
    assert len(found.registration.landmarks) == 5 and all(m.left_out_mm < 1.0 for m in found.registration.landmarks)


def test_a_tip_4_mm_off_is_reported_by_its_own_swivel_with_direction():
    off = np.array([2.0, 0.0, 3.5])
    refused = refusal(tip=StylusTip(TRUE_TIP + off, TIP.covariance, "PIV-0"))
    assert refused.code == "stylus tip" and "PIV-0" in refused.reason
    assert refused.figures["off_mm"] == pytest.approx(-off, abs=0.4)


def test_a_good_tip_is_not_blamed_in_twelve_rounds():
    assert max(registered(seed=seed).tip_check.sigmas for seed in range(12)) < 4.0


def test_a_stylus_that_is_never_swivelled_is_refused():
    assert refusal(sway_deg=0.5).code == "no swivel"


@pytest.mark.parametrize("names", [("F1", "F2"), ("F1", "F2", "F5")])
def test_too_few_touches_are_refused(names):
    assert refusal(names=names).code == "too few"


def test_a_set_that_can_be_named_in_two_ways_is_refused():
    square = Fiducials.of({"A": [-50, -50, 0], "B": [50, -50, 0], "C": [50, 50, 0], "D": [-50, 50, 0]})
    refused = refusal(names=square.names, nominal=square, points=square)
    assert refused.code == "ambiguous"


def test_a_mirrored_drawing_is_refused_as_mirrored():
    flipped = Fiducials(NOMINAL.names, NOMINAL.points_mm * [-1.0, 1.0, 1.0])
    refused = refusal(nominal=flipped)
    assert refused.code == "mirrored" and "wrong sign" in refused.reason


def test_one_divot_3_mm_beside_its_drawing_is_named_by_its_residual():
    shifted = NOMINAL.points_mm.copy()
    shifted[2] += [0.0, 1.6, 0.0]
    refused = refusal(nominal=Fiducials(NOMINAL.names, shifted))
    assert refused.code == "bad point" and "F3" in refused.reason and refused.measured is not None


def test_a_phantom_upside_down_in_its_fixture_is_refused():
    stated = rigid_matrix(np.zeros(3), np.array([300.0, 250.0, 150.0]))
    over = stated @ rigid_matrix(np.array([np.pi, 0.0, 0.0]), np.zeros(3))
    with pytest.raises(CalibrationRefused, match=r"180 deg.*upside") as caught:
        require_place(over, stated, np.zeros(3))
    assert caught.value.code == "placement"
    off_mm, turn_deg = require_place(
        stated @ rigid_matrix(np.radians([0, 0, 2]), np.array([3.0, 4.0, 0.0])), stated, [0] * 3
    )
    assert (off_mm, turn_deg) == (pytest.approx(5.0), pytest.approx(2.0))


def test_the_result_is_plain_json_and_says_what_the_fit_is_not():
    data = json.loads(json.dumps(registered().as_json(), allow_nan=False))
    assert data["transform"] == "PhantomToReference" and "not accuracy" in data["fre_note"]
    assert set(data["predicted_tre_mm"]) == set(TARGETS) and data["points_n"] == 6


def test_a_tip_is_read_from_a_pivot_and_from_its_certificate(tmp_path):
    pivot = {"ok": True, "tip_mm": [0.0, 0.0, 150.0], "covariance_mm2": np.eye(3).tolist()}
    plain, filed = tmp_path / "tip.json", tmp_path / "PIV-1.json"
    plain.write_text(json.dumps(pivot) + "\n")
    Certificate(
        "PIV-1", "pivot", "stylus", "", "AB", "2026-01-01T00:00:00+00:00", "", "by hand", pivot, simulated=False
    ).write(filed)
    assert read_tip(plain).tip_mm.tolist() == read_tip(filed).tip_mm.tolist() == [0.0, 0.0, 150.0]
    filed.write_text(filed.read_text().replace("150.0", "151.0"))
    with pytest.raises(ConfigError, match="changed after it was issued"):
        read_tip(filed)


@pytest.mark.parametrize("text", ["", "no json", '{"ok": false}', '{"ok": true, "tip_mm": [1, 2]}'])
def test_what_is_no_tip_is_one_clear_error(tmp_path, text):
    path = tmp_path / "tip.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="pivot calibration"):
        read_tip(path)
