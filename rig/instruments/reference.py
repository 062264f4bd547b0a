"""The reference instrument: the true tip of the needle, read independently of the image, with the needle at rest.

Whoever reads it, a trial or a calibration, reads it here. Only new readings count: taken after the needle came to rest,
newer than the one before, finite, of a proper rotation, within reach of the phantom. Up to a quarter of them may be
impossible or outliers, which are counted; with more, or when the rest scatters beyond what the instrument claims, the
tip is *not measured*, and the reason is given.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hal.clock import NS_PER_S
from hal.poses import why_not_tracked
from hal.types import Matrix, TrackedPose, Vector
from rig.control.controller import Controller
from rig.instruments.sights import (
    LEFT_OUT_MAX,
    TOGETHER_NS,
    Judged,
    Look,
    judge,
    spread_limit_mm,
    stuck,
    together,
)
from rig.roles import TRACKER

TIP, BODY = "NeedleTipToTracker", "PhantomToTracker"
"""``BODY``: the tracked body on the phantom; ``[frames] PhantomToReference`` says where the phantom is in it."""
READINGS_N = 12
LEAST_N = READINGS_N // 2
"""Fewer new readings than this within ``READ_S`` measure nothing [A]."""
PERIOD_S = 0.05
READ_S = 4.0
"""Longest wait for the readings of one rest."""
FAR_MM = 400.0
"""A tip further than this from the phantom's origin is in no needle's reach: blocks measure 300 mm, needles 120 [A]."""
SEEN_SHARE = 0.5
"""Share of a withdrawal by centimetres that an instrument measuring the tip in mm must see [A]: metres show a
thousandth, inches a twenty-fifth."""
UNSTATED_U_MM = 0.3
"""Claim of an instrument whose driver states none: the default of the tracker drivers."""


class Cause(enum.Enum):
    """Reason why a tip was not measured."""

    MEASURED = "measured"
    NO_INSTRUMENT = "no tracker"
    NOT_TOLD = "not told"
    """A person was asked and gave no position."""
    NOT_SEEN = "not seen"
    """A tool was out of sight; no fault of the instrument."""
    FROZEN = "frozen"
    """Poses grow no newer, or show the tip where it was before the needle moved."""
    IMPOSSIBLE = "impossible"
    """Numbers that no pose has, stamps that no clock explains, a tip out of every needle's reach."""
    OUTLIERS = "outliers"
    SCATTERED = "scattered"

    @property
    def device_fault(self) -> bool:
        """True when the instrument itself failed; decided before anybody saw an error of placement."""
        return self in (Cause.FROZEN, Cause.IMPOSSIBLE, Cause.OUTLIERS, Cause.SCATTERED)


@dataclass(frozen=True)
class TipAtRest:
    """The instrument's measurement of one resting tip. Positions in the requested frame, mm."""

    cause: Cause
    reason: str = ""
    """Why nothing was measured, in words; empty when it was."""
    tip_mm: Vector | None = field(default=None, repr=False)
    axis: Vector | None = field(default=None, repr=False)
    """Unit, out of the tip; None where the orientation is not measured."""
    spread_mm: float = 0.0
    """Root mean square distance of the kept readings from their mean."""
    readings_n: int = 0
    """That the tip is the mean of."""
    outliers_n: int = 0
    impossible_n: int = 0
    old_n: int = 0
    """Looks that brought nothing newer than what was known."""
    unseen_n: int = 0
    seen_mm: Vector | None = field(default=None, repr=False)
    """Mean tip in the tracker's own frame; None where a person measured."""

    @property
    def measured(self) -> bool:
        return self.cause is Cause.MEASURED

    def as_event(self) -> dict[str, object]:
        """Event for a journal: always the counts, and the reason where there is one."""
        event: dict[str, object] = {
            "measured": self.measured,
            "readings_n": self.readings_n,
            "outliers_n": self.outliers_n,
            "impossible_n": self.impossible_n,
            "old_n": self.old_n,
            "unseen_n": self.unseen_n,
        }
        if self.measured:
            return event | {"spread_mm": self.spread_mm}
        return event | {"cause": self.cause.value, "device_fault": self.cause.device_fault, "reason": self.reason}


def tip_now(controller: Controller) -> Vector | None:
    """Tip as the tracker shows it now, in its own frame; None out of sight. A person who measures is not asked."""
    tracker = controller.rig.tracker
    if tracker is None or not getattr(tracker, "polled", True):
        return None
    pose = _by_name(controller.read(TRACKER)).get(TIP)
    if pose is None or judge(pose, -1, controller.clock.now_ns()).look is not Look.NEW:
        return None
    return np.array(pose.matrix[:3, 3])


