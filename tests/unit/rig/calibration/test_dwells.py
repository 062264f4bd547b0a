import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hal.errors import CalibrationRefused
from rig.calibration.phantom.fiducials import register_fiducials
from rig.calibration.tool.dwell import find_dwells, name_dwells
from rig.calibration.tool.dwell_tip import check_tip
from rig.geometry.fiducials import Fiducials

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
TIP = np.array([210.0, 0.0, 0.0])
TURN = Rotation.from_euler("xyz", [5, -3, 20], degrees=True).as_matrix()
SHIFT = np.array([100.0, 60.0, -40.0])
DOWN = Rotation.from_euler("y", 90, degrees=True)
RATE_HZ = 20.0


def recording(order, *, extra=(), seed=0, rest_s=2.5, noise=0.1, points=NOMINAL.points_mm):
    """Stylus poses (20 Hz) that rest and swivel at fiducials ``order``, then at ``extra`` places, moving in between."""
    rng = np.random.default_rng(seed)
    stops = [points[k] @ TURN.T + SHIFT for k in order] + [np.asarray(p, dtype=float) for p in extra]
    path = []
    here = stops[0] + [0, 0, 80]
    for stop in stops:
        path.append(np.linspace(here, stop, 25, endpoint=False))
        path.append(np.tile(stop, (int(rest_s * RATE_HZ), 1)))
        here = stop
    tips = np.concatenate(path)
    k = np.arange(len(tips))
    angles = np.column_stack([25 * np.sin(k / 7), 20 * np.cos(k / 9), 0 * k])
    r = (Rotation.from_euler("xyz", angles, degrees=True) * DOWN).as_matrix()
    poses = np.tile(np.eye(4), (len(tips), 1, 1))
    poses[:, :3, :3] = r
    poses[:, :3, 3] = tips - r @ TIP + rng.normal(0, noise, tips.shape)
    return (k / RATE_HZ * 1e9).astype(np.int64), poses


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [4, 2, 0, 5, 3, 1]])
def test_fiducials_are_found_and_named_whatever_the_order(order: list[int]) -> None:
    dwells = find_dwells(*recording(order), TIP)
    assert len(dwells) == 6
    naming = name_dwells(NOMINAL, [d.point_mm for d in dwells], tolerance_mm=1.0)
    assert naming.measured.names == NOMINAL.names
    assert [naming.dwell_of[NOMINAL.names[k]] for k in order] == list(range(6))
    truth = NOMINAL.points_mm @ TURN.T + SHIFT
    assert np.abs(naming.measured.points_mm - truth).max() < 0.1
    assert register_fiducials(NOMINAL, naming.measured, fle_mm=0.1).fit_p_value > 0.001
    json.dumps([d.as_json() for d in dwells])


def test_pauses_elsewhere_are_left_over_and_untouched_fiducials_are_missing() -> None:
    dwells = find_dwells(*recording([0, 1, 2, 4, 5], extra=([130.0, 90.0, 40.0], [60.0, 10.0, 120.0])), TIP)
    naming = name_dwells(NOMINAL, [d.point_mm for d in dwells], tolerance_mm=1.0)
    assert naming.left_over == (5, 6)
    assert naming.missing == ("F4",)


def test_a_place_touched_twice_is_one_dwell() -> None:
    dwells = find_dwells(*recording([0, 1, 0, 2]), TIP)
    assert len(dwells) == 3
    assert dwells[0].visits_n == 2
    assert all(d.swivel_deg > 20 for d in dwells)


def test_stated_covariance_of_a_dwell_is_of_the_right_size() -> None:
    errors, stated = [], []
    for seed in range(25):
        times, poses = recording([0, 1, 2], seed=seed, noise=0.4)
        for k, d in enumerate(find_dwells(times, poses, TIP)):
            errors.append(d.point_mm - (NOMINAL.points_mm[k] @ TURN.T + SHIFT))
            stated.append(np.trace(d.covariance))
    assert np.sqrt(np.mean(np.sum(np.square(errors), axis=1))) == pytest.approx(np.sqrt(np.mean(stated)), rel=0.5)


def refused(action) -> CalibrationRefused:
    with pytest.raises(CalibrationRefused) as caught:
        action()
    json.dumps(caught.value.as_json())
    return caught.value


def test_fiducials_with_a_symmetry_are_not_named() -> None:
    square = Fiducials.of({"A": [0, 0, 0], "B": [100, 0, 0], "C": [100, 100, 0], "D": [0, 100, 0]})
    assert refused(lambda: name_dwells(square, square.points_mm + 5.0, tolerance_mm=1.0)).code == "ambiguous"


def test_a_flipped_axis_is_recognised_from_dwells() -> None:
    assert refused(lambda: name_dwells(NOMINAL, NOMINAL.points_mm * [1, -1, 1], tolerance_mm=1.0)).code == "mirrored"


def test_dwells_that_are_no_fiducials_are_refused() -> None:
    places = np.random.default_rng(1).uniform(-100, 100, (6, 3))
    assert refused(lambda: name_dwells(NOMINAL, places, tolerance_mm=1.0)).code == "too few"


def test_spoiled_recordings_are_refused() -> None:
    times, poses = recording([0, 1, 2])
    assert refused(lambda: find_dwells(times[:-1], poses, TIP)).code == "missing time stamps"
    assert refused(lambda: find_dwells(times[::-1], poses, TIP)).code == "time stamps disordered"
    assert refused(lambda: find_dwells(times, np.tile(poses[:1], (len(poses), 1, 1)), TIP)).code == "constant input"
    assert refused(lambda: find_dwells(*recording([0, 1, 2], rest_s=0.3), TIP)).code == "no dwell"


def test_a_wrong_tip_offset_does_not_pass_as_a_rest() -> None:
    times, poses = recording([0, 1, 2, 3, 4, 5])
    assert refused(lambda: find_dwells(times, poses, np.add(TIP, [0.0, 0.0, 30.0]))).code == "no dwell"


def test_a_wrong_tip_offset_is_refused_though_the_landmarks_fit() -> None:
    times, poses = recording([0, 1, 2, 3, 4, 5])
    good = check_tip(times, poses, TIP, find_dwells(times, poses, TIP))
    good.refuse_wrong()
    assert good.tells
    assert good.size_mm < 4 * good.worst_sd_mm
    wrong = TIP + np.array([2.0, 1.5, 0.0])
    dwells = find_dwells(times, poses, wrong)
    naming = name_dwells(NOMINAL, [d.point_mm for d in dwells], tolerance_mm=2.0)
    assert naming.rms_mm < 0.5  # all are shifted alike, so nothing else shows it
    check = check_tip(times, poses, wrong, dwells)
    assert check.off_mm == pytest.approx([-2.0, -1.5, 0.0], abs=0.2)
    with pytest.raises(CalibrationRefused) as refused:
        check.refuse_wrong()
    assert refused.value.code == "tip"


def test_without_swivel_the_tip_offset_is_reported_as_untested() -> None:
    times, poses = recording([0, 1, 2, 3, 4, 5])
    tips = poses[:, :3, :3] @ TIP + poses[:, :3, 3]
    poses[:, :3, :3] = DOWN.as_matrix()
    poses[:, :3, 3] = tips - poses[:, :3, :3] @ TIP
    wrong = TIP + np.array([0.0, 3.0, 0.0])
    check = check_tip(times, poses, wrong, find_dwells(times, poses, wrong))
    check.refuse_wrong()
    assert not check.tells
