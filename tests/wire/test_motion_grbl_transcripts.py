"""Golden transcripts of Grbl and grblHAL, played against the simulator and the driver."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hal.clock import VirtualClock
from hal.drivers.motion_grbl import GrblController
from hal.drivers.motion_status import parse_report
from hal.errors import BadReply, DeviceError
from hal.links.wire import Endpoint, publish, withdraw
from hal.sim.devices.motion_config import Axis, Firmware, GrblConfig
from hal.sim.devices.motion_grbl import GrblCore

DATA = tomllib.loads(Path(__file__).with_name("motion_grbl.toml").read_text())
SCENES = DATA["scene"]
NS = 1_000_000_000


def _scene_core(scene: dict[str, Any]) -> GrblCore:
    firmware = Firmware(scene["firmware"])
    letters = "XYZ" if firmware is Firmware.GRBL else "XYZABC"
    soft = scene.get("soft_limits", False)
    config = GrblConfig(
        firmware,
        tuple(Axis(letter, -200.0, 0.0, 3000.0, 200.0) for letter in letters),
        (0.0,) * len(letters),
        homed=scene.get("homed", True),
        soft_limits=soft,
        homing=soft,
        note="",
    )
    return GrblCore(config)


@pytest.mark.parametrize("scene", SCENES, ids=[scene["name"] for scene in SCENES])
def test_the_simulator_answers_as_the_firmware_did(scene: dict[str, Any]) -> None:
    core, now = _scene_core(scene), NS
    for step in scene["steps"]:
        core.receive(step["send"].encode("latin-1"), now)
        now += int(step.get("wait_s", 0.1) * NS)
        reply = core.transmit(now).decode("ascii")
        if "reply" in step:
            assert reply == step["reply"], step
        else:
            assert re.fullmatch(step["like"], reply), (step, reply)


class _Script:
    """A device that answers exactly what a transcript says, once each, and remembers what it was sent."""

    def __init__(self, exchanges: list[tuple[bytes, bytes]]) -> None:
        self.exchanges = list(exchanges)
        self.received = b""
        self._out = b""

    def receive(self, data: bytes, now_ns: int) -> None:
        self.received += data
        if self.exchanges and data == self.exchanges[0][0]:
            self._out += self.exchanges.pop(0)[1]
        elif data == b"\n":
            self._out += b"ok\r\n"

    def transmit(self, now_ns: int) -> bytes:
        out, self._out = self._out, b""
        return out

    def next_ns(self, now_ns: int) -> int | None:
        return now_ns if self._out else None


def _refusals() -> list[Any]:
    return [
        pytest.param(step, id=f"{scene['firmware']} {step['send']!r}")
        for scene in SCENES
        for step in scene["steps"]
        if "error" in step.get("means", {})
    ]


@pytest.mark.parametrize("step", _refusals())
def test_the_driver_reports_a_refusal_and_sends_an_empty_line_after_it(step: dict[str, Any]) -> None:
    clock = VirtualClock()
    script = _Script([(step["send"].encode(), step["reply"].encode())])
    publish("script", Endpoint(script, clock))
    try:
        controller = GrblController("rigsim://script", 115200, "XYZ", clock, "holder")
        controller._line.open()
        with pytest.raises(DeviceError) as refused:
            controller._command(step["send"].rstrip("\n"))
    finally:
        withdraw("script")
    assert refused.value.code == step["means"]["error"]
    assert script.received == step["send"].encode() + b"\n"


def _reports() -> list[Any]:
    found = [
        (step["reply"].strip(), step["means"])
        for scene in SCENES
        for step in scene["steps"]
        if step["send"] == "?" and "means" in step
    ]
    found += [(report["line"], report["means"]) for report in DATA["report"]]
    return [pytest.param(line, means, id=line[:40]) for line, means in found]


@pytest.mark.parametrize(("line", "means"), _reports())
def test_the_driver_understands_a_status_report(line: str, means: dict[str, Any]) -> None:
    report = parse_report(line)
    assert report.mode.value == means["mode"]
    assert report.state == means["state"]
    assert list(report.position) == means["position"]
    assert report.estop is means["estop"]
    if "work_offset" in means:
        assert report.work_offset is not None and list(report.work_offset) == means["work_offset"]


def _scene_reply(firmware: str, asked: str) -> bytes:
    """Answer of this firmware's transcript to a listing, first time."""
    memory = next(s for s in SCENES if s["firmware"] == firmware and "remembers after a reset" in s["name"])
    reply: str = next(step["reply"] for step in memory["steps"] if step["send"] == asked)
    return reply.encode()


IDENTITIES = [scene for scene in SCENES if scene["name"].startswith("welcome")]


@pytest.mark.parametrize("scene", IDENTITIES, ids=[scene["firmware"] for scene in IDENTITIES])
def test_the_driver_opens_on_the_recorded_identity(scene: dict[str, Any]) -> None:
    hal = scene["firmware"] == "grblHAL"
    identity = (
        "[VER:1.1f.20260817:]\r\n[OPT:VNM,100,1024,6,0]\r\n[AXS:6:XYZABC]\r\n[FIRMWARE:grblHAL]\r\nok\r\n"
        if hal
        else scene["steps"][1]["reply"]
    )
    report = next(step for step in scene["steps"] if step["send"] == "?")["reply"].encode()
    clock = VirtualClock()
    exchanges = [
        (b"?", report),
        (b"?", report),
        (b"?", report),  # the first position of a session is believed when a second report says the same
    ]
    listings = {
        b"$I\n": identity.encode(),
        b"$#\n": _scene_reply(scene["firmware"], "$#\n"),
        b"$$\n": b"$13=0\r\n$20=1\r\n$22=1\r\n$130=200.000\r\nok\r\n",
        b"$G\n": _scene_reply(scene["firmware"], "$G\n"),
        b"$N\n": b"$N0=\r\n$N1=\r\nok\r\n",
    }
    for asked, answer in listings.items():
        exchanges += [(asked, answer), (asked, answer)]  # no listing has a checksum: two answers must be equal
    script = _Script(exchanges)
    publish("script", Endpoint(script, clock))
    try:
        controller = GrblController("rigsim://script", 115200, "XYZABC" if hal else "XYZ", clock, "holder")
        firmware = controller.open()
    finally:
        withdraw("script")
    assert script.received == b"???" + b"".join(asked * 2 for asked in listings)  # nothing that could move an axis
    assert firmware.name == ("grblHAL" if hal else "Grbl")
    assert firmware.version == ("1.1f.20260817" if hal else "1.1h.20190830")
    assert firmware.settings[130] == 200.0


@pytest.mark.parametrize("line", [damaged["line"] for damaged in DATA["damaged"]])
def test_a_report_that_no_firmware_can_have_printed_is_refused(line: str) -> None:
    with pytest.raises(BadReply, match="damaged"):
        parse_report(line)
