"""The simulated scanner and tracker against the golden exchanges, and their habit of rendering on demand only."""

from __future__ import annotations

import socket
import threading
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from hal.clock import WallClock, utc_offset_ns
from hal.links.igtl import framing as igtl
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl.data import Capability, StartTracking, TrackingData
from hal.links.igtl.decode import decode
from hal.links.igtl.messages import Command, Image, Message, Query, Status, String, Transform
from hal.links.wire import WireCore
from hal.sim.devices.tracker_igtl import TrackerCore
from hal.sim.devices.ultrasound_igtl import UltrasoundCore
from hal.sim.faults import FaultyCore
from hal.sim.mounts import SharedLine, mount_tcp
from hal.types import ImagingSettings, Matrix, Pixels

WIRE = Path(__file__).parents[3] / "wire"
SCANNER = tomllib.loads((WIRE / "ultrasound_igtl.toml").read_text())
TRACKER = tomllib.loads((WIRE / "tracker_igtl.toml").read_text())
MS = 1_000_000


class Scene:
    """Frames that say when they were rendered; a probe that moves 1 mm per second."""

    def __init__(self) -> None:
        self.rendered_ns: list[int] = []
        self.hidden = False

    def render(self, now_ns: int, settings: ImagingSettings) -> Pixels:
        self.rendered_ns.append(now_ns)
        return np.full((4, 6), len(self.rendered_ns) % 256, np.uint8)

    def tracked(self, now_ns: int) -> dict[str, Matrix | None]:
        matrix = np.eye(4)
        matrix[0, 3] = now_ns / 1e9
        return {"ProbeToTracker": matrix, "NeedleTipToTracker": None if self.hidden else np.eye(4)}


def geometry(settings: ImagingSettings) -> Matrix:
    return np.diag([settings.depth_mm / 4, settings.depth_mm / 4, 1.0, 1.0])


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def scanner(scene: Scene) -> UltrasoundCore:
    return UltrasoundCore(scene, geometry, rate_hz=20.0, latency_ms=30.0)


@pytest.fixture
def tracker(scene: Scene) -> TrackerCore:
    return TrackerCore(scene, rate_hz=40.0, latency_ms=15.0)


def packets(data: bytes) -> list[igtl.Packet]:
    parser = igtl.Parser()
    parser.feed(data)
    found = []
    while (packet := parser.next_packet()) is not None:
        found.append(packet)
    return found


def ask(core: UltrasoundCore | TrackerCore, message: Message, device: str = "", version: int = 1) -> igtl.Packet:
    core.receive(igtl_messages.pack(message, device, 0, version=version), 0)
    (reply,) = packets(core.transmit(0))
    return reply


@pytest.mark.parametrize("exchange", SCANNER["exchange"], ids=lambda exchange: exchange["name"])
def test_command_is_answered_as_in_the_golden_exchange(scanner: UltrasoundCore, exchange: dict) -> None:
    reply = ask(scanner, Command(41, "", exchange["sends"]), version=2)
    answer = decode(reply)
    assert isinstance(answer, Command)
    assert (answer.type, answer.command_id) == ("RTS_COMMAND", 41)
    root = ElementTree.fromstring(answer.text)
    assert root.findtext("Result") == exchange["result"]
    given = [item for item in root.iter("Parameter") if "Value" in item.attrib]
    values = {item.get("Name"): float(item.get("Value", "nan")) for item in given}
    assert values == exchange["values"]
    if "reply" in exchange:
        assert answer.text == exchange["reply"]


@pytest.mark.parametrize("exchange", SCANNER["string_exchange"], ids=lambda exchange: exchange["name"])
def test_string_command_is_answered_as_in_the_golden_exchange(scanner: UltrasoundCore, exchange: dict) -> None:
    reply = ask(scanner, String(exchange["sends"]), exchange["device"])
    text = decode(reply)
    assert isinstance(text, String)
    assert reply.device == exchange["reply_device"]
    assert text.text.startswith(exchange.get("reply", exchange.get("reply_starts")))


def test_frame_is_rendered_only_when_taken_and_skipped_ones_are_counted(scanner: UltrasoundCore, scene: Scene) -> None:
    assert scanner.transmit(29 * MS) == b""
    assert len(packets(scanner.transmit(30 * MS))) == 1
    assert scanner.transmit(79 * MS) == b""
    (packet,) = packets(scanner.transmit(1030 * MS))
    assert scene.rendered_ns == [0, 1000 * MS]
    assert scanner.skipped_n == 19
    assert packet.stamp_ns == 1000 * MS


def test_next_moment_is_when_the_next_frame_is_ready(scanner: UltrasoundCore) -> None:
    assert scanner.next_ns(0) == 30 * MS
    scanner.transmit(30 * MS)
    assert scanner.next_ns(31 * MS) == 80 * MS


def test_every_frame_is_ready_exactly_when_announced(scene: Scene) -> None:
    core = UltrasoundCore(scene, geometry, rate_hz=29.97, latency_ms=7.3)
    now_ns = 0
    for _ in range(500):
        now_ns = core.next_ns(now_ns) or 0
        assert core.transmit(now_ns - 1) == b""
        assert core.transmit(now_ns) != b""
    assert core.skipped_n == 0


