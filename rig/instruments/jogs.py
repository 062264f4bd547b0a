"""Moves that scan while they run: short absolute jogs, limits first, arrival by read-back, nothing sent twice.

A Grbl controller has no host watchdog, so never more than 200 ms of motion are queued and a needle step is at
most 1 mm: if the host dies, the rig stops by itself within that. A jog whose reply was lost is an unknown
state: the position is asked for, and the move fails if it did not arrive in ``nominal x 1.5 + 1 s``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

from hal.clock import NS_PER_S
from hal.errors import DeviceError, LimitViolation
from hal.types import CarrierState, ForceReading, HolderState, MotionMode, NeedlePose, Pose6
from rig.config import Needle
from rig.control.controller import Controller
from rig.geometry.needle_mount import ON_AXIS, NeedleMount
from rig.geometry.transforms import rotation
from rig.lanes import Sample
from rig.roles import CARRIER, HOLDER, Role
from rig.safety.limits import MotionLimits, check_angles
from rig.safety.stop import Severity, Trip

P = TypeVar("P", Pose6, NeedlePose)

JOG_S = 0.12
"""Duration of one jog: with one scan and one exchange of lead the queue stays below 200 ms and never runs dry."""
QUEUE_S = 0.2
"""Most motion that may be queued; a driver's ``step_toward`` refers to it (``hal.interfaces``)."""
ARRIVED_MM = 0.05
ARRIVED_DEG = 0.05
PRESSED = "probe_force"
"""Source of the hold on the probe's contact force."""
BACK_SHARE = 0.7
"""Share of a move off the skin that must lead back along the probe's axis: 45 deg [A]."""
INSERTED_MM = 0.0
"""Feed of axis or tip beyond which the needle counts as inserted."""
_PARALLEL_DEG = 0.02
_SLOPE_RUN_MM = 0.3
_SLOPE_FLOOR_N = 1.0


@runtime_checkable
class Queued(Protocol):
    """A driver that knows how long the commands sent keep it moving."""

    @property
    def queue_end_ns(self) -> int:
        """End of the queue on the rig's clock; in the past when nothing is queued."""


@runtime_checkable
class Paced(Protocol):
    """A driver that computes the reach of one full jog: it knows levers and the speeds of single axes."""

    def step_toward(self, target: tuple[float, ...], speed_mm_s: float) -> tuple[float, ...]:
        """The farthest pose toward ``target`` that 200 ms of motion reach."""


@dataclass(frozen=True)
class NeedleAdvance:
    """One move of the needle."""

    state: CarrierState
    feed_before_mm: float
    force_peak_n: float | None
    """None: the rig has no needle force sensor."""


def move_probe(controller: Controller, pose: Pose6, speed_mm_s: float) -> HolderState:
    """Move the probe to ``pose`` (``ProbeToHolder``); returns the state read back on arrival.

    ``speed_mm_s`` is that of the fastest point of the probe face, at most (a driver may go slower in turns).
    Raises ``LimitViolation`` before anything is sent, ``DeviceError`` when it did not arrive.
    """
    holder = controller.rig.holder
    if holder is None:
        raise DeviceError("this rig has no probe holder", device="holder")
    limits = controller.limits.motion
    controller.require_no_pause()
    start = controller.read(HOLDER)
    check_probe(pose, speed_mm_s, limits, start.pose)
    _bar_pressing(controller, start.pose, pose)
    watch = controller.axes["holder"]

    def jog(step: Pose6) -> None:
        watch.extend(step.as_tuple())
        holder.jog(step, speed_mm_s)

    with (
        controller.attending("holder", "probe_force", "contact"),
        watch.ordered(start.pose.as_tuple(), speed_mm_s),
    ):
        seconds = controller.command(
            "holder", lambda: _seconds(holder, start.pose, pose, speed_mm_s), "the probe holder's pace"
        )
        _travel(
            controller, "holder", holder, start.pose, pose, seconds, 1,
            lambda values: Pose6(*values), jog,
        )  # fmt: skip
    state = controller.newest(HOLDER)
    assert state is not None  # it was read before the way began
    return state


