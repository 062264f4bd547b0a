"""The reference instrument: which looks at a tracker are readings, and when a tip is not measured."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from experiments.calibrations.needle_tip import _at_rest
from experiments.trial.reference import note_reference, read_reference, withdraw_frozen
from hal.clock import NS_PER_S, VirtualClock
from hal.drivers.manual_entry import ManualTracker, Settings
from hal.drivers.tracker_igtl import Driver
from hal.drivers.tracker_igtl import Settings as IgtlSettings
from hal.errors import CalibrationRefused
from hal.types import NeedlePose, TrackedPose
from rig.instruments.reference import BODY, TIP, Cause, TipAtRest, judged_after_move, read_tip, tip_now

TURN = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
BAD_FLOAT = -3.697314e28
"""Value that NDI's trackers put where a number is missing."""


def pose(*place: float, turn: np.ndarray = TURN) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = place
    return matrix


TRUE = pose(10.0, 20.0, 30.0)


class Bench:
    """A tracker behind its own driver: ``feed(k)`` is what the server sends of the tip before the k-th look."""

    def __init__(self, feed, body=lambda k: pose(0.0, 0.0, 0.0, turn=np.eye(3)), stamp=lambda now_ns, k: 0):
        self.clock = VirtualClock(600 * NS_PER_S)
        self.driver = Driver(IgtlSettings(url="rigsim://none"), self.clock)
        self.feed, self.body, self.stamp, self.looks = feed, body, stamp, 0
        self.rig = SimpleNamespace(tracker=self.driver, frames=SimpleNamespace(get=lambda a, b: np.eye(4)))
        self.wait = self.clock.sleep

    def read(self, role: str) -> tuple[TrackedPose, ...]:
        now_ns, k = self.clock.now_ns(), self.looks
        self.looks += 1
        for name, matrix in ((BODY, self.body(k)), (TIP, self.feed(k))):
            if matrix is not None:
                packet = SimpleNamespace(device=name, stamp_ns=self.stamp(now_ns, k))
                self.driver._keep(packet, name, matrix, True, now_ns)
        return tuple(self.driver._renewed(one, now_ns) for one in self.driver._poses.values())


def read(feed, **how) -> TipAtRest:
    return read_tip(Bench(feed, **how), np.eye(4))


def noisy(k: int, sd_mm: float = 0.1) -> np.ndarray:
    return pose(*(TRUE[:3, 3] + np.random.default_rng(k).normal(0.0, sd_mm, 3)))


def test_a_tip_is_the_mean_of_twelve_new_readings():
    found = read(noisy)
    assert found.measured and found.reason == ""
    assert (found.readings_n, found.outliers_n, found.impossible_n) == (12, 0, 0)
    assert np.linalg.norm(found.tip_mm - TRUE[:3, 3]) < 0.15
    assert found.axis == pytest.approx(TURN[:, 2]) and 0.05 < found.spread_mm < 0.3


SPOILED = {
    "not a number": pose(np.nan, np.nan, np.nan),
    "infinite": pose(np.inf, 0.0, 0.0),
    "a missing value of the tracker": pose(BAD_FLOAT, BAD_FLOAT, BAD_FLOAT),
    "the identity of a lost tool": np.eye(4),
    "mirrored": pose(10.0, 20.0, 30.0, turn=TURN @ np.diag([1.0, 1.0, -1.0])),
    "a zero quaternion": pose(0.0, 0.0, 0.0, turn=np.zeros((3, 3))),
    "scaled": pose(10.0, 20.0, 30.0, turn=1.02 * TURN),
}


@pytest.mark.parametrize("bad", SPOILED.values(), ids=SPOILED)
def test_one_impossible_reading_is_left_out_and_counted(bad):
    found = read(lambda k: bad if k == 5 else TRUE)
    assert found.tip_mm == pytest.approx(TRUE[:3, 3]) and found.spread_mm == pytest.approx(0.0)
    assert (found.readings_n, found.impossible_n) == (11, 1)


@pytest.mark.parametrize("bad", SPOILED.values(), ids=SPOILED)
def test_more_than_a_quarter_of_impossible_readings_measure_nothing(bad):
    assert read(lambda k: bad if k in (2, 5, 8) else TRUE).measured
    found = read(lambda k: bad if k in (2, 5, 8, 11) else TRUE)
    assert found.cause is Cause.IMPOSSIBLE and found.cause.device_fault and found.tip_mm is None
    assert "4 of 12 readings cannot be true" in found.reason


