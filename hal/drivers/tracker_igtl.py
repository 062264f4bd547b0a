"""Poses over OpenIGTLink TRANSFORM (or TDATA) messages: a tracker, or the reference instrument."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from pydantic import Field

from hal.clock import NS_PER_S, Clock, Deadline
from hal.drivers.igtl_settings import IgtlSettings
from hal.drivers.plus_commands import command_text, read_reply
from hal.errors import BadReply, DeviceError, NoReply
from hal.links.device_time import DeviceTime
from hal.links.igtl.data import StartTracking, TrackingData
from hal.links.igtl.decode import decode
from hal.links.igtl.framing import Packet
from hal.links.igtl.link import IgtlLink
from hal.links.igtl.messages import STATUS_OK, Command, Status, Transform
from hal.poses import TIP_UNCERTAINTY_MAX_MM, is_identity, why_not_tracked
from hal.types import Identity, Matrix, SafeReport, TrackedPose

NOT_SEEN = (2, 4, 13, 16)
"""STATUS codes that, under a tool's name, mean that the tool is not tracked now (unknown, not found, not ready,
not present); any other is a fault of the tracker."""
NOT_UNDERSTOOD = 12
"""The server's word for a message that it does not know, here the question for its version."""
ANSWER_S = 0.3
"""How long opening waits for the server's version after the first poses."""
FUTURE_NS = 20_000_000
"""A stamp may lie this far ahead of the rig's clock: what two clocks that are kept together differ by [A]."""


class Settings(IgtlSettings):
    """Tools, and the instrument's accuracy as a reference."""

    tools: tuple[str, ...] = ()
    """Names (``AToB``) that must be there when opening; empty: any."""
    commands: bool = True
    """Ask a PlusServer-style server for its version when opening (no answer is needed)."""
    renewed_s: float = Field(0.5, gt=0, le=5)
    """A tool whose newest pose is older than this counts as not seen; trackers report 10 to 100 times a
    second [A]."""
    tracking_ms: int = Field(20, ge=1, le=1000)
    """Shortest time between two TDATA messages of a server that sends them only on request (``STT_TDATA``)."""
    sees_bending: bool = False
    """True only for a sensor in or at the needle tip."""
    tip_uncertainty_mm: float = Field(0.3, gt=0, le=TIP_UNCERTAINTY_MAX_MM)
    """Standard uncertainty of the tip at target depth, per axis."""


