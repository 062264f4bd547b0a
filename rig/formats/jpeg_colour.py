"""Colours that a JPEG stream declares; file headers around it are often wrong.

Rules of libjpeg (JFIF 1.02; Adobe technical note 5116): a JFIF marker means YCbCr, an Adobe marker says which by
its transform byte, and without either the component names decide ('R', 'G', 'B' = RGB, otherwise YCbCr).
"""

from __future__ import annotations

_NO_LENGTH = frozenset([0x01, *range(0xD0, 0xD9)])
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JFIF, _ADOBE, _SCAN = 0xE0, 0xEE, 0xDA


def stream_colours(data: bytes) -> str:
    """``grey``, ``RGB``, ``YBR`` or ``unknown`` (no JPEG, or cut off before its frame header)."""
    if data[:2] != b"\xff\xd8":
        return "unknown"
    at, jfif, adobe, names = 2, False, None, b""
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return "unknown"
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _NO_LENGTH:
            at += 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if marker == _JFIF and body[:5] == b"JFIF\0":
            jfif = True
        elif marker == _ADOBE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker in _START_OF_FRAME and len(body) >= 6:
            names = body[6::3][: body[5]]
        elif marker == _SCAN:
            break
        at += 2 + size
    if len(names) == 1:
        return "grey"
    if len(names) != 3:
        return "unknown"
    if jfif:
        return "YBR"
    if adobe is not None:
        return "YBR" if adobe == 1 else "RGB"
    return "RGB" if names == b"RGB" else "YBR"