def test_depth_appears_in_pixel_pitch_and_metadata(scanner: UltrasoundCore) -> None:
    text = '<Command Name="SetUsParameter"><Parameter Name="DepthMm" Value="60"/></Command>'
    ask(scanner, Command(1, "", text), version=2)
    (packet,) = packets(scanner.transmit(30 * MS))
    image = decode(packet)
    assert isinstance(image, Image)
    assert image.IndexToSpace[0, 0] == pytest.approx(15.0)
    assert packet.metadata["DepthMm"] == "60"
    assert packet.message_id == 1


def test_old_client_gets_header_version_1_and_a_new_one_version_2(scanner: UltrasoundCore) -> None:
    assert packets(scanner.transmit(30 * MS))[0].version == 1
    assert ask(scanner, Query("GET_STATUS"), version=2).version == 2
    assert packets(scanner.transmit(80 * MS))[0].version == 2
    scanner.line_opened(100 * MS)
    assert packets(scanner.transmit(130 * MS))[0].version == 1


def test_status_and_capability_are_answered(scanner: UltrasoundCore) -> None:
    status = decode(ask(scanner, Query("GET_STATUS")))
    assert isinstance(status, Status)
    assert status.code == 1
    capability = decode(ask(scanner, Query("GET_CAPABIL")))
    assert isinstance(capability, Capability)
    assert "IMAGE" in capability.types


def test_unknown_message_is_refused_and_counted(scanner: UltrasoundCore) -> None:
    scanner.receive(igtl.pack("POLYDATA", "D", b"data", 0), 0)
    status = decode(packets(scanner.transmit(0))[0])
    assert isinstance(status, Status)
    assert status.code == 12
    assert scanner.refused["POLYDATA"] == 1


def test_damaged_message_is_reported_as_checksum_error(scanner: UltrasoundCore) -> None:
    data = bytearray(igtl_messages.pack(String("x"), "CMD_1", 0))
    data[-1] ^= 1
    scanner.receive(bytes(data), 0)
    status = decode(packets(scanner.transmit(0))[0])
    assert isinstance(status, Status)
    assert status.code == 9


def test_stopped_stream_sends_one_image_per_question(scanner: UltrasoundCore) -> None:
    ask(scanner, Query("STP_IMAGE"))
    assert scanner.transmit(500 * MS) == b""
    scanner.receive(igtl_messages.pack(Query("GET_IMAGE"), "", 0), 500 * MS)
    assert [packet.type for packet in packets(scanner.transmit(500 * MS))] == ["IMAGE"]
    assert scanner.transmit(900 * MS) == b""


def test_tracker_stamps_the_moment_of_measuring(tracker: TrackerCore) -> None:
    probe, needle = packets(tracker.transmit(90 * MS))
    assert (probe.device, needle.device) == ("ProbeToTracker", "NeedleTipToTracker")
    transform = decode(probe)
    assert isinstance(transform, Transform)
    assert probe.stamp_ns == 75 * MS
    assert transform.matrix[0, 3] == pytest.approx(0.075)


def test_tool_that_is_not_seen_is_reported_by_status(tracker: TrackerCore, scene: Scene) -> None:
    scene.hidden = True
    _, needle = packets(tracker.transmit(15 * MS))
    status = decode(needle)
    assert isinstance(status, Status)
    assert (needle.device, status.code) == ("NeedleTipToTracker", TRACKER["not_seen"]["code"])


def test_tracking_data_is_started_and_stopped_as_in_the_golden_exchange(tracker: TrackerCore) -> None:
    start, stop = TRACKER["start_tracking"], TRACKER["stop_tracking"]
    assert StartTracking(start["period_ms"], start["frame"]).content().hex() == start["body"]
    for exchange in (start, stop):
        tracker.receive(igtl.pack(exchange["type"], "", bytes.fromhex(exchange["body"]), 0), 0)
        (reply,) = packets(tracker.transmit(0))
        assert (reply.type, bytes(reply.content).hex()) == (exchange["answer_type"], exchange["answer_body"])
        if exchange is start:
            (bundle,) = packets(tracker.transmit(65 * MS))
            data = decode(bundle)
            assert isinstance(data, TrackingData)
            assert [tool.name for tool in data.tools] == ["ProbeToTracker", "NeedleTipToTracker"]
            assert tracker.next_ns(66 * MS) == 115 * MS
    assert tracker.transmit(900 * MS) == b""


def test_a_simulator_on_a_port_stamps_with_dates_and_in_this_process_with_the_clocks_time(
    tracker: TrackerCore,
) -> None:
    """The standard counts seconds since 1970 in UTC."""
    assert tracker.stamp(5) == 5
    clock = WallClock()
    core: WireCore = FaultyCore(tracker, [])
    mount = mount_tcp(SharedLine(core).port(), clock, threading.RLock(), scheme="igtl", clients="all")
    date_ns = utc_offset_ns(clock) + clock.now_ns()
    try:
        host, port = mount.url.removeprefix("igtl://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            parser = igtl.Parser()
            client.sendall(igtl_messages.pack(Query("GET_STATUS"), "", 0))
            types = set()
            while not {"STATUS", "TRANSFORM"} <= types:
                parser.feed(client.recv(1 << 16))
                while (packet := parser.next_packet()) is not None:
                    types.add(packet.type)
                    assert abs(packet.stamp_ns - date_ns) < 120 * 1_000_000_000
    finally:
        mount.close()
