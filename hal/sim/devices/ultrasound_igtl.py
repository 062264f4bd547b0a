"""Simulated ultrasound scanner behind an OpenIGTLink server with PlusServer-style commands.

Streams IMAGE messages of device ``Image_Probe`` whose matrix is ``ImageToProbe``; a frame is rendered only when
somebody takes it. Imaging parameters are set and asked by COMMAND (answered by RTS_COMMAND) or, the older way, by
STRING to ``CMD_<id>`` (answered by STRING from ``ACK_<id>``); names and reply texts follow PlusServer's
documentation of the commands SetUsParameter, GetUsParameter, Version and RequestDeviceIds.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from xml.sax.saxutils import escape, quoteattr

from hal.clock import NS_PER_S
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl.framing import Packet
from hal.links.igtl.messages import Answer, Command, Image, Message, Query, String
from hal.sim.devices.igtl_server import IgtlServer, Schedule
from hal.sim.ports import ImagePort
from hal.sim.simulators import TCP, SimDevice, SimPlace
from hal.types import ImagingSettings, Matrix

GAIN_ZERO_PERCENT = 50.0
GAIN_DB_PER_PERCENT = 0.6
"""The scanner's gain knob: 0..100 % for -30..+30 dB (property of this simulated scanner)."""
RANGES = {
    "DepthMm": (30.0, 200.0),
    "FrequencyMhz": (1.5, 12.0),
    "GainPercent": (0.0, 100.0),
    "DynRangeDb": (30.0, 90.0),
    "SoundVelocity": (1400.0, 1650.0),
}
"""Ranges that the scanner accepts, by PLUS parameter name (property of this simulated scanner)."""
VERSION = "Simulated scanner 1.0"

Geometry = Callable[[ImagingSettings], Matrix]
"""``ImageToProbe`` of a full frame for given settings."""


