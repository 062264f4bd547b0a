"""Errors that bone and needle share in the image: what of them is left between aim point and tip."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rig.geometry.registration import (
    PosePrior,
    SurfaceFit,
    apply_transform,
    fit_to_surface,
    invert_rigid,
    make_surface,
    rigid_matrix,
)
from rig.guidance.common_errors import IMAGE_N, PARAMETERS_N, aim_shifts, frame_shifts, point_shifts, pose_shifts

AIM = np.array([4.0, 3.0, 62.0])
PRIOR = PosePrior((3.0, 3.0, 3.0), (2.0, 2.0, 2.0))


def _surface() -> np.ndarray:
    x, y = np.meshgrid(np.linspace(-30, 30, 121), np.linspace(-30, 30, 121))
    z = 38 + 6 * np.sin(x / 5) + 5 * np.cos(y / 6) + 0.1 * x
    return np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)


def _poses() -> list[np.ndarray]:
    found = []
    for turn, tilt, at in ((0.0, 4.0, (0.0, 8.0)), (0.0, -6.0, (6.0, -5.0)), (90.0, 0.0, (-8.0, 2.0))):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("zx", [turn, tilt], degrees=True).as_matrix()
        pose[:2, 3] = at
        found.append(pose)
    return found


def _seen(parameter: int, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Bone as three frames show it when one parameter is off by so much, and the shifts per point (Rig frame)."""
    rng = np.random.default_rng(4)
    bone = _surface()
    points, shifts = [], []
    for pose in _poses():
        true = bone[rng.choice(len(bone), 260, replace=False)]
        shift = frame_shifts(true, pose)
        points.append(true + size * shift[:, :, parameter])
        shifts.append(shift)
    return np.concatenate(points), np.concatenate(shifts)


def _fit(points: np.ndarray, prior: PosePrior | None = None) -> SurfaceFit:
    return fit_to_surface(points, make_surface(_surface()), np.eye(4), prior=prior, iterations=60)


@pytest.mark.parametrize(
    ("parameter", "size"), [(3, 0.3), (7, 0.3), (11, 0.3), (2, 0.006), (6, 0.006), (8, 0.006), (IMAGE_N, 0.006)]
)
def test_the_aim_point_moves_as_the_derivative_says(parameter: int, size: float) -> None:
    clean, shifts = _seen(parameter, 0.0)
    spoiled, _ = _seen(parameter, size)
    before, after = _fit(clean, PRIOR), _fit(spoiled, PRIOR)
    predicted = size * aim_shifts(before, pose_shifts(before, shifts), AIM)[:, parameter]
    found = apply_transform(invert_rigid(after.AToB), AIM) - apply_transform(invert_rigid(before.AToB), AIM)
    assert np.linalg.norm(found) > 0.05  # the parameter does move it
    assert np.linalg.norm(found - predicted) < 0.3 * np.linalg.norm(found) + 0.03


def test_an_offset_that_all_frames_share_in_the_rig_cancels_between_aim_and_tip() -> None:
    points, _ = _seen(0, 0.0)
    fit = _fit(points)
    moved = fit.moved_by(np.tile([0.2, -0.1, 0.4], (len(points), 1)))
    assert np.allclose(fit.moved_point(moved, AIM), [0.2, -0.1, 0.4], atol=1e-6)


def test_of_the_speed_of_sound_only_the_way_between_bone_and_target_is_left() -> None:
    points, shifts = _seen(0, 0.0)
    fit = _fit(points)
    aim = aim_shifts(fit, pose_shifts(fit, shifts), AIM)[:, IMAGE_N]
    tip = point_shifts(AIM, _poses()[0])[:, IMAGE_N]
    assert tip[2] == pytest.approx(62.0, abs=1.0)  # mm per unit of relative speed, from the face
    assert abs(aim[2] - 38.0) < 6.0  # the bone it is registered to
    assert np.linalg.norm(tip - aim) < 0.55 * np.linalg.norm(tip)


def test_a_local_fit_that_is_held_by_a_prior_follows_the_fit_it_started_from() -> None:
    points, shifts = _seen(0, 0.0)
    first = _fit(points)
    tight = PosePrior((1e-4, 1e-4, 1e-4), (1e-4, 1e-4, 1e-4))
    held = _fit(points, tight)
    moved = pose_shifts(first, shifts)
    alone = aim_shifts(held, pose_shifts(held, shifts), AIM)
    led = aim_shifts(held, pose_shifts(held, shifts, (first, moved)), AIM)
    assert np.allclose(led, aim_shifts(first, moved, AIM), atol=1e-2 * np.abs(led).max())
    assert np.abs(alone).max() < 1e-2 * np.abs(led).max()


def test_a_point_of_a_turned_probe_moves_along_the_probes_own_axes() -> None:
    pose = rigid_matrix(np.array([0.0, 0.0, np.pi / 2]), np.array([5.0, 6.0, 0.0]))
    shifts = point_shifts(np.array([5.0, 6.0, 30.0]), pose)
    assert shifts.shape == (3, PARAMETERS_N)
    assert np.allclose(shifts[:, 3], [0.0, 1.0, 0.0])  # the image's x offset runs along Rig y
    assert np.allclose(shifts[:, IMAGE_N], [0.0, 0.0, 30.0])