def _bar_pressing(controller: Controller, start: Pose6, pose: Pose6) -> None:
    """Allow a probe that is pressed too hard only to be withdrawn: more along its axis than sideways.

    Sliding and turning press as well, and the hold that stopped one move must not be answered by the next.
    """
    pressed = next((trip for trip in controller.active_holds if trip.source == PRESSED), None)
    if pressed is None:
        return
    axis = rotation(start.a_deg, start.b_deg, start.c_deg)[:3, 2]
    step = [b - a for a, b in zip(start.as_tuple()[:3], pose.as_tuple()[:3], strict=True)]
    back_mm = -float(axis @ step)
    if not back_mm >= BACK_SHARE * math.hypot(*step) > 0.0:
        controller.refuse(pressed)


def check_probe(pose: Pose6, speed_mm_s: float, limits: MotionLimits, start: Pose6 | None = None) -> None:
    """Check workspace, angles and speed of the probe holder; from a ``start`` outside, a step on the way back is
    allowed."""
    here = pose if start is None else start
    limits.holder.check("probe", pose.x_mm, pose.y_mm, pose.z_mm, (here.x_mm, here.y_mm, here.z_mm))
    angles = {"A": (here.a_deg, pose.a_deg), "B": (here.b_deg, pose.b_deg), "C": (here.c_deg, pose.c_deg)}
    check_angles("probe", angles, limits.holder_angle_deg)
    if not 0.0 < speed_mm_s <= limits.probe_speed_mm_s:
        raise LimitViolation("probe speed (mm/s)", speed_mm_s, f"0 to {limits.probe_speed_mm_s:g} mm/s")


def move_needle(
    controller: Controller,
    pose: NeedlePose,
    speed_mm_s: float,
    *,
    blind: bool = False,
    felt: Callable[[float], None] | None = None,
) -> NeedleAdvance:
    """Move the needle carrier to ``pose``; returns what was read back on arrival.

    ``felt`` receives the largest axial force (N) on the way deeper, however the move ends: a move that the force itself
    has stopped felt the largest of all.

    While the needle is inserted only feed and bevel may change. Going deeper needs that no hold condition is
    true and, unless ``blind`` (a technique without image), that the tip was confirmed within the limit.
    Raises ``LimitViolation`` before anything is sent, ``HoldRequested``, ``DeviceError``.
    """
    carrier = controller.rig.carrier
    if carrier is None:
        raise DeviceError("this rig has no needle carrier: ask the operator", device="carrier")
    limits, mount = controller.limits.motion, controller.rig.config.needle.mount
    controller.require_no_pause()
    start = controller.read(CARRIER)
    check_needle(start.pose, pose, speed_mm_s, limits, mount)
    tip_mm = pose.feed_mm + mount.ahead_mm(pose)
    deeper = pose.feed_mm > start.pose.feed_mm and depth_mm(pose, mount) > INSERTED_MM
    if deeper:
        check_reach(depth_mm(pose, mount), controller.rig.config.needle)
        controller.require_no_hold()
        controller.travel.check_speed(tip_mm, speed_mm_s, limits.bone_speed_mm_s)
        if not blind:
            controller.travel.check(tip_mm)
    resistance = _Resistance(controller)
    watch = controller.axes["carrier"]

    def jog(step: NeedlePose) -> None:
        watch.extend(step.as_tuple())
        carrier.jog(step, speed_mm_s)

    try:
        with (
            controller.attending("carrier", "needle_force", "contact"),
            watch.ordered(start.pose.as_tuple(), speed_mm_s),
            controller.watching(resistance.rule if deeper else _no_rule),
        ):
            seconds = controller.command(
                "carrier", lambda: _seconds(carrier, start.pose, pose, speed_mm_s), "the needle carrier's pace"
            )
            _travel(
                controller, "carrier", carrier, start.pose, pose, seconds,
                math.ceil(abs(pose.feed_mm - start.pose.feed_mm) / limits.needle_step_mm - 1e-9),
                lambda values: NeedlePose(*values), jog,
            )  # fmt: skip
    finally:
        newest = controller.newest(CARRIER)
        if newest is not None:
            controller.travel.moved_to(newest.pose.feed_mm + mount.ahead_mm(newest.pose))
        if felt is not None and resistance.peak_n is not None:
            felt(resistance.peak_n)
    state = controller.newest(CARRIER)
    assert state is not None  # it was read before the way began
    return NeedleAdvance(state, start.pose.feed_mm, resistance.peak_n)