def test_outliers_up_to_a_quarter_are_left_out_and_more_measure_nothing():
    far = pose(14.0, 20.0, 30.0)
    found = read(lambda k: far if k in (2, 5, 8) else TRUE)
    assert found.tip_mm == pytest.approx(TRUE[:3, 3]) and (found.readings_n, found.outliers_n) == (9, 3)
    assert read(lambda k: far if k in (2, 5, 8, 11) else TRUE).cause is Cause.OUTLIERS
    mixed = read(lambda k: far if k in (2, 5) else SPOILED["infinite"] if k in (8, 11) else TRUE)
    assert mixed.cause is Cause.OUTLIERS and (mixed.outliers_n, mixed.impossible_n) == (2, 2)


def test_readings_that_scatter_beyond_the_claim_of_the_instrument_measure_nothing():
    assert all(read(lambda k, seed=seed: noisy(k + 100 * seed, 0.3)).measured for seed in range(40))
    found = [read(lambda k, seed=seed: noisy(k + 100 * seed, 0.9)) for seed in range(40)]
    assert sum(one.measured for one in found) <= 1
    assert {one.cause for one in found if not one.measured} <= {Cause.SCATTERED, Cause.OUTLIERS}
    assert any("scatter by" in one.reason for one in found)


def test_one_pose_from_before_is_no_reading_however_often_it_is_looked_at():
    found = read(lambda k: TRUE if k == 0 else None)
    assert found.cause is Cause.FROZEN and found.readings_n == 0
    assert read(lambda k: TRUE if k < 4 else None).cause is Cause.FROZEN, "a tracker that hangs meanwhile"


def test_an_old_pose_sent_again_with_its_old_stamp_is_no_reading():
    found = read(lambda k: TRUE, stamp=lambda now_ns, k: 600 * NS_PER_S)
    assert found.cause is Cause.FROZEN and found.old_n > 60


def test_a_stamp_ahead_of_the_clock_is_no_reading():
    bench = Bench(lambda k: TRUE, stamp=lambda now_ns, k: now_ns + 60 * NS_PER_S)
    bench.driver._time.shared = True
    found = read_tip(bench, np.eye(4))
    assert found.cause is Cause.IMPOSSIBLE and "60 s ahead" in found.reason


def test_a_body_that_is_not_renewed_or_impossible_makes_no_reading():
    assert read(lambda k: TRUE, body=lambda k: pose(1.0, 2.0, 3.0) if k < 3 else None).cause is Cause.FROZEN
    lost = read(lambda k: TRUE, body=lambda k: SPOILED["mirrored"])
    assert lost.cause is Cause.IMPOSSIBLE and BODY in lost.reason
    back = read(lambda k: TRUE, body=lambda k: np.eye(4) if k == 4 else pose(1.0, 2.0, 3.0))
    assert (back.readings_n, back.impossible_n) == (11, 1), "a body that jumps to the identity is a lost one"


def test_a_tip_that_is_not_seen_is_no_fault_of_the_instrument():
    found = read(lambda k: None)
    assert found.cause is Cause.NOT_SEEN and not found.cause.device_fault
    assert "line of sight" in found.reason


def test_a_tracker_that_gives_the_old_place_new_stamps_is_found_out_by_the_needle_s_move():
    bench = Bench(lambda k: TRUE)
    found = read_tip(bench, np.eye(4))
    assert judged_after_move(found, tip_now(bench)).cause is Cause.FROZEN, "the needle was withdrawn meanwhile"
    assert judged_after_move(found, TRUE[:3, 3] - [0.0, 0.0, 40.0]) is found
    assert judged_after_move(found, None) is found, "out of sight now, which tells nothing of then"


def test_a_tracker_that_measures_in_metres_or_inches_is_found_out_by_the_withdrawal():
    found = read(noisy)
    out = np.array([0.0, 0.0, -60.0])
    for unit_mm in (1000.0, 25.4):
        judged = judged_after_move(found, found.seen_mm + out / unit_mm, 60.0)
        assert judged.cause is Cause.IMPOSSIBLE and judged.cause.device_fault and judged.tip_mm is None
        assert "the needle was moved by 60 mm" in judged.reason and "units" in judged.reason
    assert judged_after_move(found, found.seen_mm + 0.7 * out, 60.0) is found, "a hand does not know to the millimetre"
    assert judged_after_move(found, found.seen_mm + 0.01 * out, 0.0) is found, "nobody knows how far it went"


