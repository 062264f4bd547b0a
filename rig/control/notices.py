"""Events that drivers notice and that stop nothing: journalled and shown to the operator as they happen.

A device clock that was set back, an answer that came twice: the readings were put right, and whoever judges them later
should know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hal.interfaces import Noticing
from rig.devices import Rig
from rig.safety.safe_state import PERSON


class NoticeBoard:
    """Looks at the devices of one opened rig; ``total_n`` counts everything that was noticed."""

    def __init__(self, rig: Rig, append: Callable[[str, dict[str, Any]], object]) -> None:
        """``append``: the method of the journal."""
        self.total_n = 0
        self._rig = rig
        self._append = append
        devices = {role: rig.device(role) for role in rig.channels}
        self._devices = {role: device for role, device in devices.items() if isinstance(device, Noticing)}
        self._known: dict[str, Counter[str]] = {role: Counter() for role in self._devices}

    def look(self) -> None:
        """Collect the notices; called on every scan."""
        for role, device in self._devices.items():
            for what, n in device.notices().items():
                if n != self._known[role][what]:
                    self._tell(role, what, n)

    def _tell(self, role: str, what: str, n: int) -> None:
        new_n, self._known[role][what] = n - self._known[role][what], n
        self.total_n += max(0, new_n)
        self._append("device_noticed", {"device": role, "what": what, "count": n})
        operator = self._rig.operator
        if n == new_n and operator is not None and PERSON in self._rig.lanes:  # once; the journal has every one
            text = f"Noticed at the {role}: {what}. The run continues; the record has a note."
            self._rig.lanes[PERSON].submit(lambda: operator.show(text), f"show what was noticed at the {role}")
