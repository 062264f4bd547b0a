"""A client connection to an OpenIGTLink server: packets in, messages out, everything counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hal.clock import NS_PER_S, Clock, Deadline, utc_offset_ns
from hal.errors import BadReply, LinkError
from hal.links.igtl import messages as igtl_messages
from hal.links.igtl.framing import Packet, Parser
from hal.links.igtl.messages import Message
from hal.links.stream import ByteStream, open_stream

_READ_BYTES = 1 << 22
_BAD_IN_A_ROW = 3
"""So many damaged messages one after the other are a broken link, not a disturbance."""


class IgtlLink:
    """Owns one connection. A lost one is opened again by the next ``connect``."""

    def __init__(self, url: str, clock: Clock, timeout_s: float) -> None:
        self.url = url
        self.received: Counter[str] = Counter()
        """Messages by type."""
        self.damaged_n = 0
        """Messages dropped for a wrong checksum or an impossible content."""
        self._clock = clock
        self._timeout_s = timeout_s
        self._stream: ByteStream | None = None
        self._parser = Parser(url)
        self._bad_in_a_row = 0
        self._tried_ns: int | None = None
        self._last_arrival_ns = 0
        self._utc_offset_ns = 0
        """Offset that makes the clock's time a date, for messages to another machine."""

    @property
    def shares_clock(self) -> bool:
        return self._stream is not None and self._stream.shares_clock

    @property
    def is_open(self) -> bool:
        return self._stream is not None

    def connect(self) -> None:
        """Open the connection unless it is open; raises ``LinkError``."""
        if self._stream is None:
            self._tried_ns = self._clock.now_ns()
            self._parser = Parser(self.url)
            self._bad_in_a_row = 0
            self._stream = open_stream(self.url, self._clock, self._timeout_s)
            self._last_arrival_ns = self._clock.now_ns()
            self._utc_offset_ns = 0 if self._stream.shares_clock else utc_offset_ns(self._clock)

    def keep(self, reconnect_s: float, silence_s: float) -> None:
        """Reconnect after a loss, at most every ``reconnect_s``; give up a connection silent for ``silence_s``.

        Raises ``LinkError`` while the connection is down, and once when it is given up.
        """
        now_ns = self._clock.now_ns()
        if self._stream is not None:
            silent_s = (now_ns - self._last_arrival_ns) / NS_PER_S
            if silent_s > silence_s and not self._stream.available():
                self.close()
                raise LinkError(
                    f"{self.url} sent nothing for {silent_s:.1f} s; is it streaming, is the network up?", port=self.url
                )
            return
        if self._tried_ns is not None and now_ns - self._tried_ns < reconnect_s * NS_PER_S:
            raise LinkError(f"{self.url} is not connected; next attempt within {reconnect_s:g} s", port=self.url)
        self.connect()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def send(
        self, message: Message, device: str, *, version: int = 1, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Send one message, once; raises ``LinkError``."""
        stream = self._open_stream()
        stamp_ns = self._clock.now_ns() + self._utc_offset_ns
        data = igtl_messages.pack(message, device, stamp_ns, version=version, metadata=metadata)
        try:
            stream.write(data, self._clock.deadline(self._timeout_s))
        except LinkError:
            self.close()
            raise

    def poll(self) -> list[Packet]:
        """All messages that have arrived, oldest first, without waiting; raises ``LinkError``, ``BadReply``."""
        stream = self._open_stream()
        packets: list[Packet] = []
        try:
            while waiting := stream.available():
                self._parser.feed(stream.read(min(waiting, _READ_BYTES), self._clock.deadline(self._timeout_s)))
                self._collect(packets)
        except LinkError:
            self.close()
            if not packets:
                raise
        return packets

    def wait(self, deadline: Deadline) -> list[Packet]:
        """At least one message; raises ``NoReply`` at the deadline (the connection stays open)."""
        stream = self._open_stream()
        packets: list[Packet] = []
        while not packets:
            try:
                data = stream.read(_READ_BYTES, deadline)
                self._parser.feed(data)
                self._collect(packets)
            except LinkError:
                if not deadline.expired:
                    self.close()
                raise
        return packets

    def _collect(self, packets: list[Packet]) -> None:
        while True:
            try:
                packet = self._parser.next_packet()
            except BadReply:
                self.damaged_n += 1
                self._bad_in_a_row += 1
                if self._parser.lost or self._bad_in_a_row >= _BAD_IN_A_ROW:
                    raise
                continue
            if packet is None:
                return
            self._bad_in_a_row = 0
            self._last_arrival_ns = self._clock.now_ns()
            self.received[packet.type] += 1
            packets.append(packet)

    def _open_stream(self) -> ByteStream:
        if self._stream is None:
            raise LinkError(f"{self.url} is not connected", port=self.url)
        return self._stream
