"""The OpenIGTLink ultrasound driver against scripted servers: golden exchanges, drops, faults, reconnection."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from hal.clock import Deadline, VirtualClock
from hal.drivers.plus_commands import command_text, read_reply
from hal.drivers.ultrasound_igtl import Driver, Settings
from hal.errors import BadReply, ConfigError, DeviceError, LinkError, NoReply
from hal.interfaces import Ultrasound
from hal.links.igtl import framing as igtl
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl.decode import decode
from hal.links.igtl.messages import Command, Image, Status
from hal.links.wire import Endpoint, publish, withdraw
from hal.types import ImagingSettings

WIRE = tomllib.loads((Path(__file__).parents[3] / "wire/ultrasound_igtl.toml").read_text())
MS = 1_000_000


class Script:
    """A server that sends what the test puts in, and answers commands from a list of texts."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.answers: list[str] = []
        self.received: list[igtl.Packet] = []

    def receive(self, data: bytes, now_ns: int) -> None:
        parser = igtl.Parser()
        parser.feed(data)
        while (packet := parser.next_packet()) is not None:
            self.received.append(packet)
            command = decode(packet)
            if isinstance(command, Command) and self.answers:
                reply = Command(command.command_id, command.name, self.answers.pop(0), "RTS_COMMAND")
                self.out += igtl_messages.pack(reply, "", now_ns, version=2)

    def transmit(self, now_ns: int) -> bytes:
        data = bytes(self.out)
        self.out.clear()
        return data

    def next_ns(self, now_ns: int) -> int | None:
        return now_ns if self.out else None

    def image(self, stamp_ns: int, grey: int = 7, message_id: int = 0, device: str = "Image_Probe") -> None:
        image = Image.placed(np.full((3, 5), grey, np.uint8), np.diag([0.2, 0.2, 1.0, 1.0]))
        version = 2 if message_id else 1
        self.out += igtl_messages.pack(image, device, stamp_ns, version=version, message_id=message_id)


@pytest.fixture
def server():
    script = Script()
    clock = VirtualClock(10 * MS)
    endpoint = Endpoint(script, clock)
    publish("scripted", endpoint)
    yield script, clock, endpoint
    withdraw("scripted")


def driver(clock: VirtualClock, **settings: object) -> Driver:
    return Driver(Settings.model_validate({"url": "rigsim://scripted", "commands": False, **settings}), clock)


def opened(script: Script, clock: VirtualClock, **settings: object) -> Driver:
    script.image(1 * MS, message_id=1)
    device = driver(clock, **settings)
    device.open()
    assert device.read() is not None
    return device


def test_driver_is_an_ultrasound_device() -> None:
    assert isinstance(driver(VirtualClock()), Ultrasound)


def test_newest_frame_is_read_once_with_its_own_time_and_matrix(server) -> None:
    script, clock, _ = server
    device = opened(script, clock)
    script.image(5 * MS, grey=1, message_id=2)
    script.image(9 * MS, grey=2, message_id=3)
    frame = device.read()
    assert frame is not None
    assert (frame.time_ns, frame.sequence_n, frame.dropped_n) == (9 * MS, 3, 1)
    assert frame.pixels.flags.writeable
    assert int(frame.pixels[0, 0]) == 2
    assert frame.ImageToProbe == pytest.approx(np.diag([0.2, 0.2, 1.0, 1.0]), abs=1e-6)
    assert device.read() is None
    assert device.dropped_n == 1


def test_frames_that_never_came_are_counted_from_the_message_numbers(server) -> None:
    script, clock, _ = server
    device = opened(script, clock)
    script.image(9 * MS, message_id=41)
    frame = device.read()
    assert frame is not None
    assert frame.dropped_n == 39


def test_without_message_numbers_only_received_frames_are_counted(server) -> None:
    script, clock, _ = server
    script.image(1 * MS)
    device = driver(clock)
    device.open()
    device.read()
    for stamp in (2, 3, 4):
        script.image(stamp * MS)
    frame = device.read()
    assert frame is not None
    assert (frame.sequence_n, frame.dropped_n) == (4, 2)


def test_latency_of_the_calibration_makes_the_frame_older(server) -> None:
    script, clock, _ = server
    device = opened(script, clock, latency_ms=2.5)
    script.image(9 * MS, message_id=2)
    frame = device.read()
    assert frame is not None
    assert frame.time_ns == 6_500_000


def test_message_without_stamp_gets_the_time_of_its_arrival(server) -> None:
    script, clock, _ = server
    device = opened(script, clock)
    script.image(0, message_id=2)
    clock.sleep(0.5)
    frame = device.read()
    assert frame is not None
    assert frame.time_ns == clock.now_ns()


