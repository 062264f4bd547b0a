"""Stamps of a foreign clock become rig time."""

from __future__ import annotations

from hal.links.device_time import DeviceTime

MS = 1_000_000


def test_shared_clock_changes_nothing() -> None:
    assert DeviceTime(shared=True).to_clock(123, 999) == 123


def test_offset_is_that_of_the_message_that_waited_least() -> None:
    time = DeviceTime(shared=False)
    for stamp, wait in [(0, 9), (50, 4), (100, 30)]:
        time.to_clock(1 + stamp * MS, 7_000 * MS + (stamp + wait) * MS)
    assert time.to_clock(1 + 150 * MS, 7_000 * MS + 180 * MS) == 7_000 * MS + 154 * MS


def test_known_transfer_time_is_taken_off() -> None:
    time = DeviceTime(shared=False, transfer_ns=3 * MS)
    assert time.to_clock(1 * MS, 10 * MS) == 7 * MS


def test_message_without_stamp_is_as_old_as_its_transfer() -> None:
    assert DeviceTime(shared=False, transfer_ns=2 * MS).to_clock(0, 10 * MS) == 8 * MS


def test_rig_time_is_never_after_the_arrival() -> None:
    time = DeviceTime(shared=False)
    time.to_clock(1000 * MS, 10 * MS)
    assert time.to_clock(2000 * MS, 20 * MS) <= 20 * MS


def test_offset_follows_a_clock_that_drifts() -> None:
    time = DeviceTime(shared=False)
    drift = 100e-6
    for second in range(600):
        arrival = second * 1000 * MS + 5 * MS
        stamp = round(second * 1000 * MS * (1 - drift)) + 1
        mapped = time.to_clock(stamp, arrival)
    assert abs(mapped - arrival) < 7 * MS


def test_stamped_answer_shows_the_transfer_time_that_the_stream_hides() -> None:
    time = DeviceTime(shared=False)
    time.answered(1_000 * MS, 51 * MS, 1_002 * MS)
    assert time.to_clock(100 * MS, 1_090 * MS) == 1_050 * MS
    assert time.transfer_ns == 40 * MS


def test_quickest_answer_counts() -> None:
    time = DeviceTime(shared=False)
    time.answered(1_000 * MS, 60 * MS, 1_100 * MS)
    time.answered(2_000 * MS, 1_051 * MS, 2_002 * MS)
    time.answered(3_000 * MS, 2_020 * MS, 3_200 * MS)
    assert time.to_clock(100 * MS, 1_090 * MS) == 1_050 * MS


def test_answers_that_contradict_each_other_are_believed_by_majority_or_not_at_all() -> None:
    good, wrong = (1_000 * MS, 51 * MS, 1_002 * MS), (1_500 * MS, 51 * MS, 1_502 * MS)
    for answers, transfer_ms in (((good, wrong), 0), ((wrong, good), 0), ((good, good, wrong), 40), ((good,), 40)):
        time = DeviceTime(shared=False)
        for answer in answers:
            time.answered(*answer)
        time.to_clock(100 * MS, 1_090 * MS)
        assert time.transfer_ns == transfer_ms * MS
        assert time.watch.counts["bad stamp"] == (wrong in answers)


def test_answer_stamped_by_another_clock_is_ignored() -> None:
    time = DeviceTime(shared=False)
    time.answered(1_000 * MS, 1_700_000_000_000 * MS, 1_002 * MS)
    assert time.to_clock(100 * MS, 1_090 * MS) == 1_090 * MS
    assert time.transfer_ns == 0


def test_transfer_time_given_by_the_user_wins_over_the_answer() -> None:
    time = DeviceTime(shared=False, transfer_ns=30 * MS)
    time.answered(1_000 * MS, 51 * MS, 1_002 * MS)
    assert time.to_clock(100 * MS, 1_090 * MS) == 1_060 * MS


def test_transfer_time_is_kept_when_the_window_slides_and_the_clock_drifts() -> None:
    time = DeviceTime(shared=False)
    time.answered(-1 * MS, 5_000 * MS, 1 * MS)
    for tenth in range(3_000):
        taken = tenth * 100 * MS
        stamp = 5_000 * MS + round(taken * (1 + 20e-6))
        mapped = time.to_clock(stamp, taken + 40 * MS)
    assert abs(mapped - taken) < 2 * MS
