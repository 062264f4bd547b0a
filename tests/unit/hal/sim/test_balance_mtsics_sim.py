"""The simulated balance: when it calls a weight stable, zero tracking, draught, drift, and the order of commands."""

from __future__ import annotations

import statistics

import pytest

from hal.clock import NS_PER_S
from hal.sim.devices.balance_mtsics import MtSicsBalance
from hal.sim.devices.weigh_cell import BalanceFigures, WeighCell

QUIET = {"repeatability_mg": 0.0, "drift_mg_h": 0.0}
H_NS = 3600 * NS_PER_S


class Pan:
    """A load that grows evenly, and what is put on it."""

    def __init__(self, load_g: float = 0.0, flow_g_s: float = 0.0) -> None:
        self.load_g, self.flow_g_s = load_g, flow_g_s

    def pan(self, now_ns: int) -> tuple[float, float]:
        return self.load_g + self.flow_g_s * now_ns / NS_PER_S, self.flow_g_s


def cell(pan: Pan, **figures) -> WeighCell:
    return WeighCell(pan, BalanceFigures(**{**QUIET, **figures}), 1)


class Line:
    def __init__(self, pan: Pan, **figures) -> None:
        self.balance = MtSicsBalance(pan, figures=BalanceFigures(**{**QUIET, **figures}))
        self.now_ns = 0

    def send(self, text: str) -> None:
        self.balance.receive(text.encode() + b"\r\n", self.now_ns)

    def received(self, seconds: float) -> list[str]:
        end_ns = self.now_ns + int(seconds * NS_PER_S)
        sent = b""
        while (due_ns := self.balance.next_ns(self.now_ns)) is not None and due_ns <= end_ns:
            self.now_ns = max(self.now_ns, due_ns)
            sent += self.balance.transmit(self.now_ns)
        self.now_ns = end_ns
        return (sent + self.balance.transmit(end_ns)).decode().split("\r\n")[:-1]


# -- the cell ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every_s", [0.05, 0.5, 10.0])
@pytest.mark.parametrize(("digits_s", "stable"), [(0.0, True), (1.0, True), (2.8, False), (14.0, False)])
def test_a_flow_of_more_than_a_digit_a_second_is_not_stable(digits_s: float, stable: bool, every_s: float) -> None:
    """2.8 digits/s are 1 mL/h on a balance of 0.1 mg; however often somebody looks."""
    it = cell(Pan(60.0, digits_s * 1e-4))
    looks = [it.look(int(n * every_s * NS_PER_S)) for n in range(1, 60)]
    assert {look.stable for look in looks[30:]} == {stable}


