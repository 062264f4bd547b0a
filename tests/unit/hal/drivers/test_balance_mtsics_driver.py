"""The balance's driver when things go wrong: what others left, lost, late, cut and foreign lines, keys, cables."""

from __future__ import annotations

import math

import pytest
from lossy_line import LossyLine

from hal.clock import NS_PER_S, VirtualClock
from hal.drivers.balance_mtsics import Driver, Settings
from hal.errors import BadReply, DeviceError, LinkError, NoReply
from hal.interfaces import Balance, Noticing
from hal.links.wire import Endpoint, WireCore, publish
from hal.sim.devices.balance_mtsics import MtSicsBalance
from hal.sim.devices.weigh_cell import BalanceFigures
from hal.sim.faults import Fault, FaultKind, FaultyCore

QUIET = {"repeatability_mg": 0.0, "drift_mg_h": 0.0}


class Pan:
    load_g = 50.0
    flow_g_s = 0.0

    def pan(self, now_ns: int) -> tuple[float, float]:
        return self.load_g + self.flow_g_s * now_ns / NS_PER_S, self.flow_g_s


class Bench:
    def __init__(self, figures: BalanceFigures | None = None, **settings):
        self.clock = VirtualClock()
        self.pan = Pan()
        self.balance = MtSicsBalance(self.pan, figures=figures or BalanceFigures(**QUIET))
        self.line = LossyLine(self.balance)
        self.end = Endpoint(self.line, self.clock)
        publish("balance-unit", self.end)
        self.driver = Driver(Settings(url="rigsim://balance-unit", **settings), self.clock)

    def opened(self):
        self.driver.open()
        self.line.requests.clear()
        return self

    @property
    def sent(self) -> list[str]:
        return [request.decode().strip() for request in self.line.requests]

    def answer(self, command: str, text: str | None, times: int = 1) -> None:
        """The next answers to a command are lost (None) or replaced."""
        left = [times]

        def spoil(request: bytes, answer: bytes) -> bytes:
            if request.strip() != command.encode() or not left[0]:
                return answer
            left[0] -= 1
            return b"" if text is None else text.encode("latin-1")

        self.line.spoil = spoil


@pytest.fixture
def bench() -> Bench:
    return Bench().opened()


# -- who it is and what others left ---------------------------------------------------------------------------


def test_it_is_a_balance_that_tells_who_it_is() -> None:
    bench = Bench()
    identity = bench.driver.open()
    assert isinstance(bench.driver, Balance) and isinstance(bench.driver, Noticing)
    assert (identity.model, identity.serial) == ("SIM204 Excellence", "B012345678")
    assert identity.simulated and not identity.verified


@pytest.mark.parametrize("hz", [1.0, 23.0])
def test_a_stream_that_an_earlier_user_left_on_is_ended(hz: float) -> None:
    bench = Bench(BalanceFigures(**QUIET, stream_hz=hz))
    bench.balance.receive(b"SIR\r\n", 0)
    bench.clock.sleep(30.0)
    bench.opened()
    assert bench.driver.read().mass_g == pytest.approx(50.0)
    assert bench.balance.next_ns(bench.clock.now_ns()) is None


def test_a_command_that_an_earlier_user_left_pending_is_cancelled() -> None:
    bench = Bench()
    bench.pan.flow_g_s = 0.01
    bench.balance.receive(b"T\r\n", 0)
    bench.opened()
    bench.pan.flow_g_s = 0.0
    bench.clock.sleep(40.0)
    assert bench.balance.cell.tare_g == 0.0


def test_zero_tracking_that_is_on_is_refused_with_both_ways_out() -> None:
    bench = Bench(BalanceFigures(**QUIET, zero_tracking=True))
    with pytest.raises(DeviceError, match="swallows slow flows: switch it off in its menu, or let the driver") as seen:
        bench.driver.open()
    assert seen.value.code == "zero_tracking"
    assert bench.balance.cell.zero_tracking, "nothing was changed"


def test_zero_tracking_is_switched_off_where_the_rig_file_says_so() -> None:
    bench = Bench(BalanceFigures(**QUIET, zero_tracking=True), zero_tracking="switch_off").opened()
    assert not bench.balance.cell.zero_tracking
    assert bench.driver.notices() == {}


def test_zero_tracking_that_does_not_go_off_is_refused() -> None:
    bench = Bench(BalanceFigures(**QUIET, zero_tracking=True), zero_tracking="switch_off")
    bench.line.deaf = lambda request: request == b"M03 0\r\n"
    with pytest.raises(DeviceError, match="stays on"):
        bench.driver.open()


