"""The Harvard pump's driver when things go wrong: what others left, lost, late and damaged answers, interruptions."""

from __future__ import annotations

import pytest
from lossy_line import LossyLine
from scripted_line import AnsweringLine, on_line

from hal.clock import VirtualClock
from hal.drivers.pump_harvard import Driver, Settings
from hal.drivers.pump_harvard_frame import decode, volume_text
from hal.errors import DeviceAlarm, DeviceError, LimitViolation, LinkError
from hal.links.wire import Endpoint, publish
from hal.sim.devices.pump_harvard import HarvardPump
from hal.sim.faults import Fault, FaultKind, FaultyCore


class Bench:
    def __init__(self, portion_s: float = 1.0, pump: HarvardPump | None = None) -> None:
        self.clock = VirtualClock()
        self.pump = pump or HarvardPump(seed=1)
        self.line = LossyLine(self.pump)
        publish("harvard-unit", Endpoint(self.line, self.clock))
        self.settings = Settings(url="rigsim://harvard-unit", diameter_mm=12.06, portion_s=portion_s)
        self.driver = Driver(self.settings, self.clock)

    def opened(self) -> Bench:
        self.driver.open()
        return self

    def lose_answers_to(self, command: bytes) -> None:
        self.line.spoil = lambda request, answer: b"" if command in request else answer

    def watch(self) -> None:
        while self.driver.read().running:
            self.clock.sleep(0.1)


@pytest.fixture
def bench() -> Bench:
    return Bench().opened()


def _used() -> HarvardPump:
    """As somebody left it: withdrawing, echoing, with a target, a target time, a ramp, another syringe and counts."""
    pump = HarvardPump(seed=1)
    for n, command in enumerate((
        "diameter 4.61", "svolume 1 ml", "irate 1 ml/min", "wrate 1 ml/min", "tvolume 20 ul", "irun", "ctvolume",
        "ttime 99", "iramp 1 ml/min 2 ml/min 9", "force 100", "load qs iw", "echo on", "wrun",
    )):  # fmt: skip
        pump.receive(command.encode() + b"\r", n * 10**9 * 2)
    return pump


def test_whatever_an_earlier_user_left_is_established_at_opening() -> None:
    pump = _used()
    assert (pump.motor.prompt, pump.target_s, pump.echoes) == ("<", 99.0, True)
    assert pump.motor.infused_ml > 0.0 and pump.ramps
    bench = Bench(pump=pump)
    bench.clock.sleep(30.0)
    bench.opened()
    assert (pump.motor.prompt, pump.directions, pump.target_ml, pump.target_s) == (":", "i", None, None)
    assert (pump.motor.diameter_mm, pump.syringe_ml, pump.force_percent, pump.ramps) == (12.06, 5.0, 50, {})
    assert (pump.motor.infused_ml, pump.motor.withdrawn_ml, pump.echoes, pump.polled) == (0.0, 0.0, False, True)
    bench.driver.infuse(0.1, 3.0)
    bench.watch()
    assert bench.driver.read().dispensed_ml == pytest.approx(0.1)


@pytest.mark.parametrize("command", ["diameter 10", "svolume 9 ml", "force 80", "ttime 9", "iramp 1 ml/min 2 ml/min 9"])
def test_what_somebody_changed_since_is_refused_and_nothing_is_infused(bench: Bench, command: str) -> None:
    bench.pump.receive(command.encode() + b"\r", bench.clock.now_ns())
    bench.pump.transmit(bench.clock.now_ns() + 10**7)
    with pytest.raises(DeviceError, match="changed since the rig was opened") as caught:
        bench.driver.infuse(0.1, 3.0)
    assert caught.value.code == "changed"
    assert bench.line.count(b"irun") == 0


def test_a_pump_that_withdrew_at_its_keys_is_refused(bench: Bench) -> None:
    bench.pump.motor.withdrawn_ml = 0.01
    with pytest.raises(DeviceError, match=r"has withdrawn 0\.01 mL"):
        bench.driver.infuse(0.1, 3.0)
    assert bench.line.count(b"irun") == 0


def test_irun_whose_answer_is_lost_is_resolved_by_asking(bench: Bench) -> None:
    bench.lose_answers_to(b"irun")
    bench.driver.infuse(0.04, 3.0)
    assert bench.line.count(b"irun") == 1
    bench.watch()
    assert bench.driver.read().dispensed_ml == pytest.approx(0.04)