def test_a_weight_that_was_put_on_settles_within_seconds() -> None:
    pan = Pan(60.0)
    it = cell(pan)
    for n in range(100):
        it.look(n * NS_PER_S // 20)
    pan.load_g = 160.0
    after = [it.look(5 * NS_PER_S + n * NS_PER_S // 20) for n in range(100)]
    first = next(n for n, look in enumerate(after) if look.stable)
    assert 2.0 < first / 20 < 4.0
    assert after[first].gross_g == pytest.approx(160.0, abs=1e-4)
    assert after[4].gross_g < 159.0


def test_noise_and_drift_are_those_stated() -> None:
    noisy = cell(Pan(60.0), repeatability_mg=0.1)
    assert statistics.stdev(noisy.look(n * 10 * NS_PER_S).gross_g for n in range(1000)) == pytest.approx(1e-4, rel=0.1)
    per_h = cell(Pan(60.0), drift_mg_h=0.5).look(H_NS).gross_g - 60.0
    assert 0.0 < abs(per_h) <= 0.5e-3


def test_an_adjustment_that_is_off_by_20_ppm_shows_a_milligram_at_50_g() -> None:
    assert cell(Pan(50.0), span_ppm=20.0).look(1).gross_g == pytest.approx(50.001, abs=1e-6)


@pytest.mark.parametrize("every_s", [0.1, 1.0, 30.0])
def test_zero_tracking_swallows_a_slow_flow_and_not_a_faster_one(every_s: float) -> None:
    shown = {}
    for digits_s in (0.2, 2.0):
        it = cell(Pan(0.0, digits_s * 1e-4), zero_tracking=True)
        shown[digits_s] = [it.look(int(n * every_s * NS_PER_S)).gross_g for n in range(int(600 / every_s) + 1)][-1]
    assert abs(shown[0.2]) < 1e-4
    assert shown[2.0] == pytest.approx(600 * 2e-4, rel=0.05)


def test_without_zero_tracking_nothing_is_swallowed() -> None:
    it = cell(Pan(0.0, 0.2e-4))
    assert it.look(600 * NS_PER_S).gross_g == pytest.approx(0.012, rel=0.01)


def test_zero_tracking_does_not_reach_beyond_zero() -> None:
    it = cell(Pan(60.0, 0.2e-4), zero_tracking=True)
    seen = [it.look(n * NS_PER_S).gross_g for n in range(601)]
    assert seen[-1] - seen[0] == pytest.approx(0.012, rel=0.01)


@pytest.mark.parametrize("every_s", [0.1, 2.0])
def test_draught_shows_in_the_weights_and_in_the_flag(every_s: float) -> None:
    it = cell(Pan(60.0), draught_mg=2.0)
    looks = [it.look(int(n * every_s * NS_PER_S)) for n in range(500)]
    assert 0.5e-3 < statistics.stdev(look.gross_g for look in looks) < 3e-3
    assert sum(look.stable for look in looks) < 100


def test_a_flag_that_is_stuck_calls_a_flow_stable() -> None:
    it = cell(Pan(60.0, 0.01), stuck_flag=True)
    looks = [it.look(n * NS_PER_S) for n in range(10)]
    assert all(look.stable for look in looks)
    assert looks[-1].gross_g - looks[0].gross_g == pytest.approx(0.09, rel=0.01)


def test_one_moment_has_one_weight() -> None:
    it = cell(Pan(60.0), repeatability_mg=1.0)
    assert it.look(5).gross_g == it.look(5).gross_g == it.look(4).gross_g


# -- commands ----------------------------------------------------------------------------------------------------------


def test_a_flow_gets_no_stable_weight_and_is_reported_so_after_the_balances_own_patience() -> None:
    line = Line(Pan(60.0, 0.01), wait_s=3.0)
    line.send("S")
    assert line.received(2.9) == []
    assert line.received(0.3) == ["S I"]


def test_commands_behind_one_that_waits_are_answered_in_their_order() -> None:
    line = Line(Pan(60.0))
    for command in ("S", "I4", "SI"):
        line.send(command)
    assert [text[:3] for text in line.received(2.0)] == ["S S", "I4 ", "S S"]


def test_cancel_drops_what_waits_and_ends_streams() -> None:
    line = Line(Pan(60.0, 0.01))
    line.send("T")
    line.send("SIR")
    line.send("@")
    assert line.received(40.0) == ['I4 A "B012345678"']
    line.send("SIR")
    assert len(line.received(1.0)) in (10, 11)
    line.send("@")
    line.received(0.1)
    assert line.received(5.0) == []


@pytest.mark.parametrize(("argument", "lines"), [("", 10), (" 500", 2), (" 50", 20)])
def test_a_stream_has_its_own_rate_or_the_one_that_is_asked_for(argument: str, lines: int) -> None:
    line = Line(Pan(60.0))
    line.send(f"SIR{argument}")
    assert len(line.received(10.0)) == pytest.approx(10 * lines, abs=2)
    line.send("SI")
    line.received(0.2)
    assert line.received(5.0) == []


def test_a_list_of_commands_ends_with_the_one_line_that_says_so() -> None:
    line = Line(Pan(0.0))
    line.send("I0")
    lines = line.received(1.0)
    assert [text[:4] for text in lines] == ["I0 B"] * (len(lines) - 1) + ["I0 A"]
    assert 'I0 B 0 "SIR"' in lines and 'I0 B 1 "TA"' in lines


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("sI", "ES"),
        ("S\x80", "ET"),
        ("SIR 1", "S L"),
        ("TA -1 g", "TA L"),
        ("TA 10 mg", "TA L"),
        ("TA 10 g", "TA A    10.0000 g"),
        ("TI", "TI S    60.0000 g"),
        ("ZI", "ZI +"),
    ],
)
def test_immediate_commands_and_refusals(command: str, answer: str) -> None:
    line = Line(Pan(60.0))
    line.balance.receive(command.encode("latin-1") + b"\r\n", 0)
    assert line.received(0.1) == [answer]


def test_power_that_comes_back_zeroes_and_tells_the_serial_number() -> None:
    line = Line(Pan(60.0))
    line.send("T")
    line.received(2.0)
    line.balance.power_cycle(line.now_ns)
    line.send("TA")
    line.send("SI")
    assert line.received(0.1) == ['I4 A "B012345678"', "TA A     0.0000 g", "S S     0.0000 g"]
