"""A person holds the needle: the same looks as for a carrier, but wider, because nobody measured where it went in.

In plane the probe searches planes beside and turned about the needle's entry for the one that shows the needle
longest, and every confirmation is a sweep of three of them: where the echo is strongest, there the tip lies. Out of
plane the fan looks further aside. Errors of a hand (entry 2 mm, angles 4 deg: ``facts/domain.md`` 6) are the prior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.steps.confirm_in_plane import empty_frame
from experiments.steps.confirm_out_of_plane import fan_and_prediction, first_sight
from experiments.steps.confirm_prediction import predict
from experiments.steps.view_target import pressed
from experiments.trial.needle_hand import HAND_VARIANCE
from experiments.trial.sight import View
from experiments.trial.trial import Trial
from hal.types import Matrix, Pose6, Vector
from rig.geometry.transforms import from_pose6
from rig.guidance.bending import Bending
from rig.guidance.confirmation import Confirmation, ConfirmationLimits, Method, confirm_direct
from rig.guidance.fan_planes import Reach
from rig.guidance.needle import NeedleView, StripSettings, find_needle
from rig.guidance.needle_crossing import elevation_from_sweep

MEMORY = 0.8
"""Weight of what was known against the newest look: about five looks (8 mm of way) are remembered."""
OFFSETS_MM = tuple(float(v) for v in np.arange(-6.0, 6.1, 1.5))
YAWS_DEG = (-6.0, -3.0, 0.0, 3.0, 6.0)
"""Planes about the needle's entry that are searched: twice the spread of a hand, no further apart than a slice."""
WIDE = StripSettings(max_offset_mm=4.5, max_turn_deg=10.0, max_plane_angle_deg=90.0, max_plane_offset_mm=99.0)
ALONG_MM = 6.0
"""Depth marks and entry point together may be wrong by this much along the needle."""
SHARE = 0.5
"""Planes that show the needle at least so well, against the best, are weighed for where it runs."""
SHAFT_MM = 10.0
"""Second point of the shaft behind the tip, for its direction."""
SEEN_SD_MM, BESIDE_SD_MM, VAGUE_SD_MM = 0.5, 0.9, 1.5
AIDE_N = 3
"""Sweep: at most so many further planes when the echo is strongest at the end."""
LIMITS = ConfirmationLimits(
    short_mm=2.0, long_mm=2.0, shallow_end_grey=24.0, elevation_sd_mm=0.6, max_plane_offset_mm=3.0
)
NO_ELEVATION = ConfirmationLimits(short_mm=2.0, long_mm=2.0, elevation_sd_mm=1.2)
"""Marks tell the depth to 0.8 mm, so that short and long are wider; what those rules and the one for the thick slice
near the face guard against, a needle that leaves the slice, the sweep of planes sees by itself."""
FAN_WIDE = Reach(behind_mm=12.0, ahead_mm=12.0, radius_mm=8.0)
"""First sight: planes before and ahead of the marked depth, and how far aside of the prediction a dot is looked for."""
FAN_AWAY_MM = 9.0


def forget(bending: Bending) -> Bending:
    """A hand and gel that was cut and dragged are not the model's straight guide: older looks count less and less."""
    covariance = bending.covariance / MEMORY
    scale = np.sqrt(np.minimum(1.0, HAND_VARIANCE / np.diag(covariance)))
    return replace(bending, covariance=covariance * np.outer(scale, scale))


# ---- in plane --------------------------------------------------------------------------------------------------


def take_empty_grid(trial: Trial) -> tuple[View, ...]:
    """Frames without the needle over elevation and turn about the planned entry."""
    home = pressed(trial, trial.path.plan.ProbeToRig)
    empty = []
    for number, yaw in enumerate(YAWS_DEG):
        turned = _turned(home, trial.path.plan.entry_mm, yaw)
        offsets = OFFSETS_MM if number % 2 == 0 else OFFSETS_MM[::-1]
        for offset in offsets:
            pose = turned.copy()
            pose[:3, 3] += offset * turned[:3, 1]
            empty.append(trial.sight.look(pose, "empty", keep=offset == 0.0 and yaw == 0.0))
    return tuple(empty)


def _turned(ProbeToRig: Matrix, about_mm: Vector, yaw_deg: float) -> Matrix:
    """The pose turned about the vertical through a point."""
    turn = from_pose6(Pose6(0.0, 0.0, 0.0, 0.0, 0.0, yaw_deg))
    out = turn @ ProbeToRig
    arm = ProbeToRig[:3, 3] - about_mm
    out[:3, 3] = about_mm + turn[:3, :3] @ arm
    return np.asarray(out)


