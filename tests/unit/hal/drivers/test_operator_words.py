"""Messages of the terminal operator, and a terminal that takes them slowly, never, or is gone."""

import io
import threading

from hal.clock import WallClock
from hal.drivers.operator_terminal import Console, Driver, Settings


class Hung(io.StringIO):
    """A terminal that takes nothing until it is released."""

    def __init__(self):
        super().__init__()
        self.released = threading.Event()

    def write(self, text):
        self.released.wait(60.0)
        return super().write(text)


class Lost(io.StringIO):
    def write(self, text):
        raise OSError(5, "Input/output error")


def test_a_line_is_there_when_say_returns():
    sink = io.StringIO()
    Console(io.StringIO(), sink).say("hold still")
    assert sink.getvalue() == "hold still\n"


def test_a_terminal_that_hangs_is_not_waited_for_and_gets_its_lines_in_order_later():
    sink = Hung()
    console, clock = Console(io.StringIO(), sink), WallClock()
    driver = Driver(Settings(), clock, console)
    began_ns = clock.now_ns()
    for _ in range(20):
        driver.make_safe(clock.deadline(1.0))
    console.say("last")
    assert (clock.now_ns() - began_ns) / 1e9 < 5.0
    sink.released.set()
    for _ in range(1000):
        if sink.getvalue().endswith("last\n"):
            break
        clock.sleep(0.01)
    assert sink.getvalue().count("!! STOP") == 20 and sink.getvalue().endswith("last\n")


def test_a_terminal_that_is_lost_raises_nothing():
    console = Console(io.StringIO(), Lost())
    console.say("gone")
    Driver(Settings(), WallClock(), console).show("gone too")
