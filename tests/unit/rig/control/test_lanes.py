import sys

import pytest

from hal.clock import VirtualClock, WallClock
from hal.errors import NoReply
from hal.types import TemperatureReading
from rig.lanes import Channel, Lane


@pytest.fixture
def clock():
    return VirtualClock()


def lane_with(clock, read, period_s=0.1):
    lane = Lane("test", clock)
    channel = Channel("thing", read, period_s)
    lane.add(channel)
    lane.start()
    return lane, channel


def test_a_lane_polls_at_its_period_and_keeps_the_newest_with_the_time_at_which_reading_began(clock):
    def read():
        began = clock.now_ns()
        clock.sleep(0.005)
        return began

    _lane, channel = lane_with(clock, read)
    clock.sleep(1.05)
    assert channel.reads == 11
    assert channel.sample.value == channel.sample.time_ns == 1_000_000_000
    assert channel.age_ns(clock.now_ns()) == 50_000_000


def test_a_command_goes_before_the_next_poll_and_at_once(clock):
    lane, channel = lane_with(clock, lambda: 0, period_s=10.0)
    clock.sleep(1.0)
    ticket = lane.submit(lambda: clock.now_ns(), "look at the clock")
    clock.sleep(0.001)
    assert ticket.done and ticket.result == 1_000_000_000
    assert channel.reads == 1


def test_commands_keep_their_order(clock):
    lane, _ = lane_with(clock, lambda: 0)
    done = []
    for i in range(5):
        lane.submit(lambda i=i: done.append(i), f"step {i}")
    clock.sleep(0.01)
    assert done == [0, 1, 2, 3, 4]


def test_a_command_that_has_not_started_can_be_taken_back_and_one_that_has_cannot(clock):
    lane, _ = lane_with(clock, lambda: 0)
    done = []
    first = lane.submit(lambda: (clock.sleep(0.5), done.append("first")), "slow")
    second = lane.submit(lambda: done.append("second"), "later")
    clock.sleep(0.1)
    assert not first.cancel()
    assert second.cancel()
    clock.sleep(1.0)
    assert done == ["first"]
    assert second.done and second.cancelled and not second.started


def test_an_error_of_a_command_stays_in_its_ticket_and_the_lane_goes_on(clock):
    def fail():
        raise NoReply("silent")

    lane, channel = lane_with(clock, lambda: 0)
    ticket = lane.submit(fail, "fail")
    clock.sleep(0.5)
    assert isinstance(ticket.error, NoReply)
    assert channel.reads > 3 and channel.fault is None


def test_a_failed_poll_is_kept_as_a_fault_and_not_tried_again(clock):
    calls = []

    def read():
        calls.append(clock.now_ns())
        raise NoReply("silent")

    lane, channel = lane_with(clock, read)
    clock.sleep(1.0)
    assert len(calls) == 1
    assert isinstance(channel.fault, NoReply)
    lane.set_period("thing", 0.01)
    clock.sleep(1.0)
    assert len(calls) == 1


def test_the_period_can_be_shortened_while_the_lane_sleeps(clock):
    lane, channel = lane_with(clock, lambda: 0, period_s=5.0)
    clock.sleep(1.0)
    lane.set_period("thing", 0.02)
    clock.sleep(1.0)
    assert 48 <= channel.reads <= 53
    lane.set_period("thing", 0.0)
    clock.sleep(1.0)
    before = channel.reads
    clock.sleep(1.0)
    assert channel.reads == before


def test_a_device_without_a_period_is_read_on_request_only(clock):
    lane, channel = lane_with(clock, lambda: 7, period_s=0.0)
    clock.sleep(10.0)
    assert channel.reads == 0
    ticket = lane.request("thing")
    clock.sleep(0.01)
    assert ticket.done and channel.sample.value == 7


def test_two_devices_on_one_link_take_turns(clock):
    lane = Lane("bus", clock)
    busy = []

    def reader(name):
        def read():
            assert not busy, "two talk at once"
            busy.append(name)
            clock.sleep(0.003)
            busy.pop()
            return name

        return read

    a, b = Channel("a", reader("a"), 0.01), Channel("b", reader("b"), 0.02)
    lane.add(a)
    lane.add(b)
    lane.start()
    clock.sleep(1.005)
    assert a.reads == pytest.approx(100, abs=3) and b.reads == pytest.approx(50, abs=3)


def test_stopping_ends_the_task_at_once(clock):
    lane, _channel = lane_with(clock, lambda: 0, period_s=100.0)
    clock.sleep(1.0)
    assert lane.stop()
    assert clock.now_ns() < 1_100_000_000


def test_listeners_get_every_sample(clock):
    _lane, channel = lane_with(clock, lambda: clock.now_ns())
    got = []
    channel.listeners.append(lambda sample: got.append(sample.value))
    clock.sleep(0.35)
    assert got == [0, 100_000_000, 200_000_000, 300_000_000]


def test_readings_on_request_do_not_put_off_the_next_poll(clock):
    lane, channel = lane_with(clock, lambda: 0, period_s=0.5)
    for _ in range(20):
        lane.request("thing")
        clock.sleep(0.01)
    before = channel.reads
    clock.sleep(1.1)
    assert channel.reads >= before + 2


@pytest.fixture
def hasty_threads():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_on_threads_a_command_is_either_executed_or_taken_back(hasty_threads):
    lane, _channel = lane_with(WallClock(), lambda: 0, period_s=0.001)
    executed = []
    tickets = []
    for i in range(3000):
        tickets.append(lane.submit(lambda i=i: executed.append(i), f"step {i}"))
        if i % 3 == 0:
            lane.cancel_pending()
        elif i % 3 == 1:
            tickets[-1].cancel()
    assert lane.stop(60.0)
    lane.cancel_pending()
    assert lane.error is None
    assert all(ticket.done for ticket in tickets)
    assert executed == [i for i, ticket in enumerate(tickets) if not ticket.cancelled]


def test_an_emergency_stop_input_is_read_between_the_commands_of_its_own_lane(clock):
    lane = Lane("axes", clock)
    channel = Channel("holder", lambda: clock.sleep(0.005), 0.04, urgent=True)
    lane.add(channel)
    lane.start()
    clock.sleep(1.0)
    for i in range(20):
        lane.submit(lambda: clock.sleep(0.03), f"command {i}")
    reads = channel.reads
    clock.sleep(0.5)
    assert channel.reads >= reads + 10


def test_an_emergency_stop_input_is_read_before_its_neighbours_on_a_shared_line(clock):
    lane = Lane("bus", clock)
    for name in "abcdefgh":
        lane.add(Channel(name, lambda: clock.sleep(0.02), 0.02))
    channel = Channel("estop", lambda: clock.sleep(0.005), 0.04, urgent=True)
    lane.add(channel)
    lane.start()
    clock.sleep(2.0)
    assert channel.reads >= 30


def test_a_value_that_is_handed_out_again_is_as_old_as_it_says(clock):
    first = TemperatureReading(0, 22.0)
    _lane, channel = lane_with(clock, lambda: first)
    clock.sleep(1.05)
    assert channel.reads == 11 and channel.age_ns(clock.now_ns()) == 1_050_000_000
