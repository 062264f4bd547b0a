"""Simulated tracker behind an OpenIGTLink server: one TRANSFORM per tool and sample.

A tool that is not seen is reported as STATUS 16 (device not present) under the tool's name; to a client of
header version 2 also in the metadata item ``TransformStatus``. ``STT_TDATA`` switches the connection to TDATA.
"""

from __future__ import annotations

import numpy as np

from hal.clock import NS_PER_S
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl.data import StartTracking, TrackedTool, TrackingData
from hal.links.igtl.framing import Packet
from hal.links.igtl.messages import Answer, Command, Message, Query, Status, String, Transform
from hal.sim.devices.igtl_server import IgtlServer, Schedule
from hal.sim.ports import TrackerPort
from hal.sim.simulators import TCP, SimDevice, SimPlace
from hal.types import Matrix

NOT_PRESENT = 16
VERSION = "Simulated tracker 1.0"


class TrackerCore(IgtlServer):
    """The tracker. The stamp is the moment of measuring; the message follows ``latency_ms`` later (10-30 ms are
    usual for optical and electromagnetic trackers).
    """

    device = "Tracker"
    capability = ("TRANSFORM", "GET_TRANS", "TDATA", "STT_TDATA", "STP_TDATA", "STATUS", "GET_STATUS", "GET_CAPABIL")

    def __init__(self, port: TrackerPort, *, rate_hz: float = 40.0, latency_ms: float = 15.0) -> None:
        super().__init__(Schedule(rate_hz, round(latency_ms * NS_PER_S / 1000)))
        self._port = port
        self._bundled = False
        self._base = self.schedule

    def line_opened(self, now_ns: int) -> None:
        self.schedule = self._base
        self._bundled = False
        super().line_opened(now_ns)

    def _sample(self, index: int, taken_ns: int) -> bytes:
        tracked = self._port.tracked(taken_ns)
        if self._bundled:
            tools = tuple(TrackedTool(name, matrix) for name, matrix in tracked.items() if matrix is not None)
            return igtl_messages.pack(TrackingData(tools), self.device, self.stamp(taken_ns), version=self._version)
        return b"".join(self._one(index, taken_ns, name, matrix) for name, matrix in tracked.items())

    def _one(self, index: int, taken_ns: int, name: str, matrix: Matrix | None) -> bytes:
        message: Message
        if matrix is None:
            message = Status(NOT_PRESENT, 0, "MISSING", f"{name} is not seen")
        else:
            message = Transform(matrix)
        if self._version == 1:
            return igtl_messages.pack(message, name, self.stamp(taken_ns))
        if matrix is None:
            message = Transform(np.eye(4))
        state = {"TransformStatus": "OK" if matrix is not None else "MISSING"}
        return igtl_messages.pack(
            message, name, self.stamp(taken_ns), version=2, message_id=(index + 1) & 0xFFFFFFFF, metadata=state
        )

    def _answer(self, packet: Packet, message: Message, now_ns: int) -> bool:
        match message:
            case StartTracking(period_ms):
                rate_hz = min(self._base.rate_hz, 1000.0 / period_ms) if period_ms > 0 else self._base.rate_hz
                self.schedule = Schedule(rate_hz, self._base.latency_ns)
                self._sent = self.schedule.newest(now_ns)
                self._bundled = self._streaming = True
                self._reply(Answer("RTS_TDATA", True), self.device, now_ns)
            case Query("STP_TDATA"):
                self._streaming = False
                self._reply(Answer("RTS_TDATA", True), self.device, now_ns)
            case Query("GET_TRANS"):
                self._again = True
            case Command(command_id, name, text, "COMMAND"):
                done = "Version" in (name, text) or 'Name="Version"' in text
                body = (
                    f"<Command><Result>true</Result><Message>{VERSION}</Message></Command>"
                    if done
                    else "<Command><Result>false</Result></Command>"
                )
                answer = Command(command_id, name if done else "Unknown command", body, "RTS_COMMAND")
                self._reply(answer, packet.device, now_ns)
            case String() if packet.device.startswith("CMD_"):
                self._reply(
                    String('<CommandReply Status="FAIL" Message="the tracker takes no commands" />'),
                    "ACK_" + packet.device.removeprefix("CMD_"),
                    now_ns,
                )
            case _:
                return False
        return True


def simulator(place: SimPlace) -> SimDevice:
    """This device on a simulated bench."""
    core = TrackerCore(place.tracked)
    return SimDevice(place.role, place.driver, core, None, TCP)
