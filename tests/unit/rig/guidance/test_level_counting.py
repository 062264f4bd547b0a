"""Counting on drawn profiles: a spine of bars, so that every fault can be made on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rig.guidance.lumbar.dorsal_map import DorsalMap, dorsal_map
from rig.guidance.lumbar.level import bone_of, count_levels, disc_name
from rig.guidance.panorama import Profile

PROCESSES = {"L5": (-16.0, -3.0, 46.0), "L4": (20.0, 30.0, 49.0), "L3": (52.0, 65.0, 47.0), "L2": (87.0, 99.0, 47.0)}
SACRUM = (-104.0, -38.0)


def spine(x: float, y: float, processes: dict[str, tuple[float, float, float]] = PROCESSES) -> tuple[float, str]:
    """Depth and structure at a place; NaN where there is no bone."""
    if SACRUM[0] <= y <= SACRUM[1]:
        return 26.0 + 0.12 * (y + 70), "sacrum.dorsal_plate"
    if x < 26:
        return 39.0 + 4.0 * np.cos(y / 34.0 * 2 * np.pi) + 0.03 * y, "L4.lamina"
    for name, (low, high, depth) in processes.items():
        if low <= y <= high:
            return depth, f"{name}.transverse"
    return float("nan"), ""


def nominal(processes: dict[str, tuple[float, float, float]] = PROCESSES) -> DorsalMap:
    points, names = [], []
    for x in np.arange(5.0, 45.0):
        for y in np.arange(-104.0, 110.0):
            z, name = spine(x, y, processes)
            if np.isfinite(z):
                points.append((x, y, z))
                names.append(name)
    return dorsal_map(np.array(points), np.array(names))


def scan(
    shift: float = 0.0,
    low: float = -95.0,
    high: float = 95.0,
    seed: int = 0,
    processes: dict[str, tuple[float, float, float]] = PROCESSES,
) -> list[Profile]:
    rng = np.random.default_rng(seed)
    out = []
    for x in (33.0, 20.0):
        y = np.arange(low + 0.5, high)
        z = np.array([spine(x, v - shift, processes)[0] for v in y]) + rng.normal(0, 0.4, len(y)) + 1.5
        out.append(Profile(x, y, z, np.ones(len(y), dtype=bool)))
    return out


NOMINAL = nominal()


@pytest.mark.parametrize("shift", [-38.0, -34.0, -12.0, 0.0, 9.0, 34.0, 40.0])
def test_levels_are_counted_wherever_the_phantom_lies(shift: float) -> None:
    count = count_levels(scan(shift, low=-95 + min(shift, 0)), NOMINAL, process_line=0)
    assert count.sure, count.reason
    assert count.processes_y_mm["L4"] == pytest.approx(25.0 + shift, abs=1.5)
    assert count.gaps_y_mm["L5-S1"] == pytest.approx(-27.0 + shift, abs=1.5)
    assert count.shift_mm[1] == pytest.approx(shift, abs=1.5) and count.shift_mm[2] == pytest.approx(1.5, abs=0.5)


def test_a_sweep_without_the_sacrum_is_not_counted() -> None:
    count = count_levels(scan(low=-20.0), NOMINAL, process_line=0)
    assert not count.sure and "sacral" in count.reason


def test_an_empty_sweep_is_not_counted() -> None:
    empty = [replace(p, depth_mm=np.full(len(p.y_mm), np.nan)) for p in scan()]
    assert "no bone" in count_levels(empty, NOMINAL, process_line=0).reason


def test_a_process_fused_to_the_sacrum_makes_the_count_unsure_and_never_one_level_off() -> None:
    fused = dict(PROCESSES, L5=(-38.0, -3.0, 40.0))
    count = count_levels(scan(processes=fused), NOMINAL, process_line=0)
    assert not count.sure


def test_a_missing_process_makes_the_count_unsure() -> None:
    missing = {k: v for k, v in PROCESSES.items() if k != "L5"}
    assert not count_levels(scan(processes=missing), NOMINAL, process_line=0).sure


def test_a_spine_without_landmarks_of_shape_is_not_counted() -> None:
    rng = np.random.default_rng(5)
    noise = [
        replace(p, depth_mm=np.where(rng.random(len(p.y_mm)) < 0.5, 45 + rng.normal(0, 6, len(p.y_mm)), np.nan))
        for p in scan()
    ]
    assert not count_levels(noise, NOMINAL, process_line=0).sure


def test_names_of_bones_and_discs() -> None:
    assert bone_of("L4.lamina") == "L4" and bone_of("sacrum.ala") == "sacrum"
    assert (
        disc_name("L5", "sacrum") == "L5-S1"
        and disc_name("L4", "L5") == "L4-L5"
        and disc_name("S1", "sacrum") == "S1-S2"
    )
