"""The simulated motion controller by itself: motion, error of its axes, stops, homing, emergency stop."""

from __future__ import annotations

import numpy as np
import pytest

from hal.sim.devices.motion_axes import CARRIER_ORDER, PoseAxes
from hal.sim.devices.motion_config import Firmware, carrier_config, holder_config
from hal.sim.devices.motion_grbl import GrblCore
from hal.sim.devices.motion_planner import Planner

NS = 1_000_000_000


class Line:
    """A host that waits a fixed time after each line."""

    def __init__(self, core: GrblCore) -> None:
        self.core = core
        self.now = NS

    def say(self, text: bytes, wait_s: float = 0.05) -> str:
        self.core.receive(text, self.now)
        self.now += int(wait_s * NS)
        return self.core.transmit(self.now).decode("ascii")


class Button:
    pressed = False

    def estop_pressed(self, now_ns: int) -> bool:
        return self.pressed


def exact(**changes: object) -> GrblCore:
    return GrblCore(holder_config(backlash=0.0, scale_error=0.0, **changes))  # type: ignore[arg-type]


def test_a_jog_takes_the_time_of_its_trapezoid() -> None:
    line = Line(exact())
    sent = line.now
    assert line.say(b"$J=G91 G21 X10 F600\n", 0.002) == "ok\r\n"
    while "Idle" not in line.say(b"?", 0.002):
        assert line.now < 3 * NS
    # 10 mm at 10 mm/s and 200 mm/s^2: 1 s and one ramp of 0.05 s
    assert (line.now - sent) / NS == pytest.approx(1.05, abs=0.006)


def test_axes_are_known_for_moments_already_past() -> None:
    line = Line(exact())
    line.say(b"$J=G91 G21 X10 F600\n", 2.0)
    half = line.core.axes_at(NS + int(0.526 * NS))
    assert half[0] == pytest.approx(5.0, abs=0.03)
    assert line.core.axes_at(line.now)[0] == pytest.approx(10.0, abs=1e-9)
    assert line.core.axes_at(NS)[0] == 0.0


