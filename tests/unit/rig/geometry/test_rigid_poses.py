import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rig.geometry.rigid import why_not_rigid


def pose() -> np.ndarray:
    m = np.eye(4)
    m[:3, :3] = Rotation.from_euler("xyz", [20, -35, 70], degrees=True).as_matrix()
    m[:3, 3] = 10, -200, 3
    return m


def test_a_rotation_and_a_shift_printed_with_six_digits_is_rigid() -> None:
    assert why_not_rigid(np.vectorize(lambda v: float(f"{v:.6g}"))(pose())) == ""


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_scaled_axis_is_named_with_its_frame(axis: int) -> None:
    rows, columns = pose(), pose()
    rows[axis] *= 1.1
    columns[:, axis] *= 0.9
    assert why_not_rigid(rows) == f"is no rotation: axis {'xyz'[axis]} of its target frame is scaled by 1.1000"
    assert why_not_rigid(columns) == f"is no rotation: axis {'xyz'[axis]} of its source frame is scaled by 0.9000"


def test_mirrored_skewed_empty_and_unfinished_poses_are_reported() -> None:
    flipped, skewed, torn = pose(), pose(), pose()
    flipped[2] *= -1
    skewed[:3, :3] += 0.05
    torn[0, 0] = np.nan
    assert "mirrored" in why_not_rigid(flipped)
    assert "scaled or skewed" in why_not_rigid(skewed)
    assert "not finite" in why_not_rigid(torn)
    assert "all zero" in why_not_rigid(np.zeros((4, 4)))
