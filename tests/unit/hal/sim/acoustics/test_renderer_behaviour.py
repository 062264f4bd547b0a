"""Behaviour of a frame: determinism, contact, indentation, fluid, geometry of the image."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from acoustic_scenes import CURVED, LINEAR, SETTINGS, block, material, pose

from hal.sim.acoustics.renderer import Renderer
from hal.sim.acoustics.scan_grid import ScanGrid
from hal.sim.acoustics.states import Bolus, EchoNeedle, Track
from hal.types import ImagingSettings


def layered() -> Renderer:
    return Renderer(LAYERS, CURVED, "full", 4)


LAYERS = block(
    material(1, 0.5, 1.65, 4.0), material(2, 0.5, 1.6), material(3, 15.0, 6.0), surfaces_mm=(3.0, 50.0),
    spacing_mm=1.0, size_mm=(160.0, 60.0, 110.0),
)  # fmt: skip
CONTENT = {
    "needle": EchoNeedle(np.array([[40.0, 0.0, 2.0], [5.0, 0.0, 38.0]])),
    "boluses": (Bolus.ball(np.array([-12.0, 0.0, 30.0]), 0.5),),
    "tracks": (Track(np.array([[-40.0, 0.0, 2.0], [-15.0, 0.0, 40.0]])),),
}


def test_same_inputs_give_the_same_bytes_on_one_thread_and_on_two() -> None:
    one, two = layered(), Renderer(LAYERS, CURVED, "full", 4, threads=2)
    for at in (pose(z=2.0), pose(3.0, 1.0, 2.0, 25.0, 10.0)):
        first = one.render(at, SETTINGS, indentation_mm=2.0, **CONTENT)
        one.render(pose(9.0), SETTINGS)  # what was drawn before must not matter
        assert first.tobytes() == one.render(at, SETTINGS, indentation_mm=2.0, **CONTENT).tobytes()
        assert first.tobytes() == two.render(at, SETTINGS, indentation_mm=2.0, **CONTENT).tobytes()
        assert first.tobytes() == layered().render(at, SETTINGS, indentation_mm=2.0, **CONTENT).tobytes()


def test_another_seed_gives_other_speckle() -> None:
    a = layered().render(pose(), SETTINGS, couplant_gap_mm=20.0)
    b = Renderer(LAYERS, CURVED, "full", 5).render(pose(), SETTINGS, couplant_gap_mm=20.0)
    inside = (a > 40) & (a < 200)
    assert np.mean(a[inside] != b[inside]) > 0.9


def test_lifted_part_of_the_face_shows_black_columns() -> None:
    renderer = layered()
    plan = renderer.plan(SETTINGS)
    # The edges of the face lie 5.4 mm behind its centre: with 1 mm of couplant they see air.
    envelope = renderer.envelope(pose(z=0.0), plan, couplant_gap_mm=1.0)[:, 100:450]
    assert envelope[:20].mean() < 0.02 * envelope[120:136].mean()
    full = renderer.envelope(pose(z=0.0), plan, couplant_gap_mm=6.0)[:, 100:450]
    assert full[:20].mean() > 0.3 * full[120:136].mean()


def test_indentation_brings_deep_structures_nearer_by_less_than_the_press() -> None:
    renderer = layered()
    plan = renderer.plan(SETTINGS)

    def bone_depth(**content: float) -> float:
        row = renderer.envelope(pose(z=content.pop("z")), plan, couplant_gap_mm=20.0, **content)[120:136].mean(axis=0)
        return float(np.argmax(row[100:]) + 100) * plan.sample_mm

    rest, rigid, pressed = bone_depth(z=0.0), bone_depth(z=4.0), bone_depth(z=4.0, indentation_mm=4.0)
    assert rest == pytest.approx(50.0, abs=0.3)
    assert rigid == pytest.approx(46.0, abs=0.3)
    # Displacement at 50 mm rest depth: 4 exp(-50/25) = 0.54 mm.
    assert pressed == pytest.approx(46.0 + 4.0 * np.exp(-2.0), abs=0.3)


def test_injected_fluid_is_echo_poor_with_more_echo_behind_it() -> None:
    renderer = layered()
    plan = renderer.plan(SETTINGS)
    bolus = Bolus.ball(np.array([0.0, 0.0, 30.0]), 1.0)
    with_fluid = renderer.envelope(pose(), plan, boluses=(bolus,), couplant_gap_mm=20.0)
    without = renderer.envelope(pose(), plan, couplant_gap_mm=20.0)

    def db(low_mm: float, high_mm: float) -> float:
        rows = slice(round(low_mm / plan.sample_mm), round(high_mm / plan.sample_mm))
        power = [float((image[122:134, rows] ** 2).mean()) for image in (with_fluid, without)]
        return 10 * np.log10(power[0] / power[1])

    assert db(27.0, 33.0) < -15
    assert 1.0 < db(40.0, 47.0) < 7.0


def test_penny_shaped_pool_holds_its_volume() -> None:
    pool = Bolus.penny(np.zeros(3), 2.0, np.array([0.0, 1.0, 1.0]))
    assert 4 / 3 * np.pi * np.prod(pool.semi_axes_mm) == pytest.approx(2000.0)
    assert pool.semi_axes_mm[0] / pool.semi_axes_mm[2] == pytest.approx(3.0)
    assert pool.axes @ pool.axes.T == pytest.approx(np.eye(3), abs=1e-12)


@pytest.mark.parametrize("probe", [CURVED, LINEAR])
@pytest.mark.parametrize("quality", ["full", "fast"])
def test_needle_tip_appears_where_ImageToProbe_says(probe: object, quality: str) -> None:
    clear = block(material(1, 0.0, 1.6, -60.0), spacing_mm=2.0)
    renderer = Renderer(clear, probe, quality, 1)  # type: ignore[arg-type]
    at = pose(4.0, -3.0, 1.0, 30.0)
    tip_probe = np.array([11.0, 0.0, 42.0, 1.0])
    tip = (at @ tip_probe)[:3]
    needle = EchoNeedle(np.array([tip + 0.05 * at[:3, 1], tip]))
    image = renderer.render(at, SETTINGS, needle=needle, couplant_gap_mm=20.0)
    assert image.shape == (512, 512)
    ImageToProbe = renderer.plan(SETTINGS).grid.ImageToProbe
    column, row = (np.linalg.inv(ImageToProbe) @ tip_probe)[:2]
    patch = image[60:].astype(float)
    brightest = np.argwhere(patch == patch.max()).mean(axis=0) + np.array([60, 0])
    # The comet tail hangs below the tip: the leading echo is the tip.
    assert abs(brightest[1] - column) * renderer.plan(SETTINGS).grid.pixel_mm < 0.5
    assert abs(brightest[0] - row) * renderer.plan(SETTINGS).grid.pixel_mm < 0.5


def test_image_axes_are_right_handed_and_square() -> None:
    grid = ScanGrid.of(CURVED, ImagingSettings(depth_mm=100.0))
    rotation = grid.ImageToProbe[:3, :3] / grid.pixel_mm
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    edge = np.linalg.inv(grid.ImageToProbe) @ np.array([-20.0, 0.0, grid.top_mm, 1.0])
    assert edge[1] == pytest.approx(0.0, abs=1e-9)


def test_settings_change_depth_and_gain() -> None:
    renderer = layered()
    normal = renderer.render(pose(), SETTINGS, couplant_gap_mm=20.0)
    brighter = renderer.render(pose(), dataclasses.replace(SETTINGS, gain_db=6.0), couplant_gap_mm=20.0)
    inside = (normal > 40) & (normal < 200)
    assert np.median(brighter[inside].astype(int) - normal[inside]) == pytest.approx(6 / 60 * 255, abs=1.5)
    deeper = dataclasses.replace(SETTINGS, depth_mm=110.0)
    deep = renderer.render(pose(), deeper, couplant_gap_mm=20.0)
    assert renderer.plan(deeper).grid.pixel_mm > renderer.plan(SETTINGS).grid.pixel_mm
    assert deep.shape == normal.shape


def test_quality_must_be_known() -> None:
    with pytest.raises(ValueError, match="full"):
        Renderer(LAYERS, CURVED, "best", 1)


def test_opencv_threads_do_not_change_the_bytes() -> None:
    renderer = layered()
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        one = renderer.render(pose(), SETTINGS)
        cv2.setNumThreads(2)
        assert one.tobytes() == renderer.render(pose(), SETTINGS).tobytes()
    finally:
        cv2.setNumThreads(before)
