"""Common part of the simulated OpenIGTLink servers: listen, answer queries, keep to the client's header version."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hal.clock import NS_PER_S
from hal.errors import BadReply
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl.data import Capability
from hal.links.igtl.decode import decode
from hal.links.igtl.framing import Packet, Parser
from hal.links.igtl.messages import Message, Query, Status


@dataclass(frozen=True)
class Schedule:
    """Samples at a fixed rate since the start of the clock, each ready a fixed time after it was taken."""

    rate_hz: float
    latency_ns: int

    def taken_ns(self, index: int) -> int:
        return round(index * NS_PER_S / self.rate_hz)

    def newest(self, now_ns: int) -> int:
        """Index of the newest sample that is ready; -1 before the first."""
        index = int((now_ns - self.latency_ns) * self.rate_hz / NS_PER_S) + 1
        while index >= 0 and self.taken_ns(index) + self.latency_ns > now_ns:
            index -= 1
        return max(index, -1)

    def ready_ns(self, index: int) -> int:
        return self.taken_ns(index) + self.latency_ns


class IgtlServer(ABC):
    """Base of the simulated servers: a ``WireCore`` that streams samples of a ``Schedule``.

    As PlusServer does, it speaks header version 1 until its client sends a version-2 message. Subclasses give
    ``_sample`` and ``_answer``. Samples that nobody took in time are counted in ``skipped_n``, never made.
    """

    device = ""
    capability: tuple[str, ...] = ()

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.skipped_n = 0
        self.refused: Counter[str] = Counter()
        """Messages that were damaged or not understood, by reason."""
        self._utc_offset_ns = 0
        self._parser = Parser()
        self._replies: list[bytes] = []
        self._version = 1
        self._sent = -1
        self._again = False
        self._streaming = True

    def stamp_utc(self, offset_ns: int) -> None:
        """Stamp with dates, as the standard says; in this process a stamp is the clock's own time."""
        self._utc_offset_ns = offset_ns

    def stamp(self, time_ns: int) -> int:
        """Stamp of a moment."""
        return time_ns + self._utc_offset_ns

    # ---- line -------------------------------------------------------------------------------------------

    def line_opened(self, now_ns: int) -> None:
        """A client connected: it starts with the newest sample and does not get earlier ones."""
        self._parser = Parser()
        self._replies.clear()
        self._version = 1
        self._streaming = True
        self._sent = max(-1, self.schedule.newest(now_ns) - 1)

    def receive(self, data: bytes, now_ns: int) -> None:
        self._parser.feed(data)
        while True:
            try:
                packet = self._parser.next_packet()
                if packet is None:
                    return
                self._version = max(self._version, packet.version)
                self._handle(packet, decode(packet), now_ns)
            except BadReply as problem:
                self.refused["damaged"] += 1
                self._reply(Status(9, 0, "DAMAGED", str(problem)), self.device, now_ns)
                if self._parser.lost:
                    self._parser = Parser()

    def transmit(self, now_ns: int) -> bytes:
        if self._replies:
            data = b"".join(self._replies)
            self._replies.clear()
            return data
        if not self._streaming and not self._again:
            return b""
        newest = self.schedule.newest(now_ns)
        if newest < 0 or (newest <= self._sent and not self._again):
            return b""
        self.skipped_n += max(0, newest - self._sent - 1)
        self._sent = newest
        self._again = False
        return self._sample(newest, self.schedule.taken_ns(newest))

    def next_ns(self, now_ns: int) -> int | None:
        if self._replies or self._again:
            return now_ns
        if not self._streaming:
            return None
        return max(now_ns, self.schedule.ready_ns(self._sent + 1))

    # ---- messages ---------------------------------------------------------------------------------------

    def _handle(self, packet: Packet, message: Message | None, now_ns: int) -> None:
        match message:
            case Query("GET_STATUS"):
                self._reply(Status(igtl_messages.STATUS_OK, 0, "", self._state_text()), self.device, now_ns)
            case Query("GET_CAPABIL"):
                self._reply(Capability(self.capability), self.device, now_ns)
            case _ if message is not None and self._answer(packet, message, now_ns):
                pass
            case _:
                self.refused[packet.type] += 1
                self._reply(Status(12, 0, "UNKNOWN", f"{packet.type} is not understood"), self.device, now_ns)

    @abstractmethod
    def _answer(self, packet: Packet, message: Message, now_ns: int) -> bool:
        """Handle a message of the subclass's own; False when it is not one."""

    @abstractmethod
    def _sample(self, index: int, taken_ns: int) -> bytes:
        """The messages of one sample."""

    def _state_text(self) -> str:
        return f"streaming at {self.schedule.rate_hz:g} Hz" if self._streaming else "not streaming"

    def _reply(self, message: Message, device: str, now_ns: int, metadata: Mapping[str, str] | None = None) -> None:
        metadata = metadata if self._version > 1 else None
        stamp_ns = self.stamp(now_ns)
        self._replies.append(igtl_messages.pack(message, device, stamp_ns, version=self._version, metadata=metadata))