def test_accepted_zero_tracking_is_noticed() -> None:
    bench = Bench(BalanceFigures(**QUIET, zero_tracking=True), zero_tracking="accept").opened()
    assert list(bench.driver.notices()) == ["its zero tracking is on; slow flows read too low"]


@pytest.mark.parametrize("answer", ["ES\r\n", "EL\r\n", "M03 I\r\n"])
def test_a_balance_that_cannot_tell_about_zero_tracking_is_noticed(answer: str) -> None:
    bench = Bench()
    bench.answer("M03", answer, 9)
    bench.driver.open()
    assert "does not tell whether its zero tracking is on" in next(iter(bench.driver.notices()))


def test_zero_tracking_that_somebody_switched_on_since_is_found_before_the_next_series(bench: Bench) -> None:
    bench.balance.cell.zero_tracking = True
    with pytest.raises(DeviceError, match="swallows slow flows"):
        bench.driver.tare()
    assert "T" not in bench.sent


def test_a_device_that_is_no_balance_is_reported_as_none() -> None:
    bench = Bench()
    bench.line.spoil = lambda request, answer: b"?NA\r\n"
    with pytest.raises(LinkError, match=r"does not answer like a balance with MT-SICS.*9600 baud"):
        bench.driver.open()
    assert bench.clock.now_ns() < 5 * NS_PER_S


@pytest.mark.parametrize(
    ("text", "capacity_g"),
    [
        ('"ML4002E 4200.00 g"', 4200.0),
        ('"XPR2 micro 2100.0000 mg"', 2.1),
        ('"A model without figures"', math.inf),
        ('"220.0000 g"', math.inf),
        ('"XS204 -5 g"', math.inf),
    ],
)
def test_the_capacity_is_read_from_the_end_of_the_one_quoted_text(text: str, capacity_g: float) -> None:
    bench = Bench()
    bench.pan.load_g = 1.0
    bench.answer("I2", f"I2 A {text}\r\n")
    bench.driver.open()
    assert bench.driver._capacity_g == pytest.approx(capacity_g)


# -- reading ---------------------------------------------------------------------------


def test_a_reading_is_as_old_as_its_question(bench: Bench) -> None:
    before_ns = bench.clock.now_ns()
    reading = bench.driver.read()
    assert reading.time_ns == before_ns < bench.clock.now_ns()
    assert (reading.mass_g, reading.stable, reading.unit) == (50.0, True, "g")
    assert reading.digit_g == pytest.approx(1e-4)


@pytest.mark.parametrize("figures", [QUIET, {**QUIET, "unit": "mg"}])
def test_grams_come_out_of_either_unit(figures) -> None:
    reading = Bench(BalanceFigures(**figures)).opened().driver.read()
    assert (reading.mass_g, reading.digit_g) == (pytest.approx(50.0), pytest.approx(1e-4))


@pytest.mark.parametrize(
    "spoilt",
    [
        None,
        "ET\r\n",
        "S S    50.0000",  # cut, without its end
        "S S   50.0000 g\r\n",  # a blank was lost
        "S S    5.0000 g\r\n",  # a digit was lost
        "S S    50.0000 oz\r\n",
        "S S  9950.0000 g\r\n",  # 45 times its capacity
        "S A    50.0000 g\r\n",
        "SI S    50.0000 g\r\n",  # as one emulator has it
        "S\x00S    50.0000 g\r\n",
        "\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
    ],
)
def test_a_read_that_was_lost_or_damaged_is_asked_again(bench: Bench, spoilt: str | None) -> None:
    bench.answer("SI", spoilt)
    assert bench.driver.read().mass_g == pytest.approx(50.0)
    assert bench.sent.count("SI") == 2


@pytest.mark.parametrize("spoilt", [None, "ET\r\n", "S S   50.0000 g\r\n", "EL\r\n", "S S    50.0000 oz\r\n"])
def test_what_stays_wrong_is_an_error_in_time(bench: Bench, spoilt: str | None) -> None:
    bench.answer("SI", spoilt, 99)
    before_ns = bench.clock.now_ns()
    with pytest.raises((LinkError, DeviceError)):
        bench.driver.read()
    assert bench.clock.now_ns() - before_ns < 10 * NS_PER_S
    assert bench.sent.count("SI") <= 3


