"""Listening to the tracker while something else goes on: every report is kept, seen or not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hal.clock import NS_PER_S
from hal.errors import CalibrationRefused, ConfigError
from hal.poses import BODIES, why_no_pose
from hal.types import TrackedPose
from rig.control.controller import Controller
from rig.instruments.sights import LEFT_OUT_MAX, TOGETHER_NS, Look, judge
from rig.lanes import Sample, Ticket
from rig.safety.stop import Severity, Trip

LOOK_NS = NS_PER_S
"""A look at the tracker ends within this time of its beginning, which is all that a sample shows."""
IMPOSSIBLE_MAX = LEFT_OUT_MAX
"""Largest share of reports with numbers that no pose has, as at rest."""
FROZEN_N = 20
"""So many sights in a row that are equal to the last bit are one, repeated: a hand's tremor and the noise of a tracker
never leave twelve numbers alike [A]."""


@dataclass(frozen=True)
class Report:
    """Report of the tracker on its tools at one moment."""

    time_ns: int
    """When the tool was seen; when it was asked for, where it was not seen."""
    poses: dict[str, TrackedPose] = field(repr=False)

    def seen(self, name: str) -> bool:
        """True when the tool was tracked now: valid, and not the sight of an earlier moment."""
        pose = self.poses.get(name)
        return pose is not None and pose.valid and abs(pose.time_ns - self.time_ns) <= TOGETHER_NS


class Listener:
    """Asks the tracker in every scan and keeps what is new about one tool.

    Used with ``Controller.watching(listener.rule)``; a tracker that fails stops the rig.
    """

    def __init__(self, controller: Controller, tool: str) -> None:
        self.tool = tool
        self.others: set[str] = set()
        """Tools that were reported beside it."""
        self._reports: list[Report] = []
        self._lane = controller.rig.lanes["tracker"]
        self._channel = controller.rig.channels["tracker"]
        self._ticket: Ticket[None] | None = None
        self._newest_ns = -1

    def __enter__(self) -> Listener:
        self._channel.listeners.append(self._take)
        return self

    def __exit__(self, *error: object) -> None:
        self._channel.listeners.remove(self._take)

    def rule(self, now_ns: int) -> Trip | None:
        """Called by every scan; trips when the tracker has failed."""
        if self._channel.fault is not None:
            return Trip("tracker_fault", Severity.HARD, f"tracker: {self._channel.fault}")
        if self._ticket is None or self._ticket.done:
            self._ticket = self._lane.request("tracker")
        return None

    def _take(self, sample: Sample[Any]) -> None:
        poses: dict[str, TrackedPose] = {pose.name: pose for pose in sample.value}
        for name, other in poses.items():
            if other.valid and (why := why_no_pose(other.matrix)):  # drivers of third parties may not have judged
                poses[name] = replace(other, valid=False, why=why, impossible=True)
        self.others |= set(poses) - {self.tool}
        pose = poses.get(self.tool)
        if pose is None:
            return
        judged = judge(pose, self._newest_ns, sample.time_ns + LOOK_NS)
        if judged.look is Look.NEW:
            self._newest_ns = pose.time_ns
            self._reports.append(Report(pose.time_ns, poses))
        elif not pose.valid or judged.look is Look.IMPOSSIBLE:  # the same sight read twice is one
            unseen = replace(pose, valid=False, why=judged.why, impossible=judged.look is Look.IMPOSSIBLE)
            self._reports.append(Report(sample.time_ns, {**poses, self.tool: unseen}))

    def reports(self) -> tuple[Report, ...]:
        """In order of time, no two at one moment: a sight may be older than the last asking for it."""
        out: list[Report] = []
        for report in sorted(self._reports, key=lambda r: r.time_ns):
            time_ns = report.time_ns if not out else max(report.time_ns, out[-1].time_ns + 1)
            out.append(Report(time_ns, report.poses))
        return tuple(out)


def seen_share(reports: tuple[Report, ...], tool: str) -> float:
    """Share of the reports in which the tool was seen; 0 without reports."""
    return sum(r.seen(tool) for r in reports) / len(reports) if reports else 0.0


def require_reports(reports: tuple[Report, ...], listener: Listener, least_share: float) -> None:
    """Refuse a recording in which the tool was not there, or hardly.

    Raises ``ConfigError`` for a tool that the tracker does not know, ``CalibrationRefused`` (``not seen``).
    """
    if not reports:
        known = ", ".join(sorted(listener.others)) or "no tool"
        raise ConfigError(f"the tracker never reported {listener.tool}; it reported {known}: is the name right?")
    impossible = [p for r in reports if (p := r.poses[listener.tool]).impossible]
    if len(impossible) > IMPOSSIBLE_MAX * len(reports):
        raise CalibrationRefused(
            "impossible",
            f"{len(impossible)} of {len(reports)} reports of {listener.tool} cannot be true: it {impossible[0].why}",
            advice="Look at the tracker's settings of axes and units, and at what it sends for a lost tool",
            figures={"impossible_n": len(impossible), "reports_n": len(reports)},
        )
    alike_n = longest_repeat(reports, listener.tool)
    if alike_n >= FROZEN_N:
        raise CalibrationRefused(
            "frozen",
            f"the tracker gave {alike_n} poses of {listener.tool} in a row that are equal to the last bit",
            advice="The tracker repeats an old pose: restart it, check that it sees the tool",
            figures={"alike_n": alike_n, "reports_n": len(reports)},
        )
    share = seen_share(reports, listener.tool)
    if share < least_share:
        raise CalibrationRefused(
            "not seen",
            f"the tracker saw {listener.tool} in {share:.0%} of {len(reports)} reports ({least_share:.0%} are asked "
            f"for), longest without sight {longest_blind_s(reports, listener.tool):.1f} s",
            advice="Keep the markers clean, uncovered and turned towards the tracker",
            figures={"seen_share": share, "reports_n": len(reports)},
        )


def longest_repeat(reports: tuple[Report, ...], tool: str) -> int:
    """Most sights of a tool in a row with the same numbers to the last bit; 0 without a sight."""
    longest = run = 0
    before = None
    for matrix in (r.poses[tool].matrix for r in reports if r.seen(tool)):
        run = run + 1 if before is not None and np.array_equal(before, matrix) else 1
        longest, before = max(longest, run), matrix
    return longest


def longest_blind_s(reports: tuple[Report, ...], tool: str) -> float:
    """Longest stretch without a sight of the tool, s."""
    if not reports:
        return 0.0
    times = [reports[0].time_ns, *(r.time_ns for r in reports if r.seen(tool)), reports[-1].time_ns]
    return float(np.diff(np.array(times)).max(initial=0)) / NS_PER_S


def body_of(reports: tuple[Report, ...]) -> str:
    """Name of the body on the phantom; raises ``ConfigError`` when none was reported."""
    names = sorted({name for r in reports for name in r.poses})
    for name in BODIES:
        if name in names:
            return name
    raise ConfigError(
        f"the tracker reports no body on the phantom ({' or '.join(BODIES)}); it reports {', '.join(names)}"
    )


def relative(reports: tuple[Report, ...], tool: str, body: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times (n,) and poses (n, 4, 4) of the tool in the body's frame, where both were seen.

    The body stands still against the tracker: its mean over ``TOGETHER_NS`` is not needed, each pair counts by itself.
    """
    both = [r for r in reports if r.seen(tool) and r.seen(body)]
    poses = [np.linalg.inv(r.poses[body].matrix) @ r.poses[tool].matrix for r in both]
    return np.array([r.time_ns for r in both], dtype=np.int64), np.array(poses).reshape(-1, 4, 4)
