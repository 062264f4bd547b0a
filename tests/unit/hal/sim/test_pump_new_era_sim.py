"""The simulated pump beyond its transcripts: program, plunger, stall, watchdog, packets in pieces."""

from __future__ import annotations

import binascii
import math
from dataclasses import dataclass

import pytest

from hal.sim.devices.pump_new_era import NewEraPump
from hal.sim.devices.pump_new_era_frame import crc_ccitt
from hal.sim.devices.pump_new_era_values import rate_limits_ml_min, shown
from hal.sim.devices.pump_plunger import Plunger, PlungerFigures

S = 1_000_000_000
EXACT = PlungerFigures(flow_error=0.0, play_mm=0.0, relax_mm=0.0)


class Talk:
    """A terminal on the pump's line."""

    def __init__(self, pump: NewEraPump) -> None:
        self.pump = pump
        self.now_ns = 0
        self("")

    def __call__(self, command: str, after_s: float = 0.02) -> str:
        self.now_ns += int(after_s * S)
        self.pump.receive(f"{command}\r".encode(), self.now_ns)
        return self.pump.transmit(self.now_ns + 2_000_000).decode("latin-1")[3:-1]

    def setup(self, *commands: str) -> None:
        for command in commands:
            assert "?" not in self(command), command


@dataclass
class Pressure:
    kpa: float = 0.0

    def line_pressure_kpa(self, now_ns: int) -> float:
        return self.kpa

    def temperature_c(self, now_ns: int) -> float:
        return 20.0


def _talk(**options: object) -> Talk:
    talk = Talk(NewEraPump(**options))  # type: ignore[arg-type]
    talk.setup("DIA14.43", "VOLML", "PHN2", "FUNSTP", "PHN1")
    return talk


@pytest.mark.parametrize(
    ("diameter_mm", "limit_ml_min"),
    [(4.699, 0.885), (8.585, 2.95), (11.99, 5.76), (14.43, 8.34), (19.05, 14.5), (26.59, 28.3)],
)
def test_rate_limits_agree_with_the_manuals_table(diameter_mm: float, limit_ml_min: float) -> None:
    assert rate_limits_ml_min(diameter_mm)[1] == pytest.approx(limit_ml_min, rel=0.005)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.015, "0.015"), (14.43, "14.43"), (50, "50.00"), (3000, "3000."), (9.9999, "10.00"), (0, "0.000")],
)
def test_numbers_are_shown_with_four_digits_and_a_point(value: float, text: str) -> None:
    assert shown(value) == text


def test_check_sum_agrees_with_another_implementation() -> None:
    for text in (b"0SAF0", b"00S", b"", bytes(range(256))):
        assert crc_ccitt(text) == binascii.crc_hqx(text, 0)


def test_a_program_of_several_phases_runs_through() -> None:
    talk = _talk(figures=EXACT)
    talk.setup("PHN1", "FUNRAT", "VOL0.1", "RAT6MM", "DIRINF")
    talk.setup("PHN2", "FUNPAS2", "PHN3", "FUNRAT", "VOL0.05", "RAT3MM", "DIRWDR", "PHN4", "FUNSTP")
    assert talk("RUN1") == "I"
    start_ns = talk.now_ns
    assert talk("", 0.5) == "I"
    assert talk("", 1.5) == "T"
    assert talk("", 1.5) == "W"
    assert talk("", 1.5) == "S"
    assert talk("DIS") == "SI0.100W0.050ML"
    assert talk.pump.displaced_ml(start_ns + 10 * S) == pytest.approx(0.05)


def test_loops_repeat_and_endless_ones_are_a_program_error() -> None:
    talk = _talk(figures=EXACT)
    talk.setup("PHN1", "FUNLPS", "PHN2", "FUNRAT", "VOL0.1", "RAT6MM", "PHN3", "FUNLOP3", "PHN4", "FUNSTP")
    talk("RUN")
    assert talk("DIS", 10.0) == "SI0.300W0.000ML"
    talk.setup("PHN1", "FUNJMP2", "PHN2", "FUNJMP1")
    assert talk("RUN") == "A?E"