def judged_after_move(found: TipAtRest, now_mm: Vector | None, moved_mm: float = 0.0) -> TipAtRest:
    """A reading in the light of a later look, when the needle has moved by centimetres: a tracker that still shows the
    tip where it was has not seen it then either, and one that shows less than half of the move measures in other
    units or sees something else. ``now_mm``: ``tip_now``; ``moved_mm``: how far the tip went, by whoever moved it; 0
    where nobody knows."""
    if found.seen_mm is None or now_mm is None:
        return found
    if stuck(found.seen_mm, now_mm):
        cause, fault = Cause.FROZEN, "where it was before the needle moved, to a hundredth of a millimetre"
    else:
        seen_mm = float(np.linalg.norm(now_mm - found.seen_mm))
        if seen_mm >= SEEN_SHARE * moved_mm:
            return found
        cause, fault = Cause.IMPOSSIBLE, f"moved by {seen_mm:.2g} mm, and the needle was moved by {moved_mm:.0f} mm"
    reason = f"the tracker shows {TIP} {fault}; {_ADVICE[cause]}"
    return replace(found, cause=cause, reason=reason, tip_mm=None, axis=None)


def read_tip(controller: Controller, ReferenceToFrame: Matrix | None = None) -> TipAtRest:
    """Read the tip of a needle that rests from now on.

    ``ReferenceToFrame``: from the body on the phantom to the frame of the answer; None answers in the tracker's own
    frame and needs no body. Raises what ``Controller.read`` raises when the tracker fails.
    """
    if controller.rig.tracker is None:
        return TipAtRest(Cause.NO_INSTRUMENT, "no tracker on this rig")
    clock = controller.clock
    # Nothing that waited on the line belongs to this rest; only a person answers the question just asked.
    first = _by_name(controller.read(TRACKER))
    tip = first.get(TIP)
    if tip is not None and tip.typed:
        return _typed(tip, ReferenceToFrame)
    taken = _Taken(clock.now_ns(), ReferenceToFrame)
    deadline = clock.deadline(READ_S)
    while taken.new_n < READINGS_N and not deadline.expired:
        controller.wait(PERIOD_S)
        taken.look(_by_name(controller.read(TRACKER)), clock.now_ns())
    u_mm = float(getattr(controller.rig.tracker, "tip_uncertainty_mm", UNSTATED_U_MM))
    return taken.result(u_mm, clock.now_ns())


def _by_name(poses: tuple[TrackedPose, ...]) -> Mapping[str, TrackedPose]:
    return {pose.name: pose for pose in poses}


def _typed(tip: TrackedPose, ReferenceToFrame: Matrix | None) -> TipAtRest:
    """Measurement by a person, one reading, made from the body on the phantom."""
    if not tip.valid:
        return TipAtRest(Cause.NOT_TOLD, tip.why or "the person who measures gave no position", unseen_n=1)
    at = np.eye(4) if ReferenceToFrame is None else ReferenceToFrame
    place = at[:3, :3] @ tip.matrix[:3, 3] + at[:3, 3]
    far = "" if ReferenceToFrame is None else _why_far(place)
    if far:
        return TipAtRest(Cause.IMPOSSIBLE, far, impossible_n=1)
    return TipAtRest(Cause.MEASURED, tip_mm=place, readings_n=1)


def _why_far(tip_mm: Vector) -> str:
    away_mm = float(np.linalg.norm(tip_mm))
    if away_mm <= FAR_MM:
        return ""
    return (
        f"the tip lies {away_mm:.4g} mm from the phantom's origin, out of every needle's reach ({FAR_MM:g} mm); check "
        f"the body on the phantom, PhantomToReference and the units"
    )


