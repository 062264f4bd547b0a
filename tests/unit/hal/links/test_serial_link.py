"""Serial lines: time on the line, patience, and what is said when a port cannot be used."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import pytest
from scripted_line import AnsweringLine

from hal.clock import VirtualClock, WallClock
from hal.errors import ConfigError, LinkError, NoReply
from hal.links.serial import SerialLink, open_serial
from hal.links.wire import Endpoint, publish, withdraw

posix = pytest.mark.skipif(sys.platform == "win32", reason="ptys are a POSIX thing")


class Line:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.core = AnsweringLine(lambda request: b"<" + request + b">")
        self.end = Endpoint(self.core, self.clock)
        publish("line", self.end)

    def open(self, baudrate: int = 9600) -> SerialLink:
        return open_serial("rigsim://line", baudrate, self.clock, timeout_s=0.5)


@pytest.fixture
def line() -> Iterator[Line]:
    yield Line()
    withdraw("line")


def test_a_transaction_costs_ten_bits_per_byte_in_both_directions(line: Line) -> None:
    link = line.open(baudrate=9600)
    link.write(b"abcd")
    assert link.read_until(b">", link.deadline()) == b"<abcd>"
    assert line.clock.now_ns() == pytest.approx((4 + 6) * 10 / 9600 * 1e9, abs=20)


def test_what_follows_the_terminator_waits_for_the_next_read(line: Line) -> None:
    link = line.open()
    link.write(b"a")
    link.write(b"b")
    assert link.read_until(b">", link.deadline()) == b"<a>"
    assert link.read(3, link.deadline()) == b"<b>"


def test_a_terminator_that_is_cut_in_two_is_found(line: Line) -> None:
    link = line.open()
    line.core.rule = lambda request: request
    for part in (b"data\r", b"\nrest"):
        link.write(part)
    assert link.read_until(b"\r\n", link.deadline()) == b"data\r\n"


def test_drain_forgets_what_has_arrived(line: Line) -> None:
    link = line.open()
    link.write(b"old")
    line.clock.sleep(0.1)
    link.drain()
    link.write(b"new")
    assert link.read_until(b">", link.deadline()) == b"<new>"


def test_silence_ends_exactly_at_the_deadline(line: Line) -> None:
    line.core.rule = lambda request: b""
    link = line.open()
    with pytest.raises(NoReply, match="nothing came"):
        link.read_until(b"\r", line.clock.deadline(0.3))
    assert line.clock.now_ns() == 300_000_000


def test_an_unfinished_answer_is_named(line: Line) -> None:
    line.core.rule = lambda request: b"half"
    link = line.open()
    link.write(b"x")
    with pytest.raises(NoReply, match="only half came"):
        link.read(10, link.deadline())


def test_a_pulled_cable_is_a_link_error_that_says_what_to_check(line: Line) -> None:
    link = line.open()
    line.end.connected = False
    for use in (lambda: link.write(b"x"), lambda: link.read(1, link.deadline()), link.drain):
        with pytest.raises(LinkError, match="check that the cable is plugged in"):
            use()
    line.end.connected = True
    link.write(b"again")
    assert link.read_until(b">", link.deadline()) == b"<again>"


def test_a_cable_that_is_pulled_while_waiting_ends_the_wait(line: Line) -> None:
    line.core.rule = lambda request: b""
    link = line.open()

    def pull() -> None:
        line.clock.sleep(0.1)
        line.end.connected = False

    line.clock.spawn("hand", pull)
    with pytest.raises(LinkError, match="pulled"):
        link.read(1, line.clock.deadline(10.0))
    assert line.clock.now_ns() <= 130_000_000


def test_a_closed_link_says_so(line: Line) -> None:
    link = line.open()
    link.close()
    link.close()
    with pytest.raises(LinkError, match="closed"):
        link.write(b"x")


def test_nothing_published_is_a_link_error() -> None:
    with pytest.raises(LinkError, match="no simulated device"):
        open_serial("rigsim://nobody", 9600, VirtualClock(), timeout_s=0.1)


def test_a_port_that_is_not_there_is_reported_with_the_ports_that_are() -> None:
    name = "COM250" if sys.platform == "win32" else "/dev/ttyNOSUCH7"
    with pytest.raises(LinkError, match=r"no such port|cannot be opened"):
        open_serial(name, 9600, WallClock(), timeout_s=0.1)


@posix
def test_a_port_in_use_is_reported_as_in_use() -> None:
    master, slave = os.openpty()
    try:
        first = open_serial(os.ttyname(slave), 9600, WallClock(), timeout_s=0.1)
        with pytest.raises(LinkError, match="in use by another program"):
            open_serial(os.ttyname(slave), 9600, WallClock(), timeout_s=0.1)
        first.close()
    finally:
        os.close(master)
        os.close(slave)


@posix
def test_a_file_is_not_a_port(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "file")
    open(path, "w").close()
    with pytest.raises(LinkError, match="check that it is a serial port"):
        open_serial(path, 9600, WallClock(), timeout_s=0.1)


def test_a_refused_connection_says_what_to_check() -> None:
    with pytest.raises(LinkError, match="check address, network"):
        open_serial("socket://127.0.0.1:1", 9600, WallClock(), timeout_s=0.1)


@pytest.mark.parametrize("url", ["socket://127.0.0.1", "socket://:5", "socket://h:99999", "teleport://x"])
def test_an_address_that_makes_no_sense_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError):
        open_serial(url, 9600, WallClock(), timeout_s=0.1)


def test_simulated_time_cannot_wait_for_a_real_port() -> None:
    with pytest.raises(ConfigError, match="simulated time"):
        open_serial("socket://127.0.0.1:5000", 9600, VirtualClock(), timeout_s=0.1)


@posix
def test_a_silent_pty_times_out_and_a_stopped_task_unwinds() -> None:
    master, slave = os.openpty()
    clock = WallClock()
    link = open_serial(os.ttyname(slave), 9600, clock, timeout_s=0.05)
    try:
        with pytest.raises(NoReply):
            link.read(1, link.deadline())
        reading = threading.Event()

        def wait() -> None:
            reading.set()
            link.read(1, clock.deadline(30.0))

        task = clock.spawn("reader", wait)
        assert reading.wait(30.0)
        task.stop()
        assert task.join(30.0)
        assert task.error is None
    finally:
        link.close()
        os.close(master)
        os.close(slave)


def test_foreign_clients_read_like_on_any_pyserial_port(line: Line) -> None:
    import serial

    port = serial.serial_for_url("rigsim://line", baudrate=115200, timeout=0.2)
    port.write(b"hi")
    assert port.read(2) == b"<h"
    assert port.in_waiting == 2
    assert port.read(10) == b"i>"
    assert port.read(1) == b""
    port.close()
