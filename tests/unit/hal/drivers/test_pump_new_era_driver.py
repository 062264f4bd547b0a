"""The pump driver when things go wrong: lost answers, noise, strangers, power cuts, silence."""

from __future__ import annotations

import pytest
from lossy_line import LossyLine
from scripted_line import AnsweringLine, on_line

from hal.clock import VirtualClock
from hal.drivers.pump_new_era import Driver, Settings
from hal.drivers.pump_new_era_frame import number
from hal.errors import DeviceAlarm, DeviceError, LimitViolation, LinkError
from hal.interfaces import Interruptible
from hal.links.wire import Endpoint, publish
from hal.sim.devices.pump_new_era import NewEraPump


class Bench:
    def __init__(self, safe_s: int) -> None:
        self.clock = VirtualClock()
        self.pump = NewEraPump(seed=1)
        self.line = LossyLine(self.pump)
        self.end = Endpoint(self.line, self.clock)
        publish("pump-unit", self.end)
        self.settings = Settings(url="rigsim://pump-unit", diameter_mm=14.43, safe_mode_s=safe_s)
        self.driver = Driver(self.settings, self.clock)
        self.driver.open()

    def lose_answers_to(self, command: bytes) -> None:
        self.line.spoil = lambda request, answer: b"" if command in request else answer