class Driver:
    """Keeps the newest pose of every tool."""

    role = "tracker"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.sees_bending = settings.sees_bending
        self.tip_uncertainty_mm = settings.tip_uncertainty_mm
        self._settings = settings
        self._clock = clock
        self._link = IgtlLink(settings.url, clock, settings.timeout_s)
        self._time = DeviceTime(shared=False)
        self._noticed: Counter[str] = Counter()
        """On connections before this one."""
        self._poses: dict[str, TrackedPose] = {}
        self._version = ""
        self._asked_ns: int | None = None
        self._asks_tracking = False
        """The server sends nothing unless it is asked to."""

    def open(self) -> Identity:
        """Connect and wait until every tool of the settings was reported (seen or not seen).

        A server that sends no poses for half of that time is asked for tracking data.
        """
        self._asks_tracking = False
        self._link.connect()
        self._begin()
        deadline = self._clock.deadline(self._settings.timeout_s)
        unasked = self._clock.deadline(self._settings.timeout_s / 2)
        while not self._poses or not set(self._settings.tools) <= set(self._poses):
            try:
                self._take(self._link.wait(deadline if self._asks_tracking else unasked))
            except NoReply:
                if not self._asks_tracking:
                    self._ask_tracking()
                    continue
                missing = ", ".join(sorted(set(self._settings.tools) - set(self._poses))) or "any tool"
                found = ", ".join(sorted(self._poses)) or "none"
                raise NoReply(
                    f"{self._settings.url}: no pose of {missing} within {self._settings.timeout_s:g} s (tools that"
                    f" reported: {found}); is the tracker running, are the names right?",
                    port=self._settings.url,
                ) from None
        self._await_version()
        return Identity(
            role=self.role,
            driver="igtl_tracker",
            model=(self._version or "OpenIGTLink tracker") + ": " + ", ".join(sorted(self._poses)),
            firmware=self._version,
            simulated=self._link.shares_clock or "simulat" in self._version.lower(),
        )

    def _await_version(self) -> None:
        """Give the server a moment to answer; many trackers do not know the question."""
        deadline = self._clock.deadline(min(ANSWER_S, self._settings.timeout_s))
        while self._asked_ns is not None and not deadline.expired:
            try:
                self._take(self._link.wait(deadline))
            except NoReply:
                return

    def close(self) -> None:
        self._link.close()

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Report a safe state: receiving poses moves nothing."""
        return SafeReport(self.role, True, "receives poses only; nothing to stop")

    def read(self) -> tuple[TrackedPose, ...]:
        """Newest pose of every tool; ``valid`` is False while it is not seen, has not been renewed or cannot be true,
        which ``why`` states (matrix and time of the last sight, time of the report if it was never seen). Raises
        ``LinkError``, and ``DeviceError`` for a tracker fault.
        """
        was_open = self._link.is_open
        self._link.keep(self._settings.reconnect_s, self._settings.silence_s)
        if not was_open:
            self._begin()
        self._take(self._link.poll())
        now_ns = self._clock.now_ns()
        return tuple(self._renewed(pose, now_ns) for pose in self._poses.values())

    def _renewed(self, pose: TrackedPose, now_ns: int) -> TrackedPose:
        """The pose, marked invalid when its tool has not renewed it: the tool may be elsewhere."""
        age_s = (now_ns - pose.time_ns) / NS_PER_S
        if not pose.valid or age_s <= self._settings.renewed_s + self._settings.latency_ms / 1000:
            return pose
        return replace(pose, valid=False, why=f"has not been renewed for {age_s:.1f} s")

    def notices(self) -> dict[str, int]:
        """Changes of the device's clock, and messages that were dropped as damaged."""
        clock = self._time.notices()
        damaged = {"damaged messages dropped": self._link.damaged_n} if self._link.damaged_n else {}
        return dict(self._noticed + Counter(clock)) | damaged if self._noticed or clock else damaged

    def _begin(self) -> None:
        self._noticed.update(self._time.notices())
        self._time = DeviceTime(self._link.shares_clock, round(self._settings.transfer_ms * NS_PER_S / 1000))
        self._poses = {}
        self._asked_ns = None
        if self._settings.commands:
            self._asked_ns = self._clock.now_ns()
            # Header version 1: servers of older libraries stumble over version 2.
            self._link.send(Command(1, "Version", command_text("Version")), "")

        if self._asks_tracking:  # on the connection before this one
            self._ask_tracking()

    def _ask_tracking(self) -> None:
        self._asks_tracking = True
        self._link.send(StartTracking(self._settings.tracking_ms), "")

    def _take(self, packets: list[Packet]) -> None:
        now_ns = self._clock.now_ns()
        fault: Status | None = None
        damaged: BadReply | None = None
        for packet in packets:
            try:
                message = decode(packet)
            except BadReply as error:  # the poses that came with it are good
                self._link.damaged_n += 1
                damaged = damaged or error
                continue
            match message:
                case Transform(matrix):
                    seen = packet.metadata.get("TransformStatus", "OK") == "OK"
                    self._keep(packet, packet.device, matrix, seen, now_ns)
                case TrackingData(tools):
                    for tool in tools:
                        self._keep(packet, tool.name, tool.matrix, True, now_ns)
                case Command() as answer if answer.type == "RTS_COMMAND":
                    self._version = read_reply(answer, packet.metadata).message
                    if self._asked_ns is not None:
                        self._time.answered(self._asked_ns, packet.stamp_ns, now_ns)
                        self._asked_ns = None
                case Status(code) if code == NOT_UNDERSTOOD:
                    self._asked_ns = None
                case Status() as status if status.code != STATUS_OK:
                    if status.code in NOT_SEEN and "To" in packet.device:
                        self._keep(packet, packet.device, np.eye(4), False, now_ns)
                    else:
                        fault = status
        if fault is not None:
            raise DeviceError(
                f"the tracker {self._settings.url} reports: {fault.meaning}; check its power and its line of sight",
                device=self.role,
                code=str(fault.code),
            )
        if damaged is not None:
            raise damaged

    def _keep(self, packet: Packet, name: str, matrix: Matrix, seen: bool, now_ns: int) -> None:
        taken_ns = self._time.to_clock(packet.stamp_ns, now_ns, name)
        taken_ns -= round(self._settings.latency_ms * NS_PER_S / 1000)
        last = self._poses.get(name)
        why = self._why_refused(name, matrix, last, taken_ns, now_ns) if seen else ""
        if seen and not why:
            if last is None or not last.valid or taken_ns >= last.time_ns:  # one that was overtaken brings nothing new
                self._poses[name] = TrackedPose(taken_ns, name, matrix, True)
        elif last is None:
            self._poses[name] = TrackedPose(min(taken_ns, now_ns), name, np.eye(4), False, why, bool(why))
        else:
            self._poses[name] = TrackedPose(last.time_ns, name, last.matrix, False, why, bool(why))

    def _why_refused(self, name: str, matrix: Matrix, last: TrackedPose | None, taken_ns: int, now_ns: int) -> str:
        if taken_ns > now_ns + FUTURE_NS:
            return f"is dated {(taken_ns - now_ns) / NS_PER_S:.3g} s ahead of the rig's clock"
        if is_identity(matrix) and last is not None and not is_identity(last.matrix):
            return "jumped to exactly the identity, which servers send for a tool that they do not see"
        return why_not_tracked(name, matrix)