def test_a_pump_that_nobody_programmed_stops_at_its_volume() -> None:
    talk = Talk(NewEraPump(figures=EXACT))
    talk.setup("DIA12.06", "DIRINF", "VOLML", "VOL0.05", "RAT1MM", "RUN")
    assert talk("DIS", 2.9).startswith("I")
    assert talk("DIS", 9.0) == "SI0.050W0.000ML"
    assert talk("RESET") == "A?R"
    assert [phase.function for phase in talk.pump.motor.phases[:3]] == ["RAT", "STP", "STP"]


def test_a_direction_set_to_stick_is_not_turned_round() -> None:
    talk = Talk(NewEraPump(figures=EXACT))
    talk.setup("DIRINF", "DIRSTK")
    assert talk("DIR") == "SINF"
    talk.setup("DIRREV")
    assert talk("DIR") == "SWDR"


def test_a_program_begins_anew_after_a_power_cut_only_when_the_pump_was_set_to_do_so() -> None:
    for switch, goes_on in ((0, False), (1, True)):
        talk = Talk(NewEraPump(figures=EXACT))
        talk.setup("DIA14.43", "VOLML", "VOL1", "RAT6MM", f"PF{switch}", "RUN")
        talk.pump.power_cycle(talk.now_ns)
        talk("")  # the alarm
        assert talk("").startswith("I") == goes_on


def test_a_rate_that_is_changed_while_pumping_is_not_stored() -> None:
    talk = Talk(NewEraPump(figures=EXACT))
    talk.setup("DIA14.43", "VOLML", "VOL1", "RAT6MM", "RUN", "RAT3", "STP", "STP")
    assert talk("RAT") == "S6.000MM"


def test_in_safe_mode_a_pump_tells_by_itself_that_its_power_came_back() -> None:
    for safe_s, wanted in ((0, b""), (5, bytes.fromhex("02 09 30 30 41 3F 52"))):
        pump = NewEraPump(figures=EXACT)
        pump.alarm, pump.safe_s = "", safe_s
        pump.power_cycle(S)
        assert pump.transmit(2 * S)[:7] == wanted


def test_the_first_alarm_stays_until_it_is_acknowledged() -> None:
    talk = Talk(NewEraPump(figures=EXACT))
    talk("")
    talk.pump.raise_alarm("S", talk.now_ns)
    talk.pump.raise_alarm("T", talk.now_ns)
    assert talk("DIS") == "A?S"


def test_a_program_without_an_end_goes_on_with_the_next_phase() -> None:
    """Why the driver programs phase 2 as a stop: here an earlier user has left a phase 2 that pumps without limit."""
    talk = Talk(NewEraPump(figures=EXACT))
    talk.setup("DIA14.43", "PHN2", "FUNRAT", "PHN1", "VOLML", "VOL0.1", "RAT6MM", "RUN")
    assert talk("DIS", 61.0).startswith("II1.1")


def test_a_rate_can_be_changed_on_the_way_without_a_unit() -> None:
    talk = _talk(figures=EXACT)
    talk.setup("VOL0", "RAT3MM", "RUN")
    start_ns = talk.now_ns
    assert talk("RAT6", 10.0) == "I"
    change_ns = talk.now_ns
    assert talk.pump.displaced_ml(change_ns + 10 * S) == pytest.approx(3 * (change_ns - start_ns) / 60e9 + 1.0)


def test_the_world_can_ask_for_moments_that_the_pump_has_passed() -> None:
    talk = _talk(figures=PlungerFigures(flow_error=0.0, play_mm=0.05, relax_mm=0.0))
    talk.setup("VOL0.5", "RAT3MM", "RUN")
    start_ns = talk.now_ns
    talk.pump.displaced_ml(start_ns + 60 * S)
    play_ml = 0.05 * math.pi * 14.43**2 / 4 / 1000
    for t in (0.05, 0.3, 1.0, 5.0, 9.9, 20.0):
        expected = max(0.0, min(0.5, 0.05 * t) - play_ml)
        assert talk.pump.displaced_ml(start_ns + int(t * S)) == pytest.approx(expected, abs=1e-6)


def test_play_is_lost_once_per_direction_and_relaxation_after_each_stop() -> None:
    figures = PlungerFigures(flow_error=0.0, play_mm=0.05, relax_mm=0.01)
    plunger = Plunger(figures, seed=0, bore_mm=None)
    area = plunger.area_mm2(14.43)
    plunger.move(0.1, 14.43)
    assert plunger.displaced_ml == pytest.approx(0.1 - 0.05 * area / 1000)
    plunger.rest()
    plunger.move(0.1, 14.43)
    assert plunger.displaced_ml == pytest.approx(0.2 - 0.06 * area / 1000)
    plunger.move(-0.1, 14.43)
    assert plunger.displaced_ml == pytest.approx(0.1 - 0.01 * area / 1000)


