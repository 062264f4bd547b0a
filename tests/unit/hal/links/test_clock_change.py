"""The clock of a device is set, stands still, drifts, or sends a wrong stamp: noticed, named, counted, survived."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from hal.links.clock_change import BAD_STAMP, DRIFTS, SET_BACK, SET_FORWARD, STANDS_STILL
from hal.links.device_time import DeviceTime

MS, S = 1_000_000, 1_000_000_000
BASE = 1_700_000_000 * S
WAIT_NS = 5 * MS
"""Shortest time from stamp to arrival, which nobody can see from one side."""

Stamps = Callable[[int, int], int]
"""(true time, number of the message) -> stamp."""


class Stream:
    """100 s of a device at 30 Hz that waits 5 to 7 ms."""

    def __init__(
        self, stamp: Stamps, jitter_ns: Callable[[int], int] = lambda k: (k % 3) * MS, hz: float = 30.0
    ) -> None:
        self.time = DeviceTime(shared=False)
        self.error_ms: list[float] = []
        self.arrived_s: list[float] = []
        for k in range(int(100 * hz)):
            true = round(k * S / hz)
            arrival = true + WAIT_NS + jitter_ns(k)
            self.error_ms.append((self.time.to_clock(stamp(true, k), arrival) - true) / MS)
            self.arrived_s.append(arrival / S)

    def noticed(self) -> dict[str, int]:
        return {name: n for name, n in self.time.watch.counts.items() if n}

    def worst_ms(self) -> float:
        return max(abs(error) for error in self.error_ms)


def test_a_good_clock_is_left_alone() -> None:
    stream = Stream(lambda true, k: BASE + true)
    assert stream.noticed() == {}
    assert stream.worst_ms() <= 5.0


@pytest.mark.parametrize("by_ms", [20, 34, 80, 500, 3_600_000])
def test_a_clock_that_is_set_back_is_noticed_with_the_first_stamp_of_it(by_ms: int) -> None:
    stream = Stream(lambda true, k: BASE + true - (by_ms * MS if true > 10 * S else 0))
    assert stream.noticed() == {SET_BACK: 1}
    (change,) = stream.time.watch.changes
    assert 10.0 < change.at_ns / S < 10.05
    assert change.by_ns / MS == pytest.approx(by_ms, abs=3.0)
    assert stream.worst_ms() <= 7.0


@pytest.mark.parametrize("by_ms", [20, 33, 80, 500, 1000, 3_600_000])
def test_a_clock_that_is_set_forward_is_noticed(by_ms: int) -> None:
    stream = Stream(lambda true, k: BASE + true + (by_ms * MS if true > 10 * S else 0))
    assert stream.noticed() == {SET_FORWARD: 1}
    assert str(stream.time.watch.changes[0]).startswith("set forward by ")
    assert stream.worst_ms() <= 7.0


@pytest.mark.parametrize("by_ms", [-3_600_000, -500, -80, 80, 500, 1500, 3_600_000])
@pytest.mark.parametrize("at", [1, 2, 5, 301])
def test_one_bad_stamp_does_not_move_the_estimate(by_ms: int, at: int) -> None:
    stream = Stream(lambda true, k: BASE + true + (by_ms * MS if k == at else 0))
    rest = stream.error_ms[at + 2 :]
    assert max(rest) <= 7.0
    assert min(rest) >= 0.0
    assert stream.worst_ms() <= max(7.0, -by_ms), "the bad one itself is no younger than it says"
    if at == 301:
        assert stream.noticed() == {BAD_STAMP: 1}


def test_a_bad_first_stamp_is_forgotten() -> None:
    for by_ms in (-500, 500, 3_600_000):
        stream = Stream(lambda true, k, by_ms=by_ms: BASE + true + (by_ms * MS if k == 0 else 0))  # type: ignore[misc]
        assert max(abs(error) for error in stream.error_ms[2:]) <= 7.0


def test_a_clock_that_jumps_again_and_again_is_counted_each_time() -> None:
    stream = Stream(lambda true, k: BASE + true - 80 * MS * (true // (10 * S)))
    assert stream.noticed() == {SET_BACK: 9}
    assert stream.worst_ms() <= 7.0
    there_and_back = Stream(lambda true, k: BASE + true - (200 * MS if true // (10 * S) % 2 else 0))
    assert there_and_back.noticed() == {SET_BACK: 5, SET_FORWARD: 4}
    assert there_and_back.worst_ms() <= 7.0


def test_a_clock_that_stands_still_makes_its_messages_old_not_young() -> None:
    stream = Stream(lambda true, k: BASE + min(true, 10 * S))
    assert stream.noticed() == {STANDS_STILL: 1}
    assert stream.error_ms[-1] == pytest.approx(-90_000, abs=100)


@pytest.mark.parametrize("goes_on", ["where it stood", "where it should be"])
def test_a_clock_that_stood_still_for_a_while(goes_on: str) -> None:
    def stamp(true: int, k: int) -> int:
        if true <= 10 * S:
            return BASE + true
        if true <= 15 * S:
            return BASE + 10 * S
        return BASE + true - (5 * S if goes_on == "where it stood" else 0)

    stream = Stream(stamp)
    assert stream.noticed() == {STANDS_STILL: 1} | ({SET_BACK: 1} if goes_on == "where it stood" else {})
    assert max(abs(e) for e, at_s in zip(stream.error_ms, stream.arrived_s, strict=True) if at_s > 15.1) <= 7.0


def test_a_server_that_repeats_its_stamps_now_and_then_does_not_stand_still() -> None:
    stream = Stream(lambda true, k: BASE + true // (100 * MS) * (100 * MS))
    assert stream.noticed() == {}


@pytest.mark.parametrize(("ppm", "named"), [(50, False), (-50, False), (1000, True), (-1000, True)])
def test_a_clock_that_drifts_faster_than_a_quartz_does_is_named(ppm: int, named: bool) -> None:
    stream = Stream(lambda true, k: BASE + round(true * (1 + ppm * 1e-6)))
    assert (DRIFTS in stream.noticed()) == named
    assert set(stream.noticed()) <= {DRIFTS}


def test_messages_that_wait_are_no_change_of_the_clock() -> None:
    """Read now and then, in bunches, over a network that stalls, with frames left out by the server."""
    rng = Random(7)
    time, true, busy_ns = DeviceTime(shared=False), 0, 0
    worst_ms = 0.0
    for k in range(6000):
        true += round(S / 30) * rng.choice((1, 1, 1, 1, 2, 3))
        if k % 250 == 249:
            busy_ns = true + rng.randrange(50, 3000) * MS
        arrival = (max(true + WAIT_NS, busy_ns) // (20 * MS) + 1) * 20 * MS  # looked for every 20 ms
        error_ms = (time.to_clock(BASE + true, arrival) - true) / MS
        worst_ms = max(worst_ms, abs(error_ms))
    assert not time.watch.counts
    assert worst_ms <= 25.0


def test_a_slow_first_message_is_no_clock_that_was_set() -> None:
    stream = Stream(lambda true, k: BASE + true, jitter_ns=lambda k: 200 * MS if k == 0 else 0)
    assert stream.noticed() == {}


def test_several_tools_have_stamps_of_their_own() -> None:
    """A server that sends one tool after the other, the second with an older stamp."""
    time = DeviceTime(shared=False)
    for k in range(3000):
        true = round(k * S / 40)
        back = 80 * MS if true > 30 * S else 0
        for name, older in (("NeedleToTracker", 0), ("ProbeToTracker", 9 * MS)):
            mapped = time.to_clock(BASE + true - older - back, true + WAIT_NS, name)
            assert -1 * MS <= mapped - (true - older) <= 15 * MS
    assert time.watch.counts == {SET_BACK: 1}


def test_an_answered_question_is_forgotten_when_the_clock_is_set_and_the_transfer_time_kept() -> None:
    time = DeviceTime(shared=False)
    time.answered(-1 * MS, BASE, 1 * MS)
    for k in range(600):
        true = k * S // 30
        mapped = time.to_clock(BASE + true - (80 * MS if k > 300 else 0), true + 40 * MS)
        assert abs(mapped - true) <= 2 * MS
    assert time.transfer_ns == 40 * MS
