"""Actuators are watched as sensors are: what nobody ordered stops the rig, attended or idle."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_devices import Bench

from hal.clock import VirtualClock
from hal.errors import DeviceError, SafetyStop
from hal.types import MotionMode, NeedlePose, Pose6
from rig.instruments.hand_guided import hand_guided
from rig.instruments.jogs import advance, move_needle, move_probe, withdraw
from rig.instruments.syringe import inject
from rig.safety.stop import HoldRequested
from rig.safety.volume import PumpedVolume


@pytest.fixture
def clock():
    return VirtualClock()


def run(clock):
    bench = Bench(clock)
    controller = bench.controller()
    controller.start()
    controller.wait(1.0)
    return bench, controller


def put(mover, **axes):
    """Somebody moves the axes of a device in memory."""
    pose = (
        replace(mover.pose_type(*mover.at()), **axes)
        if mover.role == "holder"
        else replace(NeedlePose(*mover.at()), **axes)
    )
    mover._from = mover._to = pose.as_tuple()
    mover._t0 = mover._t1 = 0.0


# -- motion ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "axis"), [("carrier", "feed_mm"), ("carrier", "bevel_deg"), ("holder", "z_mm")])
def test_axes_that_stand_elsewhere_than_they_were_read_at_rest_stop_the_rig(clock, role, axis):
    bench, controller = run(clock)
    mover = getattr(bench, role)
    put(mover, **{axis: 0.05})
    controller.wait(1.0)  # the step of a controller, no motion
    put(mover, **{axis: 0.5})
    with pytest.raises(SafetyStop, match="is not where it was last read at rest"):
        controller.wait(1.0)
    assert bench.journal.of("trip")[0]["source"] == f"{role}_moved"


def test_they_are_watched_while_something_else_is_done_too(clock):
    bench, controller = run(clock)
    clock.spawn("hand", lambda: (clock.sleep(2.0), put(bench.carrier, x_mm=1.0)))
    with pytest.raises(SafetyStop, match="the carrier is not where it was last"):
        inject(controller, 0.5, 3.0)
    assert "pump.make_safe" in bench.log


def test_a_slow_creep_is_found_although_each_step_of_it_is_small(clock):
    bench, controller = run(clock)

    def creep():
        for i in range(100):
            put(bench.carrier, feed_mm=0.01 * i)
            clock.sleep(0.2)

    clock.spawn("creep", creep)
    with pytest.raises(SafetyStop, match="is not where it was last"):
        controller.wait(30.0)
    assert bench.carrier.feed_mm < 0.2


def test_axes_that_say_that_they_move_without_an_order_stop_the_rig(clock):
    bench, controller = run(clock)
    bench.holder.jog(Pose6(0.01, 0.0, 0.0), 0.06)
    bench.holder._t1 = bench.holder._t0 + 60.0
    with pytest.raises(SafetyStop, match="reports motion that nobody has ordered"):
        controller.wait(2.0)


def test_a_move_that_leaves_its_corridor_stops_the_rig(clock):
    bench, controller = run(clock)
    clock.spawn("fault", lambda: (clock.sleep(0.5), put(bench.carrier, y_mm=2.0)))
    with pytest.raises(SafetyStop, match="is not where it was sent: y 2"):
        move_needle(controller, NeedlePose(0, 0, 0, 0, 5.0), 1.0, blind=True)


def test_a_move_that_goes_beyond_its_last_order_stops_the_rig(clock):
    bench, controller = run(clock)
    clock.spawn("fault", lambda: (clock.sleep(0.96), put(bench.carrier, feed_mm=3.0)))
    with pytest.raises(SafetyStop, match="is not where it was sent: feed 3"):
        advance(controller, 1.0, 1.0)


def test_axes_that_go_faster_than_ordered_stop_the_rig(clock):
    bench, controller = run(clock)
    jog = bench.holder.jog
    bench.holder.jog = lambda pose, speed: jog(pose, 4.0 * speed)
    with pytest.raises(SafetyStop, match=r"the holder moved .* mm in .* s, ordered at 25 mm/s"):
        move_probe(controller, Pose6(80.0, 0.0, 0.0), 25.0)


def test_axes_that_do_not_come_to_rest_after_a_move_stop_the_rig(clock):
    bench, controller = run(clock)
    advance(controller, 1.0, 1.0)
    bench.carrier._mode = lambda: MotionMode.MOVING
    with pytest.raises(SafetyStop, match=r"reports motion that nobody|is still moving"):
        controller.wait(3.0)


def test_after_an_acknowledged_stop_the_axes_may_stand_where_a_person_has_put_them(clock):
    bench, controller = run(clock)
    put(bench.carrier, x_mm=4.0)
    with pytest.raises(SafetyStop):
        controller.wait(1.0)
    assert controller.acknowledge()
    controller.wait(2.0)
    put(bench.carrier, x_mm=6.0)
    with pytest.raises(SafetyStop):
        controller.wait(1.0)


def test_a_stop_in_the_middle_of_a_move_is_no_strange_place(clock):
    bench, controller = run(clock)
    clock.spawn(
        "nerve",
        lambda: (clock.sleep(0.7), setattr(bench.contact, "reading", replace(bench.contact.reading, nerve=True))),
    )
    with pytest.raises(HoldRequested):
        advance(controller, 1.9, 1.0)
    controller.wait(3.0)
    withdraw(controller, 0.2, 1.0)
    controller.wait(3.0)


# -- delivery ----------------------------------------------------------------------------------------------


def test_a_pump_that_runs_without_an_order_stops_the_rig(clock):
    bench, controller = run(clock)
    bench.pump.infuse(1.0, 3.0)
    with pytest.raises(SafetyStop, match=r"the pump .* nobody"):
        controller.wait(2.0)
    assert bench.pump.dispensed_ml() < 0.1


def test_a_count_that_grows_without_an_order_stops_the_rig(clock):
    bench, controller = run(clock)
    inject(controller, 0.2, 3.0)
    controller.wait(1.0)
    bench.pump._before_ml += 0.05
    with pytest.raises(SafetyStop, match=r"has pumped 0\.050 mL that nobody ordered"):
        controller.wait(2.0)


def test_a_count_beyond_the_volume_that_was_asked_for_stops_the_rig(clock):
    bench, controller = run(clock)
    infuse = bench.pump.infuse
    bench.pump.infuse = lambda volume, rate: infuse(5.0, rate)
    with pytest.raises(SafetyStop, match=r"has counted 0\.\d+ mL of 0\.2 that were ordered"):
        inject(controller, 0.2, 3.0)
    assert bench.pump.dispensed_ml() < 0.23


def test_a_count_ahead_of_rate_times_time_stops_the_rig(clock):
    bench, controller = run(clock)
    infuse = bench.pump.infuse
    bench.pump.infuse = lambda volume, rate: infuse(volume, 3.0 * rate)
    with pytest.raises(SafetyStop, match=r"has counted .* after .* s at 1 mL/min"):
        inject(controller, 0.5, 1.0)
    assert bench.pump.dispensed_ml() < 0.1


def test_a_ledger_over_its_limit_stops_the_rig_whatever_was_ordered(clock):
    _bench, controller = run(clock)
    controller.volumes.add(PumpedVolume.counted(5.02), test=False)
    controller.wait(1.0)  # a pump counts to a per cent
    controller.volumes.add(PumpedVolume(0.0, 0.2), test=False)
    with pytest.raises(SafetyStop, match=r"injected volume of this trial: 5\.220 mL, limit 5"):
        controller.wait(1.0)


# -- what a hold forbids -----------------------------------------------------------------------------------


def test_a_probe_that_is_pressed_too_hard_may_only_be_taken_back(clock):
    bench, controller = run(clock)
    bench.probe_force.force_n = 13.0
    with pytest.raises(HoldRequested, match="probe pressed too hard"):
        controller.wait(1.0)
    jogs = len(bench.holder.jogs)
    for pose in (Pose6(0, 0, 1), Pose6(5, 0, 0), Pose6(5, 0, -1), Pose6(0, 0, 0, 10.0), Pose6(0, 0, 0.1, 0.0, 5.0)):
        with pytest.raises(HoldRequested, match="probe pressed too hard"):
            move_probe(controller, pose, 10.0)
    assert len(bench.holder.jogs) == jogs
    move_probe(controller, Pose6(0, 0, -5.0), 10.0)
    bench.probe_force.force_n = 1.0
    controller.wait(1.0)
    move_probe(controller, Pose6(5.0, 0, -4.0), 10.0)


def test_back_is_along_the_probes_own_axis(clock):
    bench, controller = run(clock)
    move_probe(controller, Pose6(0, 0, -20.0, 60.0), 10.0)
    bench.probe_force.force_n = 13.0
    with pytest.raises(HoldRequested):
        controller.wait(1.0)
    with pytest.raises(HoldRequested):
        move_probe(controller, Pose6(0, 0, -25.0, 60.0), 10.0)  # straight up: across a probe that is tilted by 60 deg
    move_probe(controller, Pose6(0, 4.33, -22.5, 60.0), 10.0)


# -- by hand -----------------------------------------------------------------------------------------------


def test_in_a_declared_hand_guided_step_a_person_may_move_axes_and_pump(clock):
    bench, controller = run(clock)
    with hand_guided(controller, ("carrier", "pump"), "set the entry point and prime the line"):
        for i in range(1, 21):
            put(bench.carrier, x_mm=0.5 * i)
            controller.wait(0.5)
        bench.pump.infuse(0.3, 3.0)
        controller.wait(8.0)
    controller.wait(2.0)
    assert [kind for kind in bench.journal.kinds() if kind.startswith("hand_guided")] == [
        "hand_guided.begun", "hand_guided.ended",
    ]  # fmt: skip
    assert bench.journal.of("hand_guided.ended")[0]["carrier"][0] == 10.0
    put(bench.carrier, x_mm=11.0)
    with pytest.raises(SafetyStop, match="is not where it was last"):
        controller.wait(1.0)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda bench: put(bench.carrier, x_mm=140.0), "out of its workspace"),
        (lambda bench: put(bench.carrier, x_mm=90.0), "guided by hand at"),
        (lambda bench: put(bench.carrier, feed_mm=1.0), "into the gel"),
        (lambda bench: setattr(bench.pump, "_before_ml", 1.5), "were pumped by hand"),
        (lambda bench: put(bench.holder, x_mm=1.0), "the holder is not where it was last"),
    ],
)
def test_a_hand_has_limits_of_its_own(clock, act, words):
    bench, controller = run(clock)
    with pytest.raises(SafetyStop, match=words), hand_guided(controller, ("carrier", "pump"), "test"):
        controller.wait(1.0)
        act(bench)
        controller.wait(2.0)


def test_a_hand_guided_step_does_not_go_on_for_ever(clock):
    _bench, controller = run(clock)
    with pytest.raises(SafetyStop, match="lasts over 600 s"), hand_guided(controller, ("carrier",), "test"):
        controller.wait(1000.0)


def test_no_hand_with_the_needle_in_the_gel_or_a_line_under_pressure_or_against_a_persons_no(clock):
    bench, controller = run(clock)
    advance(controller, 1.0, 1.0)
    with pytest.raises(DeviceError, match="the needle is in the gel"), hand_guided(controller, ("carrier",), "test"):
        pass
    withdraw(controller, 1.0, 1.0)
    inject(controller, 0.2, 3.0)  # leaves 20 kPa in the line
    with pytest.raises(DeviceError, match="the line holds"), hand_guided(controller, ("pump",), "test"):
        pass
    bench.pressure.back_kpa = 0.0
    controller.wait(2.0)
    poll = bench.operator.poll
    bench.operator.poll = lambda: (answer := poll()) and replace(answer, done=False)
    with pytest.raises(DeviceError, match="was not entered"), hand_guided(controller, ("carrier",), "test"):
        pass


def test_the_programme_does_not_move_what_a_hand_guides(clock):
    bench, controller = run(clock)
    with hand_guided(controller, ("carrier",), "test"), pytest.raises(DeviceError, match="guided by hand"):
        move_needle(controller, NeedlePose(1.0, 0, 0, 0, 0.0), 1.0)
    assert bench.carrier.jogs == []


def test_the_self_test_proves_every_watch(clock):
    _bench, controller = run(clock)
    names = {p.name for p in controller.self_test()}
    moving = {
        f"{role}_{what}"
        for role in ("holder", "carrier")
        for what in ("moved", "uncommanded", "astray", "ahead", "hand")
    }
    assert moving | {"pump_uncommanded", "pump_beyond", "pump_ahead", "pump_hand", "volume_ledger"} <= names
