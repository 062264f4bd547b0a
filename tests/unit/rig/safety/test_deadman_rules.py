from __future__ import annotations

from hal.clock import NS_PER_S
from rig.lanes import Channel
from rig.safety.deadman import SCAN_LOST_S, ScanDeadman


class Stops:
    """A device that counts its stops."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self) -> None:
        self.n += 1


def ns(seconds: float) -> int:
    return int(seconds * NS_PER_S)


def watched() -> tuple[ScanDeadman, Stops, Channel[int]]:
    stops, channel = Stops(), Channel("pump", lambda: 0, 0.1)
    return ScanDeadman(channel, stops), stops, channel


def test_half_a_second_without_a_scan_stops_what_is_attended_once() -> None:
    deadman, stops, channel = watched()
    deadman.attend(True, ns(1.0))
    deadman.look(ns(1.5))
    assert stops.n == 0 and channel.fault is None
    deadman.look(ns(1.5) + 1)
    assert stops.n == 1
    assert "nobody watched for 0.50 s: its lane has stopped it" in str(channel.fault)
    deadman.look(ns(9.0))
    assert stops.n == 1
    assert SCAN_LOST_S == 0.5


def test_every_scan_puts_it_off_and_nothing_attended_is_never_stopped() -> None:
    deadman, stops, _ = watched()
    deadman.look(ns(100.0))
    deadman.beat(ns(100.0))  # a scan does not arm it
    deadman.look(ns(200.0))
    assert stops.n == 0
    deadman.attend(True, ns(200.0))
    deadman.beat(ns(200.4))
    deadman.look(ns(200.8))
    assert stops.n == 0
    deadman.attend(False, ns(200.9))
    deadman.look(ns(300.0))
    assert stops.n == 0


def test_a_device_that_cannot_be_stopped_is_reported_as_that() -> None:
    def refuse() -> None:
        raise OSError("line broken")

    channel: Channel[int] = Channel("pump", lambda: 0, 0.1)
    deadman = ScanDeadman(channel, refuse)
    deadman.attend(True, 0)
    deadman.look(ns(0.6))
    assert "nobody watched for 0.60 s: its lane could not stop it: line broken" in str(channel.fault)
