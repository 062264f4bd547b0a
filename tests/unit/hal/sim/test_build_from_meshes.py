"""Surface files to voxels, on bodies whose volume is known."""

from pathlib import Path

import numpy as np
import pytest

from hal.errors import ConfigError
from hal.phantom.mesh import SurfaceMesh, read_mesh, surface_points
from hal.sim.meshes import voxel_volume, voxelise
from hal.sim.volume import LabelVolume

CUBE = """# a cube of 2 cm in metres
v -0.01 -0.01 -0.01\nv 0.01 -0.01 -0.01\nv 0.01 0.01 -0.01\nv -0.01 0.01 -0.01
v -0.01 -0.01 0.01\nv 0.01 -0.01 0.01\nv 0.01 0.01 0.01\nv -0.01 0.01 0.01
f 1 4 3 2\nf 5/1/1 6/2/2 7/3/3 8/4/4\nf 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8
"""


@pytest.fixture
def cube(tmp_path: Path) -> SurfaceMesh:
    path = tmp_path / "cube.obj"
    path.write_text(CUBE)
    return read_mesh(path, unit_mm=1000.0)


def test_cube_in_metres_holds_8_ml_and_is_watertight(cube: SurfaceMesh) -> None:
    assert cube.volume_ml == pytest.approx(8.0)
    assert cube.is_watertight


def test_voxels_of_the_cube_are_exactly_its_inside(cube: SurfaceMesh) -> None:
    volume = LabelVolume(np.zeros((50, 50, 50), dtype=np.uint8), np.full(3, -12.25), 0.5)
    assert voxelise(cube, volume, 16) == 40**3
    assert volume.label_at(np.array([[9.9, 9.9, 9.9], [10.4, 0.0, 0.0]])).tolist() == [16, 0]


def test_mesh_moved_by_a_mirror_still_looks_outwards(cube: SurfaceMesh) -> None:
    assert cube.moved(np.diag([-1.0, 1.0, 1.0, 1.0])).volume_ml == pytest.approx(8.0)


def test_open_mesh_is_refused(cube: SurfaceMesh) -> None:
    holed = SurfaceMesh("holed", cube.vertices_mm, cube.faces[1:])
    assert not holed.is_watertight
    with pytest.raises(ConfigError, match="not watertight"):
        voxel_volume([holed], 1.0, [16])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.ply", "ply", r"only \.stl and \.obj"),
        ("a.obj", "v 0 0 x\n", "damaged"),
        ("a.obj", "v 0 0 0\nf 1 2 3\n", "do not exist"),
        ("a.obj", "# nothing\n", "no triangles"),
        ("a.stl", "garbage", "STL"),
    ],
)
def test_bad_surface_file_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_mesh(tmp_path / name)


def test_points_of_a_surface_lie_on_it_and_leave_no_hole(cube: SurfaceMesh) -> None:
    points = surface_points(cube, 2.0)
    assert np.abs(points).max(axis=1) == pytest.approx(np.full(len(points), 10.0))
    anywhere = np.random.default_rng(1).uniform(-10.0, 10.0, (500, 3))
    anywhere[:, 2] = 10.0
    apart = np.linalg.norm(anywhere[:, None] - points[None], axis=2).min(axis=1)
    assert apart.max() < 2.0
