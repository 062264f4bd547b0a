"""The water-tank pair of the PLUS test data against its published lag."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from recordings import FOLDER, needs

from hal.errors import CalibrationRefused
from hal.links.sequence import Sequence, read_sequence
from rig.calibration.time.lag import TemporalCalibration, estimate_lag
from rig.calibration.time.signal import floor_signal, pose_signal

PLUS = FOLDER / "plus"
VIDEO = PLUS / "WaterTankBottomTranslationVideoBuffer.igs.mha"
TRACKER = PLUS / "WaterTankBottomTranslationTrackerBuffer-trimmed.igs.mha"
PUBLISHED = PLUS / "TemporalCalibrationResultsBaseline.xml"

pytestmark = needs(*(f"plus/{p.name}" for p in (VIDEO, TRACKER, PUBLISHED)))


@pytest.fixture(scope="module")
def recordings() -> tuple[Sequence, Sequence]:
    return read_sequence(VIDEO), read_sequence(TRACKER)


@pytest.fixture(scope="module")
def result(recordings: tuple[Sequence, Sequence]) -> TemporalCalibration:
    video, tracker = recordings
    return estimate_lag(floor_signal(video), pose_signal(tracker, "ProbeToTracker"))


def test_lag_is_within_five_milliseconds_of_the_published_one(result: TemporalCalibration) -> None:
    match = re.search(r'TrackerLagSec="([-\d.]+)"', PUBLISHED.read_text())
    assert match is not None
    assert result.lag_s == pytest.approx(float(match[1]), abs=0.005)
    assert result.interval_s[0] < float(match[1]) < result.interval_s[1]


def test_every_frame_shows_the_floor(recordings: tuple[Sequence, Sequence]) -> None:
    signal = floor_signal(recordings[0])
    assert signal.left_out_n == 0
    assert len(signal.values) == 201


def test_the_video_is_late_and_the_wide_range_agrees(
    recordings: tuple[Sequence, Sequence], result: TemporalCalibration
) -> None:
    assert "VideoBuffer" in result.late_stream
    video, tracker = recordings
    wide = estimate_lag(
        floor_signal(video), pose_signal(tracker, "ProbeToTracker", "ReferenceToTracker"), max_lag_s=0.9
    )
    assert wide.lag_s == pytest.approx(result.lag_s, abs=0.002)


@pytest.mark.parametrize("shift_s", [-0.2, 0.1, 0.3])
def test_shifting_one_stream_shifts_the_answer(recordings: tuple[Sequence, Sequence], shift_s: float) -> None:
    video, tracker = recordings
    signal = floor_signal(video)
    moved = replace(signal, times_ns=signal.times_ns + int(shift_s * 1e9))
    there = estimate_lag(moved, pose_signal(tracker, "ProbeToTracker"))
    here = estimate_lag(signal, pose_signal(tracker, "ProbeToTracker"))
    assert there.lag_s == pytest.approx(here.lag_s - shift_s, abs=0.001)


def test_half_the_recording_agrees_within_the_interval(recordings: tuple[Sequence, Sequence]) -> None:
    video, tracker = recordings
    signal, probe = floor_signal(video), pose_signal(tracker, "ProbeToTracker")
    half = len(signal.values) // 2
    lags = [
        estimate_lag(
            replace(signal, times_ns=signal.times_ns[part], values=signal.values[part]), probe, same_sense=True
        )
        for part in (slice(None, half), slice(half, None))
    ]
    apart = abs(lags[0].lag_s - lags[1].lag_s)
    assert apart < 3 * np.hypot(lags[0].standard_uncertainty_s, lags[1].standard_uncertainty_s)


def test_a_tool_that_stands_still_is_refused(recordings: tuple[Sequence, Sequence]) -> None:
    video, tracker = recordings
    with pytest.raises(CalibrationRefused) as caught:
        estimate_lag(floor_signal(video), pose_signal(tracker, "StylusToTracker"))
    assert caught.value.code == "too little motion"


def test_frames_without_time_stamps_are_refused(recordings: tuple[Sequence, Sequence]) -> None:
    tracker = recordings[1]
    stripped = replace(
        tracker, frames=tuple(replace(f, time_ns=None if f.index % 7 == 0 else f.time_ns) for f in tracker.frames)
    )
    with pytest.raises(CalibrationRefused, match=r"115 of 801 frames have no Timestamp"):
        pose_signal(stripped, "ProbeToTracker")


def test_one_frozen_image_is_refused_as_constant(recordings: tuple[Sequence, Sequence]) -> None:
    video, _ = recordings
    assert video.pixels is not None
    frozen = replace(video, pixels=np.broadcast_to(video.pixels[:1], video.pixels.shape))
    with pytest.raises(CalibrationRefused) as caught:
        floor_signal(frozen)
    assert caught.value.code == "constant input"


def test_a_tool_that_the_recording_lacks_is_named(recordings: tuple[Sequence, Sequence]) -> None:
    with pytest.raises(CalibrationRefused, match="NeedleToTracker; it has ProbeToTracker"):
        pose_signal(recordings[1], "NeedleToTracker")
