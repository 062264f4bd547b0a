"""A line that never falls silent: every wait ends at its deadline all the same, on simulated and on real lines."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from babbling_line import BabblingPort, TurningPort

from hal.clock import VirtualClock, WallClock
from hal.drivers import carrier_grbl, pressure_keller, pump_new_era
from hal.errors import BadReply, LinkError, NoReply
from hal.links import serial as serial_links
from hal.links.modbus import open_modbus
from hal.links.serial import open_serial
from hal.links.tcp_port import TcpPort
from hal.links.wire import Endpoint, publish, withdraw
from hal.sim.devices.motion_config import carrier_config
from hal.sim.devices.motion_grbl import GrblCore

posix = pytest.mark.skipif(sys.platform == "win32", reason="ptys are a POSIX thing")


pytestmark = pytest.mark.timeout(120)
"""Simulated time would run on for ever in a wait that does not end."""


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    yield VirtualClock()
    withdraw("babble")


Babble = Callable[[bytes], BabblingPort]


@pytest.fixture
def babble(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> Babble:
    """Makes every line that is opened from now on babble."""

    def begin(pattern: bytes = b"\x00") -> BabblingPort:
        port = BabblingPort(clock, pattern)
        monkeypatch.setattr(serial_links, "_port", lambda *_: port)
        return port

    return begin


def test_a_terminator_that_never_comes_is_waited_for_until_the_deadline(clock: VirtualClock, babble: Babble) -> None:
    babble(b"\x00")
    link = open_serial("rigsim://babble", 115200, clock, timeout_s=0.3)
    link.write(b"?")
    begun_ns = clock.now_ns()
    with pytest.raises(NoReply, match="before the deadline"):
        link.read_until(b"\n", link.deadline())
    assert clock.now_ns() - begun_ns == pytest.approx(0.3e9, abs=0.005e9)


def test_more_bytes_than_any_reply_has_are_not_collected(clock: VirtualClock, babble: Babble) -> None:
    babble(b"\x00")
    link = open_serial("rigsim://babble", 115200, clock, timeout_s=600.0)
    link.write(b"?")
    for wait in (lambda: link.read_until(b"\n", link.deadline()), lambda: link.read(1 << 20, link.deadline())):
        with pytest.raises(BadReply, match="without an end"):
            wait()


@pytest.mark.parametrize("pattern", [b"\x00", b"\x01\x00"], ids=["zeros", "unit 1, function 0"])
def test_a_modbus_line_of_zeros_does_not_hold_its_lane(clock: VirtualClock, babble: Babble, pattern: bytes) -> None:
    """pymodbus takes function 0 for a frame of which more will come."""
    line = babble(pattern)
    link = open_modbus("rigsim://babble", 1, 115200, clock)
    with pytest.raises((NoReply, BadReply)):
        link.read_registers(0, 2)
    assert clock.now_ns() < 0.5e9
    assert len(line.requests) == 3


@pytest.mark.parametrize("pattern", [b"\x00", b"\r\n", b"ok\r\n", b"[MSG:]\r\n", b"<"])
def test_a_motion_controller_that_babbles_is_given_up(clock: VirtualClock, babble: Babble, pattern: bytes) -> None:
    babble(pattern)
    driver = carrier_grbl.Driver(carrier_grbl.Settings(url="rigsim://babble"), clock)
    with pytest.raises(LinkError):
        driver.open()
    assert clock.now_ns() < 60e9


@pytest.mark.parametrize("pattern", [b"\r\n", b"ok\r\n", b"[MSG:]\r\n", b"\x00"])
@pytest.mark.parametrize("action", ["read", "jog", "stop"])
def test_a_motion_controller_that_begins_to_babble_is_a_fault_within_seconds(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, pattern: bytes, action: str
) -> None:
    publish("babble", Endpoint(GrblCore(carrier_config()), clock))
    line = TurningPort(serial_links._port("rigsim://babble", 115200, clock, 0.25), BabblingPort(clock, pattern))
    monkeypatch.setattr(serial_links, "_port", lambda *_: line)
    driver = carrier_grbl.Driver(carrier_grbl.Settings(url="rigsim://babble"), clock)
    driver.open()
    here = driver.read().pose
    line.turned = True
    begun_ns = clock.now_ns()
    further = replace(here, feed_mm=here.feed_mm + 0.3)
    act = {"read": driver.read, "stop": driver.stop, "jog": lambda: driver.jog(further, 2.0)}[action]
    with pytest.raises(LinkError):
        act()
    assert clock.now_ns() - begun_ns < 4e9


@pytest.mark.parametrize("pattern", [b"\x00", b"\x02", b"\x0200S", b"\x02\xff"])
def test_a_pump_line_that_babbles_is_given_up(clock: VirtualClock, babble: Babble, pattern: bytes) -> None:
    babble(pattern)
    driver = pump_new_era.Driver(pump_new_era.Settings(url="rigsim://babble", diameter_mm=12.06), clock)
    with pytest.raises(LinkError, match="does not answer like a New Era pump"):
        driver.open()
    assert clock.now_ns() < 10e9


def test_a_pressure_line_that_babbles_is_given_up(clock: VirtualClock, babble: Babble) -> None:
    babble(b"\x00")
    with pytest.raises(LinkError, match="does not answer like a KELLER"):
        pressure_keller.Driver(pressure_keller.Settings(url="rigsim://babble"), clock).open()


class Flood:
    """A TCP peer that sends zeros as fast as they are taken."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        with contextlib.suppress(OSError):  # the client, or the test, has gone
            peer, _ = self._server.accept()
            with peer:
                while True:
                    peer.sendall(bytes(1 << 16))

    def close(self) -> None:
        self._server.close()
        self._thread.join(30.0)


@pytest.fixture
def flood() -> Iterator[Flood]:
    peer = Flood()
    yield peer
    peer.close()


def test_a_peer_that_floods_a_socket_neither_fills_the_memory_nor_stops_the_lane(flood: Flood) -> None:
    link = open_serial(f"socket://127.0.0.1:{flood.port}", 9600, WallClock(), timeout_s=0.2)
    link.drain()
    with pytest.raises((NoReply, BadReply)):
        link.read_until(b"\n", link.deadline())
    link.close()


def test_draining_a_socket_ends_although_more_keeps_coming(flood: Flood) -> None:
    port = TcpPort(f"socket://127.0.0.1:{flood.port}", WallClock(), 1.0)
    port.reset_input_buffer()
    port.close()


@posix
def test_draining_an_adapter_that_was_unplugged_is_a_link_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """tcflush then raises ``termios.error``, which is no ``OSError``."""
    import termios

    _, follower = os.openpty()
    link = open_serial(os.ttyname(follower), 9600, WallClock(), timeout_s=0.1)

    def gone(*_: object) -> None:
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(serial_links.serial.serialposix.termios, "tcflush", gone)
    with pytest.raises(LinkError, match=r"clear the input.*cable is plugged in"):
        link.drain()
    link.close()
