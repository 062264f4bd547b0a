"""Figures of the QA block from tables whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.qa.evaluation import missing
from analysis.qa.kinds.ultrasound_block import TABLES, ULTRASOUND_BLOCK
from analysis.tables import DataFrame

SETTINGS = ULTRASOUND_BLOCK.settings({})


def table(name: str, rows) -> DataFrame:
    fields = [f.name for f in TABLES[name]]
    return DataFrame([(0.0, *row) for row in rows], columns=["time_s", *fields])


def tables(scale_x=1.0, scale_z=1.0, bend_mm=0.0, dip_db=0.0, reach_mm=1e9, air=True, lost=(), pictures=3, seed=1):
    """A column and a row of wires, dead-zone wires, cysts, levels: everything exact but for 0.01 mm of noise."""
    rng = np.random.default_rng(seed)
    wires, discs, across, depths = [], [], [], []
    true = [(0, 0, z) for z in range(10, 100, 10)] + [(1, x, 40) for x in (-30, -20, -10, 10, 20, 30)]
    true += [(3, 10 * k, 6 - k) for k in range(4)]
    for n in range(1, pictures + 1):
        for kind, x, z in true:
            at = np.array([scale_x * x, scale_z * z + bend_mm * (z == 90)]) + rng.normal(0, 0.01, 2) + [3.0, 0.5]
            seen = (kind, x, z) not in lost
            place = (*at, at[1], 0.4, 1.0 + 0.01 * abs(z - 50), 50.0, 1.0) if seen else (np.nan,) * 6 + (0.0,)
            wires.append((n, kind, x, z, 1.0, float(seen), *place))
        for d in (2.0, 4.0, 6.0):
            discs.append((n, 20.0, 30.0, d, np.nan, 20.0, 30.0, d, -20.0 - d, d, float(d > 2.0)))
        for at_mm in np.arange(-19.5, 20.0, 1.0):
            across.append((n, at_mm, 24.0 - dip_db * (abs(at_mm) < 1.6), 100))
        for at_mm in np.arange(1.0, 95.0, 2.0):
            depths.append((n, at_mm, 24.0 if at_mm < reach_mm else 10.5, 100, 0.0))
            if air and n == 1:
                depths.append((0, at_mm, 10.0, 100, 1.0))
    made = {"wires": wires, "discs": discs, "across": across, "depths": depths}
    made["block"] = [(0.058, 1540.0, 5.8, 1540.0, 2.0)]
    made["places"] = [(n, 0.0, 0.9, 0.3) for n in range(1, pictures + 1)]
    return {name: table(name, rows) for name, rows in made.items()}


def figures(**how):
    outcome = ULTRASOUND_BLOCK.evaluate(tables(**how), SETTINGS)
    assert {f.name for f in outcome.figures} == set(ULTRASOUND_BLOCK.figures)
    assert all(f.unit == ULTRASOUND_BLOCK.figures[f.name][0] for f in outcome.figures)
    return {f.name: f for f in outcome.figures}


def test_scales_come_back_in_their_own_direction():
    found = figures(scale_x=0.97, scale_z=1.02)
    assert found["axial_scale_percent"].value == pytest.approx(2.0, abs=0.05)
    assert found["lateral_scale_percent"].value == pytest.approx(-3.0, abs=0.05)
    assert -3.0 < found["diagonal_scale_percent"].value < 2.0
    assert found["axial_intercept_mm"].value == pytest.approx(0.5, abs=0.03)


def test_the_speed_of_sound_follows_from_the_axial_slope():
    found = figures(scale_z=1540.0 / 1480.0)
    assert found["sound_speed_m_s"].value == pytest.approx(1480.0, abs=1.0)
    assert found["sound_speed_error_percent"].value == pytest.approx(100 * (1480 / 1540 - 1), abs=0.05)
    assert found["sound_speed_error_percent"].u > 100 * 5.8 / 1540


def test_the_place_of_a_wire_does_not_average_out_over_pictures():
    few, many = (figures(pictures=n)["axial_scale_percent"].u for n in (2, 20))
    expected = 100 * 0.058 / np.sqrt(np.sum((np.arange(10, 100, 10) - 50.0) ** 2))
    assert many == pytest.approx(expected, rel=0.05) and few >= 0.95 * expected


def test_one_wire_out_of_line_is_the_largest_residual():
    assert figures(bend_mm=1.5)["axial_residual_mm"].value > 0.8
    assert figures()["axial_residual_mm"].value < 0.05


def test_a_dip_of_a_few_elements_is_found_with_its_depth_and_place():
    found = figures(dip_db=3.0)["uniformity_dip_db"]
    assert found.value == pytest.approx(3.0, abs=0.3) and "0.5 mm from the middle" in found.why
    assert figures()["uniformity_dip_db"].value < 0.05


def test_penetration_ends_where_the_gel_sinks_into_the_noise():
    assert figures(reach_mm=60.0)["penetration_mm"].value == pytest.approx(60.0, abs=1.0)
    whole = figures()["penetration_mm"]
    assert whole.value == pytest.approx(94.0) and "whole depth" in whole.why


def test_without_a_picture_in_air_there_is_no_penetration():
    found = figures(air=False)["penetration_mm"]
    assert found.value is None and "in air" in found.why


def test_widths_at_the_reference_depth_and_the_widest():
    found = figures()
    assert found["axial_fwhm_mm"].value == pytest.approx(0.4)
    assert found["lateral_fwhm_mm"].value == pytest.approx(1.06, abs=0.06)
    assert found["lateral_fwhm_widest_mm"].value == pytest.approx(1.47, abs=0.02)


def test_the_dead_zone_ends_above_the_last_wire_that_is_seen_without_a_gap():
    assert figures()["dead_zone_mm"].value == pytest.approx(3.5, abs=0.05)
    assert figures(lost={(3, 20, 4)})["dead_zone_mm"].value == pytest.approx(5.5, abs=0.05)


def test_the_smallest_cyst_is_the_smallest_one_that_is_seen():
    found = figures()
    assert found["cyst_smallest_mm"].value == 4.0 and found["cyst_contrast_db"].value == pytest.approx(-26.0)


def test_wires_that_were_not_found_are_counted():
    found = figures(lost={(0, 0, 90), (1, 30, 40)})["unseen_share"]
    assert found.value == pytest.approx(2 / 15)


@pytest.mark.parametrize("name", ["block", "wires", "across", "depths", "discs"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e9])
def test_a_table_that_holds_no_numbers_gives_no_figure_and_names_the_column(name, value):
    made = tables()
    column = {"block": "assumed_m_s", "wires": "z_mm", "discs": "contrast_db"}.get(name, "level_db")
    made[name].loc[0, column] = value
    outcome = ULTRASOUND_BLOCK.evaluate(made, SETTINGS)
    assert outcome.figures == () and name in outcome.invalid and column in outcome.invalid


def test_a_block_without_cysts_leaves_their_figures_open():
    made = tables()
    made["discs"] = made["discs"].iloc[:0]
    assert missing(ULTRASOUND_BLOCK, made) == ""
    assert ULTRASOUND_BLOCK.evaluate(made, SETTINGS).figure("cyst_contrast_db").value is None
    made["wires"] = made["wires"].iloc[:0]
    assert "no wires were recorded" in missing(ULTRASOUND_BLOCK, made)