@dataclass(frozen=True)
class _Look:
    """The needle in one plane of the grid."""

    seen: NeedleView
    view: View

    @property
    def score(self) -> float:
        return self.seen.seen_length_mm * max(0.0, self.seen.shaft_contrast)

    def beside(self, point_mm: Vector) -> float:
        """Distance of a point from the plane, along its normal."""
        return float((point_mm - self.view.ProbeToRig[:3, 3]) @ self.view.ProbeToRig[:3, 1])


def _look(trial: Trial, ProbeToRig: Matrix, settings: StripSettings, label: str) -> _Look:
    view = trial.sight.look(ProbeToRig, label)
    prediction = predict(trial)
    seen = find_needle(
        view.pixels, trial.imaging.image_to_probe(view), view.ProbeToRig, prediction.tip_mm,
        prediction.direction, settings, reference=empty_frame(trial, view),
    )  # fmt: skip
    return _Look(seen, view)


def acquire_in_grid(trial: Trial) -> bool:
    """First sight of a needle that a person placed: where it entered, where it points, how deep it is."""
    looks = [_look(trial, empty.ProbeToRig, WIDE, "acquire") for empty in trial.path.empty]
    looks = [k for k in looks if k.seen.found and abs(k.seen.along_mm) <= ALONG_MM]
    if not looks:
        trial.event("acquire", found=False, planes_n=len(trial.path.empty))
        return False
    best = max(looks, key=lambda k: k.score)
    good = [k for k in looks if k.score >= SHARE * best.score]
    weights = np.array([k.score**2 for k in good])
    tip = best.seen.tip_rig_mm
    back = tip - SHAFT_MM * best.seen.direction_rig
    normal = best.view.ProbeToRig[:3, 1]
    # The middle of the planes that show it, at the tip and behind it: that is how far beside the best plane it runs.
    aside = [float(-(weights @ [k.beside(p) for k in good]) / weights.sum()) for p in (tip, back)]
    feed = trial.hand.feed_mm + best.seen.along_mm
    trial.hand.seen(feed, 0.5)
    spread = SEEN_SD_MM**2 * np.eye(3) + (BESIDE_SD_MM**2 - SEEN_SD_MM**2) * np.outer(normal, normal)
    for depth, point, shift in ((SHAFT_MM, back, aside[1]), (0.0, tip, aside[0])):
        trial.tip = trial.tip.at(trial.hand.feed_mm - depth, point - shift * normal, spread)
    trial.event(
        "acquire", found=True, planes_n=len(looks), along_mm=best.seen.along_mm, across_mm=best.seen.across_mm,
        beside_mm=best.beside(trial.tip.predict(trial.hand.feed_mm).tip_mm), seen_mm=best.seen.seen_length_mm,
    )  # fmt: skip
    return True