def test_jog_cancel_decelerates_along_the_path_and_drops_the_queue() -> None:
    line = Line(exact())
    line.say(b"$J=G91 G21 X3 F1200\n$J=G91 G21 Y30 F1200\n", 0.1)
    line.say(b"\x85", 0.5)
    rest = line.core.axes_at(line.now)
    # at 20 mm/s and 200 mm/s^2 the way to rest is at most 1 mm
    at_cancel = line.core.axes_at(NS + NS // 10)
    assert 0.0 < rest[0] - at_cancel[0] <= 1.01
    assert rest[1] == 0.0
    assert "<Idle" in line.say(b"?")


def test_no_axis_is_driven_above_its_own_rate() -> None:
    line = Line(exact())
    line.say(b"$J=G91 G21 X40 Z40 F100000\n", 0.0)
    z = np.array([line.core.axes_at(NS + k * 1_000_000)[2] for k in range(1500)])
    assert float(np.max(np.diff(z)) * 1000.0) == pytest.approx(30.0, rel=1e-6)  # $112 = 1800 mm/min


def test_backlash_is_taken_up_when_the_direction_changes() -> None:
    core = GrblCore(holder_config(scale_error=0.0))
    line = Line(core)
    line.say(b"$J=G90 G21 X5 F600\n", 1.0)
    up = core.axes_at(line.now)[0]
    line.say(b"$J=G90 G21 X6 F600\n$J=G90 G21 X5 F600\n", 1.0)
    down = core.axes_at(line.now)[0]
    assert up == pytest.approx(4.99) and down == pytest.approx(5.01)
    assert "MPos:-145.000" in line.say(b"?")  # the controller does not know


def test_the_error_of_scale_belongs_to_the_machine_and_its_seed() -> None:
    def reach(seed: int) -> float:
        core = GrblCore(holder_config(backlash=0.0), seed=seed)
        line = Line(core)
        line.say(b"$J=G90 G21 X100 F3000\n", 5.0)
        return float(core.axes_at(line.now)[0])

    assert reach(1) == reach(1) != reach(2)
    errors = np.array([reach(seed) - 100.0 for seed in range(40)])
    assert 0.004 < np.std(errors) < 0.016  # 1e-4 of 100 mm


def test_a_reset_in_motion_moves_the_truth_away_from_the_count_until_homing() -> None:
    core = exact()
    line = Line(core)
    line.say(b"$J=G91 G21 X50 F600\n", 0.5)
    assert "ALARM:3" in line.say(b"\x18")
    report = line.say(b"?")
    counted = float(report.split("MPos:")[1].split(",")[0]) + 150.0
    assert abs(core.axes_at(line.now)[0] - counted) > 0.002
    assert "[MSG:Caution: Unlocked]" in line.say(b"$X\n")
    assert line.say(b"$H\n", 120.0).endswith("ok\r\n")
    assert core.axes_at(line.now)[0] == pytest.approx(149.0)


def test_no_report_comes_while_homing_and_its_ok_comes_at_the_end() -> None:
    line = Line(exact())
    assert line.say(b"$H\n", 1.0) == ""
    assert line.say(b"?", 1.0) == ""
    assert line.say(b"", 120.0) == "ok\r\n"
    assert "<Idle|MPos:-1.000," in line.say(b"?")


def test_the_emergency_stop_of_grblhal_is_an_alarm_that_needs_release_reset_and_unlock() -> None:
    button = Button()
    core = GrblCore(holder_config(), button)
    line = Line(core)
    line.say(b"$J=G91 G21 X50 F600\n", 0.3)
    button.pressed = True
    assert "ALARM:10" in line.say(b"", 0.02)
    stopped = core.axes_at(line.now).copy()
    report = line.say(b"?", 0.3)
    assert "<Alarm" in report and "Pn:E" in report
    assert np.array_equal(core.axes_at(line.now), stopped)
    line.say(b"\x18")
    assert "error:79" in line.say(b"$X\n")
    button.pressed = False
    line.say(b"\x18")
    assert line.say(b"$X\n").endswith("ok\r\n")
    assert "<Idle" in line.say(b"?")


def test_the_emergency_stop_of_grbl_is_its_door_input() -> None:
    button = Button()
    core = GrblCore(holder_config(Firmware.GRBL), button)
    line = Line(core)
    line.say(b"$J=G91 G21 X50 F600\n", 0.3)
    button.pressed = True
    assert "[MSG:Check Door]" in line.say(b"", 0.02)
    line.say(b"", 0.5)
    report = line.say(b"?")
    assert "<Door:1" in report and "Pn:D" in report
    assert "error:8" in line.say(b"$J=G91 G21 X1 F60\n")
    button.pressed = False
    assert "<Door:0" in line.say(b"?")
    line.say(b"\x18")
    assert "<Idle" in line.say(b"?")


def test_a_hard_limit_silences_grbl_until_a_reset() -> None:
    core = exact(firmware=Firmware.GRBL, axes=holder_config(Firmware.GRBL).axes, start=(0.0, 0.0, -30.0))
    line = Line(core)
    core.trip_limit("X", line.now)
    assert line.say(b"") == "ALARM:1\r\n[MSG:Reset to continue]\r\n"
    assert line.say(b"?", 1.0) == ""
    assert line.say(b"$X\n", 1.0) == ""
    assert "Grbl 1.1h" in line.say(b"\x18")
    assert "Pn:X" in line.say(b"?")


def test_bytes_beyond_the_receive_buffer_of_grbl_are_lost_silently() -> None:
    core = exact(firmware=Firmware.GRBL, axes=holder_config(Firmware.GRBL).axes, start=(0.0, 0.0, -30.0))
    answers = Line(core).say(b"$J=G91 G21 X0.1 F600\n" * 40, 20.0)
    assert 0 < answers.count("ok") < 40


def test_twenty_short_jogs_wait_for_a_free_place_in_the_planner_of_grbl() -> None:
    core = exact(firmware=Firmware.GRBL, axes=holder_config(Firmware.GRBL).axes, start=(0.0, 0.0, -30.0))
    line = Line(core)
    oks = sum(line.say(b"$J=G91 G21 X1 F600\n", 0.01).count("ok") for _ in range(20))
    assert oks < 20
    assert oks + line.say(b"", 5.0).count("ok") == 20
    assert core.axes_at(line.now)[0] == pytest.approx(20.0)


def test_inches_and_relative_distances_are_understood_in_a_jog() -> None:
    line = Line(exact())
    line.say(b"$J=G91 G20 X1 A10 F100\n", 10.0)
    axes = line.core.axes_at(line.now)
    assert axes[0] == pytest.approx(25.4)
    assert axes[3] == pytest.approx(10.0)  # rotary axes stay in degrees


@pytest.mark.parametrize("number", [110, 120])
def test_a_written_rate_or_acceleration_takes_effect(number: int) -> None:
    line = Line(exact())
    line.say(f"${number}={60 if number == 110 else 10}\n".encode())
    line.say(b"$J=G91 G21 X2 F600\n", 0.6)
    assert line.core.axes_at(line.now)[0] < 1.99


def test_pose_axes_are_in_pose_order_with_hand_set_values() -> None:
    core = GrblCore(carrier_config(Firmware.GRBL, "Z", backlash=0.0, scale_error=0.0))
    axes = PoseAxes(core, CARRIER_ORDER, {"X": 1.0, "Y": 2.0, "A": 3.0, "B": 4.0, "C": 6.0})
    assert axes.axes_at(NS).tolist() == [1.0, 2.0, 3.0, 4.0, -40.0, 6.0]


def test_a_corner_is_taken_slowly_and_a_straight_join_is_not() -> None:
    def speed_at_join(second: tuple[float, float]) -> float:
        planner = Planner(np.zeros(2), np.full(2, 50.0), np.full(2, 200.0), np.zeros(2))
        planner.add(np.array([4.0, 0.0]), 20.0, NS)
        planner.add(np.array(second), 20.0, NS)
        return planner.speed(planner._blocks[0].end_ns)

    assert speed_at_join((8.0, 0.0)) == pytest.approx(20.0)
    assert speed_at_join((4.0, 4.0)) < 3.0
    assert speed_at_join((0.0, 0.0)) < 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_random_stop_and_go_never_jumps_or_exceeds_speed_and_acceleration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    planner = Planner(np.zeros(3), np.full(3, 50.0), np.full(3, 300.0), np.zeros(3))
    now, path = NS, []
    for _ in range(40):
        action = rng.integers(5)
        if action < 3 and not planner.held:
            planner.add(rng.uniform(-5, 5, 3), float(rng.uniform(2, 40)), now)
        elif action == 3:
            planner.cancel(now)
        elif planner.held:
            planner.resume(now)
        else:
            planner.hold(now)
        for _ in range(int(rng.integers(5, 60))):
            path.append(planner.position(now))
            now += 1_000_000
    velocity = np.diff(np.array(path), axis=0) * 1000.0
    speed = np.linalg.norm(velocity, axis=1)
    assert np.max(speed) <= 40.0 + 1e-6
    # along the path the acceleration is bounded; a corner may turn the velocity at its allowed speed
    assert np.max(np.abs(np.diff(speed))) <= 0.3 * np.sqrt(3.0) * 2.0 + 4.0


@pytest.mark.parametrize("firmware", list(Firmware), ids=lambda f: f.name.lower())
@pytest.mark.parametrize("seed", range(4))
def test_no_bytes_can_make_the_controller_fall_over(firmware: Firmware, seed: int) -> None:
    rng = np.random.default_rng(seed)
    line = Line(GrblCore(holder_config(firmware), Button()))
    words = [
        b"$J=",
        b"G91",
        b"X1",
        b"F600",
        b"\n",
        b"$H\n",
        b"!",
        b"~",
        b"\x18",
        b"\x85",
        b"\x84",
        b"?",
        b"$X\n",
        b"G1X-5F900\n",
    ]
    for _ in range(300):
        if rng.uniform() < 0.3:
            line.say(rng.integers(0, 256, int(rng.integers(1, 40)), dtype=np.uint8).tobytes(), 0.01)
        else:
            line.say(words[int(rng.integers(len(words)))], 0.01)
    line.say(b"\x18\n", 200.0)
    line.say(b"\x18")  # what comes together with a reset is flushed by it
    line.say(b"$X\n", 1.0)
    assert "<Idle" in line.say(b"?")
    assert np.all(np.isfinite(line.core.axes_at(line.now)))
