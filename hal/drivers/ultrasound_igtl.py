"""Ultrasound images over OpenIGTLink: PlusServer and everything that streams IMAGE messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from hal.clock import NS_PER_S, Clock, Deadline
from hal.drivers.igtl_settings import IgtlSettings
from hal.drivers.plus_commands import (
    IMAGING,
    CommandReply,
    GainScale,
    command_text,
    parameters_of,
    read_reply,
    settings_of,
)
from hal.errors import BadReply, ConfigError, DeviceError, LinkError, NoReply
from hal.files import Matrix16
from hal.links.device_time import DeviceTime
from hal.links.grey import luminance
from hal.links.igtl.decode import decode
from hal.links.igtl.framing import Packet
from hal.links.igtl.link import IgtlLink
from hal.links.igtl.messages import STATUS_OK, Command, Image, Status
from hal.poses import image_matrix, why_no_image
from hal.ranges import possible_imaging
from hal.types import Frame, Identity, ImagingSettings, Matrix, SafeReport


class Settings(IgtlSettings):
    """Connection of the scanner, and the interpretation of its images."""

    device: str = Field("Image_Probe", min_length=1, max_length=20)
    """Device name of the IMAGE messages: image frame, underscore, frame that the matrix maps to."""
    ImageToProbe: Literal["stream"] | Matrix16 = "stream"
    """``stream``: the matrix in the message; else 16 numbers, row by row, of a calibration."""
    commands: bool = True
    """False for servers that take no PlusServer commands."""
    us_device: str = ""
    """``UsDeviceId`` of the commands; empty: the server's only one."""
    gain_zero_percent: float = Field(50.0, ge=0, le=100)
    gain_db_per_percent: float = Field(0.6, gt=0, le=10)
    imaging: ImagingSettings = ImagingSettings()
    """Settings of the scanner when it cannot be queried; also the depth for which a fixed calibration holds."""

    _imaging = field_validator("imaging")(possible_imaging)

    @field_validator("ImageToProbe")
    @classmethod
    def _sixteen(cls, value: Literal["stream"] | tuple[float, ...]) -> Literal["stream"] | tuple[float, ...]:
        if value != "stream":
            image_matrix(value)
        return value


