"""Messages that the rig publishes over OpenIGTLink, read by our own codec and by pyigtl as a foreign client."""

from __future__ import annotations

import socket
import struct
import threading

import numpy as np
import pytest
from fastcrc import crc64
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.clock import VirtualClock, WallClock, utc_offset_ns
from hal.errors import BadReply, ConfigError, LinkError
from hal.links.igtl import framing as igtl
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl.data import Capability, PointList, Sensor, StartTracking, TrackingData
from hal.links.igtl.decode import decode
from hal.links.igtl.messages import Answer, Image, Query, Status, String, Transform
from hal.links.igtl.publisher import TYPES, Listener, Publisher, slice_matrix
from hal.links.igtl.server import PublishServer
from hal.links.igtl.tracks import TrajectoryList
from hal.types import Frame

MS = 1_000_000


def read(data: bytes) -> list[tuple[igtl.Packet, igtl_messages.Message]]:
    parser, found = igtl.Parser(), []
    parser.feed(data)
    while (packet := parser.next_packet()) is not None:
        message = decode(packet)
        assert message is not None
        found.append((packet, message))
    return found


def moved(x_mm: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = x_mm
    return matrix


@pytest.fixture
def publisher() -> Publisher:
    return Publisher(simulated=True)


@pytest.fixture
def listener(publisher: Publisher) -> Listener:
    joined = publisher.join(0)
    publisher.take(joined)
    return joined


def frame(time_ns: int) -> Frame:
    matrix = np.eye(4)
    matrix[:3, :3] = [[0.2, 0, 0], [0, 0, 0], [0, 0.25, 0]]
    return Frame(time_ns, np.arange(12, dtype=np.uint8).reshape(3, 4), matrix, 7, 2)


def test_listener_gets_what_the_rig_is_and_where_everything_stands(publisher: Publisher) -> None:
    publisher.transform("ProbeToRig", moved(5), 1)
    publisher.points("targets", {"L4": (1.0, 2.0, 3.0)}, 2)
    publisher.path("plan", (0, 0, 0), (0, 0, 60), 3)
    found = read(publisher.take(publisher.join(9)))
    assert [type(message) for _, message in found] == [Status, Transform, PointList, TrajectoryList]
    assert "SIMULATED" in found[0][1].meaning


def test_only_the_newest_pose_waits_and_the_others_are_counted(publisher: Publisher, listener: Listener) -> None:
    for n in range(200):
        publisher.transform("ProbeToRig", moved(n), n)
    publisher.transform("NeedleToRig", moved(-1), 7)
    found = read(publisher.take(listener))
    places = [(packet.device, message.matrix[0, 3]) for packet, message in found]
    assert places == [("ProbeToRig", 199), ("NeedleToRig", -1)]
    assert listener.dropped == {"TRANSFORM": 199}
    assert publisher.offered["TRANSFORM"] == 201
    assert publisher.take(listener) == b""


def test_texts_are_kept_in_order(publisher: Publisher, listener: Listener) -> None:
    for n in range(5):
        publisher.text(f"step {n}", n)
    assert [message.text for _, message in read(publisher.take(listener))] == [f"step {n}" for n in range(5)]


def test_frame_stands_where_the_probe_is(publisher: Publisher, listener: Listener) -> None:
    publisher.frame(frame(5 * MS), moved(100))
    ((packet, image),) = read(publisher.take(listener))
    assert (packet.device, packet.stamp_ns) == ("Image_Rig", 5 * MS)
    assert isinstance(image, Image)
    assert np.array_equal(image.pixels[0], frame(0).pixels)
    assert image.IndexToSpace[:3, 3] == pytest.approx([100, 0, 0], abs=1e-5)
    assert np.linalg.norm(image.centre_matrix[:3, 2]) == pytest.approx(1)


def test_third_axis_of_a_slice_is_its_unit_normal() -> None:
    matrix = slice_matrix(frame(0).ImageToProbe)
    assert matrix[:3, 2] == pytest.approx([0, -1, 0])


def test_sensor_carries_its_unit_or_names_it(publisher: Publisher, listener: Listener) -> None:
    publisher.sensor("pressure", (12.5,), "kPa", 1)
    publisher.sensor("flow", (3.0,), "mL/min", 1)
    publisher.sensor("force", (float("nan"),), "N", 1)
    found = {packet.device: message for packet, message in read(publisher.take(listener))}
    assert found["pressure"].values == (12.5,)
    assert found["pressure"].unit != 0
    assert found["flow_mL/min"].unit == 0
    assert isinstance(found["force"], Sensor)
    assert found["force"].status == 1
    assert np.isnan(found["force"].values).all()


def test_value_whose_name_does_not_fit_is_refused_and_never_cut(publisher: Publisher, listener: Listener) -> None:
    publisher.sensor("pressure.flow_ml_min", (3.0,), "mL/min", 1)
    publisher.sensor("a name of more than twenty", (3.0,), "N", 1)
    assert [packet.device for packet, _ in read(publisher.take(listener))] == ["pressure.flow_ml_min"]
    assert publisher.refused == {"SENSOR": 1}


def test_tool_that_is_not_seen_is_a_state_and_not_a_pose(publisher: Publisher, listener: Listener) -> None:
    publisher.transform("StylusToRig", moved(1), 1, valid=False)
    ((packet, status),) = read(publisher.take(listener))
    assert (packet.device, status.code) == ("StylusToRig", 4)


def test_tool_that_was_lost_is_in_nobodys_scene_at_its_old_place(publisher: Publisher, listener: Listener) -> None:
    publisher.receive(listener, igtl_messages.pack(StartTracking(0), "", 0), 0)
    publisher.transform("ProbeToRig", moved(1), 1 * MS)
    publisher.transform("StylusToRig", moved(2), 2 * MS)
    publisher.take(listener)
    publisher.transform("StylusToRig", moved(2), 3 * MS, valid=False)
    (tracking,) = [m for _, m in read(publisher.take(listener)) if isinstance(m, TrackingData)]
    assert [tool.name for tool in tracking.tools] == ["ProbeToRig"]
    newcomer = [(packet.device, message) for packet, message in read(publisher.take(publisher.join(4 * MS)))]
    assert [name for name, message in newcomer if isinstance(message, Transform)] == ["ProbeToRig"]
    assert ("StylusToRig", 4) in [(name, message.code) for name, message in newcomer if isinstance(message, Status)]


def test_tool_lost_for_long_does_not_push_texts_out(publisher: Publisher, listener: Listener) -> None:
    publisher.text("pushed hard, stopped", 0)
    for n in range(1000):
        publisher.transform("StylusToRig", moved(n), n + 1, valid=False)
    publisher.transform("StylusToRig", moved(7), 2000)
    found = read(publisher.take(listener))
    assert [type(message) for _, message in found] == [String, Transform]
    assert listener.dropped == {"STATUS": 1000}


@pytest.mark.parametrize(("question", "kind"), [("GET_TRANS", Transform), ("GET_IMAGE", Image), ("GET_SENSOR", Sensor)])
def test_the_newest_value_of_a_name_can_be_asked_for(
    publisher: Publisher, listener: Listener, question: str, kind: type
) -> None:
    publisher.transform("ProbeToRig", moved(1), 1)
    publisher.transform("NeedleToRig", moved(2), 2)
    publisher.frame(frame(3), moved(1))
    publisher.sensor("pressure", (12.5,), "kPa", 4)
    publisher.take(listener)
    name = {"GET_TRANS": "NeedleToRig", "GET_IMAGE": "Image_Rig", "GET_SENSOR": "pressure"}[question]
    publisher.receive(listener, igtl_messages.pack(Query(question), name, 0), 9)
    ((packet, message),) = read(publisher.take(listener))
    assert (packet.device, type(message)) == (name, kind)
    publisher.receive(listener, igtl_messages.pack(Query(question), "", 0), 9)
    assert len(read(publisher.take(listener))) == (2 if question == "GET_TRANS" else 1)
    publisher.receive(listener, igtl_messages.pack(Query(question), "Nobody", 0), 9)
    ((packet, message),) = read(publisher.take(listener))
    assert (packet.device, message.code) == ("Nobody", 4)


def test_client_cannot_fill_the_memory_with_a_message_of_its_own(publisher: Publisher, listener: Listener) -> None:
    head = igtl.HEADER.pack(1, b"STRING", b"x", 0, 0, 32 << 20, 0)
    with pytest.raises(BadReply, match="limit"):
        publisher.receive(listener, head, 0)


def test_message_of_a_client_that_claims_an_absurd_array_does_not_end_the_serving(
    publisher: Publisher, listener: Listener
) -> None:
    body = struct.pack(">BB5H", 11, 5, 0, 65535, 65535, 65535, 65535)
    head = igtl.HEADER.pack(1, b"NDARRAY", b"x", 0, 0, len(body), crc64.ecma_182(body))
    publisher.receive(listener, head + body, 0)
    assert listener.inbox.refused == {"NDARRAY": 1}


def test_values_that_are_no_numbers_and_names_that_do_not_fit_are_refused_and_counted(
    publisher: Publisher, listener: Listener
) -> None:
    publisher.transform("ProbeToRig", np.full((4, 4), np.nan), 1)
    publisher.transform("ANameThatIsLongerThanTwenty", moved(1), 1)
    publisher.transform("AToB", moved(1), 1)
    assert [packet.device for packet, _ in read(publisher.take(listener))] == ["AToB"]
    assert publisher.refused == {"TRANSFORM": 2}


def test_metadata_follow_once_the_client_speaks_version_2(publisher: Publisher, listener: Listener) -> None:
    publisher.transform("AToB", moved(1), 123)
    assert read(publisher.take(listener))[0][0].metadata == {}
    publisher.receive(listener, igtl_messages.pack(String("hello"), "Slicer", 0, version=2), 5)
    publisher.transform("AToB", moved(1), 123)
    ((packet, _),) = read(publisher.take(listener))
    assert packet.metadata == {"Simulated": "True", "RigTimeNs": "123", "TransformStatus": "OK"}


def test_questions_are_answered_and_what_is_not_understood_is_reported(
    publisher: Publisher, listener: Listener
) -> None:
    asked = [Query("GET_CAPABIL"), Query("GET_STATUS"), Query("GET_IMAGE")]
    publisher.receive(listener, b"".join(igtl_messages.pack(q, "", 0) for q in asked), 5)
    body = bytes(47)
    bad = igtl.HEADER.pack(1, b"TRANSFORM", b"", 0, 0, 47, crc64.ecma_182(body)) + body
    unknown = igtl.HEADER.pack(1, b"BIND", b"", 0, 0, 0, 0)
    publisher.receive(listener, bad + unknown, 6)
    found = [message for _, message in read(publisher.take(listener))]
    assert [type(message) for message in found] == [Capability, Status, Status, Status, Status]
    assert [message.code for message in found[1:]] == [1, 4, 12, 12]
    assert listener.inbox.refused == {"TRANSFORM": 1}
    assert listener.inbox.unknown == {"BIND": 1}


def test_tracking_data_come_no_faster_than_asked_until_stopped(publisher: Publisher, listener: Listener) -> None:
    publisher.receive(listener, igtl_messages.pack(StartTracking(100), "", 0), 0)
    counted = 0
    for n in range(100):  # one second at 100 Hz
        publisher.transform("ProbeToRig", moved(n), n * 10 * MS)
        found = [message for _, message in read(publisher.take(listener))]
        counted += sum(isinstance(message, TrackingData) for message in found)
    assert counted == 10
    publisher.receive(listener, igtl_messages.pack(Query("STP_TDATA"), "", 0), 0)
    assert read(publisher.take(listener))[0][1] == Answer("RTS_TDATA", True)
    publisher.transform("ProbeToRig", moved(1), 10**12)
    assert not any(isinstance(message, TrackingData) for _, message in read(publisher.take(listener)))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*TYPES, "GET_TRANS", "NDARRAY", "STT_TDATA", "COMMAND", "BIND"]),
            st.binary(max_size=120),
            st.sampled_from([1, 2, 3]),
        ),
        max_size=5,
    )
)
def test_nothing_that_a_client_sends_ends_the_serving(sent: list[tuple[str, bytes, int]]) -> None:
    publisher = Publisher(simulated=True)
    listener = publisher.join(0)
    publisher.transform("AToB", moved(1), 1)
    for type_name, body, version in sent:
        head = igtl.HEADER.pack(version, type_name.encode(), b"x", 0, 0, len(body), crc64.ecma_182(body))
        publisher.receive(listener, head + body, 5)
    answered = read(publisher.take(listener))
    counted = listener.inbox.understood.total() + listener.inbox.unknown.total() + listener.inbox.refused.total()
    assert counted + listener.damaged_n == len(sent)
    assert len(answered) >= 2


