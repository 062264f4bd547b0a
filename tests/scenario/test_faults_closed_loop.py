"""Something goes wrong in a whole trial on the simulated rig: how it ends, what was sent, what is left."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import cartridge
from experiments.cli.main import app
from experiments.protocol.states import State
from hal.clock import NS_PER_S
from hal.drivers import pressure_keller
from hal.sim import fault_plan
from rig.record import RunFolder, verify_run
from tests.fakes.fault_trial import FaultTrial, run_faulty

WATCHDOG_S = 1.0
"""The pump's own: it stops when it has heard nothing for so long (``safe_mode_s`` of the driver)."""
RATE_ML_S = 3.0 / 60.0
LATER_NS = 600 * NS_PER_S
SEED = 102
"""A trial that goes straight through when nothing is wrong."""


def fault(device: str, kind: str, from_s: float, to_s: float | None = None, **more: object) -> dict[str, object]:
    return {"device": device, "kind": kind, "from_s": from_s, **({} if to_s is None else {"to_s": to_s}), **more}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The trial without a fault: where in time its phases lie."""
    trial = run_faulty(tmp_path_factory.mktemp("clean"), "S1_IP", seed=SEED)
    assert trial.result.failure == "" and trial.row["outcome"] == "success"
    return trial


def entered(clean: FaultTrial, state: str) -> float:
    return clean.at_s("state.entered", state=state)


def mid_advance(clean: FaultTrial) -> float:
    """While the carrier moves, a third of the way in."""
    begin, end = entered(clean, "ST7"), entered(clean, "ST8")
    moves = [at / NS_PER_S for at, _ in clean.lines["carrier"].holding(b"$J=")]
    return next(at for at in moves if at > begin + 0.4 * (end - begin)) + 0.02


def mid_injection(clean: FaultTrial) -> float:
    return clean.lines["pump"].holding(b"RUN")[-1][0] / NS_PER_S + 2.0


def feeds_between(trial: FaultTrial, from_s: float, to_s: float) -> list[float]:
    """True feed of the carrier whenever it was spoken to."""
    found = [float(a[2]) for at, a in trial.lines["carrier"].axes if from_s <= at / NS_PER_S <= to_s]
    assert len(found) > 10
    return found


def assert_nothing_was_sent_twice(trial: FaultTrial) -> None:
    runs = trial.lines["pump"].holding(b"RUN")
    assert len(runs) <= 1 + len(trial.of("state.entered")) and len({at for at, _ in runs}) == len(runs)
    for before, after in itertools.pairwise(at for at, _ in runs):
        assert after - before > NS_PER_S, "RUN was repeated"
    for role in ("carrier", "holder"):
        lines = [data for _, data in trial.lines[role].holding(b"$J=")]
        twice = [a for a, b in itertools.pairwise(lines) if a == b]
        assert twice == [], f"{role}: the same jog twice in a row"


def assert_everything_rests(trial: FaultTrial, pump_reached: bool = True) -> None:
    """From the safe state on nothing moves any more: the truth, not the reports.

    A pump that cannot be told anything runs on until its own watchdog.
    """
    stopped_ns = int(trial.at_s("make_safe") * NS_PER_S)
    later_ns = trial.end_ns + LATER_NS
    for role in ("carrier", "holder"):
        after = [axes for at, axes in trial.lines[role].axes if at >= stopped_ns]
        for axes in (trial.axes(role, trial.end_ns), *after):
            assert np.abs(trial.axes(role, later_ns) - axes).max() == 0.0, role
    more_ml = trial.displaced_ml(later_ns) - trial.displaced_ml(trial.end_ns)
    if pump_reached:
        assert more_ml == 0.0
    else:
        assert more_ml <= RATE_ML_S * 1.05 * WATCHDOG_S
    for role in ("carrier", "holder"):
        assert [at for at, _ in trial.lines[role].holding(b"$J=") if at > stopped_ns] == []
    assert [at for at, _ in trial.lines["pump"].holding(b"RUN") if at > stopped_ns] == []


def assert_stopped(trial: FaultTrial, words: str, unsafe: tuple[str, ...] = (), device: str = "") -> None:
    """A trial that a stop ended: reasons named, safe state read back, record closed. ``device``: by whose fault, which
    is then no failure of the technique."""
    assert trial.result.failure_kind == ("device_fault" if device else "safety")
    assert trial.row["device_fault"].partition(":")[0] == device
    assert re.search(words, trial.result.failure), trial.result.failure
    assert trial.row["outcome"] == ("device_fault" if device else "aborted")
    assert re.search(words, trial.row["end_reason"])
    assert set(trial.safe) == {"pump", "carrier", "holder", "operator"}
    assert {role for role, (safe, _) in trial.safe.items() if not safe} == set(unsafe)
    assert all(detail for _, detail in trial.safe.values())
    assert len(trial.of("make_safe")) == 1, "one incident, one safe state"
    assert trial.events[-1]["kind"] == "cartridge.closed"
    assert trial.events[-1]["data"]["reason"] == ("device fault" if device else "stopped by safety")
    assert_nothing_was_sent_twice(trial)
    assert_everything_rests(trial, pump_reached="pump" not in unsafe)


# -- before the skin -------------------------------------------------------------------------------------


def test_a_line_that_is_partly_clotted_while_it_is_primed_ends_the_trial_before_the_skin(tmp_path, monkeypatch):
    """Its resistance would be subtracted from every pressure of the trial: 75 kPa at the tip would read as 60."""
    monkeypatch.setattr(fault_plan, "CLOGGED", 2.0)
    trial = run_faulty(tmp_path, "S1_IP", fault("pump", "blocked_line", 0.0), seed=SEED)
    assert trial.result.failure == "" and trial.row["outcome"] == "stopped"
    assert "line resistance in air" in trial.row["end_reason"] and "clot" in trial.row["end_reason"]
    (checked,) = [e for e in trial.of("checklist") if e["id"] == "PRE9"]
    assert not checked["within_20_percent"]
    assert checked["measured_kpa_min_ml"] > 1.5 * checked["expected_kpa_min_ml"]
    assert trial.states == ["ST0", "ST11", "ST12"] and trial.of("skin") == []
    assert len(trial.lines["pump"].holding(b"RUN")) == 1


def test_a_sensor_that_cannot_be_zeroed_ends_the_trial_before_anything_is_pumped(tmp_path, monkeypatch):
    monkeypatch.setattr(pressure_keller, "ZERO_FROM_KPA", 0.0)
    trial = run_faulty(tmp_path, "S1_IP", seed=SEED)
    assert trial.result.failure == "" and trial.row["outcome"] == "stopped"
    assert "could not be zeroed" in trial.row["end_reason"]
    assert trial.lines["pump"].holding(b"RUN") == []


# -- during the injection --------------------------------------------------------------------------------


def test_a_pressure_sensor_that_falls_silent_stops_the_injection_and_is_not_released_while_silent(tmp_path, clean):
    trial = run_faulty(tmp_path, "S1_IP", fault("pressure", "silent", mid_injection(clean)), seed=SEED)
    assert_stopped(trial, "pressure: .*(no reading|not answered)", device="pressure")
    assert trial.of("release_asked") and not trial.of("acknowledged")
    pumped = trial.displaced_ml(trial.end_ns) - clean.displaced_ml(int(mid_injection(clean) * NS_PER_S))
    assert pumped <= 0.5 * RATE_ML_S, "half a second after the silence at the latest"


def test_two_lost_readings_of_the_pressure_are_repeated_in_time_and_do_not_stop_the_injection(tmp_path, clean):
    at_s = mid_injection(clean)
    trial = run_faulty(tmp_path, "S1_IP", fault("pressure", "silent", at_s, at_s + 0.09), seed=SEED)
    assert sum(d.core.hits[0] for d in trial.bench.cores() if d.role == "pressure") >= 2
    assert trial.result.failure == "" and trial.row["outcome"] == clean.row["outcome"]
    assert_nothing_was_sent_twice(trial)


def test_a_pressure_that_is_frozen_behind_intact_replies_stops_the_injection(tmp_path, clean):
    trial = run_faulty(tmp_path, "S1_IP", fault("pressure", "stale", mid_injection(clean)), seed=SEED)
    assert_stopped(trial, "pressure: 50 readings in a row are equal to the last digit", device="pressure")
    pumped = trial.displaced_ml(trial.end_ns) - clean.displaced_ml(int(mid_injection(clean) * NS_PER_S))
    assert pumped <= 1.5 * RATE_ML_S


def test_a_stalled_pump_stops_the_trial_with_the_alarm_in_words(tmp_path, clean):
    trial = run_faulty(tmp_path, "S1_IP", fault("pump", "jam", mid_injection(clean)), seed=SEED)
    assert_stopped(trial, "pump reports an alarm .motor stalled")
    assert len(trial.lines["pump"].holding(b"RUN")) == 3


def test_a_blocked_needle_is_recognised_withdrawn_and_given_up(tmp_path, clean):
    before_s = clean.lines["pump"].holding(b"RUN")[1][0] / NS_PER_S - 1.0
    trial = run_faulty(tmp_path, "S1_IP", fault("pump", "blocked_line", before_s), seed=SEED)
    assert trial.result.failure == ""
    verdicts = [e["verdict"] for e in trial.of("injection")]
    assert verdicts[0] == "blocked" and "flowing" not in verdicts
    assert max(e["peak_kpa"] for e in trial.of("infusion")) < 100.0
    assert trial.row["outcome"] == "stopped" and "pressure" in trial.row["end_reason"]
    assert trial.states[-2:] == ["ST11", "ST12"] and trial.axes("carrier", trial.end_ns)[2] < 0.0
    assert_nothing_was_sent_twice(trial)
    assert_everything_rests(trial)


def main_injection(clean: FaultTrial) -> tuple[float, float]:
    """When the pump was told to infuse the planned volume, and when that was written down as done."""
    done_s = [e["time_ns"] for e in clean.events if e["kind"] == "infusion"][-1] / NS_PER_S
    return clean.lines["pump"].holding(b"RUN")[-1][0] / NS_PER_S, done_s


HELD = {
    "while it is pumped": lambda clean: mid_injection(clean),
    "while the line discharges": lambda clean: main_injection(clean)[1] - 0.3,
    "while the reference is read afterwards": lambda clean: main_injection(clean)[1] + 0.2,
}


@pytest.mark.parametrize("moment", HELD)
def test_a_held_injection_is_never_begun_again_and_what_went_in_is_in_the_row(tmp_path, clean, moment):
    at_s = HELD[moment](clean)
    trial = run_faulty(tmp_path, "S1_IP", fault("contact", "short", at_s, at_s + 1.5), seed=SEED)
    runs = trial.lines["pump"].holding(b"RUN")
    assert len(runs) == len(clean.lines["pump"].holding(b"RUN"))
    assert trial.of("hold")[0]["source"] == "nerve_contact"
    assert trial.result.failure == "" and trial.row["outcome"] == "stopped"
    assert "not begun again" in trial.row["end_reason"]
    assert trial.states[-3:] == ["ST10", "ST11", "ST12"] and trial.states.count("ST9") == 1
    volumes_ml = [e["pumped_ml"] for e in trial.of("infusion")]
    assert len(volumes_ml) == len(runs), "every infusion is written down once"
    assert len(trial.of("injection")) == len(runs) - 1, "all but the priming count for the trial"
    assert trial.row["v_inj_ml"] == pytest.approx(sum(volumes_ml[1:]), abs=1e-6)
    truly_ml = trial.displaced_ml(trial.end_ns) - trial.displaced_ml(int(clean.at_s("infusion") * NS_PER_S))
    assert trial.row["v_inj_ml"] == pytest.approx(truly_ml, abs=0.01)
    assert trial.row["p_peak_kpa"] is not None
    assert trial.axes("carrier", trial.end_ns)[2] < 0.0


# -- while the needle advances ---------------------------------------------------------------------------


def test_a_carrier_that_stops_answering_is_named_and_reported_without_proof_of_standing(tmp_path, clean):
    trial = run_faulty(tmp_path, "S1_IP", fault("carrier", "silent", mid_advance(clean)), seed=SEED)
    assert_stopped(
        trial, "carrier does not answer.*emergency-stop input counts as pressed", unsafe=("carrier",), device="carrier"
    )
    assert not trial.of("acknowledged")


def test_the_emergency_stop_cuts_the_advance_and_nobody_releases_it_from_here(tmp_path, clean):
    at_s = mid_advance(clean)
    trial = run_faulty(tmp_path, "S1_IP", fault("bench", "emergency_stop", at_s, at_s + 2.0), seed=SEED)
    assert_stopped(trial, "emergency stop pressed: release it")
    assert trial.safe["carrier"][1].startswith("Alarm") and not trial.of("release_asked")


def test_replies_of_the_force_sensor_that_come_too_late_stop_the_needle(tmp_path, clean):
    late = fault("needle_force", "delay", mid_advance(clean), delay_s=0.4)
    trial = run_faulty(tmp_path, "S1_IP", late, seed=SEED)
    assert_stopped(trial, "needle_force: .*(no reading|not answered)", device="needle_force")


def test_a_force_that_is_frozen_behind_intact_replies_is_recognised(tmp_path, clean):
    trial = run_faulty(tmp_path, "S1_IP", fault("needle_force", "stale", entered(clean, "ST6")), seed=SEED)
    assert trial.result.failure_kind == "device_fault" and "needle_force" in trial.result.failure
    assert trial.row["device_fault"] == "needle_force: frozen"


def test_a_nerve_contact_holds_the_needle_takes_it_out_and_tries_another_path(tmp_path, clean):
    at_s = mid_advance(clean)
    trial = run_faulty(tmp_path, "S1_IP", fault("contact", "short", at_s, at_s + 3.0), seed=SEED)
    hold = trial.of("hold")[0]
    assert hold["source"] == "nerve_contact" and hold["stopped"] == ["carrier"]
    assert trial.of("redirection")[0]["reason"] == "the needle touches a nerve insert"
    held_s = trial.at_s("hold")
    feeds = feeds_between(trial, held_s, held_s + 5.0)
    assert max(feeds) - feeds[0] <= 0.01, "no deeper after the contact"
    assert min(feeds) < feeds[0] - 10.0, "taken out"
    assert trial.result.failure == "" and trial.row["outcome"] in ("success", "miss", "stopped")
    assert_nothing_was_sent_twice(trial)


# -- pictures --------------------------------------------------------------------------------------------


def test_pictures_lost_for_5_s_during_the_scan_are_waited_for_and_the_scan_is_repeated(tmp_path, clean):
    at_s = entered(clean, "ST1") + 15.0
    trial = run_faulty(tmp_path, "S1_IP", fault("ultrasound", "unplugged", at_s, at_s + 5.0), seed=SEED)
    (hold,) = [h for h in trial.of("hold") if "trial_id" in h and h["source"] == "image_lost"]
    assert "check the scanner and its link" in hold["reason"] and hold["state"].startswith("ST1")
    assert trial.states.count("ST1") == 2
    assert trial.result.failure == "" and trial.row["outcome"] == clean.row["outcome"]
    assert_nothing_was_sent_twice(trial)


def test_pictures_lost_for_8_s_during_the_advance_are_waited_for_with_the_needle_at_rest(tmp_path, clean):
    """8 s: the step under way ends, then the next picture is waited for; a loss of 5 s may pass within that."""
    at_s = mid_advance(clean)
    trial = run_faulty(tmp_path, "S1_IP", fault("ultrasound", "silent", at_s, at_s + 8.0), seed=SEED)
    hold = next(h for h in trial.of("hold") if h["source"] == "image_lost")
    assert "no ultrasound image for 3 s" in hold["reason"]
    assert trial.of("pictures_back") and not trial.of("redirection")
    feeds = feeds_between(trial, at_s, at_s + 8.0)
    assert max(feeds) - feeds[0] <= 2.05, "no step without a confirmed tip"
    assert trial.result.failure == "" and trial.row["outcome"] == clean.row["outcome"]
    assert_nothing_was_sent_twice(trial)


def test_when_the_pictures_stay_away_the_needle_is_taken_out(tmp_path, clean):
    at_s = mid_advance(clean)
    trial = run_faulty(tmp_path, "S1_IP", fault("ultrasound", "silent", at_s, at_s + 60.0), seed=SEED)
    assert trial.of("redirection")[0]["reason"].startswith("no ultrasound image")
    assert not trial.of("pictures_back")
    feeds = feeds_between(trial, at_s, at_s + 60.0)
    assert max(feeds) - feeds[0] <= 2.05 and min(feeds) < 0.0
    assert trial.result.failure == ""
    assert_nothing_was_sent_twice(trial)


# -- the scan, the wire, the person ------------------------------------------------------------------------


def test_a_probe_holder_in_alarm_stops_the_scan(tmp_path, clean):
    at_s = entered(clean, "ST1") + 5.0
    trial = run_faulty(tmp_path, "S1_IP", fault("holder", "limit_switch", at_s, axis="Y"), seed=SEED)
    assert_stopped(trial, "probe holder reports an alarm")


def test_damaged_modbus_replies_now_and_then_are_read_again_and_change_nothing(tmp_path, clean):
    sensors = ("pressure", "needle_force", "probe_force", "contact")
    noise = [fault(role, "corrupt", 1.0, probability=0.02) for role in sensors]
    trial = run_faulty(tmp_path, "S1_IP", *noise, seed=SEED)
    hits = sum(sum(device.core.hits) for device in trial.bench.cores() if device.role in sensors)
    assert hits > 50
    assert trial.result.failure == "" and trial.row["outcome"] == clean.row["outcome"]
    assert_nothing_was_sent_twice(trial)


def test_an_operator_who_declines_at_the_entry_ends_the_trial_before_the_skin(tmp_path, clean):
    declines = fault("operator", "declines", entered(clean, "ST6"), entered(clean, "ST7"))
    trial = run_faulty(tmp_path, "S1_IP", declines, seed=SEED)
    assert trial.row["outcome"] == "stopped" and "did not agree to the entry" in trial.row["end_reason"]
    assert trial.result.failure == "" and trial.states[-2:] == ["ST11", "ST12"]
    assert trial.of("skin") == [] and trial.bench.world.needle.embedded_mm == 0.0
    assert_everything_rests(trial)


# -- after a stop ------------------------------------------------------------------------------------------


def test_after_a_release_the_carrier_takes_the_needle_out_before_anything_else(tmp_path, clean):
    """Replies that come too late for the interlock, but the sensor lives and the rig is released."""
    at_s = mid_injection(clean)
    late = fault("pressure", "delay", at_s, at_s + 0.3, delay_s=0.25)
    trial = run_faulty(tmp_path, "S1_IP", late, seed=SEED)
    assert trial.row["outcome"] == "device_fault" and "pressure: no reading" in trial.row["end_reason"]
    assert trial.of("released") == [{"go_on": True}] and trial.result.failure == ""
    assert trial.bench.world.needle.embedded_mm == 0.0 and trial.axes("carrier", trial.end_ns)[2] < -10.0
    assert_nothing_was_sent_twice(trial)


def test_ctrl_c_while_the_needle_advances_leaves_a_sealed_run_and_exit_code_3(tmp_path, monkeypatch):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")
    steps_of = cartridge.steps_of

    def interrupted(trial):
        begun_mm = trial.hand.feed_mm

        def press(sample):
            if sample.value.pose.feed_mm > begun_mm + 3.0 and not trial.controller.interrupt.count:
                os.kill(os.getpid(), signal.SIGINT)

        trial.controller.on_sample("carrier", press)
        return steps_of(trial)[State.ADVANCE](trial)

    monkeypatch.setattr(cartridge, "steps_of", lambda trial: {**steps_of(trial), State.ADVANCE: interrupted})
    arguments = ["run", "lumbar", "--trials", "1", "--technique", "S1_IP", "--workers", "1", "--json"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 3
    assert "stopped by the operator (Ctrl-C)" in result.stderr
    path = Path(json.loads(result.stdout.splitlines()[-1])["run"])
    assert verify_run(path) == ()
    run = RunFolder.open(path)
    assert "Ctrl-C" in run.manifest.reason
    assert [row["outcome"] for row in run.rows] == ["interrupted"]
    (chain,) = run.cartridge_chains.values()
    (safe,) = [e for e in chain.entries if e.kind == "make_safe"]
    assert [r["safe"] for r in safe.data["reports"]] == [True] * 4


# -- one fault at six moments ------------------------------------------------------------------------------

MOMENTS = {
    "while the line is primed": lambda clean: clean.lines["pump"].holding(b"RUN")[0][0] / NS_PER_S + 1.0,
    "during the scan": lambda clean: entered(clean, "ST1") + 3.0,
    "while the needle advances": mid_advance,
    "as the injection is commanded": lambda clean: clean.lines["pump"].holding(b"RUN")[-1][0] / NS_PER_S + 0.001,
    "during the injection": mid_injection,
    "while the needle is withdrawn": lambda clean: entered(clean, "ST11") + 1.0,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_pulled_pump_cable_stops_the_trial_at_any_moment(tmp_path, clean, moment):
    at_s = MOMENTS[moment](clean)
    trial = run_faulty(tmp_path, "S1_IP", fault("pump", "unplugged", at_s), seed=SEED)
    assert_stopped(trial, "pump.*cable", unsafe=("pump",), device="pump")
    assert trial.at_s("make_safe") - at_s < 2.0
    assert not trial.of("acknowledged"), "nobody releases a rig whose pump does not answer"
    sent_before = [data for at, data in clean.lines["pump"].sent if at <= at_s * NS_PER_S]
    assert [data for at, data in trial.lines["pump"].sent if at <= at_s * NS_PER_S] == sent_before