def test_xon_and_xoff_between_the_characters_are_dropped(bench: Bench) -> None:
    bench.answer("SI", "\x13S S    50\x11.0000 g\r\n")
    assert bench.driver.read().mass_g == 50.0
    assert bench.sent.count("SI") == 1


def test_a_unit_that_was_changed_at_its_keys_is_refused_not_converted(bench: Bench) -> None:
    bench.answer("SI", "S S    50000.0 mg\r\n".replace("   50000.0", f"{'50000.0':>10}"), 9)
    with pytest.raises(DeviceError, match="its unit was g and is mg now") as caught:
        bench.driver.read()
    assert caught.value.code == "unit"


@pytest.mark.parametrize(("sign", "over"), [("+", True), ("-", False)])
def test_beyond_its_range_there_is_no_number(bench: Bench, sign: str, over: bool) -> None:
    bench.answer("SI", f"S {sign}\r\n", 2)
    reading = bench.driver.read()
    assert math.isnan(reading.mass_g) and not reading.stable
    assert (reading.overload, reading.underload) == (over, not over)


@pytest.mark.parametrize("spoilt", ["58.0000", "10.0000", "50.4000", "50.0100", "-0.0000"])
def test_a_weight_with_one_character_changed_is_weighed_again(bench: Bench, spoilt: str) -> None:
    bench.answer("SI", f"S S {spoilt:>10} g\r\n")
    assert bench.driver.read().mass_g == 50.0
    bench.clock.sleep(1.0)
    bench.answer("S", f"S S {spoilt:>10} g\r\n")
    assert bench.driver.read_stable().mass_g == 50.0


def test_the_first_weight_after_opening_is_weighed_twice_as_well() -> None:
    bench = Bench()
    bench.answer("SI", "S S    58.0000 g\r\n")
    bench.driver.open()
    assert bench.driver.read().mass_g == 50.0


def test_weights_that_jump_and_are_reported_as_stable_are_an_error(bench: Bench) -> None:
    weights = iter(range(60, 90))
    bench.line.spoil = lambda request, answer: f"S S {next(weights):>10.4f} g\r\n".encode()
    with pytest.raises(BadReply, match="weights jump"):
        bench.driver.read()


def test_a_weight_that_is_just_being_put_on_is_read_and_is_not_stable(bench: Bench) -> None:
    bench.driver.read()
    bench.pan.load_g = 150.0
    seen = []
    for _ in range(40):
        seen.append(bench.driver.read())
        bench.clock.sleep(0.05)
    assert not seen[0].stable and seen[0].mass_g < 150.0
    assert seen[-1].stable and seen[-1].mass_g == pytest.approx(150.0, abs=1e-3)


def test_a_weight_that_really_changed_between_two_readings_is_believed(bench: Bench) -> None:
    bench.pan.load_g = 57.5
    bench.clock.sleep(10.0)
    assert bench.driver.read().mass_g == pytest.approx(57.5, abs=2e-3)
    assert bench.sent.count("SI") == 2


def test_a_busy_balance_is_asked_again_and_then_reported_to_be_busy(bench: Bench) -> None:
    bench.answer("SI", "S I\r\n", 2)
    assert bench.driver.read().mass_g == 50.0
    bench.answer("SI", "S I\r\n", 99)
    with pytest.raises(DeviceError, match="stays busy") as caught:
        bench.driver.read()
    assert caught.value.code == "busy"


def test_up_to_five_foreign_lines_are_passed_over_and_counted(bench: Bench) -> None:
    bench.answer("SI", "   50.0000 g\r\n" * 5 + "S S    50.0012 g\r\n")
    assert bench.driver.read().mass_g == 50.0012
    assert bench.sent.count("SI") == 1
    assert bench.driver.notices() == {"lines that nobody asked for (print key, late answers)": 5}


def test_more_foreign_lines_than_that_are_no_answer(bench: Bench) -> None:
    bench.answer("SI", "   50.0000 g\r\n" * 6 + "S S    49.0000 g\r\n", 9)
    with pytest.raises(BadReply, match="print by itself"):
        bench.driver.read()


def test_the_print_key_between_two_readings_changes_nothing(bench: Bench) -> None:
    for _ in range(3):
        bench.balance.print_key(bench.clock.now_ns())
        bench.clock.sleep(0.1)
        assert bench.driver.read().mass_g == 50.0
    assert bench.line.requests.count(b"SI\r\n") == 3


