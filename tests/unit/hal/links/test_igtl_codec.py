"""The OpenIGTLink codec against the official vectors, against damaged messages, and against itself."""

from __future__ import annotations

import struct
import tomllib
from pathlib import Path

import numpy as np
import pytest
from fastcrc import crc64
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import recording

from hal.errors import BadReply, ConfigError
from hal.links.igtl import data as igtl_data
from hal.links.igtl import framing as igtl
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl.decode import decode
from hal.links.igtl.messages import Image, Status, String, Transform

ROOT = Path(__file__).parents[4]
VECTORS = tomllib.loads((ROOT / "tests/wire/openigtlink_vectors.toml").read_text())


def read(data: bytes) -> igtl.Packet:
    parser = igtl.Parser()
    parser.feed(data)
    packet = parser.next_packet()
    assert packet is not None
    assert parser.next_packet() is None
    return packet


def write_again(packet: igtl.Packet) -> bytes:
    message = decode(packet)
    assert message is not None
    return igtl_messages.pack(
        message,
        packet.device,
        packet.stamp_ns,
        version=packet.version,
        message_id=packet.message_id,
        metadata=packet.metadata,
    )


def message(type_name: str, body: bytes, version: int = 1) -> bytes:
    """A message with a right checksum around any body."""
    head = igtl.HEADER.pack(version, type_name.encode(), b"Device", 0, 0, len(body), crc64.ecma_182(body))
    return head + body


@pytest.mark.parametrize("name", VECTORS)
def test_official_vector_is_read_and_written_byte_for_byte(name: str) -> None:
    data = bytes.fromhex(VECTORS[name]["hex"])
    packet = read(data)
    assert packet.type == VECTORS[name]["type"]
    assert write_again(packet) == data


@pytest.mark.parametrize("name", ["image", "transform", "status", "string"])
def test_official_message_file_is_read_and_written_byte_for_byte(name: str) -> None:
    path = recording(f"igtl/{name}__test_{name}_message.bin")
    assert write_again(read(path.read_bytes())) == path.read_bytes()


def test_metadata_of_a_version_2_message_is_kept() -> None:
    packet = read(bytes.fromhex(VECTORS["tdata_format2"]["hex"]))
    assert packet.metadata == {"First patient age": "22", "Second patient age": "25"}
    assert packet.message_id == 1


def test_values_of_the_official_sensor_vector() -> None:
    sensor = decode(read(bytes.fromhex(VECTORS["sensor"]["hex"])))
    assert isinstance(sensor, igtl_data.Sensor)
    assert sensor.values[0] == pytest.approx(123456.78)
    assert len(sensor.values) == 6


def test_array_comes_out_in_row_major_order() -> None:
    array = decode(read(bytes.fromhex(VECTORS["ndarray"]["hex"])))
    assert isinstance(array, igtl_data.NumberArray)
    assert array.values.shape == (5, 4, 3)
    assert array.values[1, 0, 0] == 12.0


@given(st.integers(0, 2**32 * 1_000_000_000 - 1))
def test_every_nanosecond_survives_the_32_bit_fraction(time_ns: int) -> None:
    seconds, fraction = igtl.stamp_of(time_ns)
    assert fraction < 1 << 32
    assert igtl.time_of(seconds, fraction) == time_ns


def test_image_origin_on_the_wire_is_the_image_centre() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    matrix = np.diag([0.5, 0.25, 1.0, 1.0])
    matrix[:3, 3] = [10.0, 20.0, 30.0]
    image = Image.placed(pixels, matrix)
    assert image.centre_matrix[:3, 3] == pytest.approx([10.75, 20.25, 30.0])
    back = decode(read(igtl_messages.pack(image, "Image_Probe", 5)))
    assert isinstance(back, Image)
    assert np.array_equal(back.pixels[0], pixels)
    assert back.IndexToSpace == pytest.approx(matrix)


@pytest.mark.parametrize("kind", [">u2", "<u2", ">f4", "<f8", "i1", ">i4"])
def test_pixels_of_any_type_and_byte_order_keep_their_values(kind: str) -> None:
    pixels = np.arange(24).reshape(2, 3, 4).astype(kind)
    back = Image.decode(memoryview(Image(pixels, np.eye(4)).content()))
    assert np.array_equal(back.pixels, pixels)
    assert back.pixels.dtype.itemsize == pixels.dtype.itemsize