def test_irun_that_never_arrived_is_an_error_and_is_not_repeated(bench: Bench) -> None:
    bench.line.deaf = lambda request: b"irun" in request
    with pytest.raises(DeviceError, match=r"has infused 0 of 0.04 mL; the command was not repeated"):
        bench.driver.infuse(0.04, 3.0)
    assert bench.line.count(b"irun") == 1
    assert not bench.driver.read().running
    assert bench.pump.motor.infused_ml == 0.0


def test_irun_followed_by_silence_is_reported_as_unknown(bench: Bench) -> None:
    bench.line.spoil = lambda request, answer: b"" if bench.line.count(b"irun") else answer
    with pytest.raises(LinkError, match=r"may have infused up to 0\.05 mL"):
        bench.driver.infuse(0.2, 3.0)
    assert bench.line.count(b"irun") == 1


def test_an_answer_to_irun_with_one_bit_changed_is_resolved_by_asking(bench: Bench) -> None:
    bench.line.spoil = lambda request, answer: answer.replace(b">", b":") if b"irun" in request else answer
    bench.driver.infuse(0.1, 3.0)
    assert bench.line.count(b"irun") == 1
    assert bench.driver.read().running


def test_a_later_portion_that_is_lost_ends_the_infusion_and_is_not_repeated(bench: Bench) -> None:
    bench.driver.infuse(0.2, 3.0)
    bench.line.deaf = lambda request: b"irun" in request
    with pytest.raises(DeviceError, match="was not repeated"):
        bench.watch()
    bench.line.deaf = lambda request: False
    assert bench.line.count(b"irun") == 2
    bench.clock.sleep(0.2)
    state = bench.driver.read()
    assert not state.running
    assert state.dispensed_ml == pytest.approx(0.05)


def test_each_portion_is_sent_once_and_none_is_larger_than_what_may_go_in_alone(bench: Bench) -> None:
    bench.driver.infuse(0.5, 3.0)
    bench.watch()
    assert bench.line.count(b"irun") == 10
    targets = {request for request in bench.line.requests if b"tvolume " in request}
    assert all(float(t.split()[1]) <= 50.001 for t in targets)


def test_a_count_set_to_zero_whose_answer_is_lost_is_counted_once(bench: Bench) -> None:
    bench.lose_answers_to(b"civolume")
    bench.driver.infuse(0.2, 3.0)
    bench.watch()
    assert bench.driver.read().dispensed_ml == pytest.approx(0.2)


def test_an_interruption_ends_the_infusion_with_the_portion_under_way(bench: Bench) -> None:
    bench.driver.infuse(0.5, 3.0)
    bench.clock.sleep(0.4)
    bench.driver.interrupt()
    bench.clock.sleep(0.5)
    bench.driver.read()
    bench.clock.sleep(3.0)
    assert not bench.driver.read().running
    assert bench.line.count(b"irun") == 1
    bench.driver.stop()
    bench.driver.infuse(0.02, 3.0)
    bench.watch()


def test_a_reading_that_waits_for_the_end_of_a_portion_ends_with_an_interruption(bench: Bench) -> None:
    bench.driver.infuse(0.5, 3.0)
    bench.clock.sleep(0.9)
    plain = bench.clock.sleep
    bench.clock.sleep = lambda s: (bench.driver.interrupt(), plain(s))[1]  # type: ignore[method-assign]
    begun_ns = bench.clock.now_ns()
    bench.driver.read()
    assert bench.clock.now_ns() - begun_ns < 50_000_000
    assert bench.line.count(b"irun") == 1


def test_a_portion_cancelled_while_it_is_sent_is_no_fault_of_the_reading(bench: Bench) -> None:
    """A reading that failed here would end the polling of a healthy pump."""
    bench.driver.infuse(0.5, 3.0)
    bench.clock.sleep(0.95)
    bench.line.deaf = lambda request: b"tvolume " in request and bool(bench.driver.interrupt())
    assert not bench.driver.read().running
    assert bench.line.count(b"irun") == 1
    assert not bench.driver.read().running
    bench.driver.stop()
    bench.line.deaf = lambda request: False
    bench.driver.infuse(0.02, 3.0)
    bench.watch()


def test_a_damaged_setting_is_found_out_before_irun(bench: Bench) -> None:
    bench.line.deaf = lambda request: b"tvolume " in request
    with pytest.raises(DeviceError, match=r"asked for 0\.05, the pump says 'Target volume not set'"):
        bench.driver.infuse(0.2, 3.0)
    assert bench.line.count(b"irun") == 0


