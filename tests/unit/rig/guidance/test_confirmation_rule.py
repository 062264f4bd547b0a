"""The rule ``tip_confirmed`` limit by limit: a value just inside confirms, one just outside does not, and says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rig.geometry.registration import rigid_matrix
from rig.guidance.bending import TipPrediction
from rig.guidance.confirmation import (
    Confirmation,
    Method,
    confirm_direct,
    confirm_fan,
    confirm_fluid,
    confirm_fluid_sweep,
    confirm_motion,
    confirm_motion_sweep,
    first_confirmed,
)
from rig.guidance.needle import NeedleView
from rig.guidance.needle_fan import FanTip
from rig.guidance.needle_motion import FluidView, MotionView

POSE = rigid_matrix(np.zeros(3), np.zeros(3))
DIRECTION = np.array([0.6, 0.0, 0.8])
DEEP = np.array([5.0, 0.0, 40.0])
SHALLOW = np.array([5.0, 0.0, 20.0])
LOOSE = np.diag([0.25, 0.25, 0.25])


def prediction(tip: np.ndarray = DEEP, sd_mm: float = 0.5) -> TipPrediction:
    return TipPrediction(tip, sd_mm**2 * np.eye(3), DIRECTION, 0.0)


def needle(tip: np.ndarray = DEEP, **changed: object) -> NeedleView:
    """A needle whose end is seen as well as can be, 0.3 mm from where it should be."""
    view = NeedleView(
        True, "", tip + 0.3 * DIRECTION, DIRECTION, along_mm=0.3, across_mm=0.0, sd_along_mm=0.3, sd_across_mm=0.25,
        plane_offset_mm=0.2, plane_angle_deg=1.0, shaft_contrast=60.0, end_contrast=60.0, end_drop=50.0, onward=0.0,
        seen_length_mm=20.0, referenced=True,
    )  # fmt: skip
    return replace(view, **changed)  # type: ignore[arg-type]


def test_a_needle_seen_where_it_should_be_is_confirmed() -> None:
    answer = confirm_direct(prediction(), needle(), POSE)
    assert (answer.confirmed, answer.method, answer.reason) == (True, Method.DIRECT, "")
    assert answer.distance_mm == pytest.approx(0.3)


SIDES: list[tuple[str, dict[str, object], dict[str, object]]] = [
    ("beside the plane", {"plane_offset_mm": 2.0}, {"plane_offset_mm": 2.05}),
    ("beside the plane", {"plane_offset_mm": -2.0}, {"plane_offset_mm": -2.05}),
    ("crosses the plane", {"plane_angle_deg": 8.0}, {"plane_angle_deg": 8.1}),
    ("crosses the plane", {"plane_angle_deg": -8.0}, {"plane_angle_deg": -8.1}),
    ("short of the predicted tip", {"along_mm": -1.25}, {"along_mm": -1.26}),
    ("past the predicted tip", {"along_mm": 1.5}, {"along_mm": 1.51}),
    ("differ by", {"along_mm": 0.0, "across_mm": 2.0}, {"across_mm": 2.0}),  # with 0.3 mm along: 2.02 mm
    ("differ by", {"across_mm": -1.95}, {"across_mm": -2.0}),
    ("of shaft before the tip", {"seen_length_mm": 6.0}, {"seen_length_mm": 5.9}),
    ("dimmer than its shaft", {"end_contrast": 37.3}, {"end_contrast": 37.1}),  # 0.62 x 60 = 37.2
    ("dimmer than its shaft", {"shaft_contrast": 9, "end_contrast": 24.0}, {"shaft_contrast": 9, "end_contrast": 23.9}),
    ("stand out enough", {"referenced": False, "end_contrast": 38.0}, {"referenced": False, "end_contrast": 37.9}),
    ("stand out enough", {"referenced": False, "end_drop": 38.0}, {"referenced": False, "end_drop": 37.9}),
    ("fainter row", {"onward": 0.25}, {"onward": 0.26}),
    ("no clear end", {"end_drop": 26.0}, {"end_drop": 25.9}),
    ("not sharp", {"sd_along_mm": 1.0}, {"sd_along_mm": 1.01}),
    ("not sharp", {"sd_across_mm": 1.0}, {"sd_across_mm": 1.01}),
    ("not seen", {}, {"found": False, "reason": "not seen"}),
]  # fmt: skip


@pytest.mark.parametrize(("why", "inside", "outside"), SIDES)
def test_every_limit_of_a_direct_view_has_two_sides(
    why: str, inside: dict[str, object], outside: dict[str, object]
) -> None:
    good = confirm_direct(prediction(), needle(**inside), POSE)
    assert good.confirmed, good.reason
    bad = confirm_direct(prediction(), needle(**outside), POSE)
    assert not bad.confirmed and why in bad.reason and bad.method is Method.NONE
    assert np.array_equal(bad.tip_rig_mm, DEEP)  # the prediction alone, nothing of the view


def test_a_vague_prediction_confirms_nothing() -> None:
    assert confirm_direct(prediction(sd_mm=2.95), needle(), POSE).confirmed
    bad = confirm_direct(prediction(sd_mm=3.05), needle(), POSE)
    assert (not bad.confirmed and "too vague (3.0 mm)" in bad.reason) or "too vague (3.1 mm)" in bad.reason


def test_near_to_the_face_a_dim_end_is_not_believed() -> None:
    dim = {"shaft_contrast": 50.0, "end_contrast": 39.0}
    assert confirm_direct(prediction(), needle(**dim), POSE).confirmed
    assert "dim" in confirm_direct(prediction(SHALLOW), needle(SHALLOW, **dim), POSE).reason
    assert confirm_direct(prediction(SHALLOW), needle(SHALLOW, shaft_contrast=50.0, end_contrast=40.0), POSE).confirmed
    # The depth that counts is that of the seen tip below the face: 30 mm, wherever the probe stands.
    for z, believed in ((30.1, True), (29.9, False)):
        seen = np.array([5.0, 0.0, z])
        raised = rigid_matrix(np.zeros(3), np.array([0.0, 0.0, -7.0]))
        lifted = np.array([0.0, 0.0, -7.0])
        answer = confirm_direct(prediction(seen + lifted), needle(seen, tip_rig_mm=seen + lifted, **dim), raised)
        assert answer.confirmed is believed


def weighed(prior_sd: float, seen_sd: float) -> float:
    return prior_sd**2 / (prior_sd**2 + seen_sd**2)


def test_view_and_prediction_are_weighed_by_their_variances() -> None:
    answer = confirm_direct(prediction(sd_mm=0.6), needle(sd_along_mm=0.3), POSE)
    along = (answer.tip_rig_mm - DEEP) @ DIRECTION
    assert along == pytest.approx(0.3 * weighed(0.6, 0.3), abs=1e-3)
    spread = answer.covariance
    assert DIRECTION @ spread @ DIRECTION == pytest.approx(1.0 / (1 / 0.36 + 1 / 0.09), rel=2e-3)
    normal = np.array([0.0, 1.0, 0.0])
    assert normal @ spread @ normal == pytest.approx(1.0 / (1 / 0.36 + 1.0), rel=2e-3)  # a slice says 1 mm beside it
    across = np.cross(normal, DIRECTION)
    assert answer.seen_covariance is not None
    assert across @ answer.seen_covariance @ across == pytest.approx(0.25**2)
    assert answer.seen_covariance @ normal == pytest.approx(normal)
    assert answer.uncertainty_mm == pytest.approx(np.sqrt(normal @ spread @ normal))


# ---- a commanded small motion ------------------------------------------------------------------------------


def moved(tip: np.ndarray = DEEP, **changed: object) -> MotionView:
    view = MotionView(
        True, "", tip + 0.2 * DIRECTION, along_mm=0.2, across_mm=0.0, sd_mm=0.4, change_grey=30.0, ratio=6.0,
        plane_offset_mm=0.0,
    )  # fmt: skip
    return replace(view, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("why", "inside", "outside"),
    [
        ("beside the plane", {"plane_offset_mm": 2.0}, {"plane_offset_mm": 2.01}),
        ("beside the plane", {"plane_offset_mm": -2.0}, {"plane_offset_mm": -2.01}),
        ("from the predicted tip", {"across_mm": 1.98}, {"across_mm": 2.0}),
        ("from the predicted tip", {"along_mm": 2.0}, {"along_mm": 2.01}),
        ("from the predicted tip", {"along_mm": -1.25}, {"along_mm": -1.26}),
        ("not compact", {"sd_mm": 1.0}, {"sd_mm": 1.01}),
        ("still", {}, {"found": False, "reason": "still"}),
    ],
)
def test_every_limit_of_a_motion_has_two_sides(why: str, inside: dict[str, object], outside: dict[str, object]) -> None:
    good = confirm_motion(prediction(), moved(**inside), POSE)
    assert good.confirmed and good.method is Method.MOTION, good.reason
    bad = confirm_motion(prediction(), moved(**outside), POSE)
    assert not bad.confirmed and why in bad.reason


def test_near_to_the_face_a_dim_motion_is_not_believed() -> None:
    assert confirm_motion(prediction(SHALLOW), moved(SHALLOW, change_grey=24.0), POSE).confirmed
    assert "dim" in confirm_motion(prediction(SHALLOW), moved(SHALLOW, change_grey=23.9), POSE).reason
    assert confirm_motion(prediction(), moved(change_grey=23.9), POSE).confirmed
    at_limit = np.array([5.0, 0.0, 30.0])
    assert confirm_motion(prediction(at_limit), moved(at_limit, tip_rig_mm=at_limit, change_grey=13.0), POSE).confirmed


def test_a_motion_is_as_sure_in_its_plane_as_it_is_compact() -> None:
    answer = confirm_motion(prediction(), moved(sd_mm=0.4), POSE)
    assert answer.distance_mm == pytest.approx(0.2)
    assert answer.seen_covariance is not None
    assert np.diag(answer.seen_covariance) == pytest.approx([0.16, 1.0, 0.16])
    assert (answer.tip_rig_mm - DEEP) @ DIRECTION == pytest.approx(0.2 * weighed(0.5, 0.4), abs=1e-3)
    tilted = TipPrediction(DEEP, 0.25 * np.eye(3), np.array([0.6, 0.48, 0.64]), 0.0)  # partly out of the plane
    spread = confirm_motion(tilted, moved(sd_mm=0.4), POSE).seen_covariance
    assert spread is not None and np.diag(spread) == pytest.approx([0.16, 1.0, 0.16])


PLANES_MM = (-2.0, -1.0, 0.0, 1.0, 2.0)


def plane(y: float) -> np.ndarray:
    return rigid_matrix(np.zeros(3), np.array([0.0, y, 0.0]))


def motion_sweep(
    greys: tuple[float, ...], planes: tuple[float, ...] = PLANES_MM, **changed: object
) -> list[tuple[np.ndarray, MotionView]]:
    """The same motion in several planes, so strong in each; 0 = not found there."""
    return [
        (
            plane(y),
            moved(tip_rig_mm=DEEP + np.array([0.0, y, 0.0]), along_mm=0.0, found=g > 0, change_grey=g, **changed),
        )
        for y, g in zip(planes, greys, strict=True)
    ]


PEAK = (10.0, 24.0, 30.0, 24.0, 10.0)
"""A parabola of -5 grey per mm^2 about the middle plane, near enough."""


def test_a_motion_strongest_in_the_working_plane_is_confirmed_in_all_three_directions() -> None:
    answer = confirm_motion_sweep(prediction(), motion_sweep(PEAK))
    assert answer.confirmed and answer.method is Method.MOTION, answer.reason
    assert answer.distance_mm == pytest.approx(0.0, abs=1e-9)
    assert answer.seen_covariance is not None
    assert np.diag(answer.seen_covariance) == pytest.approx([0.16, 0.25, 0.16])  # 6 grey / (2 x 6 x 1 mm): 0.5 mm


def test_three_planes_are_enough_and_two_are_not() -> None:
    assert confirm_motion_sweep(prediction(), motion_sweep(PEAK[1:4], (-1.0, 0.0, 1.0))).confirmed
    two = confirm_motion_sweep(prediction(), motion_sweep(PEAK[1:3], (-1.0, 0.0)))
    assert not two.confirmed and "2 planes" in two.reason


def test_the_place_across_the_slice_is_the_vertex_of_the_brightness() -> None:
    # Through (-1, 20), (0, 30), (1, 28): a = -6, b = 4, vertex +1/3 mm.
    answer = confirm_motion_sweep(prediction(), motion_sweep((5.0, 20.0, 30.0, 28.0, 10.0)))
    assert answer.confirmed, answer.reason
    assert answer.distance_mm == pytest.approx(1 / 3, abs=1e-6)
    sd = 0.5
    assert answer.tip_rig_mm[1] == pytest.approx(weighed(0.5, sd) / 3, abs=1e-3)


def test_the_plane_nearest_to_the_prediction_must_confirm_by_itself() -> None:
    looks = motion_sweep(PEAK)
    pose, view = looks[2]
    looks[2] = (pose, replace(view, across_mm=2.2))
    assert "from the predicted tip" in confirm_motion_sweep(prediction(), looks).reason
    looks[2] = (pose, view)
    looks[0] = (looks[0][0], replace(looks[0][1], across_mm=2.2))  # another plane may say what it wants
    assert confirm_motion_sweep(prediction(), looks).confirmed


def test_a_needle_partly_out_of_the_plane_is_no_less_sure_along_it() -> None:
    tilted = TipPrediction(DEEP, 0.25 * np.eye(3), np.array([0.6, 0.48, 0.64]), 0.0)
    spread = confirm_motion_sweep(tilted, motion_sweep(PEAK, sd_mm=1.0)).seen_covariance
    assert spread is not None and np.diag(spread) == pytest.approx([1.0, 0.25, 1.0])


def test_one_plane_alone_says_nothing_of_the_place_across() -> None:
    assert "only one plane" in confirm_motion_sweep(prediction(), motion_sweep((0.0, 0.0, 30.0, 0.0, 0.0))).reason


def test_a_motion_strongest_beside_the_working_plane_is_another_needle() -> None:
    # Vertex through (0, 24), (1, 40), (2, 25): +1.02 mm, and with (2, 23): +0.99 mm.
    beside = confirm_motion_sweep(prediction(), motion_sweep((0.0, 8.0, 24.0, 40.0, 25.0)))
    assert not beside.confirmed and "beside the working plane" in beside.reason
    assert confirm_motion_sweep(prediction(), motion_sweep((0.0, 8.0, 24.0, 40.0, 23.0))).confirmed
    mirrored = confirm_motion_sweep(prediction(), motion_sweep((25.0, 40.0, 24.0, 8.0, 0.0)))
    assert not mirrored.confirmed and "beside the working plane" in mirrored.reason
    # Counted from the plane nearest to the prediction, wherever that one lies.
    off = tuple(y + 0.4 for y in PLANES_MM)
    assert confirm_motion_sweep(prediction(), motion_sweep((0.0, 8.0, 24.0, 40.0, 23.0), off)).confirmed


def test_a_brightness_that_hardly_changes_has_no_place() -> None:
    flat = confirm_motion_sweep(prediction(), motion_sweep((26.0, 28.0, 30.0, 28.0, 26.0)))
    assert not flat.confirmed and "as strong in three planes" in flat.reason
    assert confirm_motion_sweep(prediction(), motion_sweep((20.0, 26.5, 30.0, 26.5, 20.0))).confirmed  # 0.86 mm


def test_the_strongest_plane_must_agree_and_be_compact_too() -> None:
    looks = motion_sweep((5.0, 20.0, 30.0, 32.0, 10.0))  # strongest in the plane at +1 mm, vertex +0.58 mm
    assert confirm_motion_sweep(prediction(), looks).confirmed
    pose, view = looks[3]
    far = replace(view, tip_rig_mm=view.tip_rig_mm + 2.2 * DIRECTION)
    assert "from the predicted tip" in confirm_motion_sweep(prediction(), [*looks[:3], (pose, far), looks[4]]).reason
    wide = replace(view, sd_mm=1.1)
    assert "not compact" in confirm_motion_sweep(prediction(), [*looks[:3], (pose, wide), looks[4]]).reason
    answer = confirm_motion_sweep(prediction(), looks)
    vertex = 0.5 + 2.0 / 24.0  # through (0, 30), (1, 32), (2, 10): a = -12, b = 14
    assert answer.distance_mm == pytest.approx(vertex, abs=1e-6)
    assert answer.seen_covariance is not None  # 6 / (2 x 12 x 1 mm) = 0.25 mm
    assert answer.seen_covariance[1, 1] == pytest.approx(0.0625)


# ---- a fan of planes, out of plane -------------------------------------------------------------------------


def fan(**changed: object) -> FanTip:
    return replace(FanTip(True, "", DEEP + 0.5 * DIRECTION, 40.0, 0.35, 0.4), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("why", "inside", "outside"),
    [
        ("differ by", {"tip_rig_mm": DEEP + 1.99 * DIRECTION}, {"tip_rig_mm": DEEP + 2.01 * DIRECTION}),
        ("not sharp", {"sd_along_mm": 1.0}, {"sd_along_mm": 1.01}),
        ("not sharp", {"sd_across_mm": 1.0}, {"sd_across_mm": 1.01}),
        ("go on beyond", {}, {"goes_on": True}),
        ("no dots", {}, {"found": False, "reason": "no dots"}),
    ],
)
def test_every_limit_of_a_fan_has_two_sides(why: str, inside: dict[str, object], outside: dict[str, object]) -> None:
    good = confirm_fan(prediction(), fan(**inside))
    assert good.confirmed and good.method is Method.DIRECT, good.reason
    bad = confirm_fan(prediction(), fan(**outside))
    assert not bad.confirmed and why in bad.reason


def test_a_fan_is_weighed_along_and_across_the_needle() -> None:
    answer = confirm_fan(prediction(sd_mm=0.6), fan())
    assert answer.distance_mm == pytest.approx(0.5)
    assert answer.seen_covariance is not None
    assert DIRECTION @ answer.seen_covariance @ DIRECTION == pytest.approx(0.35**2)
    assert answer.seen_covariance[1, 1] == pytest.approx(0.4**2)
    assert (answer.tip_rig_mm - DEEP) @ DIRECTION == pytest.approx(0.5 * weighed(0.6, 0.35), abs=1e-3)


# ---- a small test injection --------------------------------------------------------------------------------


def fluid(centre: np.ndarray = DEEP, **changed: object) -> FluidView:
    view = FluidView(True, "", centre, 0.5, sd_mm=0.8, area_mm2=20.0, expected_area_mm2=30.0, drop_grey=30.0)
    return replace(view, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("why", "inside", "outside"),
    [
        ("from the predicted tip", {"distance_mm": 2.0}, {"distance_mm": 2.01}),
        ("smaller than the volume", {"area_mm2": 18.0}, {"area_mm2": 17.9}),
        ("no patch", {}, {"found": False, "reason": "no patch"}),
    ],
)
def test_every_limit_of_a_patch_has_two_sides(why: str, inside: dict[str, object], outside: dict[str, object]) -> None:
    good = confirm_fluid(prediction(), fluid(**inside), POSE)
    assert good.confirmed and good.method is Method.FLUID, good.reason
    bad = confirm_fluid(prediction(), fluid(**outside), POSE)
    assert not bad.confirmed and why in bad.reason


def test_a_patch_is_less_sure_across_the_slice() -> None:
    spread = confirm_fluid(prediction(), fluid(), POSE).seen_covariance
    assert spread is not None and np.diag(spread) == pytest.approx([0.64, 1.44, 0.64])
    assert spread == pytest.approx(np.diag(np.diag(spread)))


def patches(
    weights: tuple[float, ...], planes: tuple[float, ...] = PLANES_MM, **changed: object
) -> list[tuple[np.ndarray, FluidView]]:
    return [
        (plane(y), fluid(DEEP + np.array([0.0, y, 0.0]), found=w > 0, area_mm2=w, drop_grey=2.0, **changed))
        for y, w in zip(planes, weights, strict=True)
    ]


def test_the_middle_of_a_patch_over_the_planes_is_its_place() -> None:
    answer = confirm_fluid_sweep(prediction(), patches((2.0, 10.0, 20.0, 14.0, 4.0)))
    assert answer.confirmed and answer.method is Method.FLUID, answer.reason
    middle = (2 * -2 - 10 + 14 + 2 * 4) / 50.0
    assert answer.distance_mm == pytest.approx(middle)
    assert answer.seen_covariance == pytest.approx(0.64 * np.eye(3))
    assert answer.tip_rig_mm[1] == pytest.approx(middle * weighed(0.5, 0.8), abs=1e-3)


def test_area_and_drop_together_say_where_most_fluid_is() -> None:
    looks = patches((10.0, 10.0, 10.0, 10.0, 10.0))
    looks = [(pose, replace(v, drop_grey=d)) for (pose, v), d in zip(looks, (1.0, 2.0, 9.0, 2.0, 1.0), strict=True)]
    assert confirm_fluid_sweep(prediction(), looks).confirmed


@pytest.mark.parametrize(
    ("why", "weights"),
    [
        ("largest at the end", (20.0, 10.0, 5.0, 2.0, 1.0)),
        ("largest at the end", (1.0, 2.0, 5.0, 10.0, 20.0)),
        ("goes on beyond the end", (10.1, 15.0, 20.0, 12.0, 2.0)),
        ("goes on beyond the end", (2.0, 15.0, 20.0, 12.0, 10.1)),
    ],
)
def test_a_patch_whose_middle_may_lie_beyond_the_sweep_is_not_believed(why: str, weights: tuple[float, ...]) -> None:
    answer = confirm_fluid_sweep(prediction(), patches(weights))
    assert not answer.confirmed and why in answer.reason


def test_a_patch_at_half_its_strength_at_the_end_is_still_believed() -> None:
    assert confirm_fluid_sweep(prediction(), patches((10.0, 15.0, 20.0, 15.0, 10.0))).confirmed
    assert confirm_fluid_sweep(prediction(), patches((0.0, 1.0, 0.0), (-1.0, 0.0, 1.0))).confirmed


def test_a_patch_needs_three_planes_and_must_be_seen() -> None:
    assert "2 planes" in confirm_fluid_sweep(prediction(), patches((1.0, 2.0), (-1.0, 0.0))).reason
    unseen = confirm_fluid_sweep(prediction(), patches((0.0, 0.0, 0.0), (-1.0, 0.0, 1.0), reason="no patch"))
    assert not unseen.confirmed and unseen.reason == "no patch"


def test_a_patch_elsewhere_is_not_believed() -> None:
    looks = [
        (pose, replace(v, centre_rig_mm=v.centre_rig_mm + np.array([2.01, 0.0, 0.0])))
        for pose, v in patches((1.0, 5.0, 9.0, 5.0, 1.0))
    ]
    assert "from the predicted tip" in confirm_fluid_sweep(prediction(), looks).reason
    looks = [
        (pose, replace(v, centre_rig_mm=v.centre_rig_mm + np.array([2.0, 0.0, 0.0])))
        for pose, v in patches((1.0, 5.0, 9.0, 5.0, 1.0))
    ]
    assert confirm_fluid_sweep(prediction(), looks).confirmed


# ---- several methods ---------------------------------------------------------------------------------------


def answer(confirmed: bool, reason: str, distance: float) -> Confirmation:
    return Confirmation(confirmed, Method.FLUID if confirmed else Method.NONE, reason, DEEP, LOOSE, distance)


def test_the_first_method_that_confirms_decides() -> None:
    first, second = answer(True, "", 1.0), answer(True, "", 0.1)
    assert first_confirmed([answer(False, "dark", 0.0), first, second]) is first


def test_without_a_confirmation_all_reasons_are_reported() -> None:
    found = first_confirmed([answer(False, "dark", 1.0), answer(False, "still", 2.0)])
    assert (found.confirmed, found.method, found.reason, found.distance_mm) == (False, Method.NONE, "dark; still", 2.0)
    assert found.uncertainty_mm == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no confirmation"):
        first_confirmed([])


# ---- exactly at a limit ------------------------------------------------------------------------------------


def test_a_prediction_that_claims_no_error_is_still_weighed() -> None:
    answer = confirm_direct(prediction(sd_mm=0.0), needle(), POSE)
    assert answer.confirmed and 0.0 < answer.uncertainty_mm <= 0.01  # a hundredth of a millimetre is added


def test_a_prediction_of_three_millimetres_is_the_vaguest_that_may_be_confirmed() -> None:
    assert confirm_direct(TipPrediction(DEEP, np.diag([9.0, 1.0, 1.0]), DIRECTION, 0.0), needle(), POSE).confirmed


def test_thirty_millimetres_below_the_face_are_deep() -> None:
    at = np.array([5.0, 0.0, 30.0])
    dim = needle(at, tip_rig_mm=at, along_mm=0.0, shaft_contrast=50.0, end_contrast=39.0)
    assert confirm_direct(prediction(at), dim, POSE).confirmed


def test_the_place_of_a_patch_is_counted_from_the_plane_that_shows_most() -> None:
    answer = confirm_fluid_sweep(prediction(), patches((0.0, 8.0, 18.0, 20.0, 4.0)))
    assert answer.confirmed, answer.reason
    assert answer.distance_mm == pytest.approx((-8.0 + 20.0 + 8.0) / 50.0)


def test_a_faint_patch_is_a_patch() -> None:
    assert confirm_fluid_sweep(prediction(), patches((0.0, 0.25, 0.4, 0.25, 0.0))).confirmed


def test_two_planes_that_show_a_motion_are_enough_to_place_it() -> None:
    assert confirm_motion_sweep(prediction(), motion_sweep((0.0, 0.0, 30.0, 24.0, 0.0))).confirmed


def test_a_tip_two_millimetres_off_is_the_farthest_that_is_believed() -> None:
    straight = TipPrediction(np.array([5.0, 0.0, 40.0]), 0.25 * np.eye(3), np.array([0.0, 0.0, 1.0]), 0.0)
    assert confirm_fan(straight, fan(tip_rig_mm=np.array([5.0, 0.0, 42.0]))).confirmed
    looks = [(pose, replace(view, tip_rig_mm=view.tip_rig_mm)) for pose, view in motion_sweep(PEAK)]
    pose, view = looks[2]
    looks[2] = (pose, replace(view, tip_rig_mm=np.array([5.0, 0.0, 42.0])))
    answer = confirm_motion_sweep(straight, looks)
    assert answer.confirmed and answer.distance_mm == pytest.approx(2.0)