def confirm_by_sweep(trial: Trial) -> Confirmation:
    """The plane of the grid nearest to the tip and its neighbours: tip in the picture, and its place across planes."""
    trial.tip = trial.tip.bent(forget(trial.tip.bending))
    prediction = predict(trial)
    order = sorted(trial.path.empty, key=lambda e: _distance(e.ProbeToRig, prediction.tip_mm, prediction.direction))
    home = order[0].ProbeToRig
    row = _row(trial, home)
    at = next(i for i, pose in enumerate(row) if pose is home)
    looks: dict[int, _Look] = {}
    for index in (at - 1, at, at + 1):
        if 0 <= index < len(row):
            looks[index] = _look(trial, row[index], replace(WIDE, max_offset_mm=3.0, max_turn_deg=5.0), "needle")
    for _ in range(AIDE_N):
        best = max(looks, key=lambda i: _grey(looks[i]))
        onward = best - 1 if best == min(looks) else best + 1
        if best not in (min(looks), max(looks)) or not 0 <= onward < len(row):
            break
        looks[onward] = _look(trial, row[onward], replace(WIDE, max_offset_mm=3.0, max_turn_deg=5.0), "needle")
    # Of the planes that show enough of the shaft, the one in which its end is brightest.
    long = [
        k
        for k in looks.values()
        if k.seen.found and k.seen.seen_length_mm >= LIMITS.min_seen_mm and abs(k.seen.along_mm) <= 0.5 * ALONG_MM
    ]
    chosen = max(long or looks.values(), key=_grey)
    trial.tip = trial.tip.in_view(chosen.view)
    if not chosen.seen.found:
        return Confirmation(
            False, Method.NONE, chosen.seen.reason, prediction.tip_mm, prediction.covariance, float("nan")
        )
    offsets = [-look.beside(chosen.seen.tip_rig_mm) for look in looks.values()]
    elevation = elevation_from_sweep(offsets, [_grey(look) for look in looks.values()])
    trial.event(
        "sweep", offsets_mm=offsets, greys=[_grey(look) for look in looks.values()], found=elevation.found,
        reason=elevation.reason, offset_mm=elevation.offset_mm, seen_mm=[k.seen.seen_length_mm for k in looks.values()],
    )  # fmt: skip
    normal = chosen.view.ProbeToRig[:3, 1]
    shift = elevation.offset_mm if elevation.found else 0.0
    limits = LIMITS if elevation.found else NO_ELEVATION
    # The tip as seen, moved to where across the planes it is strongest; the rule then judges it as one view.
    seen = replace(chosen.seen, tip_rig_mm=chosen.seen.tip_rig_mm + shift * normal)
    answer = confirm_direct(prediction, seen, chosen.view.ProbeToRig, limits)
    clear = bool(long) and seen.end_drop >= LIMITS.min_end_drop
    if answer.confirmed or clear:
        # Confirmed or not, a needle that is seen this long shows its depth better than the marks do.
        trial.hand.seen(trial.hand.feed_mm + seen.along_mm, 0.5 if answer.confirmed else 1.0)
    if answer.confirmed:
        # The view itself: prediction and view are weighed once, where the model is corrected.
        spread = _spread(seen, normal, limits)
        answer = replace(answer, tip_rig_mm=seen.tip_rig_mm, covariance=spread, seen_covariance=spread)
    elif clear and elevation.found:
        # Not certain enough to go on, but the next look should be nearer to it.
        vague = VAGUE_SD_MM**2 * np.eye(3)
        trial.tip = trial.tip.at(trial.hand.feed_mm, seen.tip_rig_mm, vague)
    return answer


def _spread(seen: NeedleView, normal: Vector, limits: ConfirmationLimits) -> Matrix:
    """Covariance of a tip as one sweep sees it (3x3, mm^2)."""
    along = seen.direction_rig
    across = np.cross(normal, along)
    spread = seen.sd_along_mm**2 * np.outer(along, along) + seen.sd_across_mm**2 * np.outer(across, across)
    return np.asarray(spread + limits.elevation_sd_mm**2 * np.outer(normal, normal))


def _grey(look: _Look) -> float:
    return max(0.0, look.seen.end_contrast) if look.seen.found else 0.0


def _distance(ProbeToRig: Matrix, tip_mm: Vector, direction: Vector) -> float:
    """How badly a plane holds the needle's last part: tip first, the shaft behind it half as much."""
    normal = ProbeToRig[:3, 1]
    tip = abs(float((tip_mm - ProbeToRig[:3, 3]) @ normal))
    back = abs(float((tip_mm - 1.5 * SHAFT_MM * direction - ProbeToRig[:3, 3]) @ normal))
    return tip + 0.5 * back


def _row(trial: Trial, home: Matrix) -> list[Matrix]:
    """Planes of the grid that are parallel to this one, in order of elevation."""
    poses = [empty.ProbeToRig for empty in trial.path.empty]
    same = [pose for pose in poses if float(pose[:3, 1] @ home[:3, 1]) > np.cos(np.radians(0.5))]
    return sorted(same, key=lambda pose: float(pose[:3, 3] @ home[:3, 1]))


# ---- out of plane ----------------------------------------------------------------------------------------------


def acquire_by_wide_fan(trial: Trial) -> bool:
    """First sight of a needle that a person placed across the image."""
    tip = first_sight(trial, FAN_WIDE, FAN_AWAY_MM)
    if tip is None:
        return False
    trial.hand.seen(tip.feed_mm, 0.6)
    trial.tip = trial.tip.at(trial.hand.feed_mm, tip.tip_rig_mm, SEEN_SD_MM**2 * np.eye(3))
    return True


def confirm_by_fan(trial: Trial) -> Confirmation:
    """The fan, after which the person's mark and the model take over what it saw."""
    trial.tip = trial.tip.bent(forget(trial.tip.bending))
    answer, tip = fan_and_prediction(trial)
    if tip.found:
        trial.hand.seen(tip.feed_mm, 0.6 if answer.confirmed else 1.2)
    if answer.confirmed:
        answer = replace(answer, tip_rig_mm=tip.tip_rig_mm, covariance=SEEN_SD_MM**2 * np.eye(3),
                         seen_covariance=SEEN_SD_MM**2 * np.eye(3))  # fmt: skip
    return answer
