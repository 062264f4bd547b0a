"""Needle-tip calibration on the rig: the carrier shows the tip, in air, to the tracker from many poses.

The probe is parked first. The needle stays above the skin all the time: every pose is checked against the limits
before anything moves, and a needle that stands in the phantom is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from experiments.calibrations.needle_poses import MIN_POSES_N
from experiments.calibrations.park_probe import check_parking, park, parking_place
from hal.errors import CalibrationRefused, ConfigError, LimitViolation, SafetyStop
from hal.types import Instruction, InstructionKind, NeedlePose
from rig.calibration.tool.needle_accepted import SeenTip
from rig.control.controller import Controller, JournalWriter
from rig.instruments.jogs import INSERTED_MM, check_needle, depth_mm, move_needle
from rig.instruments.reference import TIP, Cause, read_tip
from rig.roles import CARRIER, HOLDER

SPEED_MM_S = 10.0
SETTLE_S = 0.4
"""After arrival: longer than a tracker's filter and latency [A]."""
WAIT_S = 600.0
"""A person may take this long to answer."""


def check_poses(controller: Controller, poses: Sequence[NeedlePose]) -> NeedlePose:
    """Check all moves before the first one; returns the start, withdrawn as far as the poses are.

    Raises ``ConfigError`` for a needle that stands in the phantom, and ``LimitViolation``.
    """
    state = controller.read(CARRIER)
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
    controller: Controller, poses: Sequence[NeedlePose], journal: JournalWriter, *, least_n: int = MIN_POSES_N
) -> tuple[SeenTip, ...]:
    """Everything that moves: a person agrees, the needle is withdrawn, the probe parked, the tip shown.

    What every pose gave stands in the journal (event ``tip_seen``), also when it is refused afterwards. Raises what
    ``check_poses``, ``parking_place``, ``ask_for_room`` and ``see_tips`` raise.
    """
    up = check_poses(controller, poses)
    place = None
    if controller.rig.holder is not None:
        here = controller.read(HOLDER)
        place = parking_place(controller.rig.config, here.pose, stations(up, poses))
        check_parking(controller, here.pose, place)
    ask_for_room(controller, place is not None)
    move_needle(controller, up, SPEED_MM_S)
    if place is not None:
        park(controller, place)
    return see_tips(controller, up, poses, journal, least_n)


def see_tips(
    controller: Controller, up: NeedlePose, poses: Sequence[NeedlePose], journal: JournalWriter, least_n: int
) -> tuple[SeenTip, ...]:
    """Go to every pose, rest, read the tracker; poses at which the tip is not seen are left out.

    Raises ``CalibrationRefused`` with code ``not seen`` as soon as fewer than ``least_n`` can be left; ``frozen``,
    ``impossible`` or ``unsteady`` for a tracker whose poses grow no newer, cannot be true or do not agree; and what
    ``move_needle`` raises.
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
        journal.append("tip_seen", {"pose": list(reached.pose.as_tuple())} | _as_data(tip))
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


def _as_data(tip: SeenTip | None) -> dict[str, object]:
    if tip is None:
        return {"seen": False}
    return {
        "seen": True,
        "tip_tracker_mm": tip.tip_mm.tolist(),
        "spread_mm": tip.spread_mm,
        "readings_n": tip.readings_n,
    }


def _at_rest(controller: Controller, pose: NeedlePose, k: int) -> SeenTip | None:
    """The tip as the reference instrument sees it; None when it is out of sight.

    Raises ``CalibrationRefused`` with the cause for its code when the instrument itself is at fault.
    """
    found = read_tip(controller)
    if found.tip_mm is not None:
        return SeenTip(pose, found.tip_mm, found.spread_mm, found.readings_n)
    if not found.cause.device_fault:
        return None
    code = "unsteady" if found.cause in (Cause.SCATTERED, Cause.OUTLIERS) else found.cause.value
    raise CalibrationRefused(code, f"pose {k + 1}: {found.reason}", figures={"pose": k + 1} | found.as_event())