class UltrasoundCore(IgtlServer):
    """The scanner. ``latency_ms`` is the time from taking a frame to its first byte on the line; the stamp is
    the time of taking (latency of the order of one to two frames, as capture chains have).
    """

    device = "Image_Probe"
    capability = ("IMAGE", "GET_IMAGE", "STT_IMAGE", "STP_IMAGE", "GET_STATUS", "COMMAND", "STRING", "GET_CAPABIL")

    def __init__(
        self,
        port: ImagePort,
        geometry: Geometry,
        *,
        rate_hz: float = 20.0,
        latency_ms: float = 30.0,
        settings: ImagingSettings | None = None,
    ) -> None:
        super().__init__(Schedule(rate_hz, round(latency_ms * NS_PER_S / 1000)))
        self.settings = settings or ImagingSettings()
        self.rendered_n = 0
        self._port = port
        self._geometry = geometry
        self._placed: tuple[ImagingSettings, Matrix] | None = None

    def _sample(self, index: int, taken_ns: int) -> bytes:
        pixels = self._port.render(taken_ns, self.settings)
        self.rendered_n += 1
        if self._placed is None or self._placed[0] != self.settings:
            self._placed = self.settings, self._geometry(self.settings)
        image = Image.placed(pixels, self._placed[1])
        if self._version == 1:
            return igtl_messages.pack(image, self.device, self.stamp(taken_ns))
        metadata = {"FrameNumber": str(index), **{name: _number(value) for name, value in self._parameters().items()}}
        return igtl_messages.pack(
            image, self.device, self.stamp(taken_ns), version=2, message_id=(index + 1) & 0xFFFFFFFF, metadata=metadata
        )

    def _answer(self, packet: Packet, message: Message, now_ns: int) -> bool:
        match message:
            case Command(command_id, name, text, "COMMAND"):
                done, reply, values = self._execute(text, name)
                parameters = "".join(
                    f"<Parameter Name={quoteattr(key)} Success={quoteattr('true' if value else 'false')}"
                    + (f" Value={quoteattr(value)}" if value else "")
                    + "/>"
                    for key, value in values.items()
                )
                body = (
                    f"<Command><Result>{'true' if done else 'false'}</Result>{parameters}"
                    f"<Message>{escape(reply)}</Message></Command>"
                )
                answer = Command(command_id, name if done else reply[:127], body, "RTS_COMMAND")
                self._reply(answer, packet.device, now_ns, values)
            case String(text) if packet.device.startswith("CMD_"):
                done, reply, values = self._execute(text, "")
                if values and done:
                    reply = " ".join(f"{key}={value}" for key, value in values.items())
                status = "SUCCESS" if done else "FAIL"
                self._reply(
                    String(f"<CommandReply Status={quoteattr(status)} Message={quoteattr(reply)} />"),
                    "ACK_" + packet.device.removeprefix("CMD_"),
                    now_ns,
                )
            case Query("GET_IMAGE"):
                self._again = True
            case Query("STT_IMAGE" | "STP_IMAGE" as kind):
                self._streaming = kind == "STT_IMAGE"
                self._reply(Answer("RTS_IMAGE", True), self.device, now_ns)
            case _:
                return False
        return True

    # ---- commands ---------------------------------------------------------------------------------------

    def _execute(self, text: str, name: str) -> tuple[bool, str, dict[str, str]]:
        """Success, a message, and parameter values (empty text: refused)."""
        try:
            element = ElementTree.fromstring(text)
        except ElementTree.ParseError as problem:
            return False, f"Cannot parse the command: {problem}", {}
        match (element.get("Name") or name).lower():
            case "version":
                return True, VERSION, {}
            case "requestdeviceids":
                return True, "VideoDevice", {}
            case "getusparameter":
                known = self._parameters()
                wanted = [item.get("Name") or "" for item in element.findall("Parameter")]
                values = {key: _number(known[key]) if key in known else "" for key in wanted}
                bad = [key for key, value in values.items() if not value]
                return not bad, "" if not bad else f"Invalid parameter {', '.join(bad)}.", values
            case "setusparameter":
                return self._set(element)
        return False, f"Unknown command {element.get('Name') or name}", {}

    def _set(self, element: ElementTree.Element) -> tuple[bool, str, dict[str, str]]:
        values: dict[str, str] = {}
        problems = []
        for item in element.findall("Parameter"):
            key = item.get("Name") or ""
            try:
                wanted = float(item.get("Value") or "")
            except ValueError:
                values[key] = ""
                problems.append(f"Failed to parse {key}.")
                continue
            low, high = RANGES.get(key, (1.0, 0.0))
            if not low <= wanted <= high:
                values[key] = ""
                problems.append(f"Failed to set {key}={wanted:g}" + (f" ({low:g}..{high:g})." if low < high else "."))
                continue
            self._assign(key, wanted)
            values[key] = _number(self._parameters()[key])
        return not problems, " ".join(problems), values

    def _parameters(self) -> dict[str, float]:
        now = self.settings
        return {
            "DepthMm": now.depth_mm,
            "FrequencyMhz": now.frequency_mhz,
            "GainPercent": GAIN_ZERO_PERCENT + now.gain_db / GAIN_DB_PER_PERCENT,
            "DynRangeDb": now.dynamic_range_db,
            "SoundVelocity": now.sound_speed_m_s,
        }

    def _assign(self, key: str, value: float) -> None:
        match key:
            case "DepthMm":
                self.settings = replace(self.settings, depth_mm=value)
            case "FrequencyMhz":
                self.settings = replace(self.settings, frequency_mhz=value)
            case "GainPercent":
                self.settings = replace(self.settings, gain_db=(value - GAIN_ZERO_PERCENT) * GAIN_DB_PER_PERCENT)
            case "DynRangeDb":
                self.settings = replace(self.settings, dynamic_range_db=value)
            case "SoundVelocity":
                self.settings = replace(self.settings, sound_speed_m_s=value)


def _number(value: float) -> str:
    return f"{value:.10g}"


def simulator(place: SimPlace) -> SimDevice:
    """The scanner of a simulated bench."""
    imaging = place.imaging
    core = UltrasoundCore(place.surroundings, imaging.geometry, rate_hz=imaging.rate_hz, settings=imaging.settings)
    return SimDevice(place.role, place.driver, core, None, TCP)