@pytest.mark.parametrize("late_s", [1.98, 1.99, 2.0, 2.01, 2.02, 2.1, 2.5, 3.9])
def test_a_late_answer_is_never_taken_for_the_next_one(late_s: float) -> None:
    """A line keeps the order of what it brings, however late it is."""
    bench = Bench()
    late = Fault(FaultKind.DELAY, NS_PER_S, delay_s=late_s, count=1)
    publish("balance-unit", Endpoint(FaultyCore(bench.line, [late]), bench.clock))
    bench.opened()
    bench.clock.sleep(2.0)
    began_ns = bench.clock.now_ns()

    def load(now_ns: int) -> tuple[float, float]:
        return (50.0 if now_ns < began_ns + NS_PER_S else 50.0015), 0.0  # too near to be taken for a jump

    bench.pan.pan = load  # type: ignore[method-assign]
    reading = bench.driver.read()
    assert reading.time_ns > began_ns + NS_PER_S or late_s < 2.0
    assert reading.mass_g == pytest.approx(50.0015 if reading.time_ns > began_ns + NS_PER_S else 50.0)


def test_a_balance_that_was_off_and_on_again_has_lost_its_zero(bench: Bench) -> None:
    bench.driver.tare()
    bench.balance.power_cycle(bench.clock.now_ns())
    bench.clock.sleep(1.0)
    with pytest.raises(DeviceError, match="zero and tare are lost") as caught:
        bench.driver.read()
    assert caught.value.code == "restarted"


def test_a_cable_that_is_pulled_in_the_middle_is_reported_so(bench: Bench) -> None:
    bench.end.connected = False
    with pytest.raises(LinkError, match="check that the cable is plugged in and the device has power"):
        bench.driver.read()
    assert not bench.driver.make_safe(bench.clock.deadline(5.0)).safe
    bench.driver.close()


# -- stable, tare, zero ---------------------------------------------------------------------------


def test_a_stable_weight_is_waited_for() -> None:
    bench = Bench().opened()
    bench.driver.read()
    bench.pan.load_g = 51.0
    reading = bench.driver.read_stable()
    assert reading.stable and reading.mass_g == pytest.approx(51.0, abs=2e-4)
    assert bench.sent.count("S") == 1


@pytest.mark.parametrize("wait_s", [3.0, 30.0])
def test_no_stable_weight_is_reported_when_the_balance_gives_up(wait_s: float) -> None:
    bench = Bench(BalanceFigures(**QUIET, wait_s=wait_s)).opened()
    bench.pan.flow_g_s = 0.002
    before_ns = bench.clock.now_ns()
    with pytest.raises(DeviceError, match="no stable weight") as caught:
        bench.driver.read_stable()
    assert caught.value.code == "unstable"
    assert (bench.clock.now_ns() - before_ns) / NS_PER_S == pytest.approx(wait_s, abs=0.5)


def test_a_lost_stable_weight_ends_at_its_deadline_and_the_next_reading_is_sound() -> None:
    bench = Bench(stable_s=5.0).opened()
    bench.answer("S", None)
    with pytest.raises(NoReply, match="answer to S"):
        bench.driver.read_stable()
    assert bench.clock.now_ns() < 8 * NS_PER_S
    assert bench.driver.read().mass_g == 50.0


@pytest.mark.parametrize("forgets", [False, True])
def test_a_wait_that_is_given_up_before_the_balance_does_so_is_cancelled(forgets: bool) -> None:
    """The balance still waits when the driver does not: ``@`` ends it, and may end the tare, which is then caught."""
    bench = Bench(stable_s=5.0).opened()
    bench.driver.tare()
    bench.balance.forgets_tare = forgets
    bench.pan.flow_g_s = 0.002
    with pytest.raises(DeviceError if forgets else NoReply, match="its tare went from 50 to 0 g" if forgets else "S"):
        bench.driver.read_stable()
    assert bench.sent.count("@") == 1
    assert bench.balance._pending is None


def test_tare_and_zero_are_sent_once_and_proven(bench: Bench) -> None:
    bench.driver.tare()
    assert bench.driver.read().mass_g == 0.0
    bench.pan.load_g = 0.5
    bench.clock.sleep(5.0)
    bench.driver.zero()
    assert bench.driver.read().mass_g == 0.0
    assert (bench.sent.count("T"), bench.sent.count("Z")) == (1, 1)


@pytest.mark.parametrize("command", ["T", "Z"])
def test_an_action_whose_answer_is_lost_is_resolved_by_asking(command: str) -> None:
    bench = Bench(stable_s=5.0)
    bench.pan.load_g = 1.0
    bench.opened().answer(command, None)
    (bench.driver.tare if command == "T" else bench.driver.zero)()
    assert bench.sent.count(command) == 1
    assert bench.driver.read().mass_g == 0.0


