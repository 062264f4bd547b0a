"""Each fault of ``hal.sim.faults`` does what it says, when it says, and nothing else."""

from __future__ import annotations

import pytest

from hal.clock import VirtualClock
from hal.errors import LinkError, NoReply
from hal.links.serial import open_serial
from hal.links.wire import publish, withdraw
from hal.sim.faults import Fault, FaultKind, FaultyCore, FaultyEndpoint

S = 1_000_000_000


class Counter:
    """Answers every line with the number of lines so far."""

    extra = "reached through the faults"

    def __init__(self) -> None:
        self.count = 0
        self._out = b""

    def receive(self, data: bytes, now_ns: int) -> None:
        self.count += data.count(b"\n")
        self._out += b"<%03d>" % self.count

    def transmit(self, now_ns: int) -> bytes:
        out, self._out = self._out, b""
        return out

    def next_ns(self, now_ns: int) -> int | None:
        return now_ns if self._out else None


def replies(fault: Fault, moments_s: list[float], seed: int = 0) -> tuple[list[bytes], FaultyCore]:
    core = FaultyCore(Counter(), [fault], seed)
    out = []
    for moment in moments_s:
        core.receive(b"\n", int(moment * S))
        out.append(core.transmit(int(moment * S)))
    return out, core


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(FaultKind.DROP_REPLY, 2 * S, 3 * S), [b"<001>", b"", b"<003>"]),
        (Fault(FaultKind.DROP_COMMAND, 2 * S, 3 * S), [b"<001>", b"", b"<002>"]),
        (Fault(FaultKind.SILENT, 2 * S, 3 * S), [b"<001>", b"", b"<002>"]),
        (Fault(FaultKind.UNPLUGGED, 2 * S, 3 * S), [b"<001>", b"", b"<002>"]),
        (Fault(FaultKind.TRUNCATE, 2 * S, 3 * S, keep_n=2), [b"<001>", b"<0", b"<003>"]),
        (Fault(FaultKind.DUPLICATE, 2 * S, 3 * S), [b"<001>", b"<002><002>", b"<003>"]),
        (Fault(FaultKind.STALE, 2 * S, 3 * S), [b"<001>", b"<001>", b"<003>"]),
        (Fault(FaultKind.WRONG_CRC, 2 * S, 3 * S), [b"<001>", b"<002?", b"<003>"]),
        (Fault(FaultKind.WRONG_CRC, 2 * S, 3 * S, position=1), [b"<001>", b"<102>", b"<003>"]),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else "",
)
def test_a_fault_strikes_within_its_time_and_not_outside(fault: Fault, expected: list[bytes]) -> None:
    out, core = replies(fault, [1.0, 2.0, 3.0])
    assert out == expected
    assert core.hits[0] >= 1


def test_a_dropped_reply_does_not_undo_the_action() -> None:
    _, core = replies(Fault(FaultKind.DROP_REPLY, 0), [1.0, 2.0])
    assert core.count == 2


def test_a_corrupted_reply_differs_in_exactly_one_bit() -> None:
    out, _ = replies(Fault(FaultKind.CORRUPT, 0), [1.0])
    assert len(out[0]) == 5
    assert sum((a ^ b).bit_count() for a, b in zip(out[0], b"<001>", strict=True)) == 1


def test_the_same_seed_corrupts_the_same_bits() -> None:
    fault = Fault(FaultKind.CORRUPT, 0, probability=0.5)
    moments = [float(k) for k in range(1, 30)]
    first, again, other = (replies(fault, moments, seed)[0] for seed in (1, 1, 2))
    assert first == again != other
    clean = [b"<%03d>" % k for k in range(1, 30)]
    assert 5 < sum(a != b for a, b in zip(first, clean, strict=True)) < 25


def test_a_delayed_reply_comes_later_and_in_order() -> None:
    core = FaultyCore(Counter(), [Fault(FaultKind.DELAY, 0, S, delay_s=0.5)])
    core.receive(b"\n", 0)
    assert core.transmit(0) == b""
    assert core.next_ns(0) == S // 2
    core.receive(b"\n", S // 10)
    assert core.transmit(S // 10) == b""
    assert core.transmit(S // 2) == b"<001>"
    assert core.transmit(2 * S) == b"<002>"


def test_a_fault_with_a_count_is_over_after_so_many_hits() -> None:
    out, core = replies(Fault(FaultKind.DROP_REPLY, 0, count=2), [1.0, 2.0, 3.0])
    assert out == [b"", b"", b"<003>"]
    assert core.hits == [2]


def test_what_is_no_fault_passes_through_to_the_device() -> None:
    assert FaultyCore(Counter(), []).extra == "reached through the faults"


def test_a_pulled_cable_is_a_link_error_and_comes_back_with_the_plug() -> None:
    clock = VirtualClock()
    core = FaultyCore(Counter(), [Fault(FaultKind.UNPLUGGED, S, 2 * S)])
    publish("faults", FaultyEndpoint(core, clock))
    try:
        link = open_serial("rigsim://faults", 115200, clock, timeout_s=0.1)
        link.write(b"\n")
        assert link.read_until(b">", link.deadline()) == b"<001>"
        clock.sleep(1.0)
        with pytest.raises(LinkError):
            link.write(b"\n")
        clock.sleep(1.0)
        link = open_serial("rigsim://faults", 115200, clock, timeout_s=0.1)
        link.write(b"\n")
        assert link.read_until(b">", link.deadline()) == b"<002>"
    finally:
        withdraw("faults")


def test_a_silent_device_is_a_missing_reply_and_not_a_broken_line() -> None:
    clock = VirtualClock()
    publish("faults", FaultyEndpoint(FaultyCore(Counter(), [Fault(FaultKind.SILENT, 0)]), clock))
    try:
        link = open_serial("rigsim://faults", 115200, clock, timeout_s=0.1)
        link.write(b"\n")
        with pytest.raises(NoReply):
            link.read_until(b">", link.deadline())
    finally:
        withdraw("faults")
