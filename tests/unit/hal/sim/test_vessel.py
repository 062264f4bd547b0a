"""The vessel on the balance: density, buoyancy, immersion, evaporation and drops against worked figures."""

from __future__ import annotations

import itertools

import pytest

from hal.clock import NS_PER_S
from hal.sim.vessel import Vessel, VesselSpec, drop_g, evaporation_g_h, water_g_ml

H_NS = 3600 * NS_PER_S
Z = 1.001053
"""Buoyancy correction of water at 20 degC, air 1.2 kg/m3."""


@pytest.mark.parametrize(
    ("celsius", "kg_m3"), [(15, 999.103), (18, 998.598), (20, 998.207), (22, 997.773), (25, 997.047)]
)
def test_water_has_the_density_of_tanaka(celsius: float, kg_m3: float) -> None:
    assert 1000.0 * water_g_ml(celsius) == pytest.approx(kg_m3, abs=0.002)


@pytest.mark.parametrize(
    ("diameter_mm", "head_mm", "humidity", "mg_h"),
    [(50, 5, 50, 306), (50, 30, 50, 51), (20, 30, 65, 5.7), (10, 30, 65, 1.4)],
)
def test_an_open_vessel_loses_what_diffuses_through_the_air_above_it(
    diameter_mm: float, head_mm: float, humidity: float, mg_h: float
) -> None:
    spec = VesselSpec(diameter_mm=diameter_mm, head_mm=head_mm, humidity_percent=humidity, cover="open")
    assert 1000.0 * evaporation_g_h(spec, 20.0) == pytest.approx(mg_h, rel=0.03)
    assert evaporation_g_h(spec, 25.0) > 1.3 * evaporation_g_h(spec, 20.0)


@pytest.mark.parametrize(("od_mm", "mg"), [(1.27, 19.2), (0.72, 10.9), (0.51, 7.7)])
def test_drops_have_the_mass_of_tate(od_mm: float, mg: float) -> None:
    assert 1000.0 * drop_g(od_mm) == pytest.approx(mg, rel=0.01)


@pytest.mark.parametrize(("diameter_mm", "percent"), [(50, 0.065), (30, 0.179), (20, 0.403)])
def test_an_immersed_needle_makes_the_flow_weigh_more(diameter_mm: float, percent: float) -> None:
    weighed = {}
    for outlet in ("immersed", "free"):
        vessel = Vessel(VesselSpec(diameter_mm=diameter_mm, outlet=outlet), 1.27, 20.0, 1)  # type: ignore[arg-type]
        weighed[outlet] = vessel.rate_g_s(60.0) - vessel.rate_g_s(0.0)
    assert 100.0 * (weighed["immersed"] / weighed["free"] - 1.0) == pytest.approx(percent, abs=0.002)


def test_a_millilitre_weighs_its_density_less_the_buoyancy_of_the_air() -> None:
    vessel = Vessel(VesselSpec(diameter_mm=200.0), 0.2, 20.0, 1)
    assert vessel.weight_g(10.0, 0) - vessel.weight_g(0.0, 0) == pytest.approx(10.0 * 0.998207 / Z, rel=2e-6)


def test_evaporation_goes_on_while_nothing_flows_and_ends_when_it_is_dry() -> None:
    vessel = Vessel(VesselSpec(cover="open", liquid_g=0.05), 0.72, 20.0, 1)
    lost = [vessel.weight_g(0.0, 0) - vessel.weight_g(0.0, h * H_NS) for h in (1, 2, 1000)]
    assert lost[0] == pytest.approx(vessel.evaporation_g_h, rel=0.01)
    assert lost[1] == pytest.approx(2 * lost[0])
    assert lost[2] == pytest.approx(0.05, rel=0.01)


def test_off_a_free_tip_the_weight_grows_by_whole_drops() -> None:
    vessel = Vessel(VesselSpec(outlet="free", cover="film"), 0.72, 20.0, 1)
    seen = [vessel.weight_g(0.001 * n, 0) for n in range(2001)]
    steps = [b - a for a, b in itertools.pairwise(seen) if b > a]
    assert len(steps) == pytest.approx(2.0 * 0.998 / vessel.drop_g, abs=4)
    assert all(0.9 * vessel.drop_g < step < 1.1 * vessel.drop_g for step in steps)