def test_calibration_of_the_settings_takes_the_place_of_the_matrix_in_the_stream(server) -> None:
    script, clock, _ = server
    matrix = [0.1, 0, 0, 1, 0, 0, 0.1, 2, 0, -0.1, 0, 3, 0, 0, 0, 1]
    script.image(1 * MS)
    device = driver(clock, ImageToProbe=matrix)
    device.open()
    frame = device.read()
    assert frame is not None
    assert frame.ImageToProbe.ravel().tolist() == matrix
    with pytest.raises(ConfigError, match="calibration holds for"):
        device.apply(ImagingSettings(depth_mm=50.0))


def test_missing_image_names_what_came_instead(server) -> None:
    script, clock, _ = server
    script.image(1 * MS, device="Image_Reference")
    with pytest.raises(NoReply, match="Image_Reference"):
        driver(clock).open()


def test_status_error_of_the_server_is_a_device_error_once(server) -> None:
    script, clock, _ = server
    device = opened(script, clock)
    script.out += igtl_messages.pack(Status(18, 0, "PROBE", "no probe connected"), "Image_Probe", 0)
    script.image(9 * MS, message_id=2)
    with pytest.raises(DeviceError, match="no probe connected") as caught:
        device.read()
    assert caught.value.code == "18"
    assert device.read() is not None


def test_damaged_frame_is_passed_over_and_the_next_one_read(server) -> None:
    script, clock, _ = server
    device = opened(script, clock)
    script.image(5 * MS, message_id=2)
    script.out[-1] ^= 0x10
    script.image(9 * MS, message_id=3)
    frame = device.read()
    assert frame is not None
    assert (frame.sequence_n, frame.dropped_n) == (3, 1)


def test_stream_that_cannot_be_followed_is_an_error_and_is_opened_again(server) -> None:
    script, clock, _ = server
    device = opened(script, clock)
    script.out += bytes(100)
    with pytest.raises(BadReply):
        device.read()
    with pytest.raises(LinkError, match="not connected"):
        device.read()
    clock.sleep(1.1)
    script.image(clock.now_ns(), message_id=1)
    assert device.read() is not None


def test_pulled_cable_is_an_error_until_it_is_back(server) -> None:
    script, clock, endpoint = server
    device = opened(script, clock)
    endpoint.connected = False
    with pytest.raises(LinkError, match="interrupted"):
        device.read()
    endpoint.connected = True
    clock.sleep(1.1)
    script.image(clock.now_ns(), message_id=9)
    frame = device.read()
    assert frame is not None
    assert frame.dropped_n == 0


def test_silent_server_is_given_up(server) -> None:
    script, clock, _ = server
    device = opened(script, clock, silence_s=2.0)
    clock.sleep(1.9)
    assert device.read() is None
    clock.sleep(0.2)
    with pytest.raises(LinkError, match="nothing for"):
        device.read()


def test_colour_image_becomes_luminance(server) -> None:
    script, clock, _ = server
    device = opened(script, clock)
    colour = np.zeros((1, 2, 2, 3), np.uint8)
    colour[..., 1] = 100
    script.out += igtl_messages.pack(Image(colour, np.eye(4)), "Image_Probe", 9 * MS)
    frame = device.read()
    assert frame is not None
    assert frame.pixels.tolist() == [[59, 59], [59, 59]]


def test_volume_is_refused(server) -> None:
    script, clock, _ = server
    device = opened(script, clock)
    script.out += igtl_messages.pack(Image(np.zeros((2, 3, 4), np.uint8), np.eye(4)), "Image_Probe", 9 * MS)
    with pytest.raises(BadReply, match="single"):
        device.read()


@pytest.mark.parametrize("exchange", [e for e in WIRE["exchange"] if "reply" in e], ids=lambda e: e["name"])
def test_reply_is_read_as_in_the_golden_exchange(exchange: dict) -> None:
    reply = read_reply(Command(1, "", exchange["reply"], "RTS_COMMAND"), {})
    assert reply.done == (exchange["result"] == "true")
    assert dict(reply.values) == exchange["values"]


def test_command_text_is_that_of_the_golden_exchange() -> None:
    ask, change = WIRE["exchange"][0], WIRE["exchange"][1]
    assert command_text("GetUsParameter", [("DepthMm", None)]) == ask["sends"]
    assert command_text("SetUsParameter", [("DepthMm", 60.0), ("GainPercent", 60.0)]) == change["sends"]


def accept(depth: int) -> str:
    return f'<Command><Result>true</Result><Parameter Name="DepthMm" Success="true" Value="{depth}"/></Command>'


def with_commands(script: Script, clock: VirtualClock) -> Driver:
    script.answers = ["<Command><Result>true</Result><Message>Plus 2.9</Message></Command>", accept(90)]
    script.image(1 * MS, message_id=1)
    device = driver(clock, commands=True)
    identity = device.open()
    assert identity.model == "Plus 2.9"
    return device