class Driver:
    """Keeps the newest frame; counts those that nobody read."""

    role = "ultrasound"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.dropped_n = 0
        """Frames of the scanner that were never returned, since ``open``."""
        self._settings = settings
        self._clock = clock
        self._link = IgtlLink(settings.url, clock, settings.timeout_s)
        self._time = DeviceTime(shared=False)
        self._noticed: Counter[str] = Counter()
        """On connections before this one."""
        self._gain = GainScale(settings.gain_zero_percent, settings.gain_db_per_percent)
        self._fixed: Matrix | None = None
        if settings.ImageToProbe != "stream":
            self._fixed = image_matrix(settings.ImageToProbe)
        self._imaging = settings.imaging
        self._newest: tuple[Packet, int] | None = None
        self._unread_n = 0
        self._last_id = 0
        self._sequence_n = 0
        self._replies: dict[int, Packet] = {}
        self._asked_ns: dict[int, int] = {}
        self._command_id = 0
        self._refusal: Status | None = None

    # ---- life ---------------------------------------------------------------------------------------------

    def open(self) -> Identity:
        """Connect, ask for version and settings, and wait for the first frame."""
        self._link.connect()
        self._begin()
        version = ""
        if self._settings.commands:
            version = self._command("Version").message
            self._imaging = self._ask()
        self._await_first()
        return Identity(
            role=self.role,
            driver="igtl_ultrasound",
            model=version or self._settings.device,
            firmware=version,
            simulated=self._link.shares_clock or "simulat" in version.lower(),
        )

    def close(self) -> None:
        self._link.close()

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Report a safe state: receiving images moves nothing."""
        return SafeReport(self.role, True, "receives images only; nothing to stop")

    def notices(self) -> dict[str, int]:
        """Changes of the device's clock, and messages that were dropped as damaged."""
        clock = self._time.notices()
        damaged = {"damaged messages dropped": self._link.damaged_n} if self._link.damaged_n else {}
        return dict(self._noticed + Counter(clock)) | damaged if self._noticed or clock else damaged

    def _begin(self) -> None:
        self._noticed.update(self._time.notices())
        self._time = DeviceTime(self._link.shares_clock, round(self._settings.transfer_ms * NS_PER_S / 1000))
        self._newest, self._refusal = None, None
        self._last_id = self._unread_n = 0
        self._replies.clear()
        self._asked_ns.clear()

    def _await_first(self) -> None:
        deadline = self._clock.deadline(self._settings.timeout_s)
        seen: set[str] = set()
        while self._newest is None:
            try:
                packets = self._link.wait(deadline)
            except NoReply:
                others = ", ".join(sorted(seen)) or "nothing at all"
                raise NoReply(
                    f"{self._settings.url}: no image of device {self._settings.device!r} within"
                    f" {self._settings.timeout_s:g} s (received: {others}); is the scanner live, is the name right?",
                    port=self._settings.url,
                ) from None
            seen |= {f"{packet.type} {packet.device}".strip() for packet in packets}
            self._sort(packets)
            self._raise_refusal()

    # ---- frames -------------------------------------------------------------------------------------------

    def read(self) -> Frame | None:
        """The newest unread frame, or None. Raises ``LinkError`` while the connection is down (it is opened
        again by a later call) and ``DeviceError`` when the server reports a fault.
        """
        was_open = self._link.is_open
        self._link.keep(self._settings.reconnect_s, self._settings.silence_s)
        if not was_open:
            self._begin()
            if self._settings.commands:  # the scanner may have been switched off and on meanwhile
                self._imaging = self._ask()
        self._sort(self._link.poll())
        self._raise_refusal()
        if self._newest is None:
            return None
        (packet, arrival_ns), self._newest = self._newest, None
        unread_n, self._unread_n = self._unread_n, 0
        image = decode(packet)
        if not isinstance(image, Image):
            raise BadReply(f"{packet.type} of {packet.device} cannot be read as an image", port=self._settings.url)
        return self._frame(packet, image, arrival_ns, unread_n)

    def _frame(self, packet: Packet, image: Image, arrival_ns: int, unread_n: int) -> Frame:
        if image.pixels.shape[0] != 1 or image.pixels.dtype != np.uint8 or image.pixels.shape[1:3] != image.size[1::-1]:
            raise BadReply(
                f"{packet.device} is no single 8-bit frame: shape {image.pixels.shape}, {image.pixels.dtype}",
                port=self._settings.url,
            )
        matrix = image.IndexToSpace if self._fixed is None else self._fixed
        why = why_no_image(matrix, (image.size[0], image.size[1]))
        if why:
            raise BadReply(
                f"{packet.device}: the image matrix {why}; check the server's calibration, or give ImageToProbe",
                port=self._settings.url,
            )
        dropped_n = unread_n - 1
        if packet.message_id:
            if 0 < self._last_id < packet.message_id:
                dropped_n = packet.message_id - self._last_id - 1
            self._last_id = self._sequence_n = packet.message_id
        else:
            self._sequence_n += unread_n
        self.dropped_n += dropped_n
        taken_ns = self._time.to_clock(packet.stamp_ns, arrival_ns)
        taken_ns -= round(self._settings.latency_ms * NS_PER_S / 1000)
        return Frame(taken_ns, luminance(image.pixels[0]), matrix, self._sequence_n, dropped_n)

    def _sort(self, packets: list[Packet]) -> None:
        now_ns = self._clock.now_ns()
        for packet in packets:
            if packet.type == "IMAGE" and packet.device == self._settings.device:
                if packet.stamp_ns:
                    self._time.to_clock(packet.stamp_ns, now_ns)
                self._newest = (packet, now_ns)
                self._unread_n += 1
            elif packet.type == "RTS_COMMAND":
                answer = decode(packet)
                if isinstance(answer, Command) and answer.command_id in self._asked_ns:  # else it was given up
                    self._replies[answer.command_id] = packet
                    self._time.answered(self._asked_ns.pop(answer.command_id), packet.stamp_ns, now_ns)
            elif packet.type == "STATUS":
                status = decode(packet)
                if isinstance(status, Status) and status.code != STATUS_OK:
                    self._refusal = status

    def _raise_refusal(self) -> None:
        status, self._refusal = self._refusal, None
        if status is not None:
            raise DeviceError(
                f"the ultrasound server {self._settings.url} reports: {status.meaning}; check the scanner's screen",
                device=self.role,
                code=str(status.code),
            )

    # ---- imaging settings ---------------------------------------------------------------------------------

    def settings(self) -> ImagingSettings:
        """As last reported by the scanner, or as configured when it takes no commands."""
        return self._imaging

    def apply(self, settings: ImagingSettings) -> ImagingSettings:
        """Send the differing settings once, then ask which are in force. A refused parameter raises ``DeviceError``."""
        if self._fixed is not None and settings.depth_mm != self._settings.imaging.depth_mm:
            raise ConfigError(
                f"the ImageToProbe calibration holds for {self._settings.imaging.depth_mm:g} mm depth, not for"
                f" {settings.depth_mm:g} mm; calibrate at that depth or take the matrix from the stream"
            )
        if not self._settings.commands:
            return self._imaging
        before = parameters_of(self._imaging, self._gain)
        wanted = parameters_of(settings, self._gain)
        changes = [(key, value) for key, value in wanted.items() if abs(value - before[key]) > 1e-9]
        if changes:
            reply = self._command("SetUsParameter", changes)
            self._imaging = self._ask()
            if not reply.done:
                asked = ", ".join(f"{key}={value:g}" for key, value in changes)
                raise DeviceError(
                    f"the scanner refused {asked}: {reply.message}; in force: {self._imaging}", device=self.role
                )
        return self._imaging

    def _ask(self) -> ImagingSettings:
        reply = self._command("GetUsParameter", [(key, None) for key in IMAGING])
        return settings_of(reply.values, self._imaging, self._gain)

    def _command(self, name: str, parameters: Iterable[tuple[str, float | None]] = ()) -> CommandReply:
        self._command_id += 1
        command_id = self._command_id
        text = command_text(name, parameters, self._settings.us_device)
        self._asked_ns[command_id] = self._clock.now_ns()
        self._link.send(Command(command_id, name, text), "", version=2)
        deadline = self._clock.deadline(self._settings.timeout_s)
        while command_id not in self._replies:
            try:
                self._sort(self._link.wait(deadline))
            except NoReply:
                self._asked_ns.pop(command_id, None)
                raise NoReply(
                    f"{self._settings.url}: no answer to {name} within {self._settings.timeout_s:g} s, its effect is"
                    " unknown; does the server take commands (setting 'commands')?",
                    port=self._settings.url,
                    command=name,
                ) from None
            self._raise_refusal()
        packet = self._replies.pop(command_id)
        answer = decode(packet)
        if not isinstance(answer, Command):
            raise LinkError(f"answer to {name} cannot be read", port=self._settings.url, command=name)
        return read_reply(answer, packet.metadata)