def check_reach(depth_mm: float, needle: Needle) -> None:
    """Raise ``LimitViolation`` for a depth that the needle does not reach with its hub clear of the skin."""
    if depth_mm > needle.usable_mm + 1e-6:
        reach = f"0 to {needle.usable_mm:g} mm: {needle.name} is {needle.length_mm:g} mm long, its hub stays outside"
        raise LimitViolation("needle depth (mm)", depth_mm, reach)


def depth_mm(pose: NeedlePose, mount: NeedleMount) -> float:
    """How far the needle is beyond the skin by its axis or by its calibrated tip, whichever is deeper: a calibration
    that puts the tip higher must not make an inserted needle a free one."""
    return pose.feed_mm + max(0.0, mount.ahead_mm(pose))


def check_needle(
    start: NeedlePose, pose: NeedlePose, speed_mm_s: float, limits: MotionLimits, mount: NeedleMount = ON_AXIS
) -> None:
    """Check workspace of axes and tip, angles, speed, and that an inserted needle is not moved sideways."""
    before_mm, after_mm = depth_mm(start, mount), depth_mm(pose, mount)
    limits.needle_entry.check("needle", pose.x_mm, pose.y_mm, pose.feed_mm, (start.x_mm, start.y_mm, start.feed_mm))
    limits.needle_entry.check("needle tip", pose.x_mm, pose.y_mm, after_mm, (start.x_mm, start.y_mm, before_mm))
    angles = {"lateral angle": (start.lateral_deg, pose.lateral_deg), "tilt": (start.tilt_deg, pose.tilt_deg)}
    check_angles("needle", angles, limits.needle_angle_deg)
    if max(after_mm, before_mm) <= INSERTED_MM + ARRIVED_MM or pose.feed_mm == start.feed_mm:
        top = limits.needle_air_speed_mm_s
    else:
        top = limits.withdraw_speed_mm_s if pose.feed_mm < start.feed_mm else limits.needle_speed_mm_s
    if not 0.0 < speed_mm_s <= top:
        raise LimitViolation("needle speed (mm/s)", speed_mm_s, f"0 to {top:g} mm/s")
    sideways = max(abs(a - b) for a, b in zip(start.as_tuple()[:4], pose.as_tuple()[:4], strict=True))
    if before_mm > INSERTED_MM + ARRIVED_MM and sideways > _PARALLEL_DEG:
        raise LimitViolation("sideways move of the inserted needle (mm or deg)", sideways, "0: withdraw it first")


def advance(controller: Controller, mm: float, speed_mm_s: float, *, blind: bool = False) -> NeedleAdvance:
    """Push the needle ``mm`` deeper along its axis."""
    if mm <= 0.0:
        raise LimitViolation("needle advance (mm)", mm, "positive lengths")
    return _feed(controller, mm, speed_mm_s, blind)


def withdraw(controller: Controller, mm: float, speed_mm_s: float) -> NeedleAdvance:
    """Pull the needle back by ``mm`` along its axis; allowed while hold conditions are true."""
    if mm <= 0.0:
        raise LimitViolation("needle withdrawal (mm)", mm, "positive lengths")
    return _feed(controller, -mm, speed_mm_s, True)


def rotate_bevel(controller: Controller, bevel_deg: float, speed_deg_s: float = 5.0) -> NeedleAdvance:
    """Turn the bevel to an absolute angle without feed."""
    state = controller.read(CARRIER)
    return move_needle(controller, replace(state.pose, bevel_deg=bevel_deg), speed_deg_s, blind=True)


def _feed(controller: Controller, mm: float, speed_mm_s: float, blind: bool) -> NeedleAdvance:
    state = controller.read(CARRIER)
    target = replace(state.pose, feed_mm=state.pose.feed_mm + mm)
    return move_needle(controller, target, speed_mm_s, blind=blind)


def _no_rule(now_ns: int) -> Trip | None:
    return None