def test_a_reading_that_is_taken_back_leaves_the_trial_without_a_tip():
    bench = Bench(lambda k: TRUE)
    trial, reported = of_a_trial(bench)
    trial.log.reference = {}
    note_reference(trial, "at_injection")
    assert trial.log.reference_mm.keys() == {"at_injection"}
    withdraw_frozen(trial)
    assert trial.log.reference_mm == {} and trial.log.reference["at_injection"].cause is Cause.FROZEN
    assert reported[-1]["measured"] is False and reported[-1]["device_fault"] is True


def test_a_tip_out_of_every_needle_s_reach_is_not_measured():
    found = read(lambda k: pose(10.0, 20.0, 830.0))
    assert found.cause is Cause.IMPOSSIBLE and "out of every needle's reach" in found.reason
    assert read_tip(Bench(lambda k: pose(10.0, 20.0, 830.0))).measured, "a tracker's own frame reaches further"


def test_without_a_tracker_the_reason_is_reported():
    bench = Bench(lambda k: TRUE)
    bench.rig.tracker = None
    assert read_tip(bench).cause is Cause.NO_INSTRUMENT and bench.looks == 0


class Typing(ManualTracker):
    """A person who types, in a clock that a test can turn."""

    def __init__(self, clock, answers):
        super().__init__(Settings(), clock, terminal=SimpleNamespace(say=lambda t: None, drop=lambda: None))
        self.answers, self.asked = answers, 0
        self._console.line = lambda: self.answers[min(self.asked, len(self.answers)) - 1]

    def _ask(self, question):
        self.asked += 1
        return super()._ask(question)


def typing(*answers):
    bench = Bench(lambda k: None)
    person = Typing(bench.clock, answers)
    bench.rig.tracker, bench.read = person, lambda role: person.read()
    return bench, person


def test_a_person_is_asked_once_and_what_he_types_is_the_tip():
    bench, person = typing("1 2,5 3")
    assert tip_now(bench) is None and person.asked == 0
    found = read_tip(bench, pose(0.0, 0.0, 100.0, turn=np.eye(3)))
    assert found.tip_mm == pytest.approx([1.0, 2.5, 103.0]) and person.asked == 1
    assert found.axis is None, "a position has no direction"


def test_a_person_who_cannot_tell_leaves_the_tip_unmeasured_and_stops_nothing():
    found = read_tip(typing("n")[0], np.eye(4))
    assert found.cause is Cause.NOT_TOLD and "declined" in found.reason and not found.cause.device_fault
    bench, person = typing("1 2 3e5", "1 2", "nan 1 2")
    assert read_tip(bench, np.eye(4)).cause is Cause.NOT_TOLD and person.asked == 3


def of_a_trial(bench):
    reported = []
    log = SimpleNamespace(reference_mm={}, reference_axis=None)
    trial = SimpleNamespace(witness=None, controller=bench, log=log, event=lambda kind, **data: reported.append(data))
    return trial, reported


def test_a_trial_and_a_calibration_judge_the_same_poses_alike():
    old = (TrackedPose(NS_PER_S, TIP, TRUE), TrackedPose(NS_PER_S, BODY, np.eye(4)))
    bench = Bench(lambda k: None)
    bench.read = lambda role: old
    trial, reported = of_a_trial(bench)
    read_reference(trial, "at_injection")
    assert trial.log.reference_mm == {} and reported[0]["measured"] is False and reported[0]["cause"] == "frozen"
    with pytest.raises(CalibrationRefused) as refused:
        _at_rest(bench, NeedlePose(0, 0, 0, 0, -20.0), 0)
    assert refused.value.code == "frozen"


def test_a_calibration_that_listens_leaves_out_the_same_spoiled_reading():
    in_air = NeedlePose(0, 0, 0, 0, -20.0)
    seen = _at_rest(Bench(lambda k: SPOILED["infinite"] if k == 5 else TRUE), in_air, 0)
    assert seen is not None and seen.tip_mm == pytest.approx(TRUE[:3, 3])
    with pytest.raises(CalibrationRefused) as refused:
        _at_rest(Bench(lambda k: noisy(k, 3.0)), in_air, 1)
    assert refused.value.code == "unsteady" and "pose 2" in str(refused.value)
