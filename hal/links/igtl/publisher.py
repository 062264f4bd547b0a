"""Publishing over OpenIGTLink: frames, transforms and sensor values, for 3D Slicer and others.

``Publisher`` is the sans-I/O half: whoever has a new value offers it (from any task, at once, never waiting), and
every listener takes its own newest messages. A slow listener loses the older of two messages of one name, counted
in ``dropped``; texts and states are kept in order up to a limit. Messages go out in header version 1 until the
listener sends one of version 2; then metadata follow: rig time, unit, whether the data are simulated.
``hal.links.igtl.server`` puts it on a TCP port.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hal.errors import BadReply, ConfigError
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl.data import Capability, LabelledPoint, PointList, Sensor, StartTracking, TrackedTool, TrackingData
from hal.links.igtl.framing import Packet, Parser
from hal.links.igtl.inbox import Inbox
from hal.links.igtl.messages import Answer, Image, Message, Query, Status, String, Transform
from hal.links.igtl.tracks import Trajectory, TrajectoryList
from hal.links.igtl.units import code_of
from hal.types import Frame, Matrix

TYPES = ("IMAGE", "TRANSFORM", "SENSOR", "TDATA", "POINT", "TRAJ", "STRING", "STATUS", "CAPABILITY")
DEVICE = "phantomrig"
_TEXTS = 256
"""Texts and answers that wait for one listener; older ones are dropped and counted."""
_MAX_QUESTION_BYTES = 1 << 20
"""Largest message that is taken from a client: it asks, it does not deliver."""
_NOT_FOUND, _NOT_UNDERSTOOD = 4, 12
_NAME_BYTES = 20
_ASKED = {
    "GET_TRANS": "TRANSFORM",
    "GET_TRANSFOR": "TRANSFORM",
    "GET_IMAGE": "IMAGE",
    "GET_SENSOR": "SENSOR",
    "GET_POINT": "POINT",
    "GET_TRAJ": "TRAJ",
}
"""Questions for the newest value of a name. TRANSFORM does not fit behind GET_ in twelve bytes: the standard asks
GET_TRANS, programs that cut the name GET_TRANSFOR."""
NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class _Offer:
    """One offered message: packed for each listener's header version when the listener takes it."""

    message: Message
    device: str
    time_ns: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False
    """A STATUS that stands in the place of a pose: the tool is not seen."""

    @property
    def key(self) -> tuple[str, str]:
        """Key under which a newer message replaces this one."""
        return ("TRANSFORM" if self.lost else self.message.type), self.device


class Listener:
    """One connected client: its waiting messages and its requests."""

    def __init__(self) -> None:
        self.version = 1
        self.sent = 0
        self.dropped: Counter[str] = Counter()
        """Messages replaced by newer ones before they were taken, by type."""
        self.damaged_n = 0
        self.inbox = Inbox()
        self.parser = Parser(max_body_bytes=_MAX_QUESTION_BYTES)
        self.tracking_ns: int | None = None
        """Shortest time between two TDATA messages; None while not asked for."""
        self.tracked_ns: int | None = None
        self.newest: dict[tuple[str, str], _Offer] = {}
        self.texts: deque[_Offer] = deque()

    def put(self, offer: _Offer) -> None:
        """Queue a message; a newer value of one name replaces the waiting one.

        That a tool is not seen replaces its pose, and its pose that it was not seen: a slow client does not get both.
        """
        if not offer.lost and (
            offer.message.type in ("STRING", "STATUS", "CAPABILITY") or offer.message.type.startswith("RTS_")
        ):
            if len(self.texts) >= _TEXTS:
                self.dropped[self.texts.popleft().message.type] += 1
            self.texts.append(offer)
            return
        before = self.newest.pop(offer.key, None)
        if before is not None:
            self.dropped[before.message.type] += 1
        self.newest[offer.key] = offer