def test_server_shows_a_moving_scene_to_two_foreign_clients() -> None:
    pyigtl = pytest.importorskip("pyigtl")
    clock, publisher = WallClock(), Publisher(simulated=True)
    server = PublishServer(publisher, clock, port=0)
    done = threading.Event()

    def speak() -> None:
        n = 0
        while not done.is_set():
            n += 1
            publisher.transform("ProbeToRig", moved(42), clock.now_ns())
            publisher.frame(frame(clock.now_ns()), moved(42))
            done.wait(0.01)

    speaker = threading.Thread(target=speak, daemon=True)
    clients = [pyigtl.OpenIGTLinkClient("127.0.0.1", server.port) for _ in range(2)]
    try:
        speaker.start()
        for client in clients:
            pose = client.wait_for_message("ProbeToRig", timeout=30)
            assert pose.matrix[0, 3] == pytest.approx(42)
            image = client.wait_for_message("Image_Rig", timeout=30)
            assert np.array_equal(np.squeeze(image.image), frame(0).pixels)
        assert server.clients == 2
    finally:
        done.set()
        for client in clients:
            client.stop()
        server.close()
    assert server.error is None


def test_client_that_sends_rubbish_is_dropped_and_the_others_stay() -> None:
    clock, publisher = WallClock(), Publisher(simulated=False)
    server = PublishServer(publisher, clock, port=0)
    try:
        good = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        bad = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        bad.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + bytes(80))
        deadline = clock.deadline(30)
        while not server.lost_clients and not deadline.expired:
            clock.sleep(0.01)
        assert "not an OpenIGTLink message" in server.lost_clients[0]
        assert good.recv(26)[2:8] == b"STATUS"
        assert server.clients == 1
        good.close()
        bad.close()
    finally:
        server.close()


