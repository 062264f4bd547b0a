"""The rarer OpenIGTLink types, the unit code and the counting of what cannot be read."""

from __future__ import annotations

import struct
import tomllib
from pathlib import Path

import numpy as np
import pytest
from fastcrc import crc64
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.errors import BadReply, ConfigError
from hal.links.igtl import framing as igtl
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl import units as igtl_units
from hal.links.igtl.data import Sensor
from hal.links.igtl.decode import decode
from hal.links.igtl.inbox import Inbox
from hal.links.igtl.messages import Query, Transform
from hal.links.igtl.tracks import (
    QuaternionTool,
    QuaternionTracking,
    StartQuaternionTracking,
    Trajectory,
    TrajectoryList,
)

WIRE = Path(__file__).parents[3] / "wire"
VECTORS = tomllib.loads((WIRE / "openigtlink_trajectories.toml").read_text())
SENSOR = bytes.fromhex(tomllib.loads((WIRE / "openigtlink_vectors.toml").read_text())["sensor"]["hex"])


def packets(data: bytes) -> list[igtl.Packet]:
    parser, found = igtl.Parser(), []
    parser.feed(data)
    while (packet := parser.next_packet()) is not None:
        found.append(packet)
    return found


def message(type_name: str, body: bytes, version: int = 1) -> bytes:
    return igtl.HEADER.pack(version, type_name.encode(), b"D", 0, 0, len(body), crc64.ecma_182(body)) + body


@pytest.mark.parametrize("name", VECTORS)
def test_official_trajectories_are_read_and_written_byte_for_byte(name: str) -> None:
    data = bytes.fromhex(VECTORS[name]["hex"])
    (packet,) = packets(data)
    found = decode(packet)
    assert isinstance(found, TrajectoryList)
    assert [path.name for path in found.paths] == [f"TRAJECTORY_DESCRIPTION_{n}" for n in range(3)]
    assert found.paths[0].entry == (10.0, 15.0, 20.0)
    fields = {"version": packet.version, "message_id": packet.message_id, "metadata": packet.metadata}
    again = igtl_messages.pack(found, packet.device, packet.stamp_ns, **fields)
    assert again == data


def test_quaternion_tracking_comes_back() -> None:
    needle = QuaternionTool("N", (0, 0, 0), (0, 0, 0, 1), 3)
    made = QuaternionTracking((QuaternionTool("Probe", (1.0, 2.0, 3.0), (0.0, 0.5, 0.0, 0.5)), needle))
    (packet,) = packets(igtl_messages.pack(made, "D", 5))
    assert decode(packet) == made
    (packet,) = packets(igtl_messages.pack(StartQuaternionTracking(20, "Rig"), "D", 5))
    assert packet.type == "STT_QTDATA"
    assert decode(packet) == StartQuaternionTracking(20, "Rig")


@pytest.mark.parametrize(("type_name", "size"), [("QTDATA", 49), ("QTDATA", 51), ("TRAJ", 149), ("STT_QTDATA", 35)])
def test_body_of_a_wrong_length_is_refused(type_name: str, size: int) -> None:
    with pytest.raises(BadReply):
        decode(packets(message(type_name, bytes(size)))[0])


def test_body_of_a_query_is_kept() -> None:
    (packet,) = packets(message("GET_IMAGE", b"extra"))
    assert decode(packet) == Query("GET_IMAGE", b"extra")


def test_metadata_that_names_a_key_twice_is_refused() -> None:
    index = struct.pack(">H", 2) + struct.pack(">HHI", 1, 3, 1) * 2
    body = struct.pack(">HHII", 12, len(index), 4, 1) + bytes(48) + index + b"a1a2"
    with pytest.raises(BadReply, match="twice"):
        packets(message("TRANSFORM", body, version=2))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["QTDATA", "STT_QTDATA", "TRAJ", "GET_QTDATA", "RTS_QTDATA"]), st.binary(max_size=320))
def test_any_body_is_read_or_refused(type_name: str, body: bytes) -> None:
    try:
        decode(packets(message(type_name, body))[0])
    except BadReply:
        pass


def test_unit_of_the_official_sensor_vector_is_metres_per_second_squared() -> None:
    sensor = decode(packets(SENSOR)[0])
    assert isinstance(sensor, Sensor)
    assert igtl_units.unpack_unit(sensor.unit) == ("", (("m", 1), ("s", -2)))
    assert igtl_units.pack_unit("", (("m", 1), ("s", -2))) == sensor.unit


@pytest.mark.parametrize("unit", igtl_units.KNOWN)
def test_units_of_the_rig_come_back(unit: str) -> None:
    assert igtl_units.unpack_unit(igtl_units.code_of(unit)) == igtl_units.KNOWN[unit]


def test_unit_that_cannot_be_expressed_is_zero_or_refused() -> None:
    assert igtl_units.code_of("mL/min") == 0
    with pytest.raises(ConfigError):
        igtl_units.pack_unit("", (("furlong", 1),))
    with pytest.raises(ConfigError):
        igtl_units.pack_unit("k", (("m", 9),))


@given(st.integers(0, 2**64 - 1))
def test_any_unit_code_is_read_or_refused(code: int) -> None:
    try:
        prefix, parts = igtl_units.unpack_unit(code)
    except BadReply:
        return
    if all(-7 <= exponent <= 7 for _, exponent in parts):
        assert igtl_units.unpack_unit(igtl_units.pack_unit(prefix, parts)) == (prefix, parts)


def test_everything_that_arrives_is_counted() -> None:
    good = igtl_messages.pack(Transform(np.eye(4)), "A", 0)
    inbox = Inbox()
    read = inbox.read(packets(good + message("BIND", bytes(2)) + message("TRANSFORM", bytes(47)) + good))
    assert [packet.type for packet, _ in read] == ["TRANSFORM", "TRANSFORM"]
    assert (inbox.understood, inbox.unknown, inbox.refused) == ({"TRANSFORM": 2}, {"BIND": 1}, {"TRANSFORM": 1})
    assert "47 bytes" in inbox.last_refusal


def test_path_name_that_does_not_fit_is_refused_before_sending() -> None:
    with pytest.raises(ConfigError, match="64"):
        TrajectoryList((Trajectory("x" * 65, (0, 0, 0), (0, 0, 1)),)).content()