def test_image_of_a_sender_in_lps_stands_at_the_same_place_as_in_ras() -> None:
    ras = np.diag([0.5, 0.25, 1.0, 1.0])
    ras[:3, 3] = [10.0, 20.0, 30.0]
    pixels = np.zeros((3, 4), dtype=np.uint8)
    placed = Image.placed(pixels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras)
    sent = Image(placed.pixels, placed.centre_matrix, coordinates=igtl_messages.LPS)
    back = Image.decode(memoryview(sent.content()))
    assert back.IndexToSpace == pytest.approx(ras)


@pytest.mark.parametrize(
    "given",
    [
        Status(-1),
        igtl_messages.Command(1 << 40, "a", "b"),
        Image(np.zeros((1, 1, 70000), dtype=np.uint8), np.eye(4)),
        Image(np.zeros((1, 1, 7, 300), dtype=np.uint8), np.eye(4)),
        Transform(np.diag([1e39, 1.0, 1.0, 1.0])),
        igtl_data.Position((1e39, 0.0, 0.0)),
        igtl_data.PointList((igtl_data.LabelledPoint("a", (1e39, 0.0, 0.0)),)),
        igtl_data.StartTracking(1 << 40),
        igtl_data.NumberArray(np.zeros(70000)),
    ],
    ids=lambda message: message.type,
)
def test_what_a_field_cannot_hold_is_refused_before_sending(given: igtl_messages.Message) -> None:
    with pytest.raises(ConfigError):
        igtl_messages.pack(given, "D", 0)


@pytest.mark.parametrize(
    "metadata", [{"a" * 70000: "b"}, {str(n): "x" for n in range(9000)}, {"a": "\ud800"}], ids=["key", "count", "text"]
)
def test_metadata_that_do_not_fit_are_refused_before_sending(metadata: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="metadata"):
        igtl_messages.pack(Status(1), "D", 0, version=2, metadata=metadata)


def test_a_flipped_bit_is_refused_and_the_next_message_is_read() -> None:
    good = igtl_messages.pack(Transform(np.eye(4)), "AToB", 0)
    bad = bytearray(good)
    bad[70] ^= 1
    parser = igtl.Parser()
    parser.feed(bytes(bad) + good)
    with pytest.raises(BadReply, match="checksum"):
        parser.next_packet()
    packet = parser.next_packet()
    assert packet is not None
    assert packet.type == "TRANSFORM"


def test_message_cut_into_single_bytes_is_read() -> None:
    data = igtl_messages.pack(String("hello"), "D", 1)
    parser = igtl.Parser()
    for at in range(len(data) - 1):
        parser.feed(data[at : at + 1])
        assert parser.next_packet() is None
    parser.feed(data[-1:])
    assert parser.next_packet() is not None


@pytest.mark.parametrize(
    "data",
    [
        igtl.HEADER.pack(0, b"TRANSFORM", b"", 0, 0, 48, 0),
        igtl.HEADER.pack(99, b"TRANSFORM", b"", 0, 0, 48, 0),
        igtl.HEADER.pack(1, b"TRANSFORM", b"", 0, 0, 2**64 - 1, 0),
        igtl.HEADER.pack(1, b"TRANSFORM", b"", 0, 0, 2**62, 0),
        igtl.HEADER.pack(1, b"trans form", b"", 0, 0, 48, 0),
    ],
    ids=["version zero", "version of the future", "largest size", "size of exabytes", "type with a space"],
)
def test_header_that_cannot_be_followed_ends_the_stream(data: bytes) -> None:
    parser = igtl.Parser()
    parser.feed(data)
    with pytest.raises(BadReply):
        parser.next_packet()
    assert parser.lost
    with pytest.raises(BadReply, match="reconnect"):
        parser.next_packet()


IMAGE_HEAD = struct.pack(">HBBBB3H12f6H", 1, 1, 3, 2, 1, 4, 4, 4, *([0.0] * 12), 0, 0, 0, 4, 4, 4)


