"""Plausibility checks of the pump driver: damaged, late and foreign answers, impossible counts, changes by others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from late_line import LateLine
from lossy_line import LossyLine

from hal.clock import VirtualClock
from hal.drivers.pump_count import Count, Dispensed
from hal.drivers.pump_new_era import Driver, Settings
from hal.drivers.pump_new_era_frame import Reply
from hal.errors import DeviceAlarm, DeviceError, LinkError
from hal.links.wire import Endpoint, WireCore, publish
from hal.sim.devices.pump_new_era import NewEraPump

MS = 1_000_000


class Bench:
    def __init__(self, safe_s: int = 0, on: Callable[[WireCore], WireCore] = LossyLine) -> None:
        self.clock = VirtualClock()
        self.pump = NewEraPump(seed=1)
        self.line = on(self.pump)
        publish("pump-belief", Endpoint(self.line, self.clock))
        self.settings = Settings(url="rigsim://pump-belief", diameter_mm=14.43, safe_mode_s=safe_s)
        self.driver = Driver(self.settings, self.clock)

    def open(self) -> Bench:
        self.driver.open()
        return self

    def damage_once(self, number: int, damage: Callable[[bytes], bytes]) -> None:
        """The answer to the request of that number, counted from now, arrives damaged."""
        assert isinstance(self.line, LossyLine)
        first, line, done = len(self.line.requests) + number, self.line, []

        def spoil(request: bytes, answer: bytes) -> bytes:
            if len(line.requests) - 1 != first or done:
                return answer
            done.append(1)
            return damage(answer)

        line.spoil = spoil


def damages(answer: bytes) -> list[bytes]:
    """Every answer with one character lost, and with one changed for each that may stand in one."""
    lost = [answer[:n] + answer[n + 1 :] for n in range(len(answer))]
    changed = [
        answer[:n] + bytes((other,)) + answer[n + 1 :]
        for n in range(len(answer))
        for other in b"0123456789.IWSPTUXUML?ACRO\x02\x03"
        if other != answer[n]
    ]
    return lost + changed


def test_no_single_lost_or_changed_character_of_a_count_is_believed_without_a_check_sum() -> None:
    bench = Bench().open()
    bench.driver.infuse(0.05, 6.0)
    bench.clock.sleep(2.0)
    answer = b"\x0200SI50.00W0.000UL\x03"
    assert bench.driver.read().dispensed_ml == pytest.approx(0.05)
    wrong = []
    for damaged in damages(answer):
        bench.damage_once(0, lambda _, damaged=damaged: damaged)  # type: ignore[misc]
        state = bench.driver.read()
        if state.running or state.alarm or abs(state.dispensed_ml - 0.05) > 1.1e-5:
            wrong.append((damaged, state))
    assert not wrong


@pytest.mark.parametrize("place", range(24))
def test_one_damaged_answer_while_an_infusion_is_set_up_neither_spoils_nor_prevents_it(place: int) -> None:
    """Or it is refused before anything moved."""
    for nth, damage in enumerate(
        (lambda a: a[:2] + a[3:], lambda a: a[:3] + b"I" + a[4:], lambda a: a[:-2] + b"1" + a[-1:], lambda a: b"")
    ):
        bench = Bench().open()
        bench.damage_once(place, damage)
        try:
            bench.driver.infuse(0.2, 6.0)
        except (DeviceError, LinkError):
            assert bench.pump.motor.infused_ml == 0.0, nth
            continue
        bench.clock.sleep(4.0)
        assert bench.driver.read().dispensed_ml == pytest.approx(0.2), nth
        assert bench.pump.motor.infused_ml == pytest.approx(0.2)


def test_a_count_that_jumps_is_asked_for_again_and_believed_when_it_is_confirmed() -> None:
    bench = Bench(5).open()
    bench.driver.infuse(1.0, 3.0)
    bench.clock.sleep(1.0)
    before = len(bench.line.requests)  # type: ignore[attr-defined]
    bench.driver.read()
    assert len(bench.line.requests) == before + 1  # type: ignore[attr-defined]
    bench.driver.stop()
    bench.driver.read()
    bench.pump.motor.infused_ml += 0.3  # somebody pumped at the keys
    before = len(bench.line.requests)  # type: ignore[attr-defined]
    assert bench.driver.read().dispensed_ml == pytest.approx(bench.pump.motor.infused_ml, abs=1e-4)
    assert len(bench.line.requests) == before + 2  # type: ignore[attr-defined]


def test_a_pump_that_was_started_at_its_keys_is_seen_to_run() -> None:
    bench = Bench(5).open()
    bench.pump.motor.run(None, bench.clock.now_ns())
    bench.clock.sleep(0.5)
    assert bench.driver.read().running


def test_a_withdrawal_that_nobody_asked_for_is_an_error() -> None:
    bench = Bench(5).open()
    bench.pump.motor.withdrawn_ml = 0.1
    with pytest.raises(DeviceError, match=r"has withdrawn 0\.1 mL") as changed:
        bench.driver.read()
    assert changed.value.code == "changed"
    with pytest.raises(DeviceError, match="withdrawn"):
        bench.driver.infuse(0.1, 3.0)
    bench.driver.clear()
    assert bench.driver.read().dispensed_ml == 0.0


def test_counts_that_never_agree_are_no_count() -> None:
    bench = Bench().open()
    seen: list[int] = []

    def spoil(request: bytes, answer: bytes) -> bytes:
        seen.append(1)
        return b"\x0200SI%d.000W0.000UL\x03" % (len(seen) % 9 + 1)

    bench.line.spoil = spoil  # type: ignore[attr-defined]
    with pytest.raises(LinkError, match="no two answers to DIS agree"):
        bench.driver.read()


def test_a_reading_is_as_old_as_its_question() -> None:
    bench = Bench(5).open()
    bench.line.spoil = lambda request, answer: b"" if len(bench.line.requests) == lost_n else answer  # type: ignore[attr-defined]
    lost_n = len(bench.line.requests) + 1  # type: ignore[attr-defined]
    asked_ns = bench.clock.now_ns()
    assert bench.driver.read().time_ns == asked_ns
    assert bench.clock.now_ns() - asked_ns > 300 * MS


# -- late answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late_s", [0.31, 0.35, 0.45, 0.58])
@pytest.mark.parametrize("place", range(20))
def test_a_late_answer_is_never_taken_for_that_to_another_command(late_s: float, place: int) -> None:
    bench = Bench(0, LateLine).open()
    line = bench.line
    assert isinstance(line, LateLine)
    late_n = len(line.requests) + place
    line.delay_s = lambda n: late_s if n == late_n else 0.0
    try:
        bench.driver.infuse(0.1, 3.0)
    except (DeviceError, LinkError):
        assert bench.pump.motor.infused_ml == 0.0
        return
    bench.clock.sleep(3.0)
    state = bench.driver.read()
    assert (state.running, state.dispensed_ml) == (False, pytest.approx(0.1))


def test_a_late_status_is_not_that_of_a_later_moment() -> None:
    bench = Bench(0, LateLine).open()
    line = bench.line
    assert isinstance(line, LateLine)
    bench.driver.infuse(0.03, 6.0)  # 0.3 s
    late_n = len(line.requests)
    line.delay_s = lambda n: 0.5 if n == late_n else 0.15 if n > late_n else 0.0
    with pytest.raises(LinkError):
        bench.driver._exchange("")
    bench.clock.sleep(0.1)
    bench.pump.displaced_ml(bench.clock.now_ns())
    assert bench.pump.motor.status == "S"
    assert bench.driver._exchange("CLDWDR").status == "S"


def test_a_setting_that_is_read_back_wrongly_once_is_read_again() -> None:
    bench = Bench().open()
    line, spoilt = bench.line, []
    assert isinstance(line, LossyLine)

    def spoil(request: bytes, answer: bytes) -> bytes:
        if request == b"0VOL\r" and not spoilt:
            spoilt.append(answer)
            return answer.replace(b"200.0", b"201.0")
        return answer

    line.spoil = spoil
    bench.driver.infuse(0.2, 6.0)
    assert spoilt
    assert bench.driver.read().running


def test_an_answer_that_comes_twice_changes_nothing() -> None:
    bench = Bench(0, LateLine)
    line = bench.line
    assert isinstance(line, LateLine)
    line.again = lambda n: 0.004 * (n % 4)
    bench.open()
    bench.driver.infuse(0.1, 3.0)
    bench.clock.sleep(3.0)
    assert bench.driver.read().dispensed_ml == pytest.approx(0.1)


def test_a_stop_is_sent_at_once_whatever_is_owed() -> None:
    bench = Bench(0, LateLine).open()
    line = bench.line
    assert isinstance(line, LateLine)
    bench.driver.infuse(2.0, 3.0)
    lost_n = len(line.requests)
    line.delay_s = lambda n: 3600.0 if n == lost_n else 0.0
    with pytest.raises(LinkError):
        bench.driver._exchange("")
    begun_ns = bench.clock.now_ns()
    bench.driver.stop()
    assert bench.clock.now_ns() - begun_ns < 100 * MS
    assert bench.pump.motor.status == "S"


# -- what others left, and what they change ---------------------------------------------------------------------------


def left_by_somebody(pump: NewEraPump) -> None:
    motor = pump.motor
    motor.diameter_mm = 26.59
    motor.phases[0].direction = "WDR"
    motor.phases[0].function = "FIL"
    motor.phases[1].function = "RAT"
    motor.phase_n = 2
    motor.volume_unit = "ML"
    motor.infused_ml = motor.withdrawn_ml = 0.7
    motor.status = "P"
    pump.switches = {"PF": 1, "LOC": 1}
    pump.safe_s = 200
    pump.alarm = "S"


@pytest.mark.parametrize("safe_s", [0, 5])
def test_opening_sets_everything_that_an_infusion_relies_on(safe_s: int) -> None:
    bench = Bench(safe_s)
    left_by_somebody(bench.pump)
    bench.open()
    motor = bench.pump.motor
    assert (motor.diameter_mm, motor.phase_n, motor.status) == (14.43, 1, "S")
    assert [phase.function for phase in motor.phases[:2]] == ["RAT", "STP"]
    assert (motor.phases[0].direction, motor.infused_ml, motor.withdrawn_ml) == ("INF", 0.0, 0.0)
    assert (bench.pump.safe_s, bench.pump.switches) == (safe_s, {"PF": 0, "LOC": 0})
    bench.driver.infuse(0.1, 6.0)
    bench.clock.sleep(2.0)
    assert bench.driver.read().dispensed_ml == pytest.approx(0.1)


def test_a_pump_that_keeps_what_somebody_left_is_refused() -> None:
    for command, complaint in ((b"DIRINF", "DIR"), (b"PF0", "PF"), (b"DIA14", "DIA"), (b"FUNSTP", "FUN")):
        bench = Bench()
        left_by_somebody(bench.pump)
        assert isinstance(bench.line, LossyLine)
        bench.line.deaf = lambda request, command=command: command in request  # type: ignore[misc]
        with pytest.raises(DeviceError, match=complaint):
            bench.driver.open()


def test_a_pump_without_the_switches_is_opened_all_the_same() -> None:
    bench = Bench()
    for name in ("PF", "LOC"):
        del bench.pump._commands[name]
    bench.open().driver.infuse(0.1, 6.0)


def _turn(name: str) -> Callable[[NewEraPump], None]:
    def turn(pump: NewEraPump) -> None:
        motor = pump.motor
        match name:
            case "DIR":
                motor.phases[0].direction = "WDR"
            case "DIA":
                motor.diameter_mm = 12.06
            case "PHN":
                motor.phase_n = 3
            case "FUN of phase 1":
                motor.phases[0].function = "INC"
            case "FUN of phase 2":
                motor.phases[1].function = "RAT"
            case "SAF":
                pump.safe_s = 100

    return turn


@pytest.mark.parametrize("name", ["DIR", "DIA", "PHN", "FUN of phase 1", "FUN of phase 2", "SAF"])
def test_what_is_changed_during_a_session_stops_the_next_infusion(name: str) -> None:
    bench = Bench(5).open()
    _turn(name)(bench.pump)
    with pytest.raises(DeviceError, match=name[:3] + r".*was changed since it was opened, at its keys") as changed:
        bench.driver.infuse(0.1, 6.0)
    assert changed.value.code == "changed"
    assert bench.pump.motor.infused_ml == bench.pump.motor.withdrawn_ml == 0.0
    assert bench.pump.motor.status == "S"


# -- alarms -----------------------------------------------------------------------------------------------------------


def test_the_cause_of_an_alarm_is_not_overwritten_by_its_consequence() -> None:
    bench = Bench(5).open()
    bench.driver.infuse(1.0, 3.0)
    bench.pump.jam = True
    bench.clock.sleep(0.1)
    assert "stalled" in bench.driver.read().alarm
    bench.clock.sleep(20.0)  # nobody asks: the watchdog's alarm
    assert bench.driver.read().alarm == "motor stalled"
    bench.pump.power_cycle(bench.clock.now_ns())
    assert bench.driver.read().alarm == "motor stalled"
    with pytest.raises(DeviceAlarm, match="motor stalled"):
        bench.driver.infuse(0.1, 3.0)


# -- the count by itself ----------------------------------------------------------------------------------------------


def reading(status: str, ml: float, at_s: float, withdrawn_ml: float = 0.0, step_ml: float = 1e-5) -> Dispensed:
    at_ns = int(at_s * 1e9)
    return Dispensed(status, ml, withdrawn_ml, step_ml, at_ns, at_ns + 12 * MS)


def test_a_count_is_held_against_rate_and_time() -> None:
    count = Count(8.0)
    assert not count.possible(reading("S", 0.0, 0.0))
    count.believe(reading("S", 0.0, 0.0))
    assert count.possible(reading("S", 0.0, 1.0))
    assert not count.possible(reading("S", 0.001, 1.0))
    assert not count.possible(reading("I", 0.0, 1.0))
    count.run(0.0, 0.5, 6.0)  # 0.1 mL/s
    assert count.possible(reading("I", 0.1, 1.0))
    assert not count.possible(reading("I", 0.2, 1.0))
    assert not count.possible(reading("I", 0.1, 1.0, withdrawn_ml=0.001))
    assert not count.possible(reading("S", 0.1, 1.0)), "it stands before its volume is in"
    assert not count.possible(reading("P", 0.1, 1.0))
    count.believe(reading("I", 0.1, 1.0))
    assert not count.possible(reading("I", 0.09, 1.1))
    assert count.possible(reading("S", 0.5, 5.0))
    assert not count.possible(reading("S", 0.51, 9.0)), "more than was asked for"
    count.stop()
    assert count.possible(reading("S", 0.2, 2.0))
    count.believe(reading("S", 0.2, 2.0))
    assert not count.possible(reading("S", 0.3, 3.0))


def test_a_coarser_last_digit_allows_a_coarser_count() -> None:
    count = Count(8.0)
    count.believe(reading("S", 9.9994, 0.0, step_ml=1e-3))
    assert count.possible(reading("S", 10.0, 1.0, step_ml=1e-2))


@pytest.mark.parametrize(
    ("command", "data", "fits"),
    [
        ("DIS", "I0.015W0.000ML", True), ("DIS", "I0.01.5W0.000ML", False), ("DIS", "I00150W0.000ML", False),
        ("DIS", "I0.015W0.000", False), ("DIS", "0.015ML", False), ("DIS", "", False), ("DIS", "?NA", True),
        ("RAT", "3000.UM", True), ("RAT", "3000UM", False), ("VOL", "0.200ML", True), ("DIA", "14.43", True),
        ("DIA", "1443", False), ("PHN", "01", True), ("FUN", "RAT", True), ("FUN", "LOP05", True), ("DIR", "IN", False),
        ("RUN", "", True), ("RUN", "14.43", False), ("VOL200.0", "", True), ("", "S", False), ("STP", "?XYZ", False),
        ("VER", "NE1000V3.928", True), ("VER", "NE1000", False),
    ],
)  # fmt: skip
def test_an_answer_has_the_shape_of_its_command(command: str, data: str, fits: bool) -> None:
    assert Reply(0, "S", "", data).fits(command) is fits
