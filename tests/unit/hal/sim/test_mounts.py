"""Simulated devices on TCP ports and pseudo-terminals: clients come and go, threads end."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from dataclasses import dataclass, field

import pytest
import serial
from waiting import PATIENCE_S, new_threads, until

from hal.clock import VirtualClock, WallClock
from hal.errors import ConfigError
from hal.sim.mounts import SharedLine, mount_pty, mount_tcp
from hal.sim.served import serve


class Parrot:
    """Answers a line with the line in capitals, 5 ms later; counts openings."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.buffer = b""
        self.out: list[tuple[int, bytes]] = [(0, greeting)] if greeting else []
        self.opened = 0
        self.times: list[int] = []
        self.broken = False

    def line_opened(self, now_ns: int) -> None:
        self.opened += 1

    def receive(self, data: bytes, now_ns: int) -> None:
        if self.broken:
            raise RuntimeError("the simulator has a bug")
        self.times.append(now_ns)
        self.buffer += data
        while b"\n" in self.buffer:
            line, self.buffer = self.buffer.split(b"\n", 1)
            self.out.append((now_ns + 5_000_000, line.upper() + b"\n"))

    def transmit(self, now_ns: int) -> bytes:
        due = [data for at, data in self.out if at <= now_ns]
        self.out = [item for item in self.out if item[0] > now_ns]
        return b"".join(due)

    def next_ns(self, now_ns: int) -> int | None:
        return self.out[0][0] if self.out else None


class Flood:
    """Sends a megabyte every millisecond."""

    def __init__(self) -> None:
        self.sent_ns = 0
        self.sent_n = 0

    def receive(self, data: bytes, now_ns: int) -> None: ...

    def transmit(self, now_ns: int) -> bytes:
        if now_ns - self.sent_ns < 1_000_000:
            return b""
        self.sent_ns = now_ns
        self.sent_n += 1
        return bytes(1 << 20)

    def next_ns(self, now_ns: int) -> int | None:
        return self.sent_ns + 1_000_000


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def lock() -> threading.RLock:
    return threading.RLock()


def connect(url: str) -> socket.socket:
    host, port = url.split("://")[1].split(":")
    return socket.create_connection((host, int(port)), PATIENCE_S)


def line(client: socket.socket) -> bytes:
    client.settimeout(PATIENCE_S)
    data = b""
    while not data.endswith(b"\n"):
        piece = client.recv(1)
        if not piece:
            break
        data += piece
    return data


def test_tcp_client_talks_to_the_core_on_the_loopback_address_only(clock, lock) -> None:
    with mount_tcp(Parrot(), clock, lock) as mount, connect(mount.url) as client:
        assert mount.url.startswith("socket://127.0.0.1:")
        client.sendall(b"hel")
        client.sendall(b"lo\n")
        assert line(client) == b"HELLO\n"


def test_core_gets_the_time_of_the_clock(clock, lock) -> None:
    core = Parrot()
    with mount_tcp(core, clock, lock) as mount, connect(mount.url) as client:
        before = clock.now_ns()
        client.sendall(b"x\n")
        line(client)
        assert before <= core.times[0] <= clock.now_ns()


def test_clients_may_leave_and_come_back(clock, lock) -> None:
    core = Parrot()
    with mount_tcp(core, clock, lock) as mount:
        for word in (b"one\n", b"two\n", b"three\n"):
            with connect(mount.url) as client:
                client.sendall(word)
                assert line(client) == word.upper()
        assert core.opened == 3


def test_new_client_of_a_serial_port_replaces_the_old_one(clock, lock) -> None:
    with mount_tcp(Parrot(), clock, lock) as mount, connect(mount.url) as first:
        first.sendall(b"a\n")
        assert line(first) == b"A\n"
        with connect(mount.url) as second:
            second.sendall(b"b\n")
            assert line(second) == b"B\n"
            assert line(first) == b""


def test_several_clients_of_a_stream_all_get_everything(clock, lock) -> None:
    with mount_tcp(Parrot(), clock, lock, clients="all") as mount, connect(mount.url) as first:
        first.sendall(b"a\n")
        assert line(first) == b"A\n"
        with connect(mount.url) as second:
            second.sendall(b"b\n")
            assert line(second) == b"B\n"
            assert line(first) == b"B\n"


def test_reply_that_nobody_waited_for_is_not_given_to_the_next_client(clock, lock) -> None:
    with mount_tcp(Parrot(greeting=b"old news\n"), clock, lock) as mount, connect(mount.url) as client:
        client.sendall(b"x\n")
        assert line(client) == b"X\n"


def test_client_that_never_reads_is_disconnected(clock, lock) -> None:
    flood = Flood()
    with mount_tcp(flood, clock, lock, clients="all") as mount, connect(mount.url) as client:
        until(lambda: flood.sent_n and not mount._clients, "it is disconnected")
        client.settimeout(PATIENCE_S)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(1 << 20):
                taken += len(piece)
        assert taken < 64 << 20


def test_port_that_is_taken_is_a_config_error(clock, lock) -> None:
    with mount_tcp(Parrot(), clock, lock) as mount, pytest.raises(ConfigError, match="cannot serve"):
        mount_tcp(Parrot(), clock, lock, port=int(mount.url.rsplit(":", 1)[1]))


def test_simulated_time_cannot_be_mounted(lock) -> None:
    with pytest.raises(ConfigError, match="simulated time"):
        mount_tcp(Parrot(), VirtualClock(), lock)
    with pytest.raises(ConfigError, match="simulated time"):
        mount_pty(Parrot(), VirtualClock(), lock)


