import json

import numpy as np
import pytest

from hal.errors import CalibrationRefused
from rig.calibration.time.lag import TemporalCalibration, estimate_lag
from rig.calibration.time.latency import latency_of
from rig.calibration.time.signal import MotionSignal, motion_signal


def uneven(t):
    return 8 * np.sin(2 * np.pi * 0.71 * t) + 5 * np.sin(2 * np.pi * 0.43 * np.sqrt(2) * t + 1)


def pair(seed=0, lag=-0.0852, noise=0.3, jitter=0.0, sign=-1.0, move=uneven, seconds=20.0, n=230):
    """Image line (px, 11.5 Hz) and carrier position (mm, 40 Hz); the image at t shows the carrier of t + lag."""
    rng = np.random.default_rng(seed)
    tm = np.arange(-1.5, seconds + 1.5, 1 / 40)
    tm = tm + rng.uniform(0, 0.004, len(tm))
    tv = np.linspace(0, seconds, n) + rng.uniform(0, 0.01, n)
    image = 10 * (sign * move(tv + lag + rng.normal(0, jitter, n)) + rng.normal(0, noise, n))
    return (
        motion_signal("image", (tv * 1e9).astype(np.int64), image, unit="px"),
        motion_signal("carrier", (tm * 1e9).astype(np.int64), move(tm) + rng.normal(0, 0.1, len(tm))),
    )


def refusal(first: MotionSignal, second: MotionSignal, **more) -> CalibrationRefused:
    with pytest.raises(CalibrationRefused) as caught:
        estimate_lag(first, second, **more)
    json.dumps(caught.value.as_json())
    return caught.value


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("lag", [-0.4, -0.0852, -0.01, 0.0, 0.03, 0.41])
def test_lag_is_found_with_its_sign_whatever_the_sense_of_the_axes(lag: float, sign: float) -> None:
    result = estimate_lag(*pair(lag=lag, sign=sign))
    assert result.lag_s == pytest.approx(lag, abs=0.003)
    assert np.sign(result.scale) == sign
    assert abs(result.scale) == pytest.approx(10.0, rel=0.03)
    assert json.loads(json.dumps(result.as_json()))["lag_s"] == result.lag_s


def test_exchanging_the_streams_turns_the_sign() -> None:
    image, carrier = pair()
    there, back = estimate_lag(image, carrier), estimate_lag(carrier, image)
    assert back.lag_s == pytest.approx(-there.lag_s, abs=1e-9)
    assert there.late_stream == back.late_stream == "image"
    assert back.interval_s == pytest.approx((-there.interval_s[1], -there.interval_s[0]))


@pytest.mark.parametrize("noise, jitter", [(0.3, 0.0), (0.3, 0.012), (1.5, 0.0)])
def test_interval_holds_the_true_lag_about_95_times_of_100(noise: float, jitter: float) -> None:
    results: list[TemporalCalibration] = [estimate_lag(*pair(s, noise=noise, jitter=jitter)) for s in range(120)]
    held = sum(r.interval_s[0] <= -0.0852 <= r.interval_s[1] for r in results)
    assert 106 <= held <= 120
    spread = np.std([r.lag_s for r in results])
    assert np.mean([r.standard_uncertainty_s for r in results]) == pytest.approx(spread, rel=0.25)


def test_jitter_of_the_stamps_is_distinguished_from_noise_of_the_position() -> None:
    shaken = [estimate_lag(*pair(s, jitter=0.02)).latency.jitter_sd_s for s in range(30)]
    still = [estimate_lag(*pair(s, noise=0.6)).latency.jitter_sd_s for s in range(30)]
    assert np.median(shaken) == pytest.approx(0.02, rel=0.2)
    assert np.median(still) < 0.006


def test_cost_grows_with_speed() -> None:
    rng = np.random.default_rng(1)
    slope = 10 * np.sin(np.linspace(0, 60, 400))
    latency = latency_of(0.1, 0.002, slope * rng.normal(0, 0.01, 400), slope)
    cost = latency.cost(10.0)
    assert cost.uncorrected_mm == pytest.approx(1.0)
    assert cost.bias_mm == pytest.approx(0.02)
    assert cost.jitter_mm == pytest.approx(0.1, rel=0.15)
    assert cost.p95_mm == pytest.approx(0.196, rel=0.15)
    assert latency.cost(0.0).uncorrected_mm == 0.0


def test_a_lag_that_grows_is_reported_as_not_steady() -> None:
    rng = np.random.default_rng(3)
    tm, tv = np.arange(-2, 42, 1 / 40), np.linspace(0, 40, 460)
    image = -10 * uneven(tv - 0.05 - 0.001 * tv) + rng.normal(0, 2, len(tv))
    result = estimate_lag(
        motion_signal("image", (tv * 1e9).astype(np.int64), image, unit="px"),
        motion_signal("carrier", (tm * 1e9).astype(np.int64), uneven(tm)),
    )
    assert not result.steady
    assert result.drift_s_per_min == pytest.approx(-0.06, abs=0.01)
    assert estimate_lag(*pair()).steady


def test_positions_in_space_of_two_devices_are_enough() -> None:
    rng = np.random.default_rng(4)
    tm, tv = np.arange(-1, 21, 1 / 50), np.arange(0, 20, 1 / 20)
    holder = np.outer(uneven(tm), [0.6, 0.0, 0.8]) + rng.normal(0, 0.05, (len(tm), 3))
    tracker = np.outer(uneven(tv + 0.12), [0.0, -1.0, 0.0]) + rng.normal(0, 0.1, (len(tv), 3))
    result = estimate_lag(
        motion_signal("tracker", (tv * 1e9).astype(np.int64), tracker),
        motion_signal("holder", (tm * 1e9).astype(np.int64), holder),
    )
    assert result.lag_s == pytest.approx(0.12, abs=0.002)
    assert abs(result.scale) == pytest.approx(1.0, rel=0.01)


