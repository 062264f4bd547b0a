from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from hal.phantom.nominal import load_phantom
from hal.types import ProbeGeometry
from rig.geometry.registration import apply_transform, invert_rigid, rigid_matrix
from rig.guidance.needle_line import direction_from_angles
from rig.guidance.planning import PathRules, plan_path

PROBE = ProbeGeometry("compact", 40.0, 60.0, 40.0, 14.0)
L4_IP = PathRules(True, (15, 45), (-10, 30), 30, 15)
L4_OOP = PathRules(False, (-5, 15), (10, 35), 5, 22)


@dataclass(frozen=True)
class Root:
    nerve_centre_mm: np.ndarray
    nerve_axis: np.ndarray
    nerve_radius_mm: float

    def aim_mm(self, direction: np.ndarray) -> np.ndarray:
        across = direction - (direction @ self.nerve_axis) * self.nerve_axis
        return self.nerve_centre_mm - across / np.linalg.norm(across) * (self.nerve_radius_mm + 1.5)


ROOT = Root(np.array([25.0, 8.5, 59.2]), np.array([0.745, -0.507, 0.433]), 2.5)


def no_bone(points: np.ndarray) -> np.ndarray:
    return np.full(len(points), 50.0)


def test_a_plan_reaches_the_aim_point_and_keeps_clear_of_the_probe() -> None:
    plan = plan_path(ROOT, np.eye(4), L4_IP, PROBE, no_bone, side=1)
    assert plan.ok, plan.reason
    assert plan.entry_mm + plan.feed_mm * plan.direction == pytest.approx(plan.aim_mm)
    assert plan.direction == pytest.approx(direction_from_angles(plan.lateral_deg, plan.tilt_deg))
    assert plan.entry_mm[2] == pytest.approx(0.0)
    entry = apply_transform(invert_rigid(plan.ProbeToRig), plan.entry_mm)
    assert abs(entry[0]) >= PROBE.footprint_mm / 2 + 3.0 - 1e-9


def test_an_in_plane_path_lies_in_the_image_plane() -> None:
    plan = plan_path(ROOT, np.eye(4), L4_IP, PROBE, no_bone, side=1)
    RigToProbe = invert_rigid(plan.ProbeToRig)
    for point in (plan.entry_mm, plan.aim_mm):
        assert abs(apply_transform(RigToProbe, point)[1]) < 1e-6


def test_an_out_of_plane_path_crosses_the_plane_at_the_aim_point() -> None:
    plan = plan_path(ROOT, np.eye(4), L4_OOP, PROBE, no_bone, side=1)
    assert plan.ok, plan.reason
    assert abs(apply_transform(invert_rigid(plan.ProbeToRig), plan.aim_mm)[1]) < 1e-6
    entry = apply_transform(invert_rigid(plan.ProbeToRig), plan.entry_mm)
    assert abs(entry[1]) > PROBE.thickness_mm / 2 or abs(entry[0]) > PROBE.footprint_mm / 2


def test_the_right_side_is_the_mirror_of_the_left() -> None:
    mirror = Root(ROOT.nerve_centre_mm * [-1, 1, 1], ROOT.nerve_axis * [-1, 1, 1], 2.5)
    left = plan_path(ROOT, np.eye(4), L4_IP, PROBE, no_bone, side=1)
    right = plan_path(mirror, np.eye(4), L4_IP, PROBE, no_bone, side=-1)
    assert right.ok and right.lateral_deg == pytest.approx(-left.lateral_deg)
    assert right.entry_mm == pytest.approx(left.entry_mm * [-1, 1, 1])


def test_the_plan_moves_with_the_registration() -> None:
    shift = rigid_matrix(np.zeros(3), np.array([4.0, -3.0, 0.0]))
    here = plan_path(ROOT, np.eye(4), L4_IP, PROBE, no_bone, side=1)
    there = plan_path(ROOT, shift, L4_IP, PROBE, no_bone, side=1)
    assert there.entry_mm - here.entry_mm == pytest.approx([4.0, -3.0, 0.0])


def test_a_short_needle_is_refused_with_the_reason() -> None:
    plan = plan_path(ROOT, np.eye(4), replace(L4_IP, needle_length_mm=60.0), PROBE, no_bone, side=1)
    assert not plan.ok and plan.rejected["path longer than the needle allows"] == plan.candidates_n


