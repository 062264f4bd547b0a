"""Good recordings stay good when they are cut in parts, and what two parts say differs as much as they state."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from recordings import FOLDER, missing

from hal.links.sequence import read_sequence
from rig.calibration.probe.choice import choose
from rig.calibration.probe.diagnosis import diagnose
from rig.calibration.probe.errors import Points, corner_gaps_mm, corner_sd_mm, deviations, fit, k_fold
from rig.calibration.probe.frames import Observations, observe
from rig.calibration.probe.nwire import calibrate_nwire
from rig.calibration.probe.plus_config import read_plus_config
from rig.calibration.probe.steady import without_strays

pytestmark = pytest.mark.usefixtures("dots_once")

BATH = FOLDER / "plus_config/PlusDeviceSet_fCal_Sim_SpatialCalibration_2.0.xml"
FREEHAND = FOLDER.parent / "cases/nwire/NwirePhantomFreehand.igs.mha"
RECORDINGS = {
    "calibration": (FOLDER / "plus/fCal_Test_Calibration_3NWires_fCal2.0.igs.mha", BATH),
    "validation": (FOLDER / "plus/fCal_Test_Validation_3NWires_fCal2.0.igs.mha", BATH),
    "freehand": (FREEHAND, FREEHAND.with_name("NwirePhantomFreehand.xml")),
}


@cache
def _seen(name: str) -> tuple[Observations, Points]:
    recording, settings = RECORDINGS[name]
    for path in (recording, settings):
        if not path.exists():
            pytest.skip(missing(path.name))
    config = read_plus_config(settings)
    seen = observe(read_sequence(recording), config, config.phantom)
    points, _ = choose(seen)
    return without_strays(seen, points)


def _part(name: str, rows: np.ndarray) -> tuple[Observations, Points]:
    seen, points = _seen(name)
    chosen = np.zeros(len(points.frame), dtype=bool)
    chosen[rows] = True
    less = replace(
        seen,
        frame=seen.frame[chosen],
        PhantomToProbe=seen.PhantomToProbe[chosen],
        time_s=seen.time_s[chosen],
        stretch_mm=None if seen.stretch_mm is None else seen.stretch_mm[chosen],
    )
    return less, points.pick(chosen)


def _runs(name: str, parts: int) -> list[np.ndarray]:
    return list(np.array_split(np.arange(len(_seen(name)[1].frame)), parts))


def _cuts(name: str) -> list[np.ndarray]:
    every = np.arange(len(_seen(name)[1].frame))
    return [every, every[::2], every[1::2], *(every[k::3] for k in range(3)), *_runs(name, 2), *_runs(name, 3)]


@pytest.mark.parametrize("name", RECORDINGS)
def test_no_part_of_a_good_recording_is_refused_for_a_cause_or_its_held_out_error(name: str) -> None:
    for rows in _cuts(name):
        seen, points = _part(name, rows)
        matrix = fit(points, orthogonal=False)
        findings, causes = diagnose(seen, points, matrix, None)
        assert not [f.text for f in findings if f.refuses]
        assert min(c.left for c in causes if c.kind != "late") > 0.45  # a delay never refuses
        assert k_fold(points, 5, orthogonal=False).rms_mm < 1.1


def test_corners_of_halves_thirds_and_sessions_differ_as_much_as_they_state() -> None:
    made: dict[tuple[str, int, int], tuple[np.ndarray, np.ndarray]] = {}
    for name in RECORDINGS:
        for parts in (1, 2, 3):
            for k, rows in enumerate(_runs(name, parts)):
                seen, points = _part(name, rows)
                stated = np.array(corner_sd_mm(deviations(points), seen.size_px))
                made[name, parts, k] = fit(points, orthogonal=False), stated
    size = _seen("calibration")[0].size_px
    pairs = [pair for pair in combinations(made, 2) if pair[0][:2] == pair[1][:2] and pair[0][1] > 1]
    pairs += [(("calibration", 1, 0), ("validation", 1, 0))]
    pairs += [(("calibration", 2, a), ("validation", 2, b)) for a in range(2) for b in range(2)]
    ratios = []
    for one, other in pairs:
        apart = np.array(corner_gaps_mm(made[one][0], made[other][0], size))
        ratios.append(apart / np.hypot(made[one][1], made[other][1]))
    share = np.array(ratios)
    assert np.mean(share < 2.0) >= 0.90
    assert np.mean(share < 0.5) <= 0.60


def test_a_stylus_that_no_frame_sees_and_a_tank_wall_do_not_matter() -> None:
    recording, settings = RECORDINGS["freehand"]
    if not recording.exists():
        pytest.skip(missing(recording.name))
    sequence = read_sequence(recording)
    assert all("StylusToTracker" in frame.invalid for frame in sequence.frames)
    result = calibrate_nwire(sequence, read_plus_config(settings))
    assert result.calibration.used_n == 75
    assert result.k_fold.mean_mm < 0.85


@pytest.mark.parametrize(
    ("name", "axis"), [("calibration", 0), ("calibration", 2), ("validation", 0), ("validation", 2)]
)
def test_a_scale_of_the_wires_that_the_pixel_pitch_takes_up_is_reported(name: str, axis: int) -> None:
    seen, points = _seen(name)
    good = fit(points, orthogonal=False)
    factors = np.ones(3)
    factors[axis] = 1.12
    patterns = tuple(
        replace(
            p,
            wires=tuple(
                replace(w, front_mm=tuple(w.front_mm * factors), back_mm=tuple(w.back_mm * factors)) for w in p.wires
            ),
        )
        for p in points.phantom.patterns
    )
    scaled = replace(points, phantom=replace(points.phantom, patterns=patterns))
    matrix = fit(scaled, orthogonal=False)
    findings, _ = diagnose(seen, scaled, matrix, good)
    assert "image_scaled" in [f.code for f in findings]
    texts = [f.text for f in diagnose(seen, scaled, matrix, None)[0] if f.code == "pixels_not_square"]
    assert axis == 2 or texts  # 12 % of z may make the pixels of these pictures square
    assert all("wires" in text for text in texts)
