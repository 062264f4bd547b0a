"""Poses of the tracker that arrive meanwhile: kept once each, in order, and not without sight."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.calibrations.listening import (
    Listener,
    body_of,
    longest_blind_s,
    relative,
    require_reports,
    seen_share,
)
from hal.errors import CalibrationRefused, ConfigError, LinkError
from hal.types import TrackedPose
from rig.lanes import Sample

MS = 1_000_000
TOOL, BODY = "StylusToTracker", "PhantomToTracker"


def pose(name, time_ms, x_mm=0.0, valid=True):
    matrix = np.eye(4)
    matrix[0, 3] = x_mm
    return TrackedPose(time_ms * MS, name, matrix, valid)


def listening(*samples):
    """A listener that heard these ``(asked at ms, poses)``."""
    channel = SimpleNamespace(listeners=[], fault=None)
    lane = SimpleNamespace(request=lambda role: SimpleNamespace(done=False))
    rig = SimpleNamespace(lanes={"tracker": lane}, channels={"tracker": channel})
    listener = Listener(SimpleNamespace(rig=rig), TOOL)
    with listener:
        for asked_ms, poses in samples:
            for hear in channel.listeners:
                hear(Sample(tuple(poses), asked_ms * MS))
    return listener


def test_one_sight_read_twice_is_one_and_sights_come_in_order():
    listener = listening(
        (20, [pose(TOOL, 0), pose(BODY, 0)]),
        (40, [pose(TOOL, 0), pose(BODY, 0)]),
        (60, [pose(TOOL, 50), pose(BODY, 50)]),
    )
    assert [r.time_ns // MS for r in listener.reports()] == [0, 50]


def test_every_asking_without_sight_is_kept_and_counts_as_unseen():
    listener = listening(
        (20, [pose(TOOL, 0)]),
        (40, [pose(TOOL, 0, valid=False)]),
        (60, [pose(TOOL, 0, valid=False)]),
        (90, [pose(TOOL, 58)]),
    )
    reports = listener.reports()
    assert [r.seen(TOOL) for r in reports] == [True, False, True, False]
    assert all(a.time_ns < b.time_ns for a, b in itertools.pairwise(reports))
    assert seen_share(reports, TOOL) == 0.5 and longest_blind_s(reports, TOOL) == pytest.approx(0.058)
    with pytest.raises(CalibrationRefused, match="50%") as caught:
        require_reports(reports, listener, 0.7)
    assert caught.value.code == "not seen"


def test_an_old_pose_of_the_body_does_not_belong_to_a_new_one_of_the_stylus():
    listener = listening(
        (20, [pose(TOOL, 10, 5.0), pose(BODY, 10, 2.0)]),
        (400, [pose(TOOL, 390, 9.0), pose(BODY, 10, 2.0)]),
    )
    times, poses = relative(listener.reports(), TOOL, BODY)
    assert times.tolist() == [10 * MS] and poses[0, 0, 3] == pytest.approx(3.0)


def test_a_body_and_a_tool_that_nobody_reports_are_named():
    listener = listening((20, [pose(BODY, 0)]))
    with pytest.raises(ConfigError, match="never reported StylusToTracker; it reported PhantomToTracker"):
        require_reports(listener.reports(), listener, 0.5)
    with pytest.raises(ConfigError, match="no body on the phantom"):
        body_of(listening((20, [pose(TOOL, 0)])).reports())


def test_a_tracker_that_fails_stops_the_rig():
    listener = listening()
    assert listener.rule(0) is None
    listener._channel.fault = LinkError("connection lost")
    trip = listener.rule(1)
    assert trip is not None and trip.severity.name == "HARD" and "connection lost" in trip.reason


def test_numbers_that_no_pose_has_are_no_sight_and_too_many_refuse_the_recording():
    bad = pose(TOOL, 30, np.nan)
    sound = [(20 * k, [pose(TOOL, 20 * k, 0.1 * k)]) for k in range(5, 25)]
    listener = listening(*sound, (600, [replace(bad, time_ns=590 * MS)]))
    reports = listener.reports()
    assert not reports[-1].seen(TOOL) and reports[-1].poses[TOOL].impossible
    require_reports(reports, listener, 0.7)
    spoiled = listening((20, [pose(TOOL, 10, 1.0)]), (60, [pose(TOOL, 50, -3.7e28)]), (99, [pose(TOOL, 90, np.inf)]))
    with pytest.raises(CalibrationRefused, match="cannot be true") as caught:
        require_reports(spoiled.reports(), spoiled, 0.1)
    assert caught.value.code == "impossible"


def test_a_body_whose_numbers_no_pose_has_is_not_seen():
    listener = listening((20, [pose(TOOL, 10, 5.0), pose(BODY, 10, np.nan)]))
    times, _ = relative(listener.reports(), TOOL, BODY)
    assert len(times) == 0


def test_a_tracker_that_gives_one_pose_new_stamps_is_refused():
    listener = listening(*((20 * k, [pose(TOOL, 20 * k, 7.0)]) for k in range(1, 40)))
    with pytest.raises(CalibrationRefused, match="equal to the last bit") as caught:
        require_reports(listener.reports(), listener, 0.1)
    assert caught.value.code == "frozen"
