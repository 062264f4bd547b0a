"""Dips along the face from profiles whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.qa.kinds.ultrasound_air import ULTRASOUND_AIR
from analysis.tables import DataFrame

SETTINGS = ULTRASOUND_AIR.settings({})


def outcome(dips=(), slope_db_mm=0.0, spacing_mm=0.92, pictures=4):
    rng = np.random.default_rng(2)
    at = np.arange(-20.0, 20.01, 0.15).round(3)
    along, depths = [], []
    for n in range(1, pictures + 1):
        level = 45.0 + slope_db_mm * at + rng.normal(0.0, 0.1, len(at))
        for middle, depth in dips:
            level -= depth * (np.abs(at - middle) < 0.6)
        along += [(0.0, n, a, lv) for a, lv in zip(at, level, strict=True)]
        depths += [(0.0, n, d, 40.0 - d) for d in (1.0, 2.0, 3.0)]
    bands = [(0.0, n, spacing_mm, 0.92, 9.4) for n in range(1, pictures + 1)]
    return ULTRASOUND_AIR.evaluate({
        "along": DataFrame(along, columns=["time_s", "picture", "at_mm", "level_db"]),
        "depths": DataFrame(depths, columns=["time_s", "picture", "depth_mm", "level_db"]),
        "bands": DataFrame(bands, columns=["time_s", "picture", "spacing_mm", "first_mm", "extent_mm"]),
    }, SETTINGS)  # fmt: skip


def test_dips_are_counted_each_once_and_the_deepest_is_named():
    found = outcome(dips=((-5.0, 4.0), (8.0, 6.0)))
    assert {f.name: f.unit for f in found.figures} == {n: unit for n, (unit, _) in ULTRASOUND_AIR.figures.items()}
    deepest = found.figure("dip_db")
    assert found.figure("dips_n").value == 2.0 and deepest.value == pytest.approx(6.0, abs=0.4)
    assert abs(float(deepest.why.split()[1]) - 8.0) < 0.7


def test_a_dip_at_the_end_of_the_face_is_judged_apart():
    found = outcome(dips=((19.0, 5.0),))
    assert found.figure("edge_dip_db").value == pytest.approx(5.0, abs=0.4) and found.figure("dip_db").value < 1.0


def test_a_face_that_is_tilted_in_level_has_no_dip():
    found = outcome(slope_db_mm=0.1)
    assert found.figure("dips_n").value == 0.0 and found.figure("dip_db").value < 1.0
    assert found.figure("nonuniformity_db").value == pytest.approx(0.1 * 40 / np.sqrt(12), rel=0.1)


def test_without_bands_or_with_too_few_pictures_there_is_no_figure():
    assert "in air" in outcome(spacing_mm=np.nan).invalid
    assert "at least 3" in outcome(pictures=2).invalid