def test_settings_are_sent_once_and_asked_back(server) -> None:
    script, clock, _ = server
    device = with_commands(script, clock)
    before = len(script.received)
    script.answers = [accept(61), accept(61)]
    applied = device.apply(replace(device.settings(), depth_mm=60.0))
    assert applied.depth_mm == 61.0
    assert device.settings() == applied
    names = [decode(packet).name for packet in script.received[before:]]
    assert names == ["SetUsParameter", "GetUsParameter"]


def test_unchanged_settings_are_not_sent(server) -> None:
    script, clock, _ = server
    device = with_commands(script, clock)
    before = len(script.received)
    device.apply(device.settings())
    assert len(script.received) == before


def test_refused_setting_is_a_device_error_that_says_what_is_in_force(server) -> None:
    script, clock, _ = server
    device = with_commands(script, clock)
    script.answers = ["<Command><Result>false</Result><Message>too deep</Message></Command>", accept(90)]
    with pytest.raises(DeviceError, match="too deep"):
        device.apply(replace(device.settings(), depth_mm=900.0))
    assert device.settings().depth_mm == 90.0


def test_lost_answer_to_a_setting_is_no_reply_and_is_not_sent_again(server) -> None:
    script, clock, _ = server
    device = with_commands(script, clock)
    before = len(script.received)
    with pytest.raises(NoReply, match="effect is unknown"):
        device.apply(replace(device.settings(), depth_mm=60.0))
    assert len(script.received) == before + 1


def test_nothing_moves_so_making_safe_needs_nothing(server) -> None:
    _, clock, _ = server
    assert driver(clock).make_safe(Deadline(clock, 0)).safe


@pytest.mark.parametrize("bad", [{"url": "http://x"}, {"ImageToProbe": [1.0, 2.0]}, {"timeout_s": 0}, {"nonsense": 1}])
def test_impossible_settings_are_refused(bad: dict) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(bad)


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "9000", "1e300"])
def test_an_impossible_imaging_parameter_is_a_bad_reply(value: str) -> None:
    text = f'<Command><Result>true</Result><Message>x</Message><Parameter Name="DepthMm" Value="{value}"/></Command>'
    with pytest.raises(BadReply, match="DepthMm"):
        read_reply(Command(1, "GetUsParameter", text, "RTS_COMMAND"), {})


def test_an_answer_to_a_command_that_was_given_up_is_dropped(server) -> None:
    script, clock, _ = server
    script.image(10 * MS)
    device = driver(clock)
    device.open()
    with pytest.raises(NoReply):
        device._command("Version")
    late = Command(1, "Version", "<Command><Result>true</Result><Message>old</Message></Command>", "RTS_COMMAND")
    script.out += igtl_messages.pack(late, "", 10 * MS, version=2)
    script.answers.append("<Command><Result>true</Result><Message>new</Message></Command>")
    assert device._command("Version").message == "new"
    assert not device._replies


def test_what_happens_to_the_scanners_clock_is_noticed(server) -> None:
    script, clock, _ = server
    script.image(10 * MS)
    device = driver(clock)
    device.open()
    device._link._stream.shares_clock = False  # another machine
    device._begin()
    for n in range(60):
        clock.sleep(1 / 30)
        script.image(5_000 * MS + n * 1000 * MS // 30 - (500 * MS if n > 30 else 0))
        frame = device.read()
        assert frame is not None
        assert abs(frame.time_ns - clock.now_ns()) <= 2 * MS
    assert device.notices() == {"device clock: set back": 1}


@pytest.mark.parametrize("spoil", ["metres", "no width", "not finite", "absurd", "no third axis"])
def test_a_matrix_that_no_picture_has_is_a_bad_reply_and_the_next_frame_is_read(server, spoil: str) -> None:
    script, clock, _ = server
    device = opened(script, clock)
    matrix = np.diag({
        "metres": [2e-4, 2e-4, 1.0, 1.0], "no width": [0.0, 0.2, 1.0, 1.0], "not finite": [np.nan, 0.2, 1.0, 1.0],
        "absurd": [200.0, 200.0, 1.0, 1.0], "no third axis": [0.2, 0.2, 0.0, 1.0],
    }[spoil])  # fmt: skip
    script.out += igtl_messages.pack(Image.placed(np.zeros((3, 5), np.uint8), matrix), "Image_Probe", 5 * MS)
    with pytest.raises(BadReply, match="image matrix"):
        device.read()
    script.image(9 * MS)
    assert device.read() is not None


@pytest.mark.parametrize(
    "bad",
    [
        {"ImageToProbe": [0.0] * 15 + [1.0]},
        {"ImageToProbe": [*np.diag([2e-4, 2e-4, 1.0, 1.0]).ravel()]},
        {"imaging": {"depth_mm": 0.0}},
        {"imaging": {"sound_speed_m_s": 1.54}},
        {"imaging": {"sound_speed_m_s": float("nan")}},
    ],
)
def test_scales_that_no_scanner_has_are_refused(bad: dict) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(bad)
