"""Drivers that a person answers: terminal operator, manual entry, key emergency stop."""

from __future__ import annotations

import io
import queue
import threading

import pytest
from waiting import PATIENCE_S, until

from hal.clock import VirtualClock, WallClock
from hal.drivers import estop, manual_entry, operator_terminal
from hal.drivers.operator_terminal import Console, parse_number
from hal.errors import DeviceError, LimitViolation, NoReply
from hal.interfaces import Balance, EStop, Interruptible, Operator, PressureSensor, ProbeHolder, Pump, Tracker
from hal.types import Instruction, InstructionKind, Pose6


class Keyboard:
    """A stdin on which a test types when it likes; the reader thread blocks in between."""

    def __init__(self):
        self._lines = queue.Queue()

    def type(self, *lines):
        for line in lines:
            self._lines.put(line + "\n")

    def end(self):
        self._lines.put(None)

    def __iter__(self):
        return iter(self._lines.get, None)


@pytest.fixture
def keyboard():
    keys = Keyboard()
    yield keys
    keys.end()


@pytest.fixture
def interrupts():
    """One entry for every Ctrl-C that the console has made of a typed stop."""
    return []


@pytest.fixture
def console(keyboard, interrupts):
    return Console(keyboard, io.StringIO(), lambda: interrupts.append("Ctrl-C"))


def shown(console):
    return console._sink.getvalue()


def wait_for(predicate):
    return until(predicate, "what was typed arrives")


def operator(console):
    driver = operator_terminal.Driver(operator_terminal.Settings(), WallClock(), console)
    driver.open()
    return driver


def answer(driver, keyboard, instruction, *lines):
    driver.begin(instruction)
    keyboard.type(*lines)
    return wait_for(driver.poll)


def test_enter_is_done_and_n_is_not(console, keyboard):
    driver = operator(console)
    assert isinstance(driver, Operator)
    confirm = Instruction(InstructionKind.CONFIRM, "skin is dry?")
    assert answer(driver, keyboard, confirm, "").done
    assert not answer(driver, keyboard, confirm, "n").done
    assert "skin is dry?" in shown(console)


def test_polling_never_waits(console):
    driver = operator(console)
    driver.begin(Instruction(InstructionKind.CONFIRM, "well?"))
    assert driver.poll() is None


def test_a_value_must_be_a_number_and_a_comma_will_do(console, keyboard):
    driver = operator(console)
    response = answer(driver, keyboard, Instruction(InstructionKind.READ_VALUE, "depth (mm)"), "deep", "12,5")
    assert response.value == 12.5
    assert "'deep' is not a number" in shown(console)


def test_options_are_chosen_by_number_or_beginning(console, keyboard):
    driver = operator(console)
    choose = Instruction(InstructionKind.CONFIRM, "which?", options=("left", "right"))
    assert answer(driver, keyboard, choose, "2").text == "right"
    assert answer(driver, keyboard, choose, "l").text == "left"
    assert answer(driver, keyboard, choose, "middle", "1").text == "left"


@pytest.mark.parametrize(
    ("typed", "text", "depth"), [("b", "bone", None), ("bone 31,5", "bone", 31.5), ("32", "32", 32.0), ("", "", None)]
)
def test_an_advance_is_answered_by_the_depth_or_by_where_it_met_resistance(console, keyboard, typed, text, depth):
    advance = Instruction(InstructionKind.ADVANCE, "Advance 1.0 mm, slowly (1 mm/s)", 1.0, manner=("slow",))
    response = answer(operator(console), keyboard, advance, typed)
    assert (response.done, response.text, response.value) == (True, text, depth)
    assert "b = stopped by resistance" in shown(console) and "1 = slow" not in shown(console)


def test_what_was_typed_before_the_question_is_not_its_answer(console, keyboard):
    driver = operator(console)
    keyboard.type("yes")
    wait_for(lambda: not console._lines.empty())
    driver.begin(Instruction(InstructionKind.CONFIRM, "now?"))
    assert driver.poll() is None


def test_one_instruction_at_a_time(console):
    driver = operator(console)
    driver.begin(Instruction(InstructionKind.CONFIRM, "a"))
    with pytest.raises(DeviceError, match="unanswered"):
        driver.begin(Instruction(InstructionKind.CONFIRM, "b"))


def test_an_input_that_has_ended_is_an_error_not_a_wait(console, keyboard):
    driver = operator(console)
    driver.begin(Instruction(InstructionKind.CONFIRM, "well?"))
    keyboard.end()
    wait_for(lambda: console.ended)
    with pytest.raises(DeviceError, match="input has ended"):
        driver.poll()