def test_low_rates_start_late() -> None:
    talk = _talk(figures=PlungerFigures(flow_error=0.0))
    talk.setup("VOL0.1", "RAT0.05MM", "RUN")
    start_ns = talk.now_ns
    assert talk.pump.displaced_ml(start_ns + 3 * S) == 0.0
    assert talk.pump.displaced_ml(start_ns + 10 * S) > 0.0


def test_flow_error_is_seeded_and_within_two_percent() -> None:
    gains = [Plunger(PlungerFigures(), seed, None).gain for seed in range(50)]
    assert all(0.98 <= gain <= 1.02 for gain in gains)
    assert len(set(gains)) == 50
    assert gains[7] == Plunger(PlungerFigures(), 7, None).gain


def test_a_syringe_that_is_wider_than_the_pump_is_set_to_gives_more() -> None:
    talk = _talk(figures=EXACT, bore_mm=15.0)
    talk.setup("VOL0.1", "RAT6MM", "RUN")
    assert talk("DIS", 5.0) == "SI0.100W0.000ML"
    assert talk.pump.displaced_ml(talk.now_ns) == pytest.approx(0.1 * (15.0 / 14.43) ** 2)


def test_the_pump_stalls_when_pressure_times_area_exceeds_its_force() -> None:
    """156 N at low speed on a 14.43 mm plunger, less 5 N of friction, are 923 kPa."""
    pressure = Pressure(900.0)
    talk = _talk(port=pressure)
    talk.setup("VOL0", "RAT0.1MM", "RUN")
    assert talk("", 1.0) == "I"
    pressure.kpa = 950.0
    assert talk("", 1.0) == "A?S"
    before = talk.pump.displaced_ml(talk.now_ns)
    assert talk("", 1.0) == "S"
    assert talk.pump.displaced_ml(talk.now_ns + 10 * S) == before


def test_a_fast_pump_stalls_earlier() -> None:
    talk = _talk(port=Pressure(600.0))
    talk.setup("VOL0", "RAT8MM", "RUN")
    assert talk("", 0.5) == "A?S"


def test_a_packet_in_pieces_is_understood_and_a_stale_piece_is_dropped() -> None:
    pump = NewEraPump()
    packet = bytes.fromhex("02 09 30 53 41 46 30 59 AD 03")
    pump.receive(packet[:4], 0)
    pump.receive(packet[4:], 400_000_000)
    assert pump.transmit(S).endswith(b"A?R\x03")
    pump.receive(packet[:4], 2 * S)
    pump.receive(packet, 3 * S)
    assert pump.transmit(4 * S) == b"\x0200S\x03"


def test_noise_is_answered_with_nothing_worse_than_a_question_mark() -> None:
    talk = _talk()
    talk.pump.receive(bytes(range(256)) * 3, talk.now_ns + S)
    talk.pump.transmit(talk.now_ns + 2 * S)
    assert talk("VER", 3.0).startswith("S")


def test_plain_text_is_ignored_in_safe_mode() -> None:
    talk = _talk()
    talk("SAF9")
    assert talk("VER") == ""


def test_a_broadcast_changes_the_address() -> None:
    talk = _talk()
    talk("*ADR3")
    assert talk("VER") == ""
    assert talk("3VER") == "SNE1000V3.928"


def test_reset_brings_back_the_factory_state() -> None:
    talk = Talk(NewEraPump(address=5))
    assert talk("5VER") == "A?R"
    assert talk("5RAT2MM") == "S"
    assert talk("*RESET") == "A?R"
    assert talk("RAT") == "A?R"
    assert talk("RAT") == "S1.000MM"


def test_changing_the_diameter_clears_the_totals_and_sets_the_unit() -> None:
    talk = _talk(figures=EXACT)
    talk.setup("VOL0.1", "RAT6MM", "RUN")
    assert talk("DIS", 3.0) == "SI0.100W0.000ML"
    talk.setup("DIA10")
    assert talk("DIS") == "SI0.000W0.000UL"
    talk.setup("DIA14.01")
    assert talk("DIS") == "SI0.000W0.000ML"
