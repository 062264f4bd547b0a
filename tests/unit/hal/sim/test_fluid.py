"""Hydraulics: known figures of line and needle, blocked tips, residual discharge, signatures, pools."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.phantom.materials import Material
from hal.sim.fluid import Hydraulics, LineSpec
from hal.sim.fluid_line import end_loss_kpa_min2_ml2, poiseuille_kpa_min_ml
from hal.sim.fluid_tissue import CONTEXTS

TIP = (1.0, 2.0, 30.0)
DT = 0.005
NOMINAL = LineSpec(compliance_sd=0.0, id_tolerance_mm=0.0)


def _material(context: str, opening_kpa: float, plateau_kpa: float) -> Material:
    return Material(
        name=context, label=99, sound_speed_m_s=1540.0, attenuation_db_cm_mhz=0.5, impedance_mrayl=1.6,
        backscatter_db=0.0, youngs_kpa=20.0, puncture_n=0.0, puncture_mm=0.0, cutting_n=0.1, friction_n_mm=0.0,
        opening_kpa=opening_kpa, plateau_kpa=plateau_kpa, context=context,
    )  # fmt: skip


BONE = _material("bone_contact", 1e6, 1e6)
LOOSE = _material("perineural", 35.0, 25.0)


class Injection:
    """Pushes at a rate and keeps the pressures."""

    def __init__(self, line: LineSpec, seed: int = 1) -> None:
        self.fluid = Hydraulics(line, seed)
        self.pushed_ml = 0.0
        self.line_kpa: list[float] = []
        self.tip_kpa: list[float] = []

    def push(
        self,
        seconds: float,
        rate_ml_min: float,
        material: Material | None,
        tip: tuple[float, float, float] = TIP,
        dt: float = DT,
        blocked: bool = False,
    ) -> Hydraulics:
        for _ in range(round(seconds / dt)):
            self.pushed_ml += rate_ml_min / 60.0 * dt
            self.fluid.step(dt, self.pushed_ml, material, tip, material is not None, blocked)
            self.line_kpa.append(self.fluid.line_pressure_kpa)
            self.tip_kpa.append(self.fluid.tip_pressure_kpa)
        return self.fluid


@pytest.mark.parametrize(
    ("gauge", "length_mm", "kpa"),
    [
        (22, 90, (2.1, 6.4, 10.9, 22.6, 35, 48)),
        (23, 60, (3.2, 9.8, 16.7, 35, 55, 77)),
        (23, 90, (4.8, 14.5, 24.6, 51, 79, 109)),
        (25, 60, (9.0, 27.6, 47, 99, 156, 218)),
        (25, 90, (13.5, 41, 69, 144, 223, 307)),
    ],
)
def test_needle_pressures_agree_with_the_published_table(gauge: int, length_mm: float, kpa: tuple[float, ...]) -> None:
    bore = LineSpec(gauge=gauge).bore_mm
    for rate, expected in zip((1, 3, 5, 10, 15, 20), kpa, strict=True):
        loss = poiseuille_kpa_min_ml(length_mm, bore, 1.0) * rate + end_loss_kpa_min2_ml2(bore, 1000.0) * rate**2
        assert loss == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("length_mm", "bore_mm", "per_ml_min"), [(500, 1.0, 0.34), (1500, 0.9, 1.55)])
def test_extension_lines_agree_with_the_published_table(length_mm: float, bore_mm: float, per_ml_min: float) -> None:
    assert poiseuille_kpa_min_ml(length_mm, bore_mm, 1.0) == pytest.approx(per_ml_min, rel=0.02)


@pytest.mark.parametrize(("compliance", "slope"), [(2.0, 25.0), (0.5, 100.0)])
def test_a_blocked_tip_rises_by_flow_over_compliance(compliance: float, slope: float) -> None:
    """3 mL/min into 2 uL/kPa: 25 kPa/s."""
    for material, blocked in ((BONE, False), (LOOSE, True)):
        injection = Injection(replace(NOMINAL, compliance_ul_kpa=compliance))
        fluid = injection.push(1.0, 3.0, material, blocked=blocked)
        assert fluid.line_pressure_kpa == pytest.approx(slope)
        assert fluid.tip_pressure_kpa == fluid.line_pressure_kpa
        assert fluid.delivered_ml == 0.0
        assert fluid.boluses == ()


def test_steady_flow_into_air_costs_resistance_times_flow() -> None:
    fluid = Injection(NOMINAL).push(10.0, 3.0, None)
    end_loss = fluid.end_loss_kpa_min2_ml2 * 9.0
    assert fluid.line_pressure_kpa == pytest.approx(fluid.resistance_kpa_min_ml * 3.0 + end_loss, rel=1e-3)
    assert fluid.tip_pressure_kpa == 0.0
    assert fluid.outflow_ml_min == pytest.approx(3.0, rel=1e-3)


def test_the_time_constant_is_resistance_times_compliance() -> None:
    """22G x 90 mm and 2 uL/kPa: 0.25 s (bare needle, theory)."""
    line = LineSpec(compliance_ul_kpa=2.0, compliance_sd=0.0, extension_mm=0.0, k_line=1.0, id_tolerance_mm=0.0)
    injection = Injection(line)
    fluid = injection.push(0.252, 0.5, None, dt=0.001)
    steady = fluid.resistance_kpa_min_ml * 0.5
    assert fluid.line_pressure_kpa / steady == pytest.approx(1 - math.exp(-1), abs=0.01)


def test_after_a_stop_the_stored_volume_comes_out() -> None:
    """C * P: at 2 uL/kPa what the line held under pressure runs out into air."""
    line = replace(NOMINAL, compliance_ul_kpa=2.0, gauge=25)
    injection = Injection(line)
    before = injection.push(20.0, 3.0, None)
    stored_ml = 2.0 * before.line_pressure_kpa / 1000.0
    delivered_ml = before.delivered_ml
    after = injection.push(60.0, 0.0, None)
    assert after.delivered_ml - delivered_ml == pytest.approx(stored_ml, rel=1e-6)
    assert after.delivered_ml == pytest.approx(injection.pushed_ml)
    assert after.line_pressure_kpa == pytest.approx(0.0, abs=1e-6)


def test_tissue_opens_at_its_pressure_and_then_keeps_less() -> None:
    injection = Injection(NOMINAL, seed=3)
    fluid = injection.push(10.0, 3.0, LOOSE)
    peak, plateau = max(injection.tip_kpa), injection.tip_kpa[-1]
    assert 0.7 * 35.0 - 1.0 <= peak <= 1.4 * 35.0 + 1.0
    assert 0.6 <= plateau / peak <= 0.8  # published: 60-80 % of the peak
    assert fluid.outflow_ml_min == pytest.approx(3.0, rel=0.01)


def test_pressure_at_the_sensor_is_tip_pressure_plus_the_loss_of_the_line() -> None:
    fluid = Injection(NOMINAL).push(20.0, 2.0, LOOSE)
    loss = fluid.resistance_kpa_min_ml * 2.0 + fluid.end_loss_kpa_min2_ml2 * 4.0
    assert fluid.line_pressure_kpa - fluid.tip_pressure_kpa == pytest.approx(loss, rel=0.01)


def test_a_nerve_has_no_plateau() -> None:
    injection = Injection(NOMINAL)
    injection.push(8.0, 3.0, _material("intraneural", 166.0, 160.0))
    opened = next(i for i, kpa in enumerate(injection.tip_kpa) if kpa > 166.0 * 0.7)
    later = injection.tip_kpa[opened : opened + 600]
    assert later[-1] > later[0] + 30.0
    assert all(b >= a - 1e-6 for a, b in zip(later[::20], later[20::20], strict=False))


def test_gel_is_a_sawtooth_and_muscle_is_bumpy() -> None:
    for context in ("gel", "muscle"):
        injection = Injection(NOMINAL)
        injection.push(10.0, 3.0, _material(context, 40.0, 22.0))
        tail = injection.tip_kpa[1000:]
        turns = sum((b - a) * (c - b) < 0 for a, b, c in zip(tail, tail[1:], tail[2:], strict=False))
        assert turns >= 6, context


def test_entering_the_epidural_space_drops_the_pressure_by_more_than_half() -> None:
    injection = Injection(NOMINAL)
    injection.push(3.0, 1.0, _material("ligament", 64.0, 55.0))
    before = injection.fluid.tip_pressure_kpa
    injection.push(5.0, 1.0, _material("epidural", 2.0, 1.1), tip=(1.0, 2.0, 33.0))
    assert before > 30.0
    assert max(injection.tip_kpa[-200:]) < 0.5 * before


def test_an_artery_pulses_and_gives_blood_on_aspiration() -> None:
    artery = _material("artery", 12.0, 12.0)
    injection = Injection(NOMINAL)
    injection.push(5.0, 0.0, artery)
    line = injection.line_kpa[400:]
    assert 3.0 < max(line) - min(line) < 6.5  # published: 4-6 kPa peak to peak
    before = injection.fluid.delivered_ml
    injection.push(3.0, -2.0, artery)
    assert injection.fluid.delivered_ml < before - 0.05
    assert injection.fluid.boluses == ()


def test_tissue_gives_nothing_back_and_the_pull_ends_at_vacuum() -> None:
    injection = Injection(NOMINAL)
    injection.push(5.0, 3.0, LOOSE)
    delivered = injection.fluid.delivered_ml
    fluid = injection.push(10.0, -3.0, LOOSE)
    assert fluid.delivered_ml >= delivered
    assert fluid.line_pressure_kpa == pytest.approx(-95.0)


def test_a_pool_grows_at_the_tip_and_a_new_one_starts_elsewhere() -> None:
    injection = Injection(NOMINAL)
    injection.push(4.0, 3.0, LOOSE)
    injection.push(2.0, 3.0, LOOSE, tip=(1.0, 2.0, 31.0))  # within the pool
    assert len(injection.fluid.boluses) == 1
    injection.push(4.0, 3.0, LOOSE, tip=(1.0, 2.0, 60.0))
    first, second = injection.fluid.boluses
    assert tuple(first.centre_mm) == TIP
    assert tuple(second.centre_mm) == (1.0, 2.0, 60.0)
    assert first.volume_ml + second.volume_ml == pytest.approx(injection.fluid.delivered_ml)


@pytest.mark.parametrize(("volume_ml", "radius_mm"), [(0.1, 2.9), (0.2, 3.6), (0.5, 4.9), (1.0, 6.2), (3.0, 8.9)])
def test_a_ball_has_the_published_radius(volume_ml: float, radius_mm: float) -> None:
    injection = Injection(replace(NOMINAL, compliance_ul_kpa=1e-3))
    injection.push(volume_ml / 3.0 * 60.0, 3.0, _material("fat_loose", 0.0, 0.0))
    (ball,) = injection.fluid.boluses
    assert ball.radius_mm == pytest.approx(radius_mm, abs=0.06)


def test_a_crack_in_gel_is_three_times_wider_than_thick() -> None:
    fluid = Injection(NOMINAL).push(10.0, 3.0, _material("gel", 40.0, 22.0))
    (penny,) = fluid.boluses
    wide, also_wide, thin = sorted(penny.semi_axes_mm, reverse=True)
    assert wide == also_wide == pytest.approx(3.0 * thin)
    assert 4.0 / 3.0 * math.pi * wide * wide * thin / 1000.0 == pytest.approx(penny.volume_ml)


@given(
    rates=st.lists(st.floats(-5.0, 20.0), min_size=1, max_size=30),
    dt=st.sampled_from([0.001, 0.005, 0.01, 0.2, 3.0]),
    context=st.sampled_from(sorted(CONTEXTS)),
    compliance=st.floats(0.3, 5.0),
)
@settings(max_examples=60, deadline=None)
def test_volume_is_conserved_and_nothing_runs_away(
    rates: list[float], dt: float, context: str, compliance: float
) -> None:
    injection = Injection(replace(NOMINAL, compliance_ul_kpa=compliance))
    material = _material(context, 40.0, 25.0)
    for rate in rates:
        fluid = injection.push(dt, rate, material, dt=dt)
        assert math.isfinite(fluid.line_pressure_kpa)
        assert fluid.line_pressure_kpa >= -95.0
        if fluid.line_pressure_kpa == -95.0:
            return  # the plunger pulled a vacuum: volume is no longer a question of compliance alone
        stored_ml = compliance * fluid.line_pressure_kpa / 1000.0
        assert fluid.delivered_ml + stored_ml == pytest.approx(injection.pushed_ml, abs=1e-9)


@pytest.mark.parametrize("dt", [0.001, 0.01, 0.05])
def test_the_step_does_not_change_the_result(dt: float) -> None:
    fine, other = Injection(NOMINAL, seed=5), Injection(NOMINAL, seed=5)
    fine.push(5.0, 3.0, LOOSE, dt=0.0005)
    other.push(5.0, 3.0, LOOSE, dt=dt)
    assert other.fluid.line_pressure_kpa == pytest.approx(fine.fluid.line_pressure_kpa, rel=0.01)
    assert other.fluid.delivered_ml == pytest.approx(fine.fluid.delivered_ml, rel=0.01)


def test_the_same_seed_gives_the_same_site_and_another_seed_another() -> None:
    peaks = []
    for seed in (7, 7, 8):
        injection = Injection(LineSpec(), seed)
        injection.push(5.0, 3.0, LOOSE)
        peaks.append(max(injection.tip_kpa))
    assert peaks[0] == peaks[1] != peaks[2]


def test_the_needle_at_hand_differs_from_the_nominal_one_within_its_tolerance() -> None:
    """22G: the maker's bore tolerance makes -16..+20 % of needle resistance."""
    line = LineSpec(extension_mm=0.0)
    ratios = [Hydraulics(line, seed).resistance_kpa_min_ml / line.resistance_kpa_min_ml() for seed in range(200)]
    assert 0.83 < min(ratios) < 0.88
    assert 1.15 < max(ratios) < 1.21


def test_an_unknown_context_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown pressure context"):
        Injection(NOMINAL).push(DT, 1.0, _material("treacle", 1.0, 1.0))


@pytest.mark.parametrize("wrong", [{"gauge": 19}, {"compliance_ul_kpa": 0.0}, {"needle_mm": -1.0}])
def test_impossible_lines_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"bore|positive"):
        LineSpec(**wrong)  # type: ignore[arg-type]


def test_the_line_at_hand_differs_from_what_the_rig_file_states() -> None:
    stated = LineSpec(compliance_ul_kpa=0.5)
    found = [Injection(stated, seed=seed).fluid.compliance_ul_kpa / 0.5 for seed in range(200)]
    spread = (sum((value - 1.0) ** 2 for value in found) / len(found)) ** 0.5
    assert spread == pytest.approx(0.12, rel=0.2)
    assert min(found) >= 0.5