def test_motion_that_repeats_itself_is_refused_unless_the_sense_is_known() -> None:
    image, carrier = pair(move=lambda t: 10 * np.sin(2 * np.pi * t))
    refused = refusal(image, carrier)
    assert refused.code == "periodic"
    known = estimate_lag(image, carrier, same_sense=False, max_lag_s=0.3)
    assert known.lag_s == pytest.approx(-0.0852, abs=0.003)
    assert refusal(image, carrier, same_sense=False, max_lag_s=1.2).code == "periodic"


def test_a_lag_beyond_the_range_is_not_answered_by_one_inside() -> None:
    refused = refusal(*pair(lag=-0.6))
    assert refused.code == "range"
    assert refused.figures["lag_s"] == pytest.approx(-0.6, abs=0.02)
    assert estimate_lag(*pair(lag=-0.6), max_lag_s=1.0).lag_s == pytest.approx(-0.6, abs=0.003)


def test_too_little_motion_is_refused_with_the_swing() -> None:
    refused = refusal(*pair(move=lambda t: 0.3 * uneven(t), noise=0.01))
    assert refused.code == "too little motion"
    assert "px" in refused.reason or "mm" in refused.reason


def test_two_unrelated_motions_are_refused() -> None:
    image, _ = pair()
    _, carrier = pair(move=lambda t: 9 * np.sin(2 * np.pi * 0.23 * t) + 4 * np.cos(t * t * 0.05))
    assert refusal(image, carrier).code == "no common motion"


def test_recordings_of_different_times_are_refused() -> None:
    image, carrier = pair()
    later = MotionSignal("carrier", carrier.times_ns + 3_600_000_000_000, carrier.values)
    assert refusal(image, later).code == "no overlap"


def test_a_pause_of_the_dense_stream_is_not_interpolated() -> None:
    image, carrier = pair(lag=-0.05)
    t = (carrier.times_ns - image.times_ns[0]) / 1e9
    keep = (t < 6) | (t > 8.5)
    broken = MotionSignal("carrier", carrier.times_ns[keep], carrier.values[keep])
    result = estimate_lag(image, broken)
    assert result.lag_s == pytest.approx(-0.05, abs=0.004)
    assert result.samples_n < 215


STAMPS = np.arange(100, dtype=np.int64) * 100_000_000


@pytest.mark.parametrize(
    "times, values, code",
    [
        (STAMPS, np.full(100, 3.0), "constant input"),
        (STAMPS, np.tile([1.0, 2.0, 3.0], (100, 1)), "constant input"),
        (STAMPS[:99], np.arange(100.0), "missing time stamps"),
        (np.where(np.arange(100) == 5, np.nan, STAMPS.astype(float)), np.arange(100.0), "missing time stamps"),
        (np.zeros(100, dtype=np.int64), np.arange(100.0), "missing time stamps"),
        (np.where(np.arange(100) == 5, 0, STAMPS), np.arange(100.0), "time stamps disordered"),
        (np.repeat(STAMPS[:50], 2), np.arange(100.0), "time stamps disordered"),
        (STAMPS, np.where(np.arange(100) < 90, np.nan, 1.0), "too few samples"),
    ],
)
def test_spoiled_recordings_are_refused(times, values, code: str) -> None:
    with pytest.raises(CalibrationRefused) as caught:
        motion_signal("probe", times, values)
    assert caught.value.code == code
    assert "probe" in caught.value.reason


def test_invalid_positions_are_left_out_and_counted() -> None:
    values = uneven(STAMPS / 1e9)
    values[10:15] = np.nan
    signal = motion_signal("probe", STAMPS, values)
    assert signal.left_out_n == 5
    assert len(signal.times_ns) == 95


@pytest.mark.parametrize(("noise_mm", "stamps_s"), [(1.0, 0.0), (0.3, 0.008)], ids=["noise", "uneven stamps"])
def test_interval_holds_the_lag_when_the_dense_stream_is_noisy_too(noise_mm: float, stamps_s: float) -> None:
    held = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        dense_s = np.arange(-1.5, 21.5, 1 / 40)
        stamps_ns = np.sort(dense_s + rng.normal(0, stamps_s, len(dense_s))) * 1e9
        read = uneven(dense_s) + rng.normal(0, noise_mm, len(dense_s))
        image, _ = pair(seed)
        result = estimate_lag(image, motion_signal("tracker", stamps_ns.astype(np.int64), read))
        held += result.interval_s[0] <= -0.0852 <= result.interval_s[1]
    assert held >= 71  # 95 % of 80 less two standard deviations of such a count


def test_even_strokes_are_refused_for_a_lag_outside_the_range_too() -> None:
    slow = pair(lag=-0.93, move=lambda t: 12 * np.sin(np.pi * t))
    found = refusal(*slow)
    assert found.code == "periodic"
    assert abs(found.figures["lag_s"] - found.figures["rival_lag_s"]) == pytest.approx(1.0, abs=0.02)
    known = estimate_lag(*pair(lag=-0.07, move=lambda t: 12 * np.sin(np.pi * t)), max_lag_s=0.3)
    assert known.lag_s == pytest.approx(-0.07, abs=0.01)  # who knows that the lag is small may say so


def test_two_single_strokes_are_no_repeated_motion() -> None:
    result = estimate_lag(*pair(move=lambda t: 12 * (np.tanh(3 * (t - 6)) + np.tanh(2 * (t - 13)))))
    assert result.interval_s[0] <= -0.0852 <= result.interval_s[1]