@pytest.mark.parametrize(
    ("type_name", "body"),
    [
        ("TRANSFORM", bytes(47)),
        ("TRANSFORM", bytes(49)),
        ("POSITION", bytes(20)),
        ("POSITION", bytes(32)),
        ("NDARRAY", struct.pack(">BB2H", 11, 3, 2, 2)),
        ("NDARRAY", struct.pack(">BB", 11, 200)),
        ("NDARRAY", struct.pack(">BBH", 0, 1, 1) + bytes(4)),
        ("NDARRAY", struct.pack(">BBH", 11, 1, 3) + bytes(16)),
        ("NDARRAY", struct.pack(">BB4H", 11, 4, 65535, 65535, 65535, 65535)),
        ("NDARRAY", struct.pack(">BB5H", 11, 5, 0, 65535, 65535, 65535, 65535)),
        ("IMAGE", IMAGE_HEAD[:5] + b"\0" + IMAGE_HEAD[6:] + bytes(64)),
        ("IMAGE", IMAGE_HEAD[:5] + b"\7" + IMAGE_HEAD[6:] + bytes(64)),
        ("IMAGE", IMAGE_HEAD + bytes(32)),
        ("IMAGE", IMAGE_HEAD[:3] + b"\x0d" + IMAGE_HEAD[4:] + bytes(64)),
        ("IMAGE", IMAGE_HEAD[:60] + struct.pack(">6H", 1, 0, 0, 4, 4, 4) + bytes(64)),
        ("IMAGE", IMAGE_HEAD[:71]),
        ("SENSOR", struct.pack(">BBQd", 10, 0, 0, 1.0)),
        ("STRING", struct.pack(">HH", 3, 100) + b"hello"),
        ("STRING", struct.pack(">HH", 9999, 5) + b"hello"),
        ("STATUS", bytes(29)),
        ("COMMAND", bytes(137)),
        ("POINT", bytes(135)),
        ("TDATA", bytes(71)),
        ("STT_TDATA", bytes(35)),
        ("CAPABILITY", bytes(13)),
        ("RTS_TDATA", bytes(2)),
    ],
)
def test_impossible_content_is_refused(type_name: str, body: bytes) -> None:
    with pytest.raises(BadReply):
        decode(read(message(type_name, body)))


@pytest.mark.parametrize(
    "body",
    [
        bytes(11),
        struct.pack(">HHII", 8, 0, 0, 0),
        struct.pack(">HHII", 100, 0, 0, 0),
        struct.pack(">HHII", 12, 2, 1000, 0) + bytes(2),
        struct.pack(">HHII", 12, 10, 0, 0) + struct.pack(">HHHI", 5, 0, 3, 0),
        struct.pack(">HHII", 12, 10, 3, 0) + struct.pack(">HHHI", 1, 1, 3, 0xFFFFFFFF) + b"abc",
        struct.pack(">HHII", 12, 10, 3, 0) + struct.pack(">HHHI", 1, 1, 3, 1) + b"abc",
    ],
    ids=["too short", "header 8", "header 100", "metadata 1000", "5 entries", "value too long", "bytes left over"],
)
def test_impossible_extended_header_or_metadata_is_refused(body: bytes) -> None:
    with pytest.raises(BadReply):
        read(message("STRING", body, version=2))


KNOWN = [
    "TRANSFORM", "IMAGE", "STATUS", "STRING", "COMMAND", "RTS_COMMAND", "POSITION", "TDATA", "STT_TDATA", "POINT",
    "SENSOR", "CAPABILITY", "NDARRAY", "GET_STATUS", "RTS_TDATA", "BIND",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KNOWN), st.binary(max_size=260), st.sampled_from([1, 2]))
def test_any_body_is_read_or_refused_with_bad_reply(type_name: str, body: bytes, version: int) -> None:
    try:
        decode(read(message(type_name, body, version)))
    except BadReply:
        pass


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_vector_with_changed_bytes_and_right_checksum_is_read_or_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(VECTORS)))
    raw = bytes.fromhex(VECTORS[name]["hex"])
    body = bytearray(raw[igtl.HEADER.size :])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(read(message(VECTORS[name]["type"], bytes(body), raw[1])))
    except BadReply:
        pass


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=90), max_size=8))
def test_any_stream_of_bytes_only_raises_bad_reply(chunks: list[bytes]) -> None:
    parser = igtl.Parser()
    for chunk in chunks:
        parser.feed(chunk)
        try:
            while parser.next_packet() is not None:
                pass
        except BadReply:
            pass


def test_unknown_type_is_given_back_unread() -> None:
    packet = read(message("POLYDATA", b"anything"))
    assert decode(packet) is None


def test_name_that_does_not_fit_its_field_is_refused_before_sending() -> None:
    with pytest.raises(ConfigError, match="20"):
        igtl_messages.pack(Status(1), "a name that is longer than 20", 0)


def test_metadata_needs_header_version_2() -> None:
    with pytest.raises(ConfigError, match="version 2"):
        igtl_messages.pack(Status(1), "D", 0, metadata={"key": "value"})
