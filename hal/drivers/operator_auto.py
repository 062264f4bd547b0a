"""An automatic operator: confirms after a fixed time, so that a study runs unattended.

For tests on simulated rigs only; it holds no needle and feels no bone, and refuses to be asked for either.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hal.clock import NS_PER_S, Clock, Deadline
from hal.errors import DeviceError
from hal.types import Identity, Instruction, InstructionKind, OperatorResponse, SafeReport

ANSWERS = frozenset({InstructionKind.CONFIRM, InstructionKind.AT_TARGET, InstructionKind.SCRUB})
"""Instructions that need neither hands at the needle nor eyes on an instrument."""


class Settings(BaseModel):
    """Duration of an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    confirm_s: float = Field(1.0, ge=0.0, le=600.0)


class Driver:
    """Implements ``hal.interfaces.Operator``."""

    role = "operator"
    polled = False

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._due_ns: int | None = None

    def open(self) -> Identity:
        return Identity(self.role, "auto_operator", "nobody: answers by itself", simulated=True)

    def close(self) -> None:
        self._due_ns = None

    def make_safe(self, deadline: Deadline) -> SafeReport:
        self._due_ns = None
        return SafeReport(self.role, True, "holds nothing")

    def begin(self, instruction: Instruction) -> None:
        """Take one instruction; raises ``DeviceError`` for one that needs a person."""
        if instruction.kind not in ANSWERS:
            raise DeviceError(
                f"the automatic operator was asked to {instruction.kind.value.replace('_', ' ')} "
                f"({instruction.text!r}), which needs a person; use terminal_operator or a rig with a needle carrier",
                device=self.role,
                code=instruction.kind.value,
            )
        if self._due_ns is not None:
            raise DeviceError("the operator still has an unanswered instruction", device=self.role)
        wait_s = max(self._settings.confirm_s, instruction.amount if instruction.kind is InstructionKind.SCRUB else 0.0)
        self._due_ns = self._clock.now_ns() + int(wait_s * NS_PER_S)

    def poll(self) -> OperatorResponse | None:
        """Return ``done`` once the time has passed; a scrub takes as long as its contact time."""
        now_ns = self._clock.now_ns()
        if self._due_ns is None or now_ns < self._due_ns:
            return None
        self._due_ns = None
        return OperatorResponse(now_ns, True, "confirmed automatically")

    def cancel(self) -> None:
        self._due_ns = None

    def show(self, text: str) -> None:
        """Do nothing: nobody reads it."""