def test_nobody_answers_in_simulated_time(console):
    with pytest.raises(DeviceError, match="simulated time"):
        operator_terminal.Driver(operator_terminal.Settings(), VirtualClock(), console).open()


def test_typing_stop_counts_as_ctrl_c_on_a_rig_without_a_key_stop_and_is_offered_as_that(console, keyboard, interrupts):
    driver = operator(console)
    driver.begin(Instruction(InstructionKind.ADVANCE, "advance"))
    assert "stop = end the run, as Ctrl-C does" in shown(console)
    assert "emergency stop" not in shown(console)
    keyboard.type("stop")
    wait_for(lambda: interrupts)
    assert driver.poll() is None, "stop is no answer"


def test_a_key_stop_by_signal_alone_leaves_the_typed_stop_as_ctrl_c(console, keyboard, interrupts):
    stop = estop.Driver(estop.Settings(key=False), WallClock(), console)
    stop.open()
    driver = operator(console)
    keyboard.type("stop")
    wait_for(lambda: interrupts)
    assert not stop.read()
    driver.close()


def test_typing_stop_presses_the_key_stop_until_released(console, keyboard, interrupts):
    stop = estop.Driver(estop.Settings(), WallClock(), console)
    assert isinstance(stop, EStop)
    assert stop.read()  # not opened: absent counts as pressed
    stop.open()
    assert not stop.read()
    keyboard.type("stop")
    wait_for(stop.read)
    stop.release()
    assert not stop.read()
    stop.press()
    assert stop.read()
    assert interrupts == [] and console.stop_hint == "stop = emergency stop"
    stop.close()
    assert console.stop_hint != "stop = emergency stop"


def answers(console, keyboard, *groups):
    """A person who types the lines of the next group as soon as a question is asked: earlier ones are forgotten."""
    waiting, drop = list(groups), console.drop

    def drop_and_type():
        drop()
        if waiting:
            keyboard.type(*waiting.pop(0))

    console.drop = drop_and_type


def manual(name, console, **settings):
    driver = getattr(manual_entry, name)(manual_entry.Settings(**settings), WallClock(), console)
    driver.open()
    return driver


def test_a_gauge_is_asked_for_and_typed(console, keyboard):
    driver = manual("ManualPressure", console, instrument="manometer 7")
    assert isinstance(driver, PressureSensor)
    answers(console, keyboard, ["12.5"])
    assert driver.read().pressure_kpa == 12.5
    assert "manometer 7" in shown(console)


def test_no_answer_ends_at_the_deadline(console):
    driver = manual("ManualForce", console, answer_s=0.1)
    with pytest.raises(NoReply, match=r"nobody answered within 0.1 s"):
        driver.read()


def test_a_refusal_is_an_error_at_once(console, keyboard):
    driver = manual("ManualTemperature", console)
    answers(console, keyboard, ["n"])
    with pytest.raises(DeviceError, match="declined"):
        driver.read()


def test_the_probe_arm_is_read_once_then_stands_where_it_was_set(console, keyboard):
    driver = manual("ManualHolder", console)
    assert isinstance(driver, ProbeHolder)
    answers(console, keyboard, ["1 2 3 0 0 90"], [""])
    assert driver.read().pose == Pose6(1, 2, 3, 0, 0, 90)
    driver.jog(Pose6(11, 2, 3, 0, 0, 90), 10.0)
    assert driver.read().pose.x_mm == 11
    with pytest.raises(LimitViolation):
        driver.jog(Pose6(200, 2, 3, 0, 0, 90), 10.0)


def test_a_weight_is_typed_once_the_display_stands_still(console, keyboard):
    driver = manual("ManualBalance", console)
    assert isinstance(driver, Balance)
    answers(console, keyboard, ["12,3456"], [""], ["n"])
    reading = driver.read_stable()
    assert (reading.mass_g, reading.unit, reading.stable) == (12.3456, "g", True)
    assert not reading.overload and not reading.underload
    driver.tare()
    with pytest.raises(DeviceError, match="declined"):
        driver.zero()
    assert "wait until it shows zero" in shown(console)


def test_a_hand_pushed_syringe_counts_what_was_read_off_the_barrel(console, keyboard):
    driver = manual("ManualPump", console)
    assert isinstance(driver, Pump)
    answers(console, keyboard, ["much", "0.18"], ["0.18"])
    driver.infuse(0.2, 3.0)
    assert driver.read().dispensed_ml == 0.18
    assert not driver.make_safe(WallClock().deadline(1.0)).safe  # a hand cannot be read back