class Publisher:
    """Offers in, bytes for listeners out. All methods are quick and may be called from any task."""

    def __init__(self, *, simulated: bool, name: str = DEVICE) -> None:
        self.simulated = simulated
        self.name = name
        self.utc_offset_ns = 0
        """Offset that makes rig time a date (``hal.clock.utc_offset_ns``): stamps are UTC, metadata ``RigTimeNs`` is
        not."""
        self.offered: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """Offers that cannot be sent (not finite, no invertible pose), by type."""
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._poses: dict[str, tuple[int, Matrix]] = {}
        self._kept: dict[tuple[str, str], _Offer] = {}
        """Newest offer of every name, so that a new listener sees the whole scene at once and others can ask."""

    # ---- what the rig sends ------------------------------------------------------------------------------

    def transform(self, name: str, AToB: Matrix, time_ns: int, *, valid: bool = True) -> None:
        """A pose under its name ``AToB`` (mm). An invalid one goes out as a STATUS "not found" under that name and
        takes the tool out of the tracking data: nobody gets an old pose as if the tool were seen."""
        if not valid:
            with self._lock:
                self._poses.pop(name, None)
            status = Status(_NOT_FOUND, 0, "NOT_TRACKED", f"{name} is not seen now")
            self._offer(_Offer(status, name, time_ns, lost=True))
            self._track(time_ns)
            return
        if AToB.shape != (4, 4) or not np.all(np.isfinite(AToB)) or len(name.encode("utf-8")) > _NAME_BYTES:
            self._refuse("TRANSFORM")
            return
        with self._lock:
            self._poses[name] = (time_ns, AToB)
        self._offer(_Offer(Transform(AToB), name, time_ns, {"TransformStatus": "OK"}))
        self._track(time_ns)

    def frame(self, frame: Frame, ProbeToRig: Matrix, name: str = "Image_Rig") -> None:
        """An ultrasound frame at its place in the rig; pixels and pose must belong together."""
        placed = ProbeToRig @ frame.ImageToProbe
        if not np.all(np.isfinite(placed)):
            self._refuse("IMAGE")
            return
        extra = {"FrameNumber": str(frame.sequence_n), "DroppedBefore": str(frame.dropped_n)}
        self._offer(_Offer(Image.placed(frame.pixels, slice_matrix(placed)), name, frame.time_ns, extra))

    def sensor(self, name: str, values: tuple[float, ...], unit: str, time_ns: int) -> None:
        """Measured values, e.g. ``sensor("pressure", (12.5,), "kPa", t)``. What was not measured is a NaN and status 1:
        the status is a reserved byte that other programs do not read, and a number in its place would be believed."""
        measured = all(np.isfinite(values))
        code = code_of(unit)
        device = name if code or not unit or len(f"{name}_{unit}".encode()) > _NAME_BYTES else f"{name}_{unit}"
        if len(device.encode("utf-8")) > _NAME_BYTES:
            self._refuse("SENSOR")
            return
        self._offer(_Offer(Sensor(values, code, 0 if measured else 1), device, time_ns, {"Unit": unit}))

    def points(self, name: str, points: Mapping[str, tuple[float, float, float]], time_ns: int) -> None:
        """Landmarks or targets in the rig, mm."""
        listed = tuple(LabelledPoint(label, place, name) for label, place in points.items())
        self._offer(_Offer(PointList(listed), name, time_ns))

    def path(
        self, name: str, entry: tuple[float, float, float], target: tuple[float, float, float], time_ns: int
    ) -> None:
        """The planned needle path in the rig, mm."""
        self._offer(_Offer(TrajectoryList((Trajectory(name, entry, target),)), name, time_ns))

    def text(self, text: str, time_ns: int, name: str = "message") -> None:
        self._offer(_Offer(String(text), name, time_ns))

    def _refuse(self, type_name: str) -> None:
        with self._lock:
            self.refused[type_name] += 1

    def _offer(self, offer: _Offer) -> None:
        marked = {"Simulated": str(self.simulated), "RigTimeNs": str(offer.time_ns), **offer.metadata}
        offer = replace(offer, metadata=marked)
        with self._lock:
            self.offered[offer.message.type] += 1
            if offer.lost or offer.message.type in _ASKED.values():
                self._kept[offer.key] = offer
            for listener in self._listeners:
                listener.put(offer)

    def _track(self, time_ns: int) -> None:
        """Send TDATA to those that asked for it, no faster than they asked."""
        with self._lock:
            waiting = [one for one in self._listeners if one.tracking_ns is not None]
            if not waiting:
                return
            tools = tuple(TrackedTool(name, matrix) for name, (_, matrix) in self._poses.items())
            offer = _Offer(TrackingData(tools), self.name, time_ns, {"Simulated": str(self.simulated)})
            for one in waiting:
                assert one.tracking_ns is not None
                if one.tracked_ns is None or time_ns - one.tracked_ns >= one.tracking_ns:
                    one.tracked_ns = time_ns
                    one.put(offer)

    # ---- listeners --------------------------------------------------------------------------------------

    @property
    def listeners(self) -> tuple[Listener, ...]:
        with self._lock:
            return tuple(self._listeners)

    def join(self, now_ns: int) -> Listener:
        """Add a client: it gets the state of the rig, and the newest pose, point and value of every name."""
        listener = Listener()
        listener.put(_Offer(Status(1, 0, "", self._state()), self.name, now_ns))
        with self._lock:
            for offer in self._kept.values():
                if offer.message.type != "IMAGE":
                    listener.put(offer)
            self._listeners.append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def receive(self, listener: Listener, data: bytes, now_ns: int) -> None:
        """Take bytes of a client; raises ``BadReply`` when its stream cannot be followed any more."""
        listener.parser.feed(data)
        while True:
            try:
                packet = listener.parser.next_packet()
            except BadReply:
                listener.damaged_n += 1
                if listener.parser.lost:
                    raise
                continue
            if packet is None:
                return
            listener.version = max(listener.version, packet.version)
            refused = listener.inbox.refused.total()
            read = listener.inbox.read([packet])
            answers = [self._answer(listener, message) for _, message in read]
            if not read:
                why = listener.inbox.last_refusal if listener.inbox.refused.total() > refused else "unknown type"
                answers = [Status(_NOT_UNDERSTOOD, 0, packet.type[:20], why)]
            with self._lock:
                if packet.type in _ASKED and read:
                    for offer in self._newest(_ASKED[packet.type], packet.device) or (_nothing(packet, now_ns),):
                        listener.put(offer)
                    continue
                for answer in answers:
                    if answer is not None:
                        listener.put(_Offer(answer, self.name, now_ns))

    def _newest(self, type_name: str, device: str) -> list[_Offer]:
        """The newest offers of a type, of one name or (empty name) of all."""
        return [offer for (kind, name), offer in self._kept.items() if kind == type_name and device in ("", name)]

    def _answer(self, listener: Listener, message: Message) -> Message | None:
        match message:
            case Query("GET_CAPABIL"):
                return Capability(TYPES)
            case Query("GET_STATUS"):
                return Status(1, 0, "", self._state())
            case StartTracking(period_ms) if message.type == "STT_TDATA":
                listener.tracking_ns, listener.tracked_ns = max(0, period_ms) * NS_PER_MS, None
                return Answer("RTS_TDATA", True)
            case Query("STP_TDATA"):
                listener.tracking_ns = None
                return Answer("RTS_TDATA", True)
            case Status() | String() | Capability() | Answer():
                return None
        return Status(_NOT_UNDERSTOOD, 0, message.type[:20], "this server only publishes; it accepts no such message")

    def _state(self) -> str:
        return f"{self.name}: {'SIMULATED data' if self.simulated else 'live data'}"

    def take(self, listener: Listener) -> bytes:
        """All waiting messages of one listener, packed; empty when there are none."""
        with self._lock:
            offers = [*listener.texts, *listener.newest.values()]
            listener.texts.clear()
            listener.newest.clear()
            version = min(listener.version, 2)
        listener.sent += len(offers)
        packed = []
        for offer in offers:
            metadata = offer.metadata if version > 1 else None
            try:
                stamp_ns = offer.time_ns + self.utc_offset_ns
                packed.append(
                    igtl_messages.pack(offer.message, offer.device, stamp_ns, version=version, metadata=metadata)
                )
            except ConfigError:  # a name or value that has no place in the format must not end the serving
                self._refuse(offer.message.type)
        return b"".join(packed)


def _nothing(packet: Packet, now_ns: int) -> _Offer:
    return _Offer(
        Status(_NOT_FOUND, 0, packet.type, "nothing of this name has been published yet"), packet.device, now_ns
    )


def slice_matrix(ImageToSpace: Matrix) -> Matrix:
    """The same plane with a third axis of 1 mm along its normal: viewers need a voxel, not a flat one."""
    matrix = ImageToSpace.copy()
    normal = np.cross(matrix[:3, 0], matrix[:3, 1])
    length = float(np.linalg.norm(normal))
    matrix[:3, 2] = normal / length if length else (0.0, 0.0, 1.0)
    return matrix
