"""Probe calibration from raw frames of the PLUS test data, beside its published answer."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recordings import FOLDER, missing, needs
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from hal.errors import CalibrationRefused, ConfigError
from hal.links.sequence import Sequence, read_sequence
from rig.calibration.probe.errors import ErrorSummary, corner_gaps_mm, errors_mm, fit, wire_errors
from rig.calibration.probe.frames import observe
from rig.calibration.probe.nwire import NWireCalibration, calibrate_nwire
from rig.calibration.probe.plus_config import PlusConfig, PlusTransform, ProbeFrames, read_plus_config
from rig.calibration.probe.plus_result import PlusResult, read_plus_result
from rig.calibration.probe.wires import NPattern, Wire, WirePhantom

CONFIG = FOLDER / "plus_config/PlusDeviceSet_fCal_Sim_SpatialCalibration_2.0.xml"
ANSWER = FOLDER / "plus/FreehandCalibration3NWires_fCal2.0.results.xml"
MADE = FOLDER / "plus/fCal_Test_Calibration_3NWires_fCal2.0.igs.mha"
TESTED = FOLDER / "plus/fCal_Test_Validation_3NWires_fCal2.0.igs.mha"

pytestmark = [
    needs(*(str(p.relative_to(FOLDER)) for p in (CONFIG, ANSWER, MADE, TESTED))),
    pytest.mark.usefixtures("dots_once"),
]


@pytest.fixture(scope="module")
def config() -> PlusConfig:
    return read_plus_config(CONFIG)


@pytest.fixture(scope="module")
def answer() -> PlusResult:
    return read_plus_result(ANSWER)


@pytest.fixture(scope="module")
def recording() -> Sequence:
    return read_sequence(MADE)


@pytest.fixture(scope="module")
def result(config: PlusConfig, recording: Sequence) -> NWireCalibration:
    return calibrate_nwire(recording, config, validation=read_sequence(TESTED))


@pytest.fixture(scope="module")
def third(recording: Sequence) -> Sequence:
    """Every fourth frame, for copies to be spoiled."""
    assert recording.pixels is not None
    frames = tuple(replace(f, index=k) for k, f in enumerate(recording.frames[::4]))
    return replace(recording, frames=frames, pixels=recording.pixels[::4])


def test_published_points_give_the_published_figures(config: PlusConfig, answer: PlusResult) -> None:
    pose = config.transform("PhantomToReference").matrix
    made, tested = (answer.points(config.phantom, pose, part) for part in ("calibration", "validation"))
    matrix = fit(made, orthogonal=False)
    assert np.abs(matrix - answer.ImageToProbe).max() < 5e-5
    for points, published in ((made, answer.calibration_mm), (tested, answer.validation_mm)):
        summary = ErrorSummary.of(errors_mm(points, matrix))
        assert (summary.best95_mean_mm, summary.best95_sd_mm) == pytest.approx(published, abs=2e-4)
        assert summary.mean_mm > summary.best95_mean_mm
    wire = wire_errors(tested, matrix)[0]
    assert wire.mean_px == pytest.approx((3.76608, 0.507533), abs=2e-3)


def test_every_frame_is_used_and_corners_agree_with_the_published_matrix(
    result: NWireCalibration, answer: PlusResult
) -> None:
    assert result.calibration.used_n == 190
    assert result.validation is not None
    assert result.validation.used_n == 103
    for matrix in (result.linear, result.orthogonal):
        assert max(corner_gaps_mm(matrix, answer.ImageToProbe, result.size_px)) < 0.3


def test_dots_are_those_that_were_published(result: NWireCalibration, answer: PlusResult, config: PlusConfig) -> None:
    pose = config.transform("PhantomToReference").matrix
    published = answer.points(config.phantom, pose, "calibration")
    row = {int(k): n for n, k in enumerate(result.calibration.points.frame)}
    mine = result.calibration.points.dots_px[[row[int(k)] for k in published.frame]]
    apart = np.linalg.norm(mine - published.dots_px, axis=2)
    assert np.median(apart) < 1.0
    assert apart.max() < 10.0  # the nearest other wire is 20 px away: none is mislabelled


def test_errors_over_all_points_are_printed_beside_the_best_95_percent(result: NWireCalibration) -> None:
    assert result.validation is not None
    held, best = result.validation.errors, result.validation.errors.best95_mean_mm
    assert held.points_n == 309
    assert best < 0.56 < held.mean_mm < 0.60
    assert held.max_mm > 1.0
    assert result.k_fold.mean_mm > result.calibration.errors.mean_mm


def test_corners_say_how_far_they_move_with_other_wires_and_another_recording(result: NWireCalibration) -> None:
    assert result.corner_repeat_mm is not None
    assert max(result.corner_sd_mm) < max(result.corner_by_wires_mm)
    assert 1.0 < max(result.corner_repeat_mm) < 4.0  # the published points of the two files differ by 2.2 mm as well
    assert result.corner_repeat_mm[4] < 0.3  # the centre, where the wires are


def test_orthogonal_fit_has_right_angles_and_costs_less_than_two_percent(result: NWireCalibration) -> None:
    x, y = result.orthogonal[:3, 0], result.orthogonal[:3, 1]
    assert abs(np.degrees(np.arccos(x @ y / np.linalg.norm(x) / np.linalg.norm(y))) - 90.0) < 1e-9
    assert result.validation is not None
    linear, orthogonal = (errors_mm(result.validation.points, m).mean() for m in (result.linear, result.orthogonal))
    assert orthogonal == pytest.approx(linear, rel=0.02)


def test_fit_to_all_wires_repeats_better_between_the_recordings(
    result: NWireCalibration, recording: Sequence, config: PlusConfig
) -> None:
    assert result.validation is not None
    pairs = (
        [fit(p, orthogonal=True, in_plane=flat) for p in (result.calibration.points, result.validation.points)]
        for flat in (False, True)
    )
    middle, every = (max(corner_gaps_mm(*pair, result.size_px)) for pair in pairs)
    assert every < 1.0 < middle


def test_truncated_recording_is_refused_with_the_number_of_whole_frames(tmp_path: Path) -> None:
    path = tmp_path / "cut.igs.mha"
    path.write_bytes(MADE.read_bytes()[:-200_000])
    with pytest.raises(ConfigError, match=r"cut off: pixels of \d+ of 190 frames"):
        read_sequence(path)


@pytest.mark.parametrize(("axis", "name"), [(0, "x"), (1, "y"), (2, "z")])
def test_flipped_axis_of_the_wires_is_named(third: Sequence, config: PlusConfig, axis: int, name: str) -> None:
    factors = np.ones(3)
    factors[axis] = -1.0
    with pytest.raises(CalibrationRefused, match=f"axis {name} of the wire definition is flipped"):
        calibrate_nwire(third, _changed(config, factors))


def test_scaled_axis_of_the_tracker_is_named(third: Sequence, config: PlusConfig) -> None:
    scale = np.diag([1.0, 1.05, 1.0, 1.0])
    frames = tuple(
        replace(f, transforms={k: m @ scale if k == "ProbeToTracker" else m for k, m in f.transforms.items()})
        for f in third.frames
    )
    with pytest.raises(
        ConfigError, match=r"ProbeToTracker is no rotation: axis y of its source frame is scaled by 1\.05"
    ):
        calibrate_nwire(replace(third, frames=frames), config)


def test_scaled_pictures_are_named_against_the_published_calibration(
    third: Sequence, config: PlusConfig, answer: PlusResult
) -> None:
    expected = answer.ImageToProbe @ np.diag([1.0, 1.08, 1.0, 1.0])
    result = calibrate_nwire(third, config, expected=expected)
    assert "image_scaled" in [f.code for f in result.findings]


def test_flipped_pictures_are_named_against_the_published_calibration(
    third: Sequence, config: PlusConfig, answer: PlusResult
) -> None:
    assert third.pixels is not None
    flipped = replace(third, pixels=third.pixels[:, :, ::-1])
    with pytest.raises(CalibrationRefused, match=r"image axis x \(columns\) runs the other way"):
        calibrate_nwire(flipped, config, expected=answer.ImageToProbe)


@pytest.mark.parametrize(
    ("axis", "factor", "message"),
    [
        (1, 1.1, "axis y of the tracker's positions is out of scale"),
        (0, -1.0, "axis x of the tracker's positions runs the wrong way"),
        (2, -1.0, "axis z of the tracker's positions runs the wrong way"),
    ],
)
def test_scale_or_sign_of_one_axis_of_the_positions_is_refused_with_its_axis(
    third: Sequence, config: PlusConfig, axis: int, factor: float, message: str
) -> None:
    spoilt = np.eye(4)
    spoilt[axis, axis] = factor
    frames = tuple(replace(f, transforms={k: _at(m, spoilt) for k, m in f.transforms.items()}) for f in third.frames)
    with pytest.raises(CalibrationRefused, match=message):
        calibrate_nwire(replace(third, frames=frames), config)


def test_reference_that_stands_still_to_the_last_digit_is_reported(third: Sequence, config: PlusConfig) -> None:
    still = third.frames[0].transforms["ReferenceToTracker"]
    frames = tuple(replace(f, transforms=f.transforms | {"ReferenceToTracker": still}) for f in third.frames)
    try:
        texts = [f.text for f in calibrate_nwire(replace(third, frames=frames), config).findings]
    except CalibrationRefused as refused:
        texts = [refused.reason]
    assert any("ReferenceToTracker is the same to the last digit in all" in text for text in texts)


@pytest.mark.parametrize("swapped", [("#1", "#2", "#3"), ("#5", "#6", "#7", "#8")])
def test_phantom_registered_with_swapped_landmarks_is_recognised_from_the_motion(
    third: Sequence, config: PlusConfig, swapped: tuple[str, ...]
) -> None:
    assert config.phantom is not None
    pose = config.transform("PhantomToReference")
    names = list(config.phantom.landmarks_mm)
    nominal = np.array([config.phantom.landmarks_mm[n] for n in names])
    touched = nominal @ pose.matrix[:3, :3].T + pose.matrix[:3, 3]
    order = [names.index(n) for n in swapped]  # two alone would not turn the fit, only spoil its residuals
    touched[order] = touched[np.roll(order, 1)]
    turn = Rotation.align_vectors(touched - touched.mean(axis=0), nominal - nominal.mean(axis=0))[0].as_matrix()
    wrong = np.eye(4)
    wrong[:3, :3] = turn
    wrong[:3, 3] = touched.mean(axis=0) - turn @ nominal.mean(axis=0)
    transforms = {**config.transforms, "PhantomToReference": replace(pose, matrix=wrong)}
    with pytest.raises(CalibrationRefused, match="repeat the phantom registration, landmarks may be swapped"):
        calibrate_nwire(third, replace(config, transforms=transforms))


def test_command_writes_result_configuration_and_pictures(tmp_path: Path) -> None:
    import typer

    from experiments.cli.calibrate_nwire import add_to

    app = typer.Typer()
    add_to(app)
    run = CliRunner().invoke(
        app,
        ["nwire", str(TESTED), "--config", str(CONFIG), "--expected", str(ANSWER), "--out", str(tmp_path), "--json"],
    )
    assert run.exit_code == 0, run.output
    data = json.loads(run.stdout.strip().splitlines()[-1])
    assert data["calibration"]["used_n"] == 103
    assert (data["transform"], data["simulated"]) == ("ImageToProbe", False)
    written = read_plus_result(tmp_path / "ImageToProbe.results.xml")
    assert np.array_equal(written.ImageToProbe, np.array(data["ImageToProbe"]))
    assert read_plus_config(tmp_path / CONFIG.name).phantom is not None
    assert (tmp_path / "residuals.png").exists()


def _at(pose: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The pose with only its position changed."""
    out = pose.copy()
    out[:, 3] = change @ pose[:, 3]
    return out


