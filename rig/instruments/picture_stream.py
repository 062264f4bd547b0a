"""Every picture of the scanner while something else goes on: the next one is asked for as soon as the last is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from hal.clock import NS_PER_S
from hal.types import Frame
from rig.control.controller import IMAGE_LOST_S, Controller
from rig.lanes import Sample, Ticket
from rig.safety.stop import Severity, Trip


@dataclass(frozen=True)
class Arrived:
    """A picture and the moment at which it was handed over, ns of the rig's clock."""

    frame: Frame = field(repr=False)
    arrived_ns: int


class PictureStream:
    """Used as a context manager, with ``Controller.watching(stream.rule)``; a scanner that falls silent is a hold."""

    def __init__(self, controller: Controller, doing: str) -> None:
        """``doing``: what was going on, for the reason of a hold."""
        self.pictures: list[Arrived] = []
        self._doing = doing
        self._lane = controller.rig.lanes["ultrasound"]
        self._channel = controller.rig.channels["ultrasound"]
        self._ticket: Ticket[None] | None = None
        self._clock = controller.clock
        self._last_arrival_ns = self._clock.now_ns()

    def __enter__(self) -> Self:
        self._channel.listeners.append(self._frame)
        return self

    def __exit__(self, *error: object) -> None:
        self._channel.listeners.remove(self._frame)

    def take(self, until_ns: int) -> list[Arrived]:
        """Hand over the pictures that had arrived by then, oldest first; they are not held here any longer."""
        taken = [picture for picture in self.pictures if picture.arrived_ns <= until_ns]
        del self.pictures[: len(taken)]
        return taken

    def rule(self, now_ns: int) -> Trip | None:
        """Called by every scan; trips when the scanner fails or falls silent: half a record is no measurement."""
        fault = self._channel.fault
        silent_s = (now_ns - self._last_arrival_ns) / NS_PER_S
        if fault is not None or silent_s > IMAGE_LOST_S:
            why = f": {fault}" if fault is not None else f" for {silent_s:.1f} s"
            reason = f"no ultrasound picture came while {self._doing}{why}; check the scanner and its link"
            return Trip("image_lost", Severity.HOLD, reason, silent_s, IMAGE_LOST_S)
        if self._ticket is None or self._ticket.done:
            self._ticket = self._lane.request("ultrasound")
        return None

    def _frame(self, sample: Sample[Any]) -> None:
        frame: Frame | None = sample.value
        if frame is not None:
            self._last_arrival_ns = self._clock.now_ns()
            self.pictures.append(Arrived(frame, self._last_arrival_ns))