def test_a_wall_of_bone_is_refused_with_the_reason() -> None:
    def wall(points: np.ndarray) -> np.ndarray:
        return points[:, 2] - 40.0

    plan = plan_path(ROOT, np.eye(4), L4_IP, PROBE, wall, side=1)
    assert not plan.ok and "bone" in plan.reason


def test_a_vessel_on_the_best_path_moves_the_plan_elsewhere() -> None:
    best = plan_path(ROOT, np.eye(4), L4_IP, PROBE, no_bone, side=1)
    centre = best.entry_mm + 0.7 * best.feed_mm * best.direction

    def vessel(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points - centre, axis=1) - 1.0

    plan = plan_path(ROOT, np.eye(4), L4_IP, PROBE, no_bone, side=1, vessel_distance=vessel)
    assert plan.ok and plan.vessel_clearance_mm >= 2.0
    assert (plan.lateral_deg, plan.tilt_deg) != (best.lateral_deg, best.tilt_deg)


# The last column is how far the reference phantom is from the table where it is known not to agree within 0.25 mm: its
# bones were fitted to all of the table at once, and at L5 its S1 articular process stands where the table's crude
# sacrum leaves room (decision 2 gives RMS and largest difference).
@pytest.mark.parametrize(("level", "angles", "table", "off_table"), [
    ("L4", (0, 20), 5.1, 0.0), ("L4", (10, 0), 3.7, 0.0), ("L4", (20, 0), 5.2, 0.5), ("L4", (20, 20), 6.2, 0.0),
    ("L4", (30, 0), 6.4, 0.0), ("L5", (10, 0), 3.7, 0.0), ("L5", (20, 0), 6.1, -0.8), ("L5", (30, 0), 8.3, -1.7),
])  # fmt: skip
def test_clearances_of_the_reference_phantom_are_those_of_the_corridor_table(
    level: str, angles: tuple[float, float], table: float, off_table: float
) -> None:
    phantom = load_phantom("lumbar_ref")
    root = phantom.target(level, "left")

    class Centre:
        nerve_centre_mm, nerve_axis, nerve_radius_mm = root.nerve_centre_mm, root.nerve_axis, root.nerve_radius_mm

        def aim_mm(self, direction: np.ndarray) -> np.ndarray:
            return self.nerve_centre_mm

    rules = PathRules(
        True,
        (angles[0],) * 2,
        (angles[1],) * 2,
        *angles,
        needle_length_mm=120,
        bone_clearance_mm=-9,
        nerve_clearance_mm=-9,
        footprint_margin_mm=-30,
        max_rotation_deg=90,
    )
    plan = plan_path(Centre(), np.eye(4), rules, PROBE, phantom.bone_distance, side=1)
    path = plan.entry_mm + np.arange(0.0, plan.feed_mm, 0.1)[:, None] * plan.direction
    assert plan.bone_clearance_mm == pytest.approx(phantom.bone_distance(path).min(), abs=0.1)
    assert plan.bone_clearance_mm == pytest.approx(table + off_table, abs=0.25)


@pytest.mark.parametrize(("level", "rules"), [
    ("L4", L4_IP), ("L4", L4_OOP), ("L5", replace(L4_IP, tilt_range_deg=(-20, 30), tilt_preferred_deg=10)),
    ("L5", replace(L4_OOP, lateral_range_deg=(0, 20), tilt_range_deg=(-40, -15), tilt_preferred_deg=-25)),
    ("S1", replace(L4_OOP, lateral_range_deg=(-5, 30), tilt_range_deg=(10, 30), tilt_preferred_deg=18)),
])  # fmt: skip
@pytest.mark.parametrize("side", ["left", "right"])
def test_every_root_of_the_reference_phantom_can_be_reached_from_its_side(
    level: str, rules: PathRules, side: str
) -> None:
    phantom = load_phantom("lumbar_ref")
    plan = plan_path(
        phantom.target(level, side), np.eye(4), rules, PROBE, phantom.bone_distance, side=1 if side == "left" else -1
    )
    assert plan.ok, plan.reason
    assert plan.bone_clearance_mm >= 1.5 and plan.nerve_clearance_mm >= 1.0
