"""Wires and cysts found in painted pictures whose truth is known; no simulator takes part."""

from __future__ import annotations

import numpy as np
import pytest

from hal.errors import CalibrationRefused, ConfigError
from hal.phantom.qa_block import load_block
from rig.calibration.scanner import BlockPicture, read_block, read_noise
from rig.calibration.scanner.block_match import shifted
from rig.calibration.scanner.wire_dots import find_dots

BLOCK = load_block("qa_ks107bg")
PITCH_MM, ROWS, COLUMNS = 0.2, 500, 500
ImageToProbe = np.array([
    [PITCH_MM, 0, 0, -PITCH_MM * (COLUMNS - 1) / 2], [0, 0, -PITCH_MM, 0], [0, PITCH_MM, 0, 0], [0, 0, 0, 1],
])  # fmt: skip
AXIAL_MM, LATERAL_MM = 0.5, 1.2


def painted(scale=(1.0, 1.0), shift=(1.3, 0.4), turn_deg=0.5, mirror=False, view_x_mm=0.0, wires=True, seed=1):
    """A linear array's picture of the block: speckle, Gaussian dots for wires, holes for cysts."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((ROWS, COLUMNS))
    x, z = ImageToProbe[0, 0] * columns + ImageToProbe[0, 3], PITCH_MM * rows
    field = (rng.normal(size=(2, ROWS, COLUMNS)) * np.sqrt(0.5)).astype(complex)
    field = field[0] + 1j * field[1]
    turn = np.radians(turn_deg)
    linear = np.diag(scale) @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    side = -1.0 if mirror else 1.0

    def place(at):
        return linear @ (np.array([side * at[0], at[1]]) - [view_x_mm, 0.0]) + shift

    for disc in BLOCK.all_cylinders():
        at = place((disc.x_mm, disc.z_mm))
        field[np.hypot(x - at[0], z - at[1]) < disc.diameter_mm / 2] *= 0.01
    for wire in BLOCK.all_wires() if wires else ():
        at = place((wire.x_mm, wire.z_mm))
        u, v = (x - at[0]) / (LATERAL_MM / 2.355), (z - at[1]) / (AXIAL_MM / 2.355)
        field += 25.0 * np.exp(-0.5 * (u * u + v * v))
    db = 20 * np.log10(np.abs(field) + 1e-9) + 25.0
    grey = np.clip(db * 255 / 60, 1, 255).astype(np.uint8)
    return BlockPicture(grey, ImageToProbe, 60.0, view_x_mm=view_x_mm), place


def test_the_centre_of_a_wire_is_found_to_a_fraction_of_a_pixel_and_its_widths_to_five_percent():
    picture, place = painted()
    rows = [r for r in read_block(picture, BLOCK, 1).rows["wires"] if r[1] in (0.0, 1.0) and r[5] == 1.0]
    off = np.array([np.array(r[6:8]) - place((r[2], r[3])) for r in rows])
    assert len(rows) == 15 and np.sqrt(np.mean(off**2)) < 0.03
    alone = [r for r in rows if r[4] == 1.0]
    assert np.median([r[9] for r in alone]) == pytest.approx(AXIAL_MM, rel=0.05)
    assert np.median([r[10] for r in alone]) == pytest.approx(LATERAL_MM, rel=0.05)


def test_a_scanner_with_wrong_scales_is_still_understood():
    picture, place = painted(scale=(0.95, 1.05))
    rows = [r for r in read_block(picture, BLOCK, 1).rows["wires"] if r[1] == 0.0]
    assert all(r[5] == 1.0 and np.hypot(*(np.array(r[6:8]) - place((r[2], r[3])))) < 0.15 for r in rows)


def test_a_block_turned_round_is_refused_and_told_so():
    with pytest.raises(CalibrationRefused, match="turned round"):
        read_block(painted(mirror=True)[0], BLOCK, 1)


def test_a_picture_of_plain_gel_and_one_of_another_block_are_refused():
    with pytest.raises(CalibrationRefused, match="does not show QA block"):
        read_block(painted(wires=False)[0], BLOCK, 1)
    with pytest.raises(CalibrationRefused, match=r"does not show|turned round"):
        read_block(painted()[0], load_block("qa_405gsx"), 1)


def test_a_view_with_few_wires_is_placed_by_the_view_before():
    first = read_block(painted()[0], BLOCK, 1).match
    picture, place = painted(view_x_mm=40.0)
    readings = read_block(picture, BLOCK, 2, shifted(first, 40.0))
    discs = readings.rows["discs"]
    assert len(discs) == 9
    for row in discs:
        assert np.hypot(*(np.array(row[5:7]) - place(row[1:3]))) < 0.5
        assert row[10] == 1.0 and row[7] == pytest.approx(row[3], abs=1.0)
    assert np.mean([row[8] for row in discs if row[3] == 6.0]) < -20.0


def test_a_view_with_two_wires_takes_its_place_from_the_view_before():
    first = read_block(painted()[0], BLOCK, 1).match
    picture, place = painted(view_x_mm=-100.0)
    rows = read_block(picture, BLOCK, 2, shifted(first, -100.0)).rows["wires"]
    assert [row[2:4] for row in rows if row[5] == 1.0] == [(-68.0, 2.0), (-58.0, 3.0)]
    assert all(np.hypot(*(np.array(row[6:8]) - place(row[2:4]))) < 0.1 for row in rows)


def test_dots_of_a_saturated_wire_have_a_place_and_no_width():
    picture, _ = painted()
    white = BlockPicture(np.clip(picture.pixels.astype(int) + 80, 0, 255).astype(np.uint8), ImageToProbe)
    widths = [d.axial_mm for d in find_dots(white)[:10]]
    assert np.all(np.isnan(widths))


def test_a_picture_in_air_gives_levels_by_depth_alone():
    rows = read_noise(BlockPicture(np.full((ROWS, COLUMNS), 51, np.uint8), ImageToProbe), 0)
    assert {row[4] for row in rows} == {1.0} and all(row[2] == pytest.approx(12.0) for row in rows)


def test_a_colour_picture_is_refused():
    with pytest.raises(ConfigError, match="8-bit grey"):
        BlockPicture(np.zeros((4, 4, 3), np.uint8), ImageToProbe)