def test_a_stop_is_believed_only_when_two_readings_agree(bench: Bench) -> None:
    bench.driver.infuse(0.5, 3.0)
    bench.line.deaf = lambda request: b"stp" in request
    report = bench.driver.make_safe(bench.clock.deadline(0.4))
    assert not report.safe
    assert "cut the power" in report.detail
    bench.line.deaf = lambda request: False
    assert bench.driver.make_safe(bench.clock.deadline(1.0)).safe


def test_a_stop_by_somebody_else_ends_the_infusion(bench: Bench) -> None:
    bench.driver.infuse(0.5, 3.0)
    bench.clock.sleep(0.3)
    bench.driver.read()
    bench.pump.motor.halt(":", bench.clock.now_ns())
    for _ in range(3):
        bench.clock.sleep(0.1)
        state = bench.driver.read()
    assert not state.running
    assert state.dispensed_ml < 0.02
    assert bench.line.count(b"irun") == 1


def test_a_pump_that_lost_its_power_says_nothing_that_is_believed(bench: Bench) -> None:
    bench.driver.infuse(0.5, 3.0)
    bench.clock.sleep(0.3)
    bench.pump.power_cycle(bench.clock.now_ns())
    with pytest.raises(LinkError):
        bench.driver.read()
    assert bench.line.count(b"irun") == 1


def test_an_answer_that_was_given_up_is_not_taken_for_a_newer_one() -> None:
    bench = Bench(portion_s=0.0).opened()
    faulty = FaultyCore(bench.pump, ())
    bench.line.core = faulty
    bench.driver.infuse(0.5, 3.0)
    begun_ns = bench.clock.now_ns()
    bench.clock.sleep(1.0)
    faulty.schedule, faulty.hits = (Fault(FaultKind.DELAY, bench.clock.now_ns(), count=1, delay_s=0.35),), [0]
    state = bench.driver.read()
    assert faulty.hits == [1]
    assert state.dispensed_ml >= 3.0 / 60.0 * (state.time_ns - begun_ns) / 1e9 - 1e-4
    assert bench.driver.notices() == {"bytes on its line that nobody waited for": 1}


def test_a_count_with_one_digit_changed_is_asked_for_again(bench: Bench) -> None:
    bench.driver.infuse(0.5, 3.0)
    bench.clock.sleep(0.5)
    damaged: list[bytes] = []

    def spoil(request: bytes, answer: bytes) -> bytes:
        if b"ivolume" in request and not damaged:
            damaged.append(answer)
            return answer.replace(b" 2", b" 9")
        return answer

    bench.line.spoil = spoil
    assert bench.driver.read().dispensed_ml == pytest.approx(0.0255, abs=0.001)
    assert b" 2" in damaged[0]


def test_a_stall_ends_the_infusion_and_stays_until_it_is_acknowledged(bench: Bench) -> None:
    bench.driver.infuse(0.5, 3.0)
    bench.pump.jam = True
    bench.clock.sleep(0.3)
    assert "stall" in bench.driver.read().alarm
    with pytest.raises(DeviceAlarm):
        bench.driver.infuse(0.1, 3.0)


def test_something_else_on_the_line_is_named() -> None:
    clock = on_line("stranger", AnsweringLine(lambda request: b"00S\r\n"))
    with pytest.raises(LinkError, match="does not answer like a Harvard or KD Scientific pump"):
        Driver(Settings(url="rigsim://stranger", diameter_mm=12.06), clock).open()


@pytest.mark.parametrize("portion_s", [-1.0, 0.2, float("nan")])
def test_portions_that_nobody_could_follow_are_refused(portion_s: float) -> None:
    with pytest.raises(ValueError, match="portion_s"):
        Settings(url="rigsim://x", diameter_mm=12.06, portion_s=portion_s)


def test_an_answer_with_or_without_a_space_after_its_prompt_is_understood() -> None:
    """Captures against a simulator have one; independent clients are written as if there were none."""
    for raw in (b"\n00: 5 ml\r\n00:\x11", b"\n00:5 ml\r\n00:\x11"):
        assert decode(raw, "").value("svolume") == 5.0


def test_a_volume_too_small_for_its_digits_is_refused() -> None:
    assert (volume_text(0.05), volume_text(0.0416666)) == ("50 ul", "41.667 ul")
    with pytest.raises(LimitViolation):
        volume_text(1e-8)
