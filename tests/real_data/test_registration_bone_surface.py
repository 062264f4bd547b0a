"""Registration to the bone surface of a real spine model (L4, L5, S1), points drawn from its dorsal side."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from recordings import FOLDER, needs
from scipy.spatial.transform import Rotation

from hal.errors import CalibrationRefused
from rig.calibration.phantom.surface import SurfaceRegistration, register_surface
from rig.geometry.registration import Surface, make_surface

TURN = Rotation.from_euler("xyz", [3, 2, -4], degrees=True).as_matrix()

pytestmark = needs("meshes/L4.obj")


@cache
def spine() -> tuple[Surface, np.ndarray, np.ndarray]:
    """Surface (mm), its dorsal points (seen from behind, 30 mm either side), centre."""
    rows = []
    for name in ("L4", "L5", "S1"):
        for line in (FOLDER / f"meshes/{name}.obj").read_text().splitlines():
            if line.startswith("v "):
                rows.append([float(w) for w in line.split()[1:4]])
    vertices = np.array(rows) * 1000.0
    centre = vertices.mean(axis=0)
    order = np.lexsort((vertices[:, 0], *np.round(vertices[:, 1:] / 2).T))
    cells = np.round(vertices[order][:, 1:] / 2)
    first = np.concatenate([[True], np.any(np.diff(cells, axis=0) != 0, axis=1)])
    dorsal = vertices[order][first]
    return make_surface(vertices), dorsal[np.abs(dorsal[:, 1] - centre[1]) < 30.0], centre


def scan(seed: int = 1, change=lambda p: p, n: int = 600) -> np.ndarray:
    rng = np.random.default_rng(seed)
    _, dorsal, centre = spine()
    picked = dorsal[rng.choice(len(dorsal), n, replace=False)]
    return change((picked - centre) @ TURN) + rng.normal(0, 0.5, (n, 3))


def register(points: np.ndarray) -> SurfaceRegistration:
    surface, _, centre = spine()
    start = np.eye(4)
    start[:3, :3] = Rotation.from_euler("xyz", [1, 4, -2], degrees=True).as_matrix()
    start[:3, 3] = np.add(centre, [2.0, 3.0, -2.0])
    targets = {"L4": np.add(centre, [0, 25, 40]), "S1": np.add(centre, [0, 20, -50])}
    return register_surface(points, surface, start, point_sd_mm=0.5, targets=targets)


def test_pose_is_found_within_its_stated_uncertainty() -> None:
    _, _, centre = spine()
    for seed in range(3):
        result = register(scan(seed))
        for name, arm in (("L4", [0, 25, 40]), ("S1", [0, 20, -50])):
            found = result.AToB @ np.append(np.array(arm) @ TURN, 1.0)
            assert np.linalg.norm(found[:3] - centre - arm) < 3 * result.targets_mm[name]
        assert result.starts_apart_mm < 0.5
        assert result.held_out_rms_mm < 0.8
    assert "not accuracy" in json.loads(json.dumps(result.as_json()))["rms_note"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_scaled_axis_is_refused_by_its_name(axis: int) -> None:
    factor = np.ones(3)
    factor[axis] = 1.07
    with pytest.raises(CalibrationRefused, match=f"axis {'xyz'[axis]} is out of scale") as caught:
        register(scan(change=lambda p: p * factor))
    assert caught.value.code == "axis scale"


@pytest.mark.parametrize("axis", [0, 2])
def test_a_flipped_axis_is_refused(axis: int) -> None:
    sign = np.ones(3)
    sign[axis] = -1.0
    with pytest.raises(CalibrationRefused) as caught:
        register(scan(change=lambda p: p * sign))
    assert caught.value.code == "mirrored"
    assert f"axis {'xyz'[axis]} reversed" in caught.value.reason


def test_a_spine_mirrored_left_to_right_is_reported_as_open_handedness() -> None:
    """The shape cannot tell it: the result says so instead of being silent."""
    assert "y" in register(scan()).handedness_open
    assert "y" in register(scan(change=lambda p: p * [1, -1, 1])).handedness_open


def test_points_that_are_no_bone_are_refused() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(CalibrationRefused) as caught:
        register(scan(change=lambda p: p + rng.normal(0, 3.0, p.shape)))
    assert caught.value.code == "residual"


def test_few_points_are_refused() -> None:
    with pytest.raises(CalibrationRefused, match="bone points"):
        register(scan(n=40))
    with pytest.raises(CalibrationRefused, match="finite"):
        register(np.full((100, 3), np.nan))
