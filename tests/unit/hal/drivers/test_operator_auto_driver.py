import pytest

from hal.clock import VirtualClock
from hal.drivers.operator_auto import Driver, Settings
from hal.errors import DeviceError
from hal.interfaces import Operator
from hal.types import Instruction, InstructionKind


def asked(kind, amount=0.0, confirm_s=2.0):
    clock = VirtualClock()
    driver = Driver(Settings(confirm_s=confirm_s), clock)
    driver.begin(Instruction(kind, "do it", amount))
    return driver, clock


def test_it_is_an_operator_and_says_that_it_is_simulated():
    driver = Driver(Settings(), VirtualClock())
    assert isinstance(driver, Operator)
    assert driver.open().simulated


@pytest.mark.parametrize("kind", [InstructionKind.CONFIRM, InstructionKind.AT_TARGET])
def test_a_confirmation_comes_after_the_fixed_time_and_once(kind):
    driver, clock = asked(kind)
    clock.sleep(1.9)
    assert driver.poll() is None
    clock.sleep(0.1)
    assert driver.poll().done
    assert driver.poll() is None


def test_a_scrub_takes_its_contact_time():
    driver, clock = asked(InstructionKind.SCRUB, amount=30.0)
    clock.sleep(29.9)
    assert driver.poll() is None
    clock.sleep(0.2)
    assert driver.poll().done


@pytest.mark.parametrize(
    "kind",
    sorted(set(InstructionKind) - {InstructionKind.CONFIRM, InstructionKind.AT_TARGET, InstructionKind.SCRUB}, key=str),
)
def test_what_needs_hands_or_eyes_is_refused(kind):
    with pytest.raises(DeviceError, match="needs a person"):
        asked(kind)


def test_a_cancelled_question_is_never_answered():
    driver, clock = asked(InstructionKind.CONFIRM)
    driver.cancel()
    clock.sleep(10.0)
    assert driver.poll() is None