def test_pty_serves_one_serial_client_after_the_other(clock, lock) -> None:
    with mount_pty(Parrot(), clock, lock) as mount:
        for word in (b"one\n", b"two\n"):
            with serial.Serial(mount.url, 115200, timeout=PATIENCE_S) as port:
                port.write(word)
                assert port.read_until(b"\n") == word.upper()


def test_pty_passes_every_byte_value_unchanged(clock, lock) -> None:
    class Echo(Parrot):
        def receive(self, data: bytes, now_ns: int) -> None:
            self.out.append((now_ns, data))

    every = bytes(range(256))
    with mount_pty(Echo(), clock, lock) as mount, serial.Serial(mount.url, timeout=PATIENCE_S) as port:
        port.write(every)
        assert port.read(256) == every


def test_pty_that_nobody_reads_survives(clock, lock) -> None:
    class Chatter(Parrot):
        def transmit(self, now_ns: int) -> bytes:
            return b"." * 2000

        def next_ns(self, now_ns: int) -> int | None:
            return now_ns + 1_000_000

    with mount_pty(Chatter(), clock, lock) as mount:
        clock.sleep(0.1)
        assert mount.alive
        with serial.Serial(mount.url, timeout=PATIENCE_S) as port:
            assert port.read(100) == b"." * 100


def test_one_core_on_two_ports_answers_where_it_was_asked(clock, lock) -> None:
    shared = SharedLine(Parrot())
    with (
        mount_pty(shared.port(), clock, lock) as pty,
        mount_tcp(shared.port(), clock, lock) as tcp,
        serial.Serial(pty.url, timeout=PATIENCE_S) as port,
        connect(tcp.url) as client,
    ):
        for _ in range(3):
            port.write(b"pty\n")
            assert port.read_until(b"\n") == b"PTY\n"
            client.sendall(b"tcp\n")
            assert line(client) == b"TCP\n"


def test_bug_in_a_core_ends_the_mount_and_is_kept(clock, lock) -> None:
    core = Parrot()
    mount = mount_tcp(core, clock, lock)
    core.broken = True
    with connect(mount.url) as client:
        client.sendall(b"x\n")
        assert line(client) == b""
    mount.close()
    assert isinstance(mount.error, RuntimeError)


def open_files() -> set[tuple[str, str]]:
    """Numbers and names; a socket's or pipe's name is its own. Files that others close meanwhile are left out."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return {item for item in found if not item[1].endswith("/fd")}  # the listing itself


def test_closing_leaves_no_thread_and_no_open_file(clock, lock) -> None:
    threads, files = set(threading.enumerate()), open_files()
    for _ in range(5):
        with mount_tcp(Parrot(), clock, lock) as tcp, mount_pty(Parrot(), clock, lock), connect(tcp.url) as client:
            client.sendall(b"x\n")
            line(client)
    assert new_threads(threads, "mount ") == []
    until(lambda: not open_files() - files, "no file of a mount stays open")  # other tests may still close theirs


@dataclass
class Device:
    role: str
    driver: str
    core: Parrot
    kinds: frozenset[str]
    tcp_core: Parrot | None = None


@dataclass
class TwoDevices:
    lock: threading.RLock = field(default_factory=threading.RLock)

    def cores(self) -> list[Device]:
        both = frozenset({"pty", "tcp"})
        return [
            Device("pump", "new_era_pump", Parrot(), both),
            Device("pressure", "keller_pressure", Parrot(), both, tcp_core=Parrot()),
            Device("ultrasound", "igtl_ultrasound", Parrot(), frozenset({"tcp"})),
        ]


def test_served_bench_lists_each_mount_and_ends_on_request(clock) -> None:
    threads = set(threading.enumerate())
    stop = threading.Event()
    rows = []
    for row in serve(TwoDevices(), clock, stop):
        rows.append(row)
        if row["url"].startswith(("socket", "igtl")):
            with connect(row["url"]) as client:
                client.sendall(b"x\n")
                assert line(client) == b"X\n"
        if len(rows) == 5:
            stop.set()
    assert [(row["device"], row["mount"], row["url"].split(":")[0]) for row in rows] == [
        ("pump", "pty", rows[0]["url"]),
        ("pump", "tcp", "socket"),
        ("pressure", "pty", rows[2]["url"]),
        ("pressure", "tcp", "modbus+tcp"),
        ("ultrasound", "tcp", "igtl"),
    ]
    assert rows[0]["url"].startswith("/dev/pts/")
    assert new_threads(threads, "mount ") == []


def test_served_bench_closes_its_mounts_when_the_caller_leaves_early(clock) -> None:
    threads = set(threading.enumerate())
    rows = serve(TwoDevices(), clock, threading.Event())
    next(rows)
    rows.close()
    assert new_threads(threads, "mount ") == []


def test_a_mount_whose_thread_ends_just_before_it_is_woken_for_closing_still_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mount = mount_tcp(Parrot(), WallClock(), threading.RLock())
    write = os.write

    def write_after_the_thread_has_ended(number: int, data: bytes) -> int:
        mount._thread.join(PATIENCE_S)  # it sees the stop request at the end of its idle pause, without being woken
        return write(number, data)

    monkeypatch.setattr(os, "write", write_after_the_thread_has_ended)
    mount.close()
    mount.close()
    assert not mount.alive