def test_port_in_use_and_virtual_time_are_refused() -> None:
    server = PublishServer(Publisher(simulated=True), WallClock(), port=0)
    try:
        with pytest.raises(LinkError, match="cannot serve"):
            PublishServer(Publisher(simulated=True), WallClock(), port=server.port)
    finally:
        server.close()
    with pytest.raises(ConfigError, match="real time"):
        PublishServer(Publisher(simulated=True), VirtualClock(), port=0)


def test_stamps_are_dates_on_the_wire_whatever_clock_the_rig_goes_by() -> None:
    """The standard counts seconds since 1970 in UTC. Here rig time began an hour ago, and the server's just now."""
    hour_ns = 3600 * 1_000_000_000
    clock, publisher = WallClock(), Publisher(simulated=False)
    date_ns = utc_offset_ns(clock) + clock.now_ns()
    publisher.utc_offset_ns = utc_offset_ns(clock) - hour_ns
    server = PublishServer(publisher, clock, port=0)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            parser, found = igtl.Parser(), {}
            while set(found) != {"STATUS", "TRANSFORM"}:
                publisher.transform("ProbeToRig", moved(42), clock.now_ns() + hour_ns)
                parser.feed(client.recv(1 << 16))
                while (packet := parser.next_packet()) is not None:
                    found[packet.type] = packet.stamp_ns
    finally:
        server.close()
    for stamp_ns in found.values():
        assert abs(stamp_ns - date_ns) < 60 * 1_000_000_000
