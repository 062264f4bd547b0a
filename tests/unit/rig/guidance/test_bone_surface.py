"""Bone detection on drawn frames: a second generator, with nothing in common with the simulator."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hal.types import ProbeGeometry
from rig.guidance.bone_surface import find_bone
from rig.guidance.planning import probe_pose
from rig.guidance.scan_lines import scan_lines, to_scan_lines

PROBE = ProbeGeometry("compact", 40.0, 60.0, 40.0, 14.0)
DEPTH = 90.0
PITCH = 0.25
TOP = -6.0
ImageToProbe = np.array([[PITCH, 0, 0, -64.0], [0, 0, PITCH, 0.0], [0, PITCH, 0, TOP], [0, 0, 0, 1.0]])


def draw(bone_z: np.ndarray | None, seed: int = 0, echo: float = 230.0, thick: float = 0.5) -> np.ndarray:
    """Speckle with a bright curve z(x) and black behind it; columns 512, rows 384. NaN in the curve = no bone."""
    rng = np.random.default_rng(seed)
    speckle = cv2.GaussianBlur(rng.rayleigh(1.0, (384, 512)).astype(np.float32), (0, 0), 1.2)
    grey = 90 + 60 * (speckle - speckle.mean()) / speckle.std() * 0.5
    x = np.arange(512) * PITCH - 64.0
    z = np.arange(384) * PITCH + TOP
    rho, angle = np.hypot(x[None, :], z[:, None] + 40.0), np.arctan2(x[None, :], z[:, None] + 40.0)
    if bone_z is not None:
        # Along scan lines: range of the curve at this angle.
        line_angle = np.linspace(-np.pi / 6, np.pi / 6, 241)
        r = np.interp(angle.ravel(), line_angle, bone_z, left=np.nan, right=np.nan).reshape(angle.shape)
        behind = (rho - 40.0) - r
        grey = np.where(behind > 0, 4.0, grey)
        grey = np.maximum(grey, echo * np.exp(-0.5 * (behind / thick) ** 2) * np.isfinite(r))
    grey = np.where((np.abs(angle) < np.pi / 6) & (rho > 40.0) & (rho < 40.0 + DEPTH), grey, 0)
    return np.clip(np.nan_to_num(grey), 0, 255).astype(np.uint8)


def test_a_bone_line_is_found_on_its_middle_to_a_fifth_of_a_millimetre() -> None:
    truth = 45.0 + 4.0 * np.sin(np.linspace(0, 6, 241))
    bone = find_bone(draw(truth), ImageToProbe, PROBE, DEPTH)
    expected = np.interp(np.linspace(0, 240, len(bone.found)), np.arange(241), truth)
    assert bone.found[3:-3].mean() > 0.97
    error = (bone.range_mm - expected)[bone.found]
    assert abs(np.median(error)) < 0.2
    assert np.sqrt(np.mean(error**2)) < 0.3


def test_no_bone_is_an_answer() -> None:
    bone = find_bone(draw(None), ImageToProbe, PROBE, DEPTH)
    assert bone.found.mean() < 0.05
    assert bone.contact.all()


def test_a_black_frame_has_no_contact_and_no_bone() -> None:
    bone = find_bone(np.zeros((384, 512), np.uint8), ImageToProbe, PROBE, DEPTH)
    assert not bone.found.any() and not bone.contact.any()
    assert len(bone.probe_points()) == 0


def test_a_gap_between_two_bones_stays_a_gap() -> None:
    truth = np.full(241, np.nan)
    truth[20:90] = 40.0
    truth[140:220] = 48.0
    bone = find_bone(draw(truth), ImageToProbe, PROBE, DEPTH)
    line = np.linspace(0, 240, len(bone.found))
    assert bone.found[(line > 25) & (line < 85)].mean() > 0.95
    assert bone.found[(line > 145) & (line < 215)].mean() > 0.95
    assert bone.found[(line > 96) & (line < 134)].mean() < 0.1


def test_a_bright_fascia_without_shadow_is_not_bone() -> None:
    image = draw(None).astype(np.float32)
    image[150:153] = np.where(image[150:153] > 0, 220, 0)
    bone = find_bone(image.astype(np.uint8), ImageToProbe, PROBE, DEPTH)
    assert bone.found.mean() < 0.1


@pytest.mark.parametrize("c", [1480.0, 1540.0, 1600.0])
def test_ranges_follow_the_speed_of_sound(c: float) -> None:
    bone = find_bone(draw(np.full(241, 50.0)), ImageToProbe, PROBE, DEPTH, sound_speed_m_s=c)
    assert np.nanmedian(bone.range_mm) == pytest.approx(50.0 * c / 1540.0, abs=0.25)


def test_points_come_out_in_the_rig_frame() -> None:
    bone = find_bone(draw(np.full(241, 50.0)), ImageToProbe, PROBE, DEPTH)
    pose = probe_pose(10.0, 20.0, 3.0, 0.0, 0.0, 90.0)
    points = bone.rig_points(pose)
    middle = points[np.argmin(np.abs(points[:, 1] - 20.0))]
    assert middle == pytest.approx([10.0, 20.0, 53.0], abs=0.6)
    assert np.allclose(points[:, 0], 10.0, atol=1e-6)


def test_a_line_and_its_point_are_the_same_place() -> None:
    grid = scan_lines(PROBE, DEPTH)
    line, depth = np.array([3.0, 64.5, 120.0]), np.array([10.0, 44.0, 80.0])
    points = grid.at(line, depth)
    back_line, back_depth = grid.locate(points[:, 0], points[:, 2])
    assert np.allclose(back_line, line, atol=0.02) and np.allclose(back_depth, depth, atol=0.02)


def test_a_linear_array_has_parallel_lines() -> None:
    probe = ProbeGeometry("linear", float("inf"), 0.0, 38.0, 10.0)
    values, grid = to_scan_lines(draw(None), ImageToProbe, probe, 60.0)
    assert values.shape == (128, grid.samples)
    line, depth = grid.locate(np.array([0.0]), np.array([30.0]))
    assert line[0] == pytest.approx(63.5) and depth[0] == pytest.approx(30.0)
