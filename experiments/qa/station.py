"""Station of a QA procedure: the controller, the parameters of the acceptance file, and the streams it fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from analysis.qa.evaluation import Evaluation, Value
from hal.errors import SafetyStop
from hal.types import Instruction, InstructionKind, OperatorResponse
from rig.control.controller import Controller
from rig.record import StreamWriter

ANSWER_S = 1800.0


@dataclass
class Station:
    """One opened rig at which one test is carried out."""

    controller: Controller
    settings: Mapping[str, Value]
    streams: StreamWriter = field(repr=False)
    tell: Callable[[str], None] = field(repr=False)
    """Progress with the time left, for a person."""

    def number(self, name: str) -> float:
        """A parameter that is a number."""
        value = self.settings[name]
        assert isinstance(value, int | float) and not isinstance(value, bool)
        return float(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """A parameter that is a list of numbers."""
        value = self.settings[name]
        assert isinstance(value, tuple)
        return value

    def text(self, name: str) -> str:
        """A parameter that is text."""
        return str(self.settings[name])

    def begin(self, evaluation: Evaluation) -> None:
        """Name the streams of the test before its first reading."""
        for name, fields in evaluation.tables.items():
            self.streams.declare(name, fields)

    def sample(self, stream: str, time_ns: int, values: Sequence[float]) -> None:
        """Keep one reading at once: a kill loses none that was taken before."""
        self.streams.sample(stream, time_ns, values)

    def ask(self, text: str) -> OperatorResponse:
        """Ask the person at the bench; raises ``SafetyStop`` when he declines."""
        answer = self.controller.ask(Instruction(InstructionKind.CONFIRM, text), ANSWER_S)
        if not answer.done:
            raise SafetyStop(f"the operator declined: {text}", source="operator")
        return answer