def under_way(console, action):
    """Run an action that waits for a person in a thread of its own, until its question is shown; returns what ends it:
    (thread, errors)."""
    asked, errors = len(shown(console)), []

    def run():
        try:
            action()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(lambda: "(n = cannot)" in shown(console)[asked:])
    return thread, errors


def test_a_person_who_pushes_is_asked_to_stop_while_the_question_waits_and_then_asked_what_went_in(console, keyboard):
    driver = manual("ManualPump", console)
    assert isinstance(driver, Interruptible)
    thread, errors = under_way(console, lambda: driver.infuse(0.5, 3.0))
    driver.interrupt()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "not only after the patience with an answer"
    assert isinstance(errors[0], DeviceError) and "cancelled" in str(errors[0])
    assert "!! STOP pushing" in shown(console)
    answers(console, keyboard, ["0.2"])
    assert driver.read().dispensed_ml == 0.2
    assert "interrupted" in shown(console)
    answers(console, keyboard, ["0.5"])
    driver.infuse(0.5, 3.0)
    assert driver.read().dispensed_ml == pytest.approx(0.7)


def test_an_interruption_between_two_tries_of_one_question_is_not_forgotten(console, keyboard):
    driver = manual("ManualPump", console)
    thread, errors = under_way(console, lambda: driver.infuse(0.5, 3.0))
    say = console.say

    def interrupted(text):
        say(text)
        if "needed" in text:
            driver.interrupt()

    console.say = interrupted
    keyboard.type("much")
    thread.join(PATIENCE_S)
    assert not thread.is_alive() and "cancelled" in str(errors[0])


def test_a_push_that_nobody_confirms_is_asked_for_before_the_next_count(console, keyboard):
    driver = manual("ManualPump", console, answer_s=0.1)
    with pytest.raises(NoReply):
        driver.infuse(0.5, 3.0)
    driver.settings = driver.settings.model_copy(update={"answer_s": PATIENCE_S})  # now somebody is there
    answers(console, keyboard, ["0"])
    assert driver.read().dispensed_ml == 0.0


def test_a_person_who_sets_the_probe_arm_is_asked_to_stop_and_its_scales_are_read_again(console, keyboard):
    driver = manual("ManualHolder", console)
    assert isinstance(driver, Interruptible)
    answers(console, keyboard, ["1 2 3 0 0 90"])
    driver.read()
    thread, errors = under_way(console, lambda: driver.jog(Pose6(11, 2, 3, 0, 0, 90), 10.0))
    driver.interrupt()
    thread.join(PATIENCE_S)
    assert not thread.is_alive() and "cancelled" in str(errors[0])
    assert "!! STOP. Do not move the probe arm" in shown(console)
    answers(console, keyboard, ["6 2 3 0 0 90"])
    assert driver.read().pose.x_mm == 6


def test_a_measured_tip_is_a_transform(console, keyboard):
    driver = manual("ManualTracker", console, uncertainty_mm=0.1)
    assert isinstance(driver, Tracker)
    answers(console, keyboard, ["1 2,5 -3"])
    (pose,) = driver.read()
    assert pose.name == "NeedleTipToTracker"
    assert list(pose.matrix[:3, 3]) == [1.0, 2.5, -3.0]


def test_a_tip_that_a_person_cannot_tell_is_not_valid_and_says_why(console, keyboard):
    driver = manual("ManualTracker", console)
    answers(console, keyboard, ["n"])
    (pose,) = driver.read()
    assert pose.typed and not pose.valid and "declined" in pose.why


MISTYPED = {
    "ManualPressure": ("125000", "12.5"),
    "ManualForce": ("5e6", "2"),
    "ManualTemperature": ("220", "22.0"),
    "ManualBalance": ("12345.6", "12.3456"),
    "ManualPump": ("-0.2", "0.2"),
    "ManualTracker": ("1 2 30000", "1 2 3"),
    "ManualHolder": ("1 2 3 0 0 3600", "1 2 3 0 0 90"),
}


@pytest.mark.parametrize("name", MISTYPED)
def test_a_number_that_cannot_be_true_is_asked_for_again(console, keyboard, name):
    driver = manual(name, console)
    wrong, right = MISTYPED[name]
    if name == "ManualPump":
        driver._untold = True
    answers(console, keyboard, [wrong], [right])
    assert driver.read() is not None
    assert "cannot be true" in shown(console)


@pytest.mark.parametrize("text", ["nan", "inf", "", "1e12", "1.2.3"])
def test_what_is_not_a_plain_number_is_none(text):
    assert parse_number(text) is None
