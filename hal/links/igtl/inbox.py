"""Messages from packets, with everything counted: nothing that arrived disappears without a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hal.errors import BadReply
from hal.links.igtl.decode import decode
from hal.links.igtl.framing import Packet
from hal.links.igtl.messages import Message


class Inbox:
    """Reads packets; counts by type those that were understood, of unknown type, and impossible."""

    def __init__(self) -> None:
        self.understood: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.last_refusal = ""
        """Why the newest impossible message was refused."""

    def read(self, packets: Iterable[Packet]) -> list[tuple[Packet, Message]]:
        """The messages that can be believed, in order."""
        found = []
        for packet in packets:
            try:
                message = decode(packet)
            except BadReply as problem:
                self.refused[packet.type] += 1
                self.last_refusal = f"{packet.type} from {packet.device!r}: {problem}"
                continue
            if message is None:
                self.unknown[packet.type] += 1
                continue
            self.understood[packet.type] += 1
            found.append((packet, message))
        return found
