"""Settings that an earlier user left in a controller: refused or reset at opening, a stop when they change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from grbl_line import GrblBench

from hal.drivers.motion_setup import read_modes, read_places, read_settings, read_startup
from hal.errors import BadReply, DeviceAlarm, DeviceError, LimitViolation, RigError
from hal.sim.devices.motion_config import Axis, Firmware, GrblConfig, holder_config
from hal.types import MotionMode, Pose6

BOTH = pytest.mark.parametrize("firmware", list(Firmware), ids=lambda f: f.name.lower())


def _refusal(bench: GrblBench, **changes: object) -> str:
    with pytest.raises(DeviceError) as refused:
        bench.holder(**changes).open()
    return str(refused.value)


@BOTH
@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (b"G55\n", "coordinate system G55 is active (send G54)"),
        (b"G92 X5\n", "G92 offset of (-5.000"),
        (b"G43.1 Z3\n", "tool length offset of (0.000, 0.000, 3.000"),
        (b"$N0=G55\n", "startup line $N0 (G55) runs after every reset"),
    ],
)
def test_what_moves_the_frame_is_refused_with_what_to_send(firmware: Firmware, left: bytes, expected: str) -> None:
    with GrblBench(holder_config(firmware)) as bench:
        bench.stranger(left)
        bench.wait(0.1)
        assert expected in _refusal(bench)


@BOTH
@pytest.mark.parametrize("left", [b"G20\n", b"G91\n", b"G93\n", b"G18\n", b"G19 G20 G91\n"])
def test_modes_that_a_reset_would_forget_are_set_back(firmware: Firmware, left: bytes) -> None:
    with GrblBench(holder_config(firmware)) as bench:
        bench.stranger(left)
        bench.wait(0.1)
        driver = bench.holder()
        driver.open()
        assert "G17 G21 G90 G94" in bench.core._modes.print_modes()
        driver.jog(replace(driver.read().pose, x_mm=1.0), 10.0)
        bench.wait(0.5)
        assert driver.read().pose.x_mm == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("number", "value", "expected"),
    [
        (13, 1, "inches"),
        (20, 0, "soft limits are off"),
        (22, 0, "homing is off"),
        (32, 2, "lathe"),
        (481, 200, "reports by itself every 200 ms"),
        (10, 511 - 16, "leave out the input pins"),
        (10, 511 - 32, "never reports its work offset"),
        (100, 10, "steps of 0.1"),
        (121, 20, "accelerates with 20"),
        (132, 50, "limits ask for -60 to 40"),
    ],
)
def test_a_setting_that_a_rig_cannot_work_with_is_refused(number: int, value: float, expected: str) -> None:
    with GrblBench() as bench:
        bench.core._settings[number] = value
        with pytest.raises(RigError, match=expected):
            bench.holder().open()


def test_everything_that_is_wrong_is_reported_together() -> None:
    with GrblBench() as bench:
        bench.stranger(b"G55\n")
        bench.core._settings[13], bench.core._settings[20] = 1.0, 0.0
        bench.wait(0.1)
        text = _refusal(bench)
        for expected in ("G55", "inches", "soft limits"):
            assert expected in text


def test_limits_are_compared_with_travel_by_place_and_not_by_length() -> None:
    """The work zero moved by 20 mm: the window is as long as the travel and does not lie in it."""
    with GrblBench() as bench:
        bench.stranger(b"G10 L2 P1 X-130\n")
        bench.wait(0.1)
        assert "axis X travels from -170 to 130" in _refusal(bench)


def test_a_window_that_lies_within_the_travel_is_accepted_wherever_the_work_zero_is() -> None:
    limits = holder_config().axes
    narrow = {a.letter: {"low": a.low, "high": a.high, "max_speed": 30, "acceleration": 200} for a in limits}
    narrow["X"] |= {"low": -150, "high": 100}
    with GrblBench() as bench:
        bench.stranger(b"G10 L2 P1 X-130\n")
        bench.wait(0.1)
        bench.holder(limits=narrow).open()


def test_an_axis_that_homes_to_its_low_end_travels_upward_where_the_firmware_sets_zero_there() -> None:
    axes = tuple(Axis(c, 0.0, 100.0, 3000.0, 200.0) for c in "XYZ")
    config = GrblConfig(Firmware.GRBL, axes, (50.0, 50.0, 50.0))
    limits = {c: {"low": 0, "high": 100, "max_speed": 30, "acceleration": 200} for c in "XYZ"}
    with GrblBench(config) as bench:
        bench.stranger(b"G10 L2 P1 X0 Y0 Z0\n")
        bench.wait(0.1)
        for at in range(3):
            bench.core._planner.settle(bench.core._planner.position(bench.clock.now_ns()) * 0.0 + 50.0, at)
        assert "axis X travels from -100 to 0" in _refusal(bench, limits=limits)
        real = bench.core.transmit
        bench.core.transmit = lambda now: real(now).replace(b"[OPT:V,", b"[OPT:VZ,")  # type: ignore[method-assign]
        bench.core._settings[23] = 7
        bench.holder(limits=limits).open()


def test_the_work_zero_and_the_settings_that_the_rig_was_calibrated_with_are_compared() -> None:
    with GrblBench() as bench:
        known = {"work_offset": {"X": -150.0, "Z": -40.0}, "expected": {"$3": 0, "$100": 800}}
        identity = bench.holder(**known).open()
        assert identity.setup.startswith("work offset X-150.000 Y-150.000 Z-40.000")
        bench.stranger(b"G10 L2 P1 Z-39.5\n")
        bench.stranger(b"$3=4\n")
        bench.wait(0.1)
        text = _refusal(bench, **known)
        assert "axis Z has its work zero at -39.5, the rig was calibrated with it at -40" in text
        assert "$3 is 4, the rig file knows it as 0" in text


def test_a_grblhal_that_is_not_homed_is_refused_and_can_then_be_homed() -> None:
    with GrblBench(holder_config(homed=False)) as bench:
        driver = bench.holder()
        with pytest.raises(DeviceAlarm, match="not homed"):
            driver.open()
        driver.home()
        driver.open()
        assert driver.read().mode is MotionMode.IDLE


def test_a_controller_that_claims_to_stand_outside_its_travel_is_refused() -> None:
    with GrblBench(holder_config(start=(200.0, 0.0, -30.0, 0.0, 0.0, 0.0))) as bench:
        assert "axis X claims to stand at 200, outside its travel" in _refusal(bench)


def test_a_program_that_polls_on_the_same_line_is_noticed_when_opening() -> None:
    with GrblBench() as bench:
        bench.core._settings[481] = 100.0
        bench.stranger(b"\x8c")
        real = bench.core.transmit
        bench.core.transmit = lambda now: real(now).replace(b"$481=100", b"$481=0")  # type: ignore[method-assign]
        assert "reports came that were not asked for" in _refusal(bench)


def test_a_damaged_listing_is_asked_for_again() -> None:
    with GrblBench() as bench:
        real, hits = bench.core.transmit, []

        def once(now_ns: int) -> bytes:
            data = real(now_ns)
            if b"$130=300.000" in data and not hits:
                hits.append(now_ns)
                return data.replace(b"$130=300.000", b"$130=30.000")
            return data

        bench.core.transmit = once  # type: ignore[method-assign]
        bench.holder().open()
        assert hits


def test_an_axis_outside_its_window_may_go_back_and_nowhere_else() -> None:
    axes = holder_config().axes
    limits = {a.letter: {"low": a.low, "high": a.high, "max_speed": 30, "acceleration": 200} for a in axes}
    limits["X"] |= {"low": -50, "high": 50}
    with GrblBench(holder_config(start=(52.0, 0.0, -30.0, 0.0, 0.0, 0.0))) as bench:
        driver = bench.holder(limits=limits)
        driver.open()
        for wrong in (Pose6(52.5, 0.0, -30.0), Pose6(52.0, 1.0, -30.0), Pose6(-51.0, 0.0, -30.0)):
            with pytest.raises(LimitViolation, match="axis X"):
                driver.jog(wrong, 10.0)
        driver.jog(Pose6(51.0, 0.0, -30.0), 10.0)
        bench.wait(0.5)
        driver.jog(Pose6(49.5, 0.5, -30.0), 10.0)
        bench.wait(0.5)
        assert driver.read().pose.x_mm == pytest.approx(49.5)
        with pytest.raises(LimitViolation, match="axis X"):
            driver.jog(Pose6(50.5, 0.5, -30.0), 10.0)


def test_after_the_restart_that_opening_a_port_causes_an_alarm_is_not_forgiven() -> None:
    with GrblBench(holder_config(Firmware.GRBL, homed=False)) as bench:
        bench.stranger(b"\x18")
        with pytest.raises(DeviceAlarm, match="home it"):
            bench.holder().open()


def test_an_emergency_stop_that_is_pressed_when_opening_is_named() -> None:
    class Button:
        def estop_pressed(self, now_ns: int) -> bool:
            return True

    with GrblBench(holder_config(Firmware.GRBL)) as bench:
        bench.core._estop = Button()
        with pytest.raises(DeviceAlarm, match="emergency stop or door"):
            bench.holder().open()


@pytest.mark.parametrize(
    "lines", [["$130=300.000", "$130=300.000"], ["$130:300.000"], ["130=300.000"], ["[GC:G0]"], ["$=3"]]
)
def test_settings_with_a_line_that_is_none_are_refused(lines: list[str]) -> None:
    with pytest.raises(BadReply):
        read_settings(lines)


@pytest.mark.parametrize("lines", [[], ["[GC:]"], ["[GC:G0 5]"], ["GC:G0 G54]"], ["[GC:G0]", "[GC:G0]"]])
def test_modes_that_cannot_be_read_are_refused(lines: list[str]) -> None:
    with pytest.raises(BadReply):
        read_modes(lines)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["[G54:0.000,0.000]", "[G92:0.000,0.000,0.000]"],
        ["[G54:0.000,0.000,0.000]"],
        ["[G54:0.000,0.000,0.00]", "[G92:0.000,0.000,0.000]"],
        ["[G5:0.000,0.000,0.000]", "[G92:0.000,0.000,0.000]"],
    ],
)
def test_places_that_cannot_be_read_are_refused(lines: list[str]) -> None:
    with pytest.raises(BadReply):
        read_places(lines, "XYZ")


def test_a_startup_line_that_cannot_be_read_is_refused() -> None:
    assert read_startup(["$N0=", "$N1=G54"]) == {0: "", 1: "G54"}
    with pytest.raises(BadReply):
        read_startup(["N0="])
