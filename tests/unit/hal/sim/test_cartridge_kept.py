"""Cartridges as they were poured, and what fluid does in them, as they were kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kept_figures import kept

from hal.phantom.mesh import SurfaceMesh
from hal.phantom.nominal import NominalPhantom, load_phantom
from hal.sim.build import AsBuilt, BuildErrors, build
from hal.sim.fluid import Hydraulics, LineSpec
from hal.sim.fluid_line import end_loss_kpa_min2_ml2, poiseuille_kpa_min_ml
from hal.sim.fluid_tissue import CONTEXTS, Site
from hal.sim.meshes import voxel_volume
from hal.sim.placement import PlacementErrors, place

POURED = 2e-3
"""A voxel on the border of two tissues may fall either way on another processor: a share of each tissue."""


@pytest.fixture(scope="module")
def nominal() -> NominalPhantom:
    return load_phantom("lumbar_ref")


def tissues(labels: np.ndarray[Any, Any], origin: np.ndarray[Any, Any], h: float) -> dict[str, list[float]]:
    """Voxels of each label, and mean and spread of where they lie, mm."""
    out = {}
    for label in np.unique(labels):
        at = np.argwhere(labels == label) * h + origin
        mean, spread = at.mean(axis=0), at.std(axis=0) if len(at) > 1 else np.zeros(3)
        cross = ((at - mean)[:, [0, 1, 2]] * (at - mean)[:, [1, 2, 0]]).mean(axis=0)
        # Moments as lengths from a corner of the box, so that a share of each means the same everywhere.
        out[str(label)] = [float(len(at)), *(mean - origin + 20.0), *(spread + 5.0), *(np.cbrt(cross) + 20.0)]
    return out


POURS = {
    "drawn": (0, BuildErrors(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, voxel_mm=1.25)),
    "poured": (5, BuildErrors(voxel_mm=1.5, swelling_per_day=0.002, age_days=3.0, sealed=False, temperature_c=25.0)),
}


@pytest.fixture(scope="module", params=POURS)
def pour(request: pytest.FixtureRequest, nominal: NominalPhantom) -> tuple[str, AsBuilt]:
    return request.param, build(nominal, *POURS[request.param])


def test_tissues_lie_where_they_were_poured(pour: tuple[str, AsBuilt]) -> None:
    name, built = pour
    volume = built.volume
    kept(__file__, f"tissues {name}", tissues(volume.labels, volume.origin_mm, volume.spacing_mm), POURED)


def test_roots_vessels_and_targets_lie_where_they_were_poured(pour: tuple[str, AsBuilt]) -> None:
    name, built = pour
    cords = [[c.line_mm, c.radius_mm] for c in (*built.nerves, *built.vessels)]
    targets = {"/".join(key): target for key, target in built.targets.items()}
    kept(__file__, f"built {name}", [built.scale, built.sound_speed_m_s, cords, targets])


def test_a_closed_surface_is_filled_where_it_stands() -> None:
    corners = np.array([[0, 0, 0], [20, 2, 1], [3, 18, -2], [4, 5, 22]], dtype=float)
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    mesh = SurfaceMesh("tetrahedron", corners, faces)
    volume = voxel_volume([mesh], 0.5, [16])
    labels, counts = np.unique(volume.labels, return_counts=True)
    assert counts[labels == 16][0] * 0.125e-3 == pytest.approx(abs(mesh.volume_ml), rel=0.01)
    at = np.argwhere(volume.labels == 16) * 0.5 + volume.origin_mm
    assert at.mean(axis=0) == pytest.approx(corners.mean(axis=0), abs=0.05)


def test_where_a_bench_stands_is_what_its_seeds_say() -> None:
    frames = {name: np.eye(4) for name in ("PhantomToRig", "HolderToRig", "CarrierToRig", "TrackerToRig")}
    for k, frame in enumerate(frames.values()):
        frame[:3, 3] = 10.0 * k, -5.0 * k, 3.0
    errors = PlacementErrors(level_shift=True, phantom_shift_mm=(1.0, 2.0, 3.0))
    kept(__file__, "placed", [place(frames, errors, seed, seed + 4, 34.0) for seed in range(4)])


# ---- fluid -------------------------------------------------------------------------------------------------


def test_every_tissue_keeps_its_pressure_over_volume_and_time() -> None:
    moments = ((0.0, 0.0), (0.011, 0.13), (0.07, 0.9), (0.5, 2.3), (1.9, 7.7))
    seen = {name: [c.shape(40.0, 25.0, v, t, 0.4) for v, t in moments] for name, c in CONTEXTS.items()}
    kept(__file__, "contexts", seen)


def test_gel_cracks_in_jumps_of_three_hundredths_of_a_millilitre() -> None:
    shape = CONTEXTS["gel"].shape
    period = [shape(40.0, 25.0, 3.0 + v, 0.0, 0.1) for v in (0.0, 0.03, 0.06)]
    assert period == pytest.approx([period[0]] * 3)
    # Just before a jump 0.15 of the plateau above it, just after it as much below.
    jump_ml = 3.0 + 0.9 * 0.03
    before, after = (shape(40.0, 25.0, jump_ml + d, 0.0, 0.1) for d in (-1e-6, 1e-6))
    assert (before, after) == (pytest.approx(25.0 * 1.15, abs=0.01), pytest.approx(25.0 * 0.85, abs=0.01))


def test_a_pool_sinks_in_and_is_filled_up_again() -> None:
    from hal.phantom.materials import materials

    site = Site(materials()["muscle"], (0.0, 0.0, 0.0), None)
    site.take(0.1)
    site.rest(20.0)
    assert site.held == pytest.approx(0.3 + 0.7 * np.exp(-1.0))
    held = site.held
    site.take(0.01)
    assert site.held == pytest.approx(held + 0.35)
    site.take(0.1)
    assert site.held == 1.0 and site.volume_ml == pytest.approx(0.21)


def test_lines_lose_what_hagen_and_poiseuille_say() -> None:
    # 90 mm of 0.413 mm bore, water at 1 mPa s: 128 mu L / (pi d^4) = 1.26e11 Pa s / m^3, of which 1 mL/min are 1/6e7.
    assert poiseuille_kpa_min_ml(90.0, 0.413, 1.0) == pytest.approx(
        128 * 1e-3 * 0.09 / (np.pi * 0.413e-3**4) / 60e6 / 1000, rel=1e-9
    )
    speed = 1e-6 / 60 / (np.pi * 0.413e-3**2 / 4)
    assert end_loss_kpa_min2_ml2(0.413, 1000.0) == pytest.approx(2.0 * 1000.0 * speed**2 / 2 / 1000, rel=1e-9)
    spec = LineSpec()
    assert spec.resistance_kpa_min_ml() == pytest.approx(
        1.5 * (poiseuille_kpa_min_ml(90.0, 0.413, 1.0) + poiseuille_kpa_min_ml(500.0, 1.0, 1.0))
    )


def test_an_injection_flows_as_it_was_kept() -> None:
    from hal.phantom.materials import materials

    known = materials()
    seen = []
    line = Hydraulics(LineSpec(), 5)
    line.crack_normal = (0.6, 0.0, 0.8)
    pumped, tip = 0.0, [1.0, 2.0, 30.0]
    for name, rate, seconds, in_gel, blocked in (
        ("muscle", 3.0, 2.0, True, False), ("muscle", 0.0, 3.0, True, False), ("perineural", 3.0, 1.0, True, False),
        ("perineural", 2.0, 1.0, True, True), ("artery", 0.0, 1.0, True, False), ("artery", -1.5, 0.6, True, False),
        ("fat", 1.0, 1.0, False, False), ("csf", 1.0, 1.0, True, False), ("muscle", 6.0, 1.0, True, False),
    ):  # fmt: skip
        tip[2] += 3.0
        for _ in range(int(seconds / 0.005)):
            pumped += rate / 60.0 * 0.005
            line.step(0.005, pumped, known[name], tip, in_gel, blocked)
        seen.append([line.line_pressure_kpa, line.tip_pressure_kpa, line.outflow_ml_min, line.delivered_ml])
        # What went in is what came out and what the line holds.
        assert pumped == pytest.approx(
            line.delivered_ml + line.compliance_ul_kpa * line.line_pressure_kpa / 1000, abs=1e-6
        )
    kept(__file__, "injection", [seen, line.boluses, line.resistance_kpa_min_ml, line.compliance_ul_kpa])