@pytest.mark.parametrize("command", ["T", "Z"])
def test_an_action_that_never_arrived_is_an_error_and_is_not_repeated(command: str) -> None:
    bench = Bench(stable_s=5.0)
    bench.pan.load_g = 1.0
    bench.opened().line.deaf = lambda request: request == command.encode() + b"\r\n"
    with pytest.raises(DeviceError, match="reads 1 g afterwards; the command was not sent again"):
        (bench.driver.tare if command == "T" else bench.driver.zero)()
    assert bench.sent.count(command) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [("I", "unstable"), ("+", "range"), ("-", "range")],
)
@pytest.mark.parametrize("command", ["T", "Z"])
def test_an_action_that_the_balance_does_not_carry_out_is_an_error(
    bench: Bench, command: str, answer: str, code: str
) -> None:
    bench.line.deaf = lambda request: False
    bench.answer(command, f"{command} {answer}\r\n")
    with pytest.raises(DeviceError, match="not done") as caught:
        (bench.driver.tare if command == "T" else bench.driver.zero)()
    assert caught.value.code == code
    assert bench.sent.count(command) == 1


@pytest.mark.parametrize("error", ["ES", "ET", "EL"])
def test_an_action_that_was_not_understood_is_not_repeated(bench: Bench, error: str) -> None:
    bench.answer("T", f"{error}\r\n")
    with pytest.raises(DeviceError, match=f"not done: .*{error}"):
        bench.driver.tare()
    assert bench.sent.count("T") == 1


def test_a_tare_that_is_pending_when_the_driver_gives_up_is_not_carried_out_later() -> None:
    bench = Bench(stable_s=5.0).opened()
    bench.pan.flow_g_s = 0.002
    with pytest.raises(DeviceError, match="not sent again"):
        bench.driver.tare()
    bench.pan.flow_g_s = 0.0
    bench.clock.sleep(40.0)
    bench.balance.transmit(bench.clock.now_ns())
    assert bench.balance.cell.tare_g == 0.0


def test_the_vessel_is_not_zeroed_away(bench: Bench) -> None:
    with pytest.raises(DeviceError, match="above the range") as caught:
        bench.driver.zero()
    assert caught.value.code == "range"


# -- stream ---------------------------------------------------------------------------


def test_a_streamed_reading_is_the_next_one_however_long_nobody_listened() -> None:
    bench = Bench(stream=True).opened()
    for _ in range(3):
        bench.clock.sleep(3.33)
        bench.pan.load_g += 1.0
        asked_ns = bench.clock.now_ns()
        reading = bench.driver.read()
        assert asked_ns - 0.03 * NS_PER_S < reading.time_ns < asked_ns + 0.2 * NS_PER_S
    bench.clock.sleep(2.0)
    assert bench.driver.read().mass_g == pytest.approx(53.0, abs=1e-3)
    assert bench.sent == []


def test_a_stream_is_ended_for_an_action_and_goes_on_after_it() -> None:
    bench = Bench(stream=True).opened()
    bench.driver.tare()
    assert bench.driver.read().mass_g == 0.0
    assert bench.driver.read_stable().mass_g == 0.0
    assert bench.driver.read().mass_g == 0.0
    assert bench.sent.count("T") == 1 and bench.sent[-1] == "SIR"
    assert bench.driver.notices() == {}, "no line of the stream came in between"
    bench.driver.close()
    bench.clock.sleep(5.0)
    assert bench.balance.next_ns(bench.clock.now_ns()) is None


def test_a_stream_that_stops_is_an_error_in_time() -> None:
    bench = Bench(stream=True).opened()
    bench.balance.receive(b"@\r\n", bench.clock.now_ns())
    bench.clock.sleep(1.0)
    before_ns = bench.clock.now_ns()
    with pytest.raises(LinkError):
        bench.driver.read()
    assert bench.clock.now_ns() - before_ns < 7 * NS_PER_S


def test_a_closed_balance_says_so(bench: Bench) -> None:
    bench.driver.close()
    bench.driver.close()
    with pytest.raises(LinkError, match="is not open"):
        bench.driver.read()


def test_cores_are_wire_cores(bench: Bench) -> None:
    core: WireCore = bench.balance
    assert core.next_ns(bench.clock.now_ns()) is None