class _Taken:
    """Looks at one rest, and their new readings."""

    def __init__(self, begun_ns: int, ReferenceToFrame: Matrix | None) -> None:
        self._begun_ns = begun_ns
        self._newest_ns = begun_ns
        self._to_frame = ReferenceToFrame
        self._tips: list[Matrix] = []
        """Tip in the frame of the answer."""
        self._raw_mm: list[Vector] = []
        """Its place in the tracker's frame."""
        self._looks: Counter[Look] = Counter()
        self._why: dict[Look, str] = {}

    @property
    def new_n(self) -> int:
        """Number of new readings so far, including impossible ones."""
        return len(self._tips) + self._looks[Look.IMPOSSIBLE]

    def look(self, poses: Mapping[str, TrackedPose], now_ns: int) -> None:
        """Take the result of one look at the tracker."""
        tip = poses.get(TIP)
        judged = judge(tip, self._newest_ns, now_ns)
        if judged.look is not Look.NEW or tip is None:
            self._count(TIP, judged)
            return
        self._newest_ns = tip.time_ns
        why = why_not_tracked(TIP, tip.matrix)
        if why:
            self._count(TIP, Judged(Look.IMPOSSIBLE, why))
            return
        if self._to_frame is None:
            self._tips.append(tip.matrix)
        else:
            body = poses.get(BODY)
            judged = judge(body, tip.time_ns - TOGETHER_NS - 1, now_ns)
            if judged.look is not Look.NEW or body is None:
                self._count(BODY, judged)
                return
            self._tips.append(self._to_frame @ np.linalg.inv(body.matrix) @ tip.matrix)
        self._looks[Look.NEW] += 1
        self._raw_mm.append(tip.matrix[:3, 3])

    def _count(self, name: str, judged: Judged) -> None:
        self._looks[judged.look] += 1
        self._why[judged.look] = f"{name} {judged.why}"

    def result(self, u_mm: float, now_ns: int) -> TipAtRest:
        """Judge all readings together."""
        looks = self._looks
        new_n, bad_n, good_n = self.new_n, looks[Look.IMPOSSIBLE], len(self._tips)
        waited = f"{(now_ns - self._begun_ns) / NS_PER_S:.1f} s"
        if new_n < LEAST_N:
            worst = Look.OLD if looks[Look.OLD] >= looks[Look.UNSEEN] else Look.UNSEEN
            cause = Cause.FROZEN if worst is Look.OLD else Cause.NOT_SEEN
            why = self._why.get(worst, "")
            few = f"only {new_n} of {READINGS_N} readings came" if new_n else "no pose of the tip was taken"
            return self._none(cause, f"{few} in the last {waited}: {why}; {_ADVICE[cause]}")
        if bad_n > LEFT_OUT_MAX * new_n:
            why = self._why[Look.IMPOSSIBLE]
            return self._none(
                Cause.IMPOSSIBLE,
                f"{bad_n} of {new_n} readings cannot be true: {why}; {_ADVICE[Cause.IMPOSSIBLE]}",
            )
        places = np.array([tip[:3, 3] for tip in self._tips])
        found = together(places, u_mm)
        left_out_n = bad_n + found.outliers_n
        if left_out_n > LEFT_OUT_MAX * new_n:
            return self._none(
                Cause.OUTLIERS,
                f"{found.outliers_n} of {new_n} readings lie where an instrument of {u_mm:g} mm per axis cannot see "
                f"the resting tip, {bad_n} cannot be true; {_ADVICE[Cause.OUTLIERS]}",
                found.outliers_n,
            )
        kept_n = good_n - found.outliers_n
        limit_mm = spread_limit_mm(u_mm, kept_n)
        if found.spread_mm > limit_mm:
            return self._none(
                Cause.SCATTERED,
                f"{kept_n} readings of the resting tip scatter by {found.spread_mm:.2f} mm; {limit_mm:.2f} mm is what "
                f"{u_mm:g} mm per axis allow; {_ADVICE[Cause.SCATTERED]}",
                found.outliers_n,
            )
        far = "" if self._to_frame is None else _why_far(found.mean_mm)
        if far:
            return self._none(Cause.IMPOSSIBLE, far, found.outliers_n)
        axes = np.array([tip[:3, 2] for tip in self._tips])[found.kept]
        axis = axes.mean(axis=0)
        return TipAtRest(
            Cause.MEASURED, "", found.mean_mm, axis / np.linalg.norm(axis), found.spread_mm, kept_n,
            found.outliers_n, bad_n, looks[Look.OLD], looks[Look.UNSEEN],
            np.mean(np.array(self._raw_mm)[found.kept], axis=0),
        )  # fmt: skip

    def _none(self, cause: Cause, reason: str, outliers_n: int = 0) -> TipAtRest:
        looks = self._looks
        return TipAtRest(
            cause, reason, readings_n=len(self._tips) - outliers_n, outliers_n=outliers_n,
            impossible_n=looks[Look.IMPOSSIBLE], old_n=looks[Look.OLD], unseen_n=looks[Look.UNSEEN],
        )  # fmt: skip


_ADVICE = {
    Cause.FROZEN: "the tracker repeats an old pose or its clock runs behind: restart it, check that it sees the sensor",
    Cause.NOT_SEEN: "is the sensor in the needle, its cable in, the line of sight free, the field near enough?",
    Cause.IMPOSSIBLE: "look at the tracker's settings of axes and units, and at what it sends for a lost tool",
    Cause.OUTLIERS: "something disturbs the tracker: look for metal, reflections and loose markers",
    Cause.SCATTERED: "the needle moves or something disturbs the tracker; an instrument that is worse must say so",
}