@pytest.fixture(params=[0, 5], ids=["basic", "safe"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


def test_run_whose_answer_is_lost_is_resolved_by_asking(bench: Bench) -> None:
    bench.lose_answers_to(b"RUN")
    bench.driver.infuse(0.2, 3.0)
    assert bench.line.count(b"RUN") == 1
    bench.clock.sleep(5.0 if bench.settings.safe_mode_s == 0 else 4.5)
    assert bench.driver.read().dispensed_ml == pytest.approx(0.2)


def test_run_that_never_arrived_is_an_error_and_is_not_repeated(bench: Bench) -> None:
    bench.line.deaf = lambda request: b"RUN" in request
    with pytest.raises(DeviceError, match=r"has infused 0 of 0.2 mL; the command was not repeated"):
        bench.driver.infuse(0.2, 3.0)
    assert bench.line.count(b"RUN") == 1
    assert bench.pump.motor.infused_ml == 0.0


def test_a_short_infusion_that_ended_before_it_could_be_asked_for_is_no_error(bench: Bench) -> None:
    bench.lose_answers_to(b"RUN")
    bench.driver.infuse(0.02, 8.0)  # 150 ms, over before the answer is given up
    assert bench.pump.motor.infused_ml == pytest.approx(0.02)


def test_run_followed_by_silence_is_reported_as_unknown(bench: Bench) -> None:
    def spoil(request: bytes, answer: bytes) -> bytes:
        return b"" if bench.line.count(b"RUN") else answer

    bench.line.spoil = spoil
    with pytest.raises(LinkError, match=r"may have infused up to 0\.2 mL"):
        bench.driver.infuse(0.2, 3.0)
    assert bench.line.count(b"RUN") == 1


def test_an_alarm_in_place_of_run_means_nothing_was_infused(bench: Bench) -> None:
    def spoil(request: bytes, answer: bytes) -> bytes:
        return answer

    bench.line.spoil = spoil
    original = bench.pump.receive

    def receive(data: bytes, now_ns: int) -> None:
        if b"RUN" in data:
            bench.pump.alarm = "S"
        original(data, now_ns)

    bench.pump.receive = receive  # type: ignore[method-assign]
    with pytest.raises(DeviceAlarm, match="did not execute RUN"):
        bench.driver.infuse(0.2, 3.0)
    assert bench.line.count(b"RUN") == 1
    assert bench.pump.motor.infused_ml == 0.0


def test_an_infusion_that_is_interrupted_while_it_is_set_up_does_not_begin(bench: Bench) -> None:
    assert isinstance(bench.driver, Interruptible)

    def spoil(request: bytes, answer: bytes) -> bytes:
        if b"VOL200" in request:
            bench.driver.interrupt()
        return answer

    bench.line.spoil = spoil
    with pytest.raises(DeviceError, match="cancelled before it began"):
        bench.driver.infuse(0.2, 3.0)
    assert bench.line.count(b"RUN") == 0
    assert bench.pump.motor.infused_ml == 0.0
    bench.line.spoil = lambda request, answer: answer
    bench.driver.stop()
    bench.driver.infuse(0.2, 3.0)
    assert bench.driver.read().running


def test_an_interruption_that_finds_no_infusion_ends_with_the_stop_that_follows_it(bench: Bench) -> None:
    for stop in (bench.driver.stop, lambda: bench.driver.make_safe(bench.clock.deadline(1.0))):
        bench.driver.interrupt()
        stop()
        bench.driver.infuse(0.1, 6.0)
        assert bench.driver.read().running
        bench.clock.sleep(2.0)


def test_a_lost_setting_is_found_out_before_run(bench: Bench) -> None:
    bench.line.deaf = lambda request: b"VOL200" in request
    with pytest.raises(DeviceError, match="VOL"):
        bench.driver.infuse(0.2, 3.0)
    assert bench.line.count(b"RUN") == 0


def test_a_setting_whose_answer_is_lost_does_not_matter(bench: Bench) -> None:
    bench.lose_answers_to(b"RAT3000UM")
    bench.driver.infuse(0.2, 3.0)
    assert bench.line.count(b"RAT3000UM") == 1
    assert bench.driver.read().running


def test_a_damaged_answer_to_a_query_is_asked_for_again(bench: Bench) -> None:
    damaged = []

    def spoil(request: bytes, answer: bytes) -> bytes:
        if b"DIS" in request and len(damaged) < 2:
            damaged.append(answer)
            return answer[:5] + b"\xff" + answer[6:]
        return answer

    bench.line.spoil = spoil
    assert bench.driver.read().dispensed_ml == 0.0
    assert len(damaged) == 2


def test_stop_is_repeated_until_it_is_proven(bench: Bench) -> None:
    bench.driver.infuse(2.0, 3.0)
    deaf_for = [3]

    def deaf(request: bytes) -> bool:
        if b"STP" in request and deaf_for[0]:
            deaf_for[0] -= 1
            return True
        return False

    bench.line.deaf = deaf
    report = bench.driver.make_safe(bench.clock.deadline(3.0))
    assert report.safe
    assert bench.pump.motor.status == "S"


def test_a_pump_that_cannot_be_reached_is_not_called_safe(bench: Bench) -> None:
    bench.driver.infuse(2.0, 3.0)
    bench.line.deaf = lambda request: True
    start_ns = bench.clock.now_ns()
    report = bench.driver.make_safe(bench.clock.deadline(0.5))
    assert not report.safe
    assert "cut the power" in report.detail
    assert bench.clock.now_ns() - start_ns < 1_000_000_000


def test_a_pulled_cable_is_not_called_safe(bench: Bench) -> None:
    bench.driver.infuse(2.0, 3.0)
    bench.end.connected = False
    report = bench.driver.make_safe(bench.clock.deadline(0.5))
    assert not report.safe
    assert "cable" in report.detail
    bench.driver.close()


def test_a_power_cut_shows_as_an_alarm(bench: Bench) -> None:
    bench.driver.infuse(1.0, 3.0)
    bench.clock.sleep(1.0)
    bench.pump.power_cycle(bench.clock.now_ns())
    state = bench.driver.read()
    assert not state.running
    assert "power" in state.alarm


def test_an_infusion_runs_out_when_the_program_dies_in_basic_mode() -> None:
    bench = Bench(0)
    bench.driver.infuse(0.5, 3.0)
    bench.clock.sleep(60.0)
    assert bench.driver.read().dispensed_ml == pytest.approx(0.5)
    assert bench.pump.displaced_ml(bench.clock.now_ns()) == pytest.approx(0.5, rel=0.05)


def test_the_watchdog_stops_the_pump_when_the_program_dies_in_safe_mode() -> None:
    bench = Bench(5)
    bench.driver.infuse(2.0, 3.0)
    bench.clock.sleep(30.0)
    state = bench.driver.read()
    assert not state.running
    assert "time-out" in state.alarm
    assert state.dispensed_ml == pytest.approx(3.0 * 5.0 / 60.0, rel=0.02)


def test_reading_feeds_the_watchdog() -> None:
    bench = Bench(5)
    bench.driver.infuse(2.0, 6.0)
    for _ in range(60):
        bench.clock.sleep(0.5)
        assert bench.driver.read().alarm == ""
    assert bench.driver.read().dispensed_ml == pytest.approx(2.0)


def test_opening_a_pump_that_runs_stops_it() -> None:
    bench = Bench(0)
    bench.driver.infuse(2.0, 3.0)
    again = Driver(bench.settings, bench.clock)
    again.open()
    assert not again.read().running


def test_opening_finds_a_pump_that_was_left_in_safe_mode() -> None:
    bench = Bench(5)
    basic = Driver(bench.settings.model_copy(update={"safe_mode_s": 0}), bench.clock)
    assert basic.open().model == "NE1000"
    assert bench.pump.safe_s == 0


def test_closing_leaves_a_stopped_pump_in_basic_mode(bench: Bench) -> None:
    bench.driver.infuse(2.0, 3.0)
    bench.driver.close()
    assert bench.pump.motor.status == "S"
    assert bench.pump.safe_s == 0


def test_a_stranger_on_the_port_is_one_clear_error() -> None:
    clock = on_line("stranger", AnsweringLine(lambda request: b"error:2\r\n"))
    with pytest.raises(LinkError, match=r"rigsim://stranger does not answer like a New Era pump: got b'er") as error:
        Driver(Settings(url="rigsim://stranger", diameter_mm=14.43), clock).open()
    assert not isinstance(error.value, DeviceError)


def test_a_silent_port_is_one_clear_error() -> None:
    clock = on_line("silent", AnsweringLine(lambda request: b""))
    with pytest.raises(LinkError, match=r"does not answer like a New Era pump.*check port, pump address 0 and 19200"):
        Driver(Settings(url="rigsim://silent", diameter_mm=14.43), clock).open()


def test_a_pump_with_another_address_does_not_answer() -> None:
    clock = on_line("pump7", NewEraPump(address=7))
    with pytest.raises(LinkError):
        Driver(Settings(url="rigsim://pump7", diameter_mm=14.43), clock).open()
    assert Driver(Settings(url="rigsim://pump7", diameter_mm=14.43, address=7), clock).open().model == "NE1000"


@pytest.mark.parametrize("version", ["NE1000X2V3.934", "NE1002XV3.9", "NE500V3.6", "AL1000V3.61"])
def test_relatives_of_the_pump_are_known(version: str) -> None:
    clock = on_line("relative", NewEraPump(version=version))
    identity = Driver(Settings(url="rigsim://relative", diameter_mm=14.43), clock).open()
    assert identity.model == version.split("V")[0]


def test_large_totals_go_over_to_millilitres(bench: Bench) -> None:
    for expected_ml in (4.0, 8.0, 12.0):
        bench.driver.infuse(4.0, 8.0)
        for _ in range(70):
            bench.clock.sleep(0.5)
            bench.driver.read()
        assert bench.driver.read().dispensed_ml == pytest.approx(expected_ml)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.001, "0.001"), (9.9994, "9.999"), (9.9996, "10.00"), (14.43, "14.43"), (200.0, "200.0"), (9999.4, "9999")],
)
def test_numbers_have_four_digits_at_most(value: float, text: str) -> None:
    assert number("x", value) == text


@pytest.mark.parametrize("value", [0.0004, 10000.0, -1.0, 0.0])
def test_numbers_that_do_not_fit_are_refused(value: float) -> None:
    with pytest.raises(LimitViolation):
        number("x", value)


def test_a_transaction_takes_what_the_line_takes() -> None:
    bench = Bench(0)
    start_ns = bench.clock.now_ns()
    bench.driver.read()
    # "0DIS" CR and STX "00SI0.000W0.000UL" ETX at 19200 baud, and 1 ms in the pump
    assert (bench.clock.now_ns() - start_ns) / 1e9 == pytest.approx((5 + 19) * 10 / 19200 + 0.001, abs=1e-5)
