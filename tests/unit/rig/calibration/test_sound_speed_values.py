"""Speed of sound: published values of water, recovery of known speeds, and the depth correction."""

import numpy as np
import pytest

from experiments.calibrations import sound_speed_from
from hal.errors import CalibrationRefused, ConfigError
from hal.phantom.sound_speed import SoundSpeed, from_depths, from_row_pitch, water


@pytest.mark.parametrize(("temperature", "speed"), [(15, 1466.0), (20, 1482.4), (25, 1496.7), (37, 1523.7)])
def test_water_has_the_published_speed(temperature, speed):
    assert water(temperature).c_m_s == pytest.approx(speed, abs=0.15)


def test_slope_of_water_is_the_derivative():
    numeric = (water(22.01).c_m_s - water(21.99).c_m_s) / 0.02
    assert water(22.0).slope_m_s_c == pytest.approx(numeric, rel=1e-5)


def test_water_bath_at_20_degrees_shows_50_mm_two_mm_too_deep():
    correction = water(20.0).correction()
    assert correction.error_mm(50.0) == pytest.approx(1.94, abs=0.01)
    assert correction.true_mm(correction.shown_mm(37.0)) == pytest.approx(37.0)


def test_slope_over_known_depths_ignores_the_delay_of_the_lens():
    true = np.array([20.0, 35.0, 50.0, 65.0])
    shown = (true + 0.8) * 1540 / 1480
    assert from_depths(true, shown, u_mm=0.1, temperature_c=22).c_m_s == pytest.approx(1480.0)


def test_stated_uncertainty_is_the_scatter_of_repeated_calibrations():
    rng = np.random.default_rng(4)
    true = np.array([20.0, 30.0, 40.0, 50.0, 60.0])
    shown = true * 1540 / 1500
    results = [from_depths(true + rng.normal(0, 0.2, 5), shown, u_mm=0.2, temperature_c=22) for _ in range(400)]
    scatter = np.std([r.c_m_s for r in results])
    assert np.median([r.u_m_s for r in results]) == pytest.approx(scatter, rel=0.25)


def test_uncertainty_grows_away_from_the_temperature_that_was_measured():
    gel = SoundSpeed(1540.0, 2.0, 22.0, 2.5, 0.3, "test")
    warm = gel.at(32.0, 0.5)
    assert warm.c_m_s == pytest.approx(1565.0)
    assert warm.u_m_s == pytest.approx(np.sqrt(2.0**2 + 3.0**2 + 1.25**2))


def test_uncertainty_of_a_depth_adds_speed_and_reading():
    correction = SoundSpeed(1540.0, 7.7, 22.0, 2.5, 0.3, "test").correction()
    assert correction.u_true_mm(60.0, 0.4) == pytest.approx(0.5)


def test_row_pitch_of_wires_gives_the_speed():
    speed = from_row_pitch(0.0962, 0.0002, 0.1, temperature_c=20)
    assert speed.c_m_s == pytest.approx(1481.5, abs=0.1)
    assert speed.u_m_s == pytest.approx(1481.5 * np.hypot(0.0002 / 0.0962, 0.003), rel=1e-3)


@pytest.mark.parametrize(
    ("true", "shown", "error", "message"),
    [
        ([40.0], [20.0], CalibrationRefused, "outside 1300 to 1800"),
        ([40.0, 41.0], [41.0, 42.0], CalibrationRefused, "within 1.0 mm"),
        ([20.0, 40.0, 60.0], [20.8, 44.0, 62.4], CalibrationRefused, "worst at 40 mm"),
        ([20.0], [20.0, 40.0], ConfigError, "do not pair"),
        ([-1.0], [20.0], ConfigError, "positive"),
    ],
)
def test_depths_that_cannot_be_are_refused(true, shown, error, message):
    with pytest.raises(error, match=message):
        from_depths(true, shown, u_mm=0.2, temperature_c=22)


def test_water_that_boils_is_refused():
    with pytest.raises(ConfigError, match="0 to 95"):
        water(120.0)


def test_a_depth_that_cannot_tell_the_speed_is_refused():
    with pytest.raises(CalibrationRefused, match="lengths are in mm") as refused:
        from_depths([0.04], [0.0416], u_mm=0.2, temperature_c=20)
    assert refused.value.code == "uncertain"


def test_a_known_depth_is_two_numbers():
    with pytest.raises(ConfigError, match="TRUE:SHOWN"):
        sound_speed_from(20.0, ("40:41.6:3",))
