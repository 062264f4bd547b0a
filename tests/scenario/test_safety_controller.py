"""The controller against devices in memory: what stops the rig, in which order, how often."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from tiny_devices import Bench, BoneForce

from hal.clock import VirtualClock
from hal.errors import DeviceError, LimitViolation, NoReply, SafetyStop
from hal.types import Instruction, InstructionKind, NeedlePose, Pose6
from rig.instruments.jogs import advance, move_needle, move_probe, rotate_bevel, withdraw
from rig.instruments.syringe import inject
from rig.safety.estop import EStopState
from rig.safety.pressure import Verdict
from rig.safety.stop import ForcedStop, HoldRequested

SAFE = ["operator.make_safe", "pump.make_safe", "carrier.make_safe", "holder.make_safe"]
"""The person at the needle is told first."""


@pytest.fixture
def clock():
    return VirtualClock()


def run(clock, **kwargs):
    bench = Bench(clock, **kwargs)
    controller = bench.controller()
    controller.start()
    return bench, controller


def press(bench, pedal):
    bench.contact.reading = replace(bench.contact.reading, pedal=pedal)


def touch_nerve(bench):
    bench.contact.reading = replace(bench.contact.reading, nerve=True)


def safe_calls(bench):
    return [line for line in bench.log if "make_safe" in line]


def test_the_self_test_proves_every_interlock_and_is_journalled(clock):
    bench, controller = run(clock)
    proofs = controller.self_test()
    names = {p.name for p in proofs}
    assert all(p.proven for p in proofs)
    assert {"estop", "needle_force_hard", "pressure_stale", "nerve_contact", "tip_pressure_hard"} <= names
    assert bench.journal.of("interlock_self_test")[0]["passed"] is True
    assert bench.journal.of("interlock_self_test")[0]["unguarded"] == ["operator", "ultrasound"]


def test_an_interlock_that_cannot_trip_fails_the_self_test(clock):
    bench, controller = run(clock)
    guard = controller._guards["needle_force"]
    guard.levels = (replace(guard.levels[0], quantity=lambda reading: 0.0), *guard.levels[1:])
    with pytest.raises(SafetyStop, match="needle_force_hard"):
        controller.self_test()
    assert bench.journal.of("interlock_self_test")[0]["passed"] is False


def test_the_safe_state_goes_pump_then_needle_then_probe(clock):
    bench, controller = run(clock)
    bench.needle_force.force_n = 11.0
    with pytest.raises(SafetyStop, match="axial needle force"):
        controller.wait(2.0)
    assert safe_calls(bench) == SAFE
    reports = bench.journal.of("make_safe")[0]["reports"]
    assert [r["device"] for r in reports] == ["pump", "carrier", "holder", "operator"]
    assert all(r["safe"] for r in reports)


def test_the_safe_state_is_commanded_once_per_incident(clock):
    bench, controller = run(clock)
    bench.needle_force.force_n = 11.0
    for _ in range(3):
        with pytest.raises(SafetyStop):
            controller.wait(2.0)
    controller.make_safe("again")
    controller.close()
    assert safe_calls(bench) == SAFE


def test_a_dead_pump_delays_neither_the_needle_force_interlock_nor_the_needle(clock):
    bench, controller = run(clock)
    with controller.attending("needle_force"):
        controller.wait(0.5)
        bench.pump.dead = True
        controller.wait(0.2)
        bench.needle_force.force_n = 11.0
        began_ns = clock.now_ns()
        with pytest.raises(SafetyStop, match="axial needle force"):
            controller.wait(2.0)
    tripped_ns = clock.now_ns()
    trip = bench.journal.of("trip")[0]
    assert trip["source"] == "needle_force_hard"
    assert safe_calls(bench) == SAFE
    reports = {r["device"]: r for r in bench.journal.of("make_safe")[0]["reports"]}
    assert reports["carrier"]["safe"] and reports["holder"]["safe"] and not reports["pump"]["safe"]
    assert (tripped_ns - began_ns) / 1e9 < 3.5  # bounded by the deadline of the dead device


def test_the_needle_is_stopped_within_a_fifth_of_a_second_although_the_pump_is_dead(clock):
    bench, controller = run(clock)
    reported = []
    make_safe = bench.carrier.make_safe
    bench.carrier.make_safe = lambda deadline: reported.append(clock.now_ns()) or make_safe(deadline)
    bench.pump.dead = True
    began_ns = clock.now_ns()
    controller.make_safe("test")
    assert (reported[0] - began_ns) / 1e9 <= 0.2


def test_a_sensor_that_falls_silent_trips_by_age(clock):
    bench, controller = run(clock)
    bench.pressure.latency_s = 5.0
    with pytest.raises(SafetyStop, match="pressure: no reading for"):
        controller.wait(10.0)


def test_an_attended_sensor_is_judged_more_strictly(clock):
    bench, controller = run(clock)
    bench.pressure.latency_s = 0.5
    controller.wait(3.0)  # within the idle limit
    with pytest.raises(SafetyStop, match="pressure: no reading"), controller.attending("pressure"):
        controller.wait(3.0)


def test_attention_itself_does_not_count_as_stale(clock):
    _, controller = run(clock)
    for _ in range(20):
        controller.wait(0.237)
        with controller.attending("pressure", "needle_force", "contact"):
            controller.wait(0.3)


def test_a_force_that_stands_still_while_the_needle_depends_on_it_stops_the_rig(clock):
    bench, controller = run(clock)
    bench.needle_force.frozen = True
    controller.wait(30.0)  # nobody depends on it
    began_ns = clock.now_ns()
    with (
        pytest.raises(SafetyStop, match="needle_force: 50 readings in a row are equal"),
        controller.attending("needle_force"),
    ):
        controller.wait(5.0)
    assert 1.9 <= (clock.now_ns() - began_ns) / 1e9 <= 2.3


def test_equal_readings_of_several_short_moves_add_up_and_one_that_differs_clears_them(clock):
    bench, controller = run(clock)
    bench.needle_force.frozen = True
    for _ in range(3):
        with controller.attending("needle_force"):
            controller.wait(0.5)
        controller.wait(1.0)
    bench.needle_force.frozen = False
    with controller.attending("needle_force"):
        controller.wait(0.1)
    bench.needle_force.frozen = True
    with controller.attending("needle_force"):
        controller.wait(1.5)
    with pytest.raises(SafetyStop, match="equal"), controller.attending("needle_force"):
        controller.wait(1.5)


def test_a_device_that_fails_stops_the_rig_and_names_itself(clock):
    bench, controller = run(clock)
    bench.contact.dead = True
    with pytest.raises(SafetyStop, match="contact: contact is silent"):
        controller.wait(5.0)


def test_a_condition_that_was_true_before_the_start_trips_all_the_same(clock):
    bench = Bench(clock)
    bench.needle_force.force_n = 11.0
    controller = bench.controller()
    with pytest.raises(SafetyStop, match="axial needle force"):
        controller.start()


def test_a_reading_that_is_not_a_number_counts_as_too_high(clock):
    bench, controller = run(clock)
    bench.needle_force.force_n = float("nan")
    with pytest.raises(SafetyStop):
        controller.wait(1.0)


# -- emergency stop ----------------------------------------------------------------------------------------


def test_the_emergency_stop_latches_until_released_and_acknowledged(clock):
    bench, controller = run(clock)
    bench.holder.estop = True
    with pytest.raises(SafetyStop, match="emergency stop pressed"):
        controller.wait(2.0)
    assert not controller.acknowledge()
    bench.holder.estop = False
    clock.sleep(1.0)
    with pytest.raises(SafetyStop):
        controller.wait(0.1)
    assert controller.acknowledge()
    assert controller.estop.state is EStopState.DISENGAGED
    controller.wait(0.5)


def test_a_rig_without_a_readable_emergency_stop_does_not_start(clock):
    bench = Bench(clock, without=("holder",))
    controller = bench.controller()
    with pytest.raises(SafetyStop, match="absent"):
        controller.start()


def test_a_second_incident_makes_safe_again(clock):
    bench, controller = run(clock)
    for _ in range(2):
        bench.needle_force.force_n = 11.0
        with pytest.raises(SafetyStop):
            controller.wait(1.0)
        bench.needle_force.force_n = 0.0
        clock.sleep(1.0)
        assert controller.acknowledge()
    assert bench.log.count("pump.make_safe") == 2


# -- Ctrl-C ------------------------------------------------------------------------------------------------


def test_the_first_ctrl_c_stops_in_order_and_the_second_forces(clock):
    bench, controller = run(clock)
    controller.interrupt.request()
    with pytest.raises(SafetyStop, match="operator") as first:
        controller.wait(1.0)
    assert not isinstance(first.value, ForcedStop)
    assert safe_calls(bench) == SAFE
    controller.interrupt.request()
    with pytest.raises(ForcedStop):
        controller.wait(1.0)
    assert safe_calls(bench) == SAFE


def test_a_double_ctrl_c_between_two_scans_still_makes_safe_first(clock):
    bench, controller = run(clock)
    controller.interrupt.request()
    controller.interrupt.request()
    with pytest.raises(ForcedStop):
        controller.wait(1.0)
    assert safe_calls(bench) == SAFE


def test_ctrl_c_reaches_into_a_move_and_into_a_prompt(clock):
    bench, controller = run(clock)
    clock.spawn("finger", lambda: (clock.sleep(0.5), controller.interrupt.request()))
    with pytest.raises(SafetyStop, match="operator"):
        move_probe(controller, Pose6(100, 0, 0), 10.0)
    assert 3.0 < bench.holder.at()[0] < 8.0

    bench, controller = run(clock)
    bench.operator.reaction_s = 100.0
    clock.spawn("finger", lambda: (clock.sleep(0.5), controller.interrupt.request()))
    with pytest.raises(SafetyStop, match="operator"):
        controller.ask(Instruction(InstructionKind.CONFIRM, "well?"), 60.0)


def test_a_full_disk_does_not_keep_the_rig_from_its_safe_state(clock):
    bench, controller = run(clock)
    bench.journal.full = True
    bench.needle_force.force_n = 11.0
    with pytest.raises(SafetyStop):
        controller.wait(1.0)
    assert safe_calls(bench) == SAFE
    assert controller.record_error is not None


# -- holds -------------------------------------------------------------------------------------------------


def test_nerve_contact_stops_the_needle_and_asks_the_technique(clock):
    bench, controller = run(clock)

    def touch():
        clock.sleep(0.6)
        bench.contact.reading = replace(bench.contact.reading, nerve=True)

    clock.spawn("nerve", touch)
    with pytest.raises(HoldRequested) as held:
        advance(controller, 2.0, 1.0)
    assert held.value.source == "nerve_contact"
    assert "carrier.stop" in bench.log
    assert not bench.carrier.moving()
    assert bench.carrier.feed_mm < 1.0
    assert not any("make_safe" in line for line in bench.log)


def test_a_hold_that_is_still_true_bars_the_way_forward_but_not_back(clock):
    bench, controller = run(clock)
    advance(controller, 1.5, 1.0)
    bench.contact.reading = replace(bench.contact.reading, nerve=True)
    with pytest.raises(HoldRequested):
        controller.wait(1.0)
    controller.wait(1.0)  # told once
    with pytest.raises(HoldRequested):
        advance(controller, 0.2, 1.0)
    with pytest.raises(HoldRequested):
        inject(controller, 0.1, 3.0, test=True)
    assert bench.pump.infusions == 0
    withdraw(controller, 1.0, 2.0)
    assert bench.carrier.feed_mm == pytest.approx(0.5)
    bench.contact.reading = replace(bench.contact.reading, nerve=False)
    controller.wait(1.0)
    advance(controller, 0.2, 1.0)


def test_a_hold_that_comes_back_is_reported_again(clock):
    bench, controller = run(clock)
    for _ in range(2):
        bench.contact.reading = replace(bench.contact.reading, pedal=True)
        with pytest.raises(HoldRequested):
            controller.wait(1.0)
        bench.contact.reading = replace(bench.contact.reading, pedal=False)
        controller.wait(1.0)


def test_bone_stops_the_needle_by_the_slope_of_the_force(clock):
    bench = Bench(clock)
    bench.needle_force = BoneForce(clock, bench.log, bench.carrier, bone_mm=0.5, n_mm=8.0)
    controller = bench.controller()
    controller.start()
    with pytest.raises(HoldRequested) as held:
        advance(controller, 2.0, 0.5)
    assert held.value.source in ("needle_force_slope", "needle_force")
    assert bench.needle_force.read().force_n < 10.0


def test_a_needle_that_does_not_stop_on_a_hold_is_a_hard_stop(clock):
    bench, controller = run(clock)

    def stop():
        raise DeviceError("still moving", device="carrier")

    bench.carrier.stop = stop

    def touch():
        clock.sleep(0.6)
        bench.contact.reading = replace(bench.contact.reading, nerve=True)

    clock.spawn("nerve", touch)
    with pytest.raises(SafetyStop, match="did not stop"):
        advance(controller, 2.0, 1.0)
    assert safe_calls(bench) == SAFE


def test_a_lost_image_is_a_hold(clock):
    bench, controller = run(clock)
    bench.ultrasound.lost = True
    with pytest.raises(HoldRequested) as held:
        controller.frame()
    assert held.value.source == "image_lost"
    bench.ultrasound.lost = False
    assert controller.frame().pixels.shape == (4, 4)


def test_a_pause_adds_up_its_reasons(clock):
    _, controller = run(clock)
    controller.pause("operator")
    controller.pause("console")
    for _ in range(2):  # each reason is told once
        with pytest.raises(HoldRequested):
            controller.wait(0.1)
    controller.wait(0.1)
    assert not controller.resume("operator")
    with pytest.raises(HoldRequested):
        advance(controller, 0.5, 1.0)
    assert controller.resume("console")
    advance(controller, 0.5, 1.0)


# -- motion ------------------------------------------------------------------------------------------------


def test_a_move_is_a_chain_of_short_jogs_that_arrives(clock):
    bench, controller = run(clock)
    began_ns = clock.now_ns()
    state = move_probe(controller, Pose6(30.0, 10.0, -5.0), 20.0)
    assert state.pose == Pose6(30.0, 10.0, -5.0)
    assert len(bench.holder.jogs) >= 12
    nominal_s = (30.0**2 + 10.0**2 + 5.0**2) ** 0.5 / 20.0
    assert (clock.now_ns() - began_ns) / 1e9 < 1.2 * nominal_s + 0.5


def test_needle_steps_are_at_most_one_millimetre(clock):
    bench, controller = run(clock)
    move_needle(controller, replace(bench.carrier.read().pose, feed_mm=-20.0), 30.0)
    feeds = [0.0] + [pose.feed_mm for pose, _ in bench.carrier.jogs]
    assert max(abs(b - a) for a, b in itertools.pairwise(feeds)) <= 1.0 + 1e-9


def test_a_jog_whose_reply_was_lost_is_never_sent_again(clock):
    bench, controller = run(clock)
    bench.holder.lose_reply_of_jog = 3
    with pytest.raises(NoReply):
        move_probe(controller, Pose6(30, 0, 0), 20.0)
    assert len(bench.holder.jogs) == 3
    poses = [pose for pose, _ in bench.holder.jogs]
    assert len(set(poses)) == len(poses)


def test_a_stuck_axis_is_reported_with_where_it_stands(clock):
    bench, controller = run(clock)
    bench.holder.stuck = True
    with pytest.raises(DeviceError, match=r"holder arriving at \(5\.00.*last seen: \(0\.00"):
        move_probe(controller, Pose6(5, 0, 0), 10.0)
    jogs = len(bench.holder.jogs)
    controller.wait(1.0)
    assert len(bench.holder.jogs) == jogs


def test_limits_are_checked_before_anything_is_sent(clock):
    bench, controller = run(clock)
    here = bench.carrier.read().pose
    for bad in (
        lambda: move_probe(controller, Pose6(1000, 0, 0), 10.0),
        lambda: move_probe(controller, Pose6(0, 0, 0), 1000.0),
        lambda: advance(controller, 3.0, 2.0),  # further than the tip is known
        lambda: advance(controller, 1.0, 50.0),
        lambda: move_needle(controller, replace(here, feed_mm=-5, lateral_deg=80.0), 5.0),
    ):
        with pytest.raises(LimitViolation):
            bad()
    assert bench.holder.jogs == [] and bench.carrier.jogs == []


def test_an_inserted_needle_is_not_moved_sideways(clock):
    bench, controller = run(clock)
    advance(controller, 2.0, 1.0)
    jogs = len(bench.carrier.jogs)
    with pytest.raises(LimitViolation, match="sideways"):
        move_needle(controller, replace(bench.carrier.read().pose, x_mm=3.0), 2.0)
    assert len(bench.carrier.jogs) == jogs


def test_blind_advance_ends_at_its_limit_until_the_tip_is_confirmed(clock):
    _, controller = run(clock)
    advance(controller, 2.0, 1.0)
    with pytest.raises(LimitViolation, match="without confirmed tip"):
        advance(controller, 0.5, 1.0)
    controller.travel.confirm()
    advance(controller, 2.0, 1.0)
    withdraw(controller, 1.0, 2.0)
    advance(controller, 1.0, 1.0)  # a known track
    advance(controller, 1.0, 1.0, blind=True)
    assert controller.travel.blind_mm == pytest.approx(1.0, abs=0.01)


# -- injection ---------------------------------------------------------------------------------------------


def test_an_open_line_flows_and_reports_the_tissue_pressure(clock):
    _bench, controller = run(clock)
    result = inject(controller, 0.2, 3.0, test=True)
    assert result.verdict is Verdict.FLOWING
    assert result.pumped_ml == pytest.approx(0.2, abs=0.002)
    assert result.plateau_kpa == pytest.approx(20.0, abs=1.0)
    assert result.opening_kpa == pytest.approx(20.0, abs=4.0)
    assert result.stored_ml == pytest.approx(0.5e-3 * 20.0, abs=0.002)
    assert controller.volumes.test_ml == pytest.approx(0.2, abs=0.002)
    assert len(result.tip_kpa) == len(result.time_ns) > 150


def test_a_blocked_line_is_recognised_and_the_pump_stopped(clock):
    bench, controller = run(clock)
    bench.pressure.blocked = True
    result = inject(controller, 0.3, 3.0, test=True)
    assert result.verdict is Verdict.BLOCKED
    assert "pump.stop" in bench.log
    assert result.peak_kpa < 100.0
    assert result.pumped_ml < 0.1
    controller.wait(0.5)  # the hold does not come a second time


def test_stiff_tissue_that_takes_fluid_is_over_pressure_not_blocked(clock):
    bench, controller = run(clock)

    def stiffen():
        while bench.pressure.back_kpa < 95.0:
            clock.sleep(0.02)
            bench.pressure.back_kpa += 0.35

    clock.spawn("tissue", stiffen)
    result = inject(controller, 0.3, 3.0, test=True)
    assert result.verdict is Verdict.OVER_PRESSURE
    assert result.peak_kpa < 100.0


def test_a_line_that_closes_half_way_is_blocked_too(clock):
    bench, controller = run(clock)

    def close():
        clock.sleep(3.0)
        bench.pressure.blocked = True

    clock.spawn("clot", close)
    result = inject(controller, 0.3, 3.0, test=True)
    assert result.verdict is Verdict.BLOCKED
    assert 0.1 < result.pumped_ml < 0.25
    assert result.peak_kpa < 100.0


def test_a_lost_reply_to_the_infusion_is_resolved_by_asking(clock):
    bench, controller = run(clock)
    bench.pump.lose_reply = True
    result = inject(controller, 0.2, 3.0, test=True)
    assert bench.pump.infusions == 1
    assert result.pumped_ml == pytest.approx(0.2, abs=0.002)
    assert bench.journal.of("reply_lost")[0]["started"] is True


def test_test_injections_are_limited_each_and_in_sum(clock):
    bench, controller = run(clock)
    with pytest.raises(LimitViolation):
        inject(controller, 0.4, 3.0, test=True)
    for _ in range(3):
        inject(controller, 0.3, 6.0, test=True)
    with pytest.raises(LimitViolation, match="1 mL a trial"):
        inject(controller, 0.3, 6.0, test=True)
    assert bench.pump.infusions == 3


def test_another_hold_during_an_injection_is_raised_with_what_was_done(clock):
    bench, controller = run(clock)

    def touch():
        clock.sleep(1.0)
        bench.contact.reading = replace(bench.contact.reading, vessel=True)

    clock.spawn("vessel", touch)
    with pytest.raises(HoldRequested) as held:
        inject(controller, 0.3, 3.0, test=True)
    assert held.value.source == "vessel_contact"
    assert held.value.partial.verdict is Verdict.STOPPED
    assert 0.02 < held.value.partial.pumped_ml < 0.12
    assert not bench.pump.read().running


def test_a_rupture_of_the_line_limit_is_a_hard_stop_although_nobody_injects(clock):
    bench, controller = run(clock)
    bench.pressure.fixed_kpa = 320.0
    with pytest.raises(SafetyStop, match="line pressure"):
        controller.wait(2.0)


def test_where_bone_may_be_met_the_needle_goes_slowly(clock):
    _, controller = run(clock)
    with pytest.raises(LimitViolation, match="where bone may be met"):
        advance(controller, 1.0, 3.0)
    controller.travel.declare_clear(1.5)
    advance(controller, 1.0, 3.0)
    with pytest.raises(LimitViolation, match=r"beyond a feed of 1\.5 mm"):
        advance(controller, 1.0, 3.0)
    advance(controller, 1.0, 1.0)
    withdraw(controller, 1.0, 5.0)


# -- a tip that is ahead of its axis ----------------------------------------------------------------------------


def ahead(mm):
    return {"tip_offset_mm": [0.0, 0.0, mm]}


def test_a_tip_that_is_in_the_gel_bars_sideways_moves_although_its_axis_says_air(clock):
    bench, controller = run(clock, needle=ahead(4.0))
    move_needle(controller, NeedlePose(0.0, 0.0, 0.0, 0.0, -2.0), 1.0, blind=True)
    jogs = len(bench.carrier.jogs)
    with pytest.raises(LimitViolation, match="sideways"):
        move_needle(controller, NeedlePose(3.0, 0.0, 0.0, 0.0, -2.0), 2.0)
    assert len(bench.carrier.jogs) == jogs


def test_a_calibration_that_puts_the_tip_higher_does_not_free_an_inserted_needle(clock):
    _, controller = run(clock, needle=ahead(-5.0))
    move_needle(controller, NeedlePose(0.0, 0.0, 0.0, 0.0, 2.0), 1.0, blind=True)
    with pytest.raises(LimitViolation, match="sideways"):
        move_needle(controller, NeedlePose(3.0, 0.0, 0.0, 0.0, 2.0), 2.0)


def test_travel_without_a_confirmed_tip_is_that_of_the_tip(clock):
    _, controller = run(clock, needle=ahead(1.5))
    with pytest.raises(LimitViolation, match=r"without confirmed tip \(mm\) = 2\.5"):
        move_needle(controller, NeedlePose(0.0, 0.0, 0.0, 0.0, 1.0), 1.0)
    move_needle(controller, NeedlePose(0.0, 0.0, 0.0, 0.0, 0.4), 1.0)
    assert controller.travel.since_confirmed_mm == pytest.approx(1.9, abs=0.06)


def test_the_tip_stays_within_the_depth_that_the_limits_allow(clock):
    bench, controller = run(clock, needle=ahead(6.0))
    with pytest.raises(LimitViolation, match="needle tip z"):
        move_needle(controller, NeedlePose(0.0, 0.0, 0.0, 0.0, 137.0), 1.0, blind=True)
    assert bench.carrier.jogs == []


def test_a_needle_goes_no_deeper_than_it_is_long_with_its_hub_outside(clock):
    bench, controller = run(clock, needle={"name": "22G_short_80"})
    with pytest.raises(LimitViolation, match=r"needle depth \(mm\) = 70\.5 is outside 0 to 70 mm"):
        move_needle(controller, NeedlePose(0.0, 0.0, 0.0, 0.0, 70.5), 1.0, blind=True)
    assert bench.carrier.jogs == []


# -- somebody must watch ----------------------------------------------------------------------------------------


def test_when_the_scan_stands_still_the_pump_is_stopped_by_its_own_lane(clock):
    bench, controller = run(clock)
    with controller.attending("pump", "pressure"):
        controller.command("pump", lambda: bench.pump.infuse(1.0, 3.0), "infuse")
        clock.sleep(0.7)  # the record does not come back from its disk
        assert bench.log.count("pump.stop") == 1 and bench.pump.rate_now() == 0.0
        clock.sleep(3.0)
        assert bench.log.count("pump.stop") == 1
        with pytest.raises(SafetyStop, match=r"pump: nobody watched for 0\.5.* s: its lane has stopped it"):
            controller.scan()
    assert safe_calls(bench) == SAFE


def test_a_slow_safe_state_is_not_taken_for_a_scan_that_stands_still(clock):
    bench, controller = run(clock)
    bench.carrier.latency_s = 0.9
    with pytest.raises(SafetyStop, match="axial needle force"), controller.attending("pump", "needle_force"):
        bench.needle_force.force_n = 11.0
        controller.wait(2.0)
    assert "pump.stop" not in bench.log and safe_calls(bench) == SAFE
    bench.needle_force.force_n, bench.carrier.latency_s = 0.2, 0.001
    clock.sleep(2.0)
    assert controller.acknowledge()


def test_a_scan_that_may_rest_because_nothing_moves_is_not_missed(clock):
    bench, controller = run(clock)
    clock.sleep(0.9)
    controller.scan()
    assert not [line for line in bench.log if line.endswith(".stop")]


def test_a_listener_that_fails_is_a_fault_of_its_device_and_the_lane_can_still_stop_it(clock):
    bench, controller = run(clock)

    def bad(sample):
        raise ValueError("a bug of ours")

    controller.on_sample("carrier", bad)
    with pytest.raises(SafetyStop, match="carrier: a bug of ours"):
        controller.wait(2.0)
    assert safe_calls(bench) == SAFE and bench.rig.lanes["carrier"].error is None


# -- pauses -------------------------------------------------------------------------------------------------


def test_in_a_pause_nothing_moves_in_any_direction(clock):
    bench, controller = run(clock)
    press(bench, True)
    with pytest.raises(HoldRequested, match="pedal"):
        controller.wait(1.0)
    for move in (
        lambda: withdraw(controller, 1.0, 1.0),
        lambda: move_probe(controller, Pose6(1.0, 0.0, 0.0), 5.0),
        lambda: move_needle(controller, NeedlePose(1.0, 0.0, 0.0, 0.0, 0.0), 5.0),
    ):
        with pytest.raises(HoldRequested, match="paused: the foot pedal is pressed"):
            move()
    assert bench.carrier.jogs == bench.holder.jogs == []


def test_a_pause_is_waited_out_and_ends_with_the_pedal(clock):
    bench, controller = run(clock)
    press(bench, True)
    with pytest.raises(HoldRequested):
        controller.wait(1.0)
    clock.spawn("foot", lambda: (clock.sleep(20.0), press(bench, False)))
    began_ns = clock.now_ns()
    controller.wait_out_pause()
    assert 19.9 <= (clock.now_ns() - began_ns) / 1e9 <= 20.6
    move_probe(controller, Pose6(1.0, 0.0, 0.0), 5.0)


def test_a_pause_that_never_ends_is_a_stop(clock):
    bench, controller = run(clock)
    press(bench, True)
    with pytest.raises(HoldRequested):
        controller.wait(1.0)
    with pytest.raises(SafetyStop, match="paused for over 5 s"):
        controller.wait_out_pause(5.0)
    assert safe_calls(bench) == SAFE


# -- the person ---------------------------------------------------------------------------------------------


def test_a_question_that_a_hold_interrupts_is_taken_back_so_that_another_can_be_asked(clock):
    bench, controller = run(clock)
    bench.operator.reaction_s = 5.0
    clock.spawn("contact", lambda: (clock.sleep(1.0), touch_nerve(bench)))
    with pytest.raises(HoldRequested):
        controller.ask(Instruction(InstructionKind.CONFIRM, "needle at the target?"), 60.0)
    assert bench.operator._due_ns is None


def test_a_rig_whose_pump_still_runs_is_not_acknowledged(clock):
    bench, controller = run(clock)
    bench.pressure.fixed_kpa = 400.0
    with pytest.raises(SafetyStop):
        controller.wait(1.0)
    bench.pressure.fixed_kpa = 0.0
    bench.pump.infuse(1.0, 3.0)  # somebody pressed Start at its keypad
    assert not controller.acknowledge()
    bench.pump.stop()
    assert controller.acknowledge()


def test_a_stop_that_could_not_begin_in_time_is_still_carried_out(clock):
    bench, controller = run(clock)
    bench.pump.latency_s = 5.0
    clock.sleep(1.0)
    controller.make_safe("test")
    bench.pump.latency_s = 0.0
    assert "pump.make_safe" not in bench.log
    clock.sleep(6.0)
    assert bench.log.count("pump.make_safe") == 1


def test_a_turn_of_a_needle_with_run_out_is_travel_and_leaves_less_room_for_the_next_step(clock):
    _, controller = run(clock, needle={"tip_offset_mm": [0.0, 0.0, 0.0], "run_out_mm": [0.5, 0.0]})
    leaning = NeedlePose(0.0, 0.0, 20.0, 0.0, -5.0, 180.0)
    move_needle(controller, leaning, 2.0)
    move_needle(controller, replace(leaning, feed_mm=10.0), 1.0, blind=True)
    controller.travel.confirm()
    assert controller.travel.room_mm == controller.travel.limit_mm
    rotate_bevel(controller, 0.0)
    room_mm = controller.travel.room_mm
    assert room_mm < controller.travel.limit_mm - 0.1
    with pytest.raises(LimitViolation, match="without confirmed tip"):
        advance(controller, controller.travel.limit_mm, 1.0)
    advance(controller, room_mm, 1.0)
