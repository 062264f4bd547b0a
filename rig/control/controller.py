"""The controller: carries out the requests of a procedure and scans all the while.

Nothing on a rig waits but through ``wait``, ``wait_until``, ``command``, ``read``, ``frame`` and ``ask``: each of them
scans at 50 Hz (``rig.control.scan``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from hal.clock import NS_PER_S
from hal.errors import DeviceError, LinkError
from hal.interfaces import Operator
from hal.types import Frame, Instruction, NeedlePose, OperatorResponse, Pose6
from rig.control.scan import EXCHANGE_S, SCAN_S, JournalWriter, ScanLoop, StopRule
from rig.lanes import Sample, Ticket
from rig.roles import Role
from rig.safety.stop import Severity, Trip

__all__ = ["SCAN_S", "Controller", "JournalWriter", "StopRule"]

T = TypeVar("T")

IMAGE_LOST_S = 3.0
"""No image for longer is a stop rule (domain 4.2)."""
_OPERATOR_LOOK_S = 0.1


class Controller(ScanLoop):
    """Runs one opened rig."""

    # -- commands ----------------------------------------------------------------------------------------

    def command(self, role: str, action: Callable[[], T], doing: str, timeout_s: float | None = None) -> T:
        """Have the device's lane execute one action, once; its error is raised here."""
        self.scan()
        ticket = self.rig.lanes[role].submit(action, doing)
        return self.finish(ticket, self._patience_s(role) if timeout_s is None else timeout_s)

    def _patience_s(self, role: str) -> float:
        """Longest time for one exchange; devices that a person answers for declare more."""
        patience: float = getattr(getattr(self.rig, role), "patience_s", EXCHANGE_S)
        return patience

    def finish(self, ticket: Ticket[T], timeout_s: float = EXCHANGE_S) -> T:
        """Wait for a submitted command; a command that has not started is cancelled when the wait ends badly."""
        try:
            self.wait_until(lambda: ticket.done, timeout_s, ticket.doing)
        except BaseException:
            ticket.cancel()
            raise
        if ticket.error is not None:
            raise ticket.error
        if ticket.cancelled:
            raise DeviceError(f"cancelled before it began: {ticket.doing}")
        return ticket.result  # type: ignore[return-value]

    # -- inputs ------------------------------------------------------------------------------------------

    def newest(self, role: Role[T]) -> T | None:
        """Newest reading of a role, or None when the role is absent or not read yet."""
        channel = self.rig.channels.get(role)
        return None if channel is None or channel.sample is None else cast(T, channel.sample.value)

    def read(self, role: Role[T], timeout_s: float | None = None) -> T:
        """Read a role now, through its lane; a device that fails to answer stops the rig."""
        channel = self.rig.channels.get(role)
        if channel is None:
            raise DeviceError(f"this rig has no {role}", device=role)
        if channel.fault is None:
            patience_s = self._patience_s(role) if timeout_s is None else timeout_s
            self.finish(self.rig.lanes[role].request(role), patience_s)
        if channel.fault is not None:
            self._trip(Trip(f"{role}_fault", Severity.HARD, f"{role}: {channel.fault}"))
        assert channel.sample is not None
        return cast(T, channel.sample.value)

    def frame(self, newer_than_ns: int | None = None, timeout_s: float = IMAGE_LOST_S) -> Frame:
        """The next ultrasound frame, taken after ``newer_than_ns`` (default: any unread one).

        Raises ``HoldRequested`` (source ``image_lost``) when none comes in time.
        """
        end_ns = self.clock.now_ns() + int(timeout_s * NS_PER_S)
        while True:
            frame, lost = self._image(timeout_s + EXCHANGE_S)
            if frame is not None and (newer_than_ns is None or frame.time_ns > newer_than_ns):
                return frame
            if self.clock.now_ns() >= end_ns:
                self._delivered.discard("image_lost")
                reason = f"no ultrasound image for {timeout_s:g} s; check the scanner and its link{lost}"
                self._hold(Trip("image_lost", Severity.HOLD, reason, timeout_s, timeout_s))
            self.tick()

    def _image(self, patience_s: float) -> tuple[Frame | None, str]:
        """Newest unread frame, or None and the reason why the link brought none.

        A lost link is not final here, unlike with other devices: nothing but the caller depends on an image, and the
        driver connects again by itself.
        """
        channel = self.rig.channels.get("ultrasound")
        if channel is not None and isinstance(channel.fault, LinkError):
            channel.fault = None
        if channel is not None and channel.fault is None:
            self.finish(self.rig.lanes["ultrasound"].request("ultrasound"), patience_s)
            if channel.fault is None and channel.sample is not None:
                return channel.sample.value, ""
            if isinstance(channel.fault, LinkError):
                return None, f" ({channel.fault})"
        self.read(Role[object]("ultrasound"))  # no such device, or a fault of the scanner itself: raises
        return None, ""

    def probe_pose_at(self, time_ns: int) -> Pose6:
        """``ProbeToHolder`` axes at a moment, from the holder's own reports."""
        return self.probe_history.probe_at(time_ns)

    def needle_pose_at(self, time_ns: int) -> NeedlePose:
        return self.needle_history.needle_at(time_ns)

    def on_sample(self, role: str, listener: Callable[[Sample[Any]], None]) -> None:
        """Hand every new reading of a role to a stream (called in the lane's task)."""
        if role in self.rig.channels:
            self.rig.channels[role].listeners.append(listener)

    # -- the person --------------------------------------------------------------------------------------

    def ask(self, instruction: Instruction, timeout_s: float, attend: tuple[str, ...] = ()) -> OperatorResponse:
        """Give the operator one instruction and scan until the answer; raises ``DeviceError`` when none comes.

        The operator has no link: ``begin`` and ``poll`` return at once by contract and are called from the scan.
        """
        operator = self.rig.operator
        if operator is None:
            raise DeviceError(f"this rig has no operator for: {instruction.text}", device="operator")
        answer: list[OperatorResponse] = []
        operator.begin(instruction)
        next_look_ns = 0

        def answered() -> bool:
            nonlocal next_look_ns
            now_ns = self.clock.now_ns()
            if now_ns < next_look_ns:
                return False
            next_look_ns = now_ns + int(_OPERATOR_LOOK_S * NS_PER_S)
            return _poll(operator, answer)

        try:
            with self.attending(*attend):
                self.wait_until(answered, timeout_s, f"the operator's answer to: {instruction.text}")
        except BaseException:
            operator.cancel()  # what nobody waits for any more must not be carried out, nor bar the next question
            raise
        return answer[0]


def _poll(operator: Operator, answer: list[OperatorResponse]) -> bool:
    response = operator.poll()
    if response is None:
        return False
    answer.append(response)
    return True
