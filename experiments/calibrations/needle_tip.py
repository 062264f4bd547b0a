"""Needle-tip calibration on the rig: the carrier shows the tip, in air, to the tracker from many poses.

The probe is parked first. The needle stays above the skin all the time: every pose is checked against the limits
before anything moves, and a needle that stands in the phantom is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.calibrations.needle_poses import MIN_POSES_N
from experiments.calibrations.park_probe import check_parking, park, parking_place
from experiments.reference import PERIOD_S, READINGS_N, TIP
from hal.clock import NS_PER_S
from hal.errors import ConfigError, LimitViolation, SafetyStop
from hal.types import CarrierState, HolderState, Instruction, InstructionKind, NeedlePose, TrackedPose
from rig.calibration.certificate_refusal import CalibrationRefused
from rig.calibration.needle_tip import SeenTip
from rig.controller import Controller, Journal
from rig.motion import INSERTED_MM, check_needle, depth_mm, move_needle

SPEED_MM_S = 10.0
SETTLE_S = 0.4
"""After arrival: longer than a tracker's filter and latency [A]."""
READ_S = 4.0
"""Longest wait for the readings of one pose, when the tracker streams."""
WAIT_S = 600.0
"""A person may take this long to answer."""


def check_poses(controller: Controller, poses: Sequence[NeedlePose]) -> NeedlePose:
    """Check all moves before the first one; returns the start, withdrawn as far as the poses are.

    Raises ``ConfigError`` for a needle that stands in the phantom, and ``LimitViolation``.
    """
    state: CarrierState = controller.read("carrier")
    mount = controller.rig.config.needle.mount
    deep_mm = depth_mm(state.pose, mount)
    if deep_mm > INSERTED_MM:
        raise ConfigError(f"the needle stands {deep_mm:.1f} mm beyond the skin: withdraw it; it is calibrated in air")
    up = replace(state.pose, feed_mm=min(state.pose.feed_mm, min(pose.feed_mm for pose in poses)))
    before = state.pose
    for pose in stations(up, poses):
        if depth_mm(pose, mount) > INSERTED_MM:
            deep_mm = depth_mm(pose, mount)
            raise LimitViolation("needle feed in air (mm)", deep_mm, "0 or less: the tip stays above the skin")
        check_needle(before, pose, SPEED_MM_S, controller.limits.motion, mount)
        before = pose
    return up


def stations(up: NeedlePose, poses: Sequence[NeedlePose]) -> tuple[NeedlePose, ...]:
    """All that the carrier goes through: from each pose to the next over the entry point, then the angles, then feed
    and bevel, each with the tip at an even pace, so that no jog is longer than the others; at the end up again."""
    out = [up]
    for pose in poses:
        over = replace(out[-1], x_mm=pose.x_mm, y_mm=pose.y_mm)
        turned = replace(over, lateral_deg=pose.lateral_deg, tilt_deg=pose.tilt_deg)
        out += [over, turned, pose]
    return (*out, replace(out[-1], feed_mm=up.feed_mm))


def ask_for_room(controller: Controller, with_probe: bool) -> None:
    """A person looks before the carrier turns; raises ``SafetyStop`` when the answer is no."""
    if controller.rig.operator is None:
        return
    probe = "the probe parks aside, then the" if with_probe else "take the probe away; the"
    text = f"needle-tip calibration: {probe} needle turns in air above the phantom. Nothing in its way, nobody near?"
    if not controller.ask(Instruction(InstructionKind.CONFIRM, text), WAIT_S).done:
        raise SafetyStop("the operator did not agree to the needle moving", source="operator_declined")