def _changed(config: PlusConfig, factors: np.ndarray) -> PlusConfig:
    phantom = config.phantom
    assert phantom is not None
    patterns = tuple(
        NPattern.of(
            tuple(replace(w, front_mm=tuple(w.front_mm * factors), back_mm=tuple(w.back_mm * factors)) for w in p.wires)
        )
        for p in phantom.patterns
    )
    return replace(config, phantom=replace(phantom, patterns=patterns))


def test_six_wires_of_a_real_screen_grab_are_found_beside_its_text_and_clock():
    """No answer is published for this recording: any double N labels it, and its stepper's numbers are no pose."""
    path = FOLDER / "plus/USTC_FrameGrabber_RandomStepperMotionData2.igs.mha"
    if not path.exists():
        pytest.skip(missing(path.name))
    phantom = WirePhantom("double N", tuple(_n(name, z, turned) for name, z, turned in (("a", 0, 0), ("b", 10, 1))))
    transforms = {"PhantomToReference": PlusTransform("Phantom", "Reference", np.eye(4))}
    config = PlusConfig(path, transforms, phantom, ProbeFrames(), None, None, ET.Element("PlusConfiguration"))
    seen = observe(read_sequence(path), config, phantom)
    assert [v.refusal for v in seen.verdicts if v.refusal is not None] == []
    assert any("never changes" in note for note in seen.notes)
    dots = seen.dots_px()
    steps = np.linalg.norm(np.diff(dots[:, (0, 2, 3, 5)].mean(axis=1), axis=0), axis=1)
    assert np.percentile(steps, 95) < 15  # outer wires wander with the stepper and jump to no letter
    # One middle dot goes left when the other goes right, as wires across each other do.
    share = [_share(dots[:, k : k + 3]) for k in (0, 3)]
    assert abs(np.corrcoef(*share)[0, 1]) > 0.95
    with pytest.raises(CalibrationRefused, match="no way round"):
        calibrate_nwire(read_sequence(path), config)


def _n(name: str, z_mm: float, turned: int) -> NPattern:
    ends = ((0.0, 0.0), (20.0, 0.0) if turned else (0.0, 20.0), (20.0, 20.0))
    return NPattern.of(tuple(Wire(f"{name}{k}", (a, 0.0, z_mm), (b, 40.0, z_mm)) for k, (a, b) in enumerate(ends)))


def _share(three_px: np.ndarray) -> np.ndarray:
    across = three_px[:, 2] - three_px[:, 0]
    return np.asarray(((three_px[:, 1] - three_px[:, 0]) * across).sum(axis=1) / (across**2).sum(axis=1))
