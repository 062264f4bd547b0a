"""Decoding of a checked packet into its message."""

from __future__ import annotations

from hal.links.igtl import data, tracks
from hal.links.igtl.framing import Packet
from hal.links.igtl.messages import Answer, Command, Image, Message, Query, Status, String, Transform


def decode(packet: Packet) -> Message | None:
    """The message in a packet; None when the type is unknown here (count it). Raises ``BadReply``."""
    name, content = packet.type, packet.content
    match name:
        case "TRANSFORM":
            return Transform.decode(content)
        case "IMAGE":
            return Image.decode(content)
        case "STATUS":
            return Status.decode(content)
        case "STRING":
            return String.decode(content)
        case "COMMAND" | "RTS_COMMAND":
            return Command.decode(content, name)
    rare = data.decode(name, content) or tracks.decode(name, content)
    if rare is not None:
        return rare
    if name.startswith(("GET_", "STP_", "STT_")):
        return Query(name, bytes(content))
    if name.startswith("RTS_"):
        return Answer.decode(content, name)
    return None
