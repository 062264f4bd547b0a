"""Byte streams: waiting on the clock, deadlines, and peers that go away."""

from __future__ import annotations

import socket
import threading

import pytest

from hal.clock import VirtualClock, WallClock
from hal.errors import ConfigError, LinkError, NoReply
from hal.links.stream import open_stream
from hal.links.wire import Endpoint, publish, withdraw


class Metronome:
    """Sends one byte every 100 ms, and what it received."""

    def __init__(self) -> None:
        self.sent = 0
        self.echo = b""
        self.asked = 0

    def receive(self, data: bytes, now_ns: int) -> None:
        self.echo += data

    def transmit(self, now_ns: int) -> bytes:
        self.asked += 1
        ticks = now_ns // 100_000_000 - self.sent
        self.sent += ticks
        data, self.echo = b"." * ticks + self.echo, b""
        return data

    def next_ns(self, now_ns: int) -> int | None:
        return (self.sent + 1) * 100_000_000


@pytest.fixture
def line():
    clock = VirtualClock()
    endpoint = Endpoint(Metronome(), clock)
    publish("stream-test", endpoint)
    yield endpoint
    withdraw("stream-test")


def test_in_process_read_waits_in_simulated_time_until_the_device_sends(line: Endpoint) -> None:
    stream = open_stream("rigsim://stream-test", line.clock, 1.0)
    assert stream.read(10, line.clock.deadline(1.0)) == b"."
    assert line.clock.now_ns() == 100_000_000
    assert line.core.asked < 20


def test_in_process_read_gives_up_at_its_deadline(line: Endpoint) -> None:
    stream = open_stream("rigsim://stream-test", line.clock, 1.0)
    with pytest.raises(NoReply):
        stream.read(10, line.clock.deadline(0.05))
    assert line.clock.now_ns() == 50_000_000


def test_written_bytes_come_back_and_are_not_lost_in_small_reads(line: Endpoint) -> None:
    stream = open_stream("rigsim://stream-test", line.clock, 1.0)
    stream.write(b"hello", line.clock.deadline(1.0))
    assert stream.available() == 5
    assert stream.read(2, line.clock.deadline(1.0)) == b"he"
    assert stream.read(9, line.clock.deadline(1.0)) == b"llo"
    assert stream.available() == 0


def test_pulled_cable_is_an_error_and_not_silence(line: Endpoint) -> None:
    stream = open_stream("rigsim://stream-test", line.clock, 1.0)
    line.connected = False
    with pytest.raises(LinkError, match="interrupted"):
        stream.read(1, line.clock.deadline(1.0))
    with pytest.raises(LinkError):
        stream.write(b"x", line.clock.deadline(1.0))
    line.connected = True
    assert stream.read(1, line.clock.deadline(1.0)) == b"."


def test_stream_of_an_unpublished_device_is_refused() -> None:
    with pytest.raises(LinkError, match="nobody-here"):
        open_stream("rigsim://nobody-here", VirtualClock(), 1.0)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://:80", "tcp://host:port", "plain"])
def test_address_that_is_none_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"stream address"):
        open_stream(url, WallClock(), 1.0)


def test_socket_is_refused_in_simulated_time() -> None:
    with pytest.raises(ConfigError, match="simulated time"):
        open_stream("tcp://127.0.0.1:9", VirtualClock(), 1.0)


def test_nobody_listening_is_a_link_error_with_the_port() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(LinkError) as caught:
        open_stream(f"tcp://127.0.0.1:{port}", WallClock(), 1.0)
    assert str(port) in caught.value.port


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_closed_peer_is_an_error_after_its_last_bytes_were_read(server: socket.socket) -> None:
    clock = WallClock()
    stream = open_stream(f"igtl://127.0.0.1:{server.getsockname()[1]}", clock, 30.0)
    peer, _ = server.accept()
    peer.sendall(b"last")
    peer.close()
    assert stream.read(10, clock.deadline(30.0)) == b"last"
    with pytest.raises(LinkError, match="closed"):
        stream.read(10, clock.deadline(30.0))
    stream.close()


def test_silent_peer_is_no_reply_at_the_deadline(server: socket.socket) -> None:
    clock = WallClock()
    stream = open_stream(f"tcp://127.0.0.1:{server.getsockname()[1]}", clock, 1.0)
    with pytest.raises(NoReply):
        stream.read(1, clock.deadline(0.05))
    assert stream.available() == 0
    stream.close()


def test_peer_that_takes_nothing_is_no_reply_at_the_deadline(server: socket.socket) -> None:
    clock = WallClock()
    stream = open_stream(f"tcp://127.0.0.1:{server.getsockname()[1]}", clock, 1.0)
    with pytest.raises(NoReply):
        stream.write(bytes(50_000_000), clock.deadline(0.2))
    stream.close()


def test_task_that_is_asked_to_stop_leaves_a_waiting_read(server: socket.socket) -> None:
    clock = WallClock()
    stream = open_stream(f"tcp://127.0.0.1:{server.getsockname()[1]}", clock, 1.0)
    started = threading.Event()

    def wait() -> None:
        started.set()
        stream.read(1, clock.deadline(60.0))

    task = clock.spawn("reader", wait)
    assert started.wait(30.0)
    task.stop()
    assert task.join(30.0)
    assert task.error is None
    stream.close()