def measure_needle_tip(
    controller: Controller, poses: Sequence[NeedlePose], journal: Journal, *, least_n: int = MIN_POSES_N
) -> tuple[SeenTip, ...]:
    """Everything that moves: a person agrees, the needle is withdrawn, the probe parked, the tip shown.

    What every pose gave stands in the journal (event ``tip_seen``), also when it is refused afterwards. Raises what
    ``check_poses``, ``parking_place``, ``ask_for_room`` and ``see_tips`` raise.
    """
    up = check_poses(controller, poses)
    place = None
    if controller.rig.holder is not None:
        here: HolderState = controller.read("holder")
        place = parking_place(controller.rig.config, here.pose, stations(up, poses))
        check_parking(controller, here.pose, place)
    ask_for_room(controller, place is not None)
    move_needle(controller, up, SPEED_MM_S)
    if place is not None:
        park(controller, place)
    return see_tips(controller, up, poses, journal, least_n)


def see_tips(
    controller: Controller, up: NeedlePose, poses: Sequence[NeedlePose], journal: Journal, least_n: int
) -> tuple[SeenTip, ...]:
    """Go to every pose, rest, read the tracker; poses at which the tip is not seen are left out.

    Raises ``CalibrationRefused`` with code ``not seen`` as soon as fewer than ``least_n`` can be left, ``frozen`` when
    the tracker's poses grow no newer, and what ``move_needle`` raises.
    """
    way = stations(up, poses)
    seen: list[SeenTip] = []
    unseen: list[int] = []
    for k, pose in enumerate(poses):
        over, turned = way[3 * k + 1], way[3 * k + 2]
        for step in (over, turned):
            move_needle(controller, step, SPEED_MM_S)
        reached = move_needle(controller, pose, SPEED_MM_S).state
        controller.wait(SETTLE_S)
        tip = _at_rest(controller, reached.pose, k)
        journal.append("tip_seen", {"pose": list(reached.pose.as_tuple())} | _told(tip))
        if tip is None:
            unseen.append(k + 1)
        else:
            seen.append(tip)
        if len(poses) - len(unseen) < least_n:
            raise CalibrationRefused(
                "not seen",
                f"the tracker does not see {TIP} at {len(unseen)} of {k + 1} poses ({', '.join(map(str, unseen))}); "
                f"{least_n} must be seen",
                advice="Is the sensor in the needle, its cable in, the line of sight free, the field near enough?",
                figures={"unseen": unseen},
            )
    move_needle(controller, way[-1], SPEED_MM_S)
    return tuple(seen)


def _told(tip: SeenTip | None) -> dict[str, object]:
    if tip is None:
        return {"seen": False}
    return {
        "seen": True,
        "tip_tracker_mm": tip.tip_mm.tolist(),
        "spread_mm": tip.spread_mm,
        "readings_n": tip.readings_n,
    }


def _at_rest(controller: Controller, pose: NeedlePose, k: int) -> SeenTip | None:
    """Mean of distinct readings taken since now; None when the tip is not seen in at least half of them."""
    clock = controller.clock
    begun_ns = newest_ns = clock.now_ns()
    typed = not getattr(controller.rig.tracker, "polled", True)
    wanted = 1 if typed else READINGS_N
    deadline = clock.deadline(READ_S)
    tips: list[np.ndarray] = []
    hidden_n = late_n = 0
    while len(tips) < wanted and not deadline.expired:
        poses: dict[str, TrackedPose] = {p.name: p for p in controller.read("tracker")}
        tip = poses.get(TIP)
        if tip is None or not tip.valid:
            hidden_n += 1
        elif typed or tip.time_ns > newest_ns:
            newest_ns = tip.time_ns
            tips.append(tip.matrix[:3, 3].copy())
        else:
            late_n += 1
        if typed:
            break
        controller.wait(PERIOD_S)
    if not tips and late_n > hidden_n:
        age_s = (clock.now_ns() - begun_ns) / NS_PER_S
        raise CalibrationRefused(
            "frozen",
            f"pose {k + 1}: the tracker sent no pose of the tip that was taken within the last {age_s:.1f} s, "
            "and calls the old one valid",
            advice="The tracker stands still, or its clock runs behind: restart it",
        )
    if len(tips) < max(1, wanted // 2):
        return None
    found = np.array(tips)
    mean = found.mean(axis=0)
    spread = float(np.sqrt(np.mean(np.sum((found - mean) ** 2, axis=1))))
    return SeenTip(pose, mean, spread, len(found))