class _Resistance:
    """Stop rule on the rise of the axial force per feed: bone gives 20-60 N/mm, a membrane less than 1 N/mm."""

    def __init__(self, controller: Controller) -> None:
        self.peak_n: float | None = None
        self._controller = controller
        self._limit = controller.limits.force.needle_slope_n_mm
        self._track: list[tuple[float, float]] = []
        self._seen: Sample[ForceReading] | None = None

    def rule(self, now_ns: int) -> Trip | None:
        channel = self._controller.rig.channels.get("needle_force")
        if channel is None or channel.sample is None or channel.sample is self._seen:
            return None
        self._seen = channel.sample
        force_n = abs(channel.sample.value.force_n)
        self.peak_n = force_n if self.peak_n is None else max(self.peak_n, force_n)
        feed_mm = self._controller.needle_pose_at(channel.sample.value.time_ns).feed_mm
        self._track.append((feed_mm, force_n))
        while len(self._track) > 2 and feed_mm - self._track[1][0] >= _SLOPE_RUN_MM:
            self._track.pop(0)
        run_mm = feed_mm - self._track[0][0]
        if run_mm < _SLOPE_RUN_MM or force_n < _SLOPE_FLOOR_N:
            return None
        slope = (force_n - self._track[0][1]) / run_mm
        if slope < self._limit:
            return None
        reason = f"axial force rises {slope:.1f} N/mm, limit {self._limit:g}: bone or a hard structure"
        return Trip("needle_force_slope", Severity.HOLD, reason, slope, self._limit)


def _length(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return math.sqrt(sum((y - x) ** 2 for x, y in zip(a, b, strict=True)))


def _seconds(device: object, start: Pose6 | NeedlePose, target: Pose6 | NeedlePose, speed_mm_s: float) -> float:
    """Duration of the whole move at this speed: by the driver where it knows it, else as if all axes were alike."""
    a, b = start.as_tuple(), target.as_tuple()
    length = _length(a, b)
    if isinstance(device, Paced) and length > 0.0:
        share = _length(a, device.step_toward(b, speed_mm_s)) / length
        if 0.0 < share < 1.0:
            return QUEUE_S / share
        if share >= 1.0:
            return QUEUE_S
    return length / speed_mm_s


def _travel(  # the move is one story: cut, send, pace, arrive
    controller: Controller,
    role: str,
    device: object,
    start: P,
    target: P,
    seconds: float,
    least_n: int,
    pose_of: Callable[[tuple[float, ...]], P],
    jog: Callable[[P], None],
) -> None:
    a, b = start.as_tuple(), target.as_tuple()
    length = _length(a, b)
    clock = controller.clock
    if length < 1e-6:
        return
    count = max(math.ceil(seconds / JOG_S - 1e-9), least_n, 1)
    jog_ns = int(seconds / count * NS_PER_S)
    # A quarter of a jog in reserve: turning axes make the path curved, and single jogs longer than the average.
    lead_ns = int(QUEUE_S * NS_PER_S) - 5 * jog_ns // 4
    deadline = clock.deadline(seconds * 1.5 + 1.0)
    queued_until_ns = clock.now_ns()
    for i in range(1, count + 1):
        pose = pose_of(tuple(x + (y - x) * i / count for x, y in zip(a, b, strict=True))) if i < count else target
        ahead_ns = queued_until_ns - lead_ns - clock.now_ns()
        if ahead_ns > 0:
            controller.wait(ahead_ns / NS_PER_S)
        controller.command(role, partial(jog, pose), f"{role} jog {i} of {count}")
        queued_until_ns = max(queued_until_ns, clock.now_ns()) + jog_ns
        if isinstance(device, Queued):  # where turning axes slow the later jogs, it knows better than the average
            queued_until_ns = max(queued_until_ns, device.queue_end_ns)
    sent_ns = clock.now_ns()
    if role in controller.rig.unmonitored:
        controller.read(Role[object](role))
    channel = controller.rig.channels[role]

    def arrived() -> bool:
        sample = channel.sample
        if sample is None or sample.time_ns < sent_ns or sample.value.mode is not MotionMode.IDLE:
            return False
        return all(abs(x - y) <= ARRIVED_MM for x, y in zip(sample.value.pose.as_tuple(), b, strict=True))

    def seen() -> str:
        sample = channel.sample
        if sample is None:
            return "no position"
        values = ", ".join(f"{v:.2f}" for v in sample.value.pose.as_tuple())
        return f"({values}), {sample.value.mode.value}"

    goal = ", ".join(f"{v:.2f}" for v in b)
    controller.wait_until(arrived, max(1.0, deadline.remaining_s), f"{role} arriving at ({goal})", seen)
