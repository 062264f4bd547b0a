"""A QA block in the simulated world, seen by the scanner."""

from __future__ import annotations

import numpy as np
import pytest

from hal.phantom.qa_block import load_block
from hal.sim.acoustics.renderer import Renderer
from hal.sim.acoustics.scan_grid import ScanGrid
from hal.sim.acoustics.scene import Scene
from hal.sim.build import BuildErrors
from hal.sim.qa_block import pour_block
from hal.types import ImagingSettings, ProbeGeometry

PROBE = ProbeGeometry("compact convex 40 mm", 40.0, 60.0, 40.0, 14.0)
SETTINGS = ImagingSettings(depth_mm=95.0)


@pytest.fixture(scope="module")
def built():
    return pour_block(load_block("qa_ks107bg"), 3, BuildErrors())


@pytest.fixture(scope="module")
def picture(built):
    renderer = Renderer(Scene.of(built.volume, dict(built.materials)), PROBE, "fast", seed=3)
    pose = np.eye(4)
    pose[0, 3] = 30.0
    return renderer.render(
        pose, SETTINGS, wires_mm=built.block.wires_mm, couplant_gap_mm=built.block.well_mm, sound_speed_m_s=1540.0
    )


def grey_at(picture, x_mm: float, z_mm: float, reach_mm: float) -> np.ndarray:
    ProbeToImage = np.linalg.inv(ScanGrid.of(PROBE, SETTINGS, "fast").ImageToProbe)
    column, row, *_ = ProbeToImage @ np.array([x_mm - 30.0, 0.0, z_mm, 1.0])
    n = round(reach_mm * float(np.linalg.norm(ProbeToImage[:, 0])))
    i, j = round(float(row)), round(float(column))
    return picture[i - n : i + n + 1, j - n : j + n + 1]


def test_wires_are_bright_and_cysts_are_dark(picture):
    speckle = float(np.mean(grey_at(picture, 25.0, 60.0, 4.0)))
    assert np.max(grey_at(picture, 20.0, 40.0, 1.0)) > speckle + 80
    assert np.mean(grey_at(picture, 44.0, 30.0, 1.5)) < 0.2 * speckle


def test_wires_lie_within_the_makers_tolerance_and_run_along_y(built):
    block = load_block("qa_ks107bg")
    designed = np.array([[w.x_mm, w.z_mm] for w in block.all_wires()])
    first, last = built.block.wires_mm[:, 0], built.block.wires_mm[:, 1]
    off = np.abs(first[:, [0, 2]] - designed)
    assert off.max() <= block.position_tolerance_mm and off.max() > 0.5 * block.position_tolerance_mm
    assert np.array_equal(first[:, [0, 2]], last[:, [0, 2]])


def test_the_gel_is_within_the_makers_tolerance_of_its_speed_at_the_temperature_of_the_bench():
    block = load_block("qa_ks107bg")
    speeds = [pour_block(block, seed, BuildErrors(temperature_c=25.0)).sound_speed_m_s for seed in range(8)]
    assert np.all(np.abs(np.array(speeds) - 1543.0) <= 10.0) and np.std(speeds) > 1.0
