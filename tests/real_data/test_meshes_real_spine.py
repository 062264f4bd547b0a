"""Bone surfaces of a public spine model (metres), when the real data are there."""

import numpy as np
import pytest
from recordings import FOLDER, needs

from hal.phantom.mesh import read_mesh
from hal.sim.meshes import voxel_volume

VOLUME_ML = {"L1": 68.8, "L2": 73.8, "L3": 80.6, "L4": 72.6, "L5": 76.2, "S1": 244.6, "Pelvis": 770.0}

pytestmark = needs("meshes")


@pytest.mark.parametrize("name", VOLUME_ML)
def test_real_bone_is_watertight_and_has_its_published_volume(name: str) -> None:
    mesh = read_mesh(FOLDER / f"meshes/{name}.obj", unit_mm=1000.0)
    assert mesh.is_watertight
    assert mesh.volume_ml == pytest.approx(VOLUME_ML[name], rel=0.005)


def test_voxels_of_l4_fill_its_volume_and_stay_in_place() -> None:
    mesh = read_mesh(FOLDER / "meshes/L4.obj", unit_mm=1000.0)
    volume = voxel_volume([mesh], 0.75, [16])
    filled = volume.labels == 16
    assert filled.sum() * 0.75**3 / 1000.0 == pytest.approx(mesh.volume_ml, rel=0.01)
    centre = volume.origin_mm + 0.75 * np.argwhere(filled).mean(axis=0)
    assert np.all(centre > mesh.vertices_mm.min(axis=0)) and np.all(centre < mesh.vertices_mm.max(axis=0))


@pytest.mark.parametrize("name", ["Needle_20cm", "Probe_L14-5_38_lowres"])
def test_real_stl_files_are_read(name: str) -> None:
    mesh = read_mesh(FOLDER / f"meshes/{name}.stl")
    assert len(mesh.faces) > 100
    size = np.ptp(mesh.vertices_mm, axis=0)
    assert size.max() > 20.0
