"""Meaning of the violation codes, in the words used wherever a code appears (``facts/domain.md`` 7.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping

VIOLATIONS: Mapping[str, str] = {
    "V1": "needle in the nerve by more than 0.5 mm",
    "V2": "needle in a vessel",
    "V3": "needle in the dura or the sac",
    "V4": "needle in pleura or viscera",
    "V5": "needle in a joint or a disc, not planned",
    "V6": "pressure at the tip above 100 kPa",
    "V7": "advance of more than 5 mm without a confirmed tip",
    "V8": "wrong level or side",
    "V9": "force on the needle above twice its limit",
    "V10": "antisepsis or contact time too short",
}
"""By code; V1 to V6 forfeit success."""
_CODE = re.compile(r"\bV(?:10|[1-9])\b")


def explained(*texts: str) -> str:
    """Meaning of every code that the texts hold, in order, as one sentence; empty when they hold none."""
    found = {code for text in texts for code in _CODE.findall(text)}
    words = [f"{code}: {meaning}" for code, meaning in VIOLATIONS.items() if code in found]
    return "; ".join(words) + "." if words else ""
