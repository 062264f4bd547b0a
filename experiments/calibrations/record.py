"""A tracked tool recorded live into a sequence file, so that pivot, spin and landmarks work on the own rig."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.calibrations.listening import (
    Listener,
    Report,
    longest_blind_s,
    require_reports,
    seen_share,
)
from hal.clock import NS_PER_S
from hal.errors import ConfigError, SafetyStop
from hal.types import Instruction, InstructionKind
from rig.control.controller import Controller
from rig.formats.igs_mha import write_mha
from rig.formats.recording import FrameEntry, make_recording

MOTIONS = {
    "pivot": "Take {tool}, set its tip into a divot and say so; then swivel it in a wide cone for {seconds:g} s",
    "spin": "Take {tool}, set its tip into a divot and say so; then roll it about its shaft for {seconds:g} s",
    "fiducials": "Take {tool} and touch every fiducial of the phantom: rest the tip in each divot for 2 s and swivel",
    "none": "",
}
"""Instructions to the operator for each motion."""
ONE_PLACE = ("pivot", "spin")
"""Motions about one resting tip: neither the way to the divot nor the way back belongs to them."""
PATIENCE_S = 300.0
"""Beyond the recording itself: a person fetches the tool and finds the divot."""
LEAST_SEEN = 0.05
"""A recording with less is refused; what calibrates from it sets its own limit [A]."""


@dataclass(frozen=True)
class Recorded:
    """Result of a recording."""

    path: Path
    tool: str
    frames_n: int
    seen_n: int
    longest_blind_s: float
    seconds: float
    simulated: bool

    def as_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "path": str(self.path),
            "tool": self.tool,
            "frames_n": self.frames_n,
            "seen_n": self.seen_n,
            "longest_blind_s": self.longest_blind_s,
            "seconds": self.seconds,
            "simulated": self.simulated,
        }


def check_motion(motion: str, seconds: float) -> None:
    """Raises ``ConfigError`` for an unknown motion or a time that makes no recording."""
    if motion not in MOTIONS:
        raise ConfigError(f"--motion {motion}: there are {', '.join(MOTIONS)}")
    if not 1.0 <= seconds <= 3600.0:
        raise ConfigError(f"--seconds {seconds:g}: 1 to 3600")


def listen(controller: Controller, tool: str, seconds: float, motion: str) -> tuple[tuple[Report, ...], Listener]:
    """Keep the tracker's reports while the operator does what is asked, or for ``seconds``.

    A motion about one place is kept from the moment at which the operator says that the tip rests. Raises
    ``SafetyStop`` when the operator declines, ``DeviceError`` when no answer comes.
    """
    text = MOTIONS[motion].format(tool=tool, seconds=seconds)
    if motion in ONE_PLACE:
        ask_to_touch(controller, text, (motion,), seconds)
    with Listener(controller, tool) as listener, controller.watching(listener.rule):
        if motion in (*ONE_PLACE, "none"):
            controller.wait(seconds)
        else:
            ask_to_touch(controller, text, (motion,), seconds)
    if motion in ONE_PLACE and controller.rig.operator is not None:
        controller.rig.operator.show(f"Enough: {tool} was recorded for {seconds:g} s")
    return listener.reports(), listener


def ask_to_touch(controller: Controller, text: str, manner: tuple[str, ...], seconds: float) -> None:
    """One instruction about the stylus; raises ``SafetyStop`` when it is declined."""
    answer = controller.ask(
        Instruction(InstructionKind.TOUCH, text, seconds, manner=manner), timeout_s=seconds + PATIENCE_S
    )
    if not answer.done:
        raise SafetyStop(f"the operator declined: {text}", source="operator")


def record(controller: Controller, tool: str, seconds: float, path: Path, motion: str = "pivot") -> Recorded:
    """Record a tool and everything else that the tracker reports into ``path`` (``.mha``).

    Poses that were not seen stay in the file with the status INVALID. Raises what ``listen`` and ``require_reports``
    raise, and ``RecordError`` when the file cannot be written; a refused recording is written all the same.
    """
    reports, listener = listen(controller, tool, seconds, motion)
    if reports:
        write_reports(reports, path, simulated=controller.rig.simulated)
    require_reports(reports, listener, LEAST_SEEN)
    return Recorded(
        path, tool, len(reports), round(seen_share(reports, tool) * len(reports)), longest_blind_s(reports, tool),
        (reports[-1].time_ns - reports[0].time_ns) / NS_PER_S, controller.rig.simulated,
    )  # fmt: skip


def write_reports(reports: tuple[Report, ...], path: Path, *, simulated: bool) -> None:
    """All poses of all tools with their status; time counts from the first report."""
    zero_ns = reports[0].time_ns
    entries = [
        FrameEntry(
            r.time_ns - zero_ns,
            {name: pose.matrix for name, pose in r.poses.items()},
            frozenset(name for name in r.poses if not r.seen(name)),
        )
        for r in reports
    ]
    header = {"PhantomrigSimulated": str(simulated)}
    write_mha(make_recording(path, entries, None, header=header), path)
