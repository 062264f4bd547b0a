"""N-wire calibration on recordings of phantoms that exist nowhere, where the answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wire_bath import phantom_of, record

from hal.errors import CalibrationRefused, ConfigError
from rig.calibration.probe.dots import Dots, find_dots, luminance
from rig.calibration.probe.errors import ErrorSummary
from rig.calibration.probe.labelling import Labeller, Refusal, Scale
from rig.calibration.probe.nwire import calibrate_nwire
from rig.calibration.probe.pictures import draw_frame, draw_residuals
from rig.calibration.probe.plus_result import read_plus_result, write_plus_result
from rig.calibration.probe.wires import NPattern, Wire

pytestmark = pytest.mark.usefixtures("dots_once")

FOUR = phantom_of((0, 22, 3, 20, 0), (0, 22, 20, 3, 7), (4, 30, 6, 27, 14), (4, 30, 27, 6, 21))
SYMMETRIC = phantom_of((0, 24, 2, 22, 0), (0, 24, 22, 2, 10))
TWO_ON_ONE_LAYER = phantom_of((0, 18, 2, 16, 0), (20, 38, 36, 22, 0), (0, 18, 16, 2, 12))
SINGLE = phantom_of((0, 30, 2, 28, 0))
BATH = record(FOUR)


@pytest.mark.parametrize(
    ("phantom", "size", "limit"),
    [
        (FOUR, (420, 460), 0.1),
        (SYMMETRIC, (420, 460), 0.15),
        (TWO_ON_ONE_LAYER, (520, 420), 0.2),
        (SINGLE, (420, 460), 0.3),
    ],
    ids=["four layers", "symmetric", "two N on one layer", "one N"],
)
def test_probe_is_calibrated_without_any_hint_of_scale(phantom, size, limit):
    bath = record(phantom, size_px=size)
    result = calibrate_nwire(bath.sequence, bath.config)
    assert result.calibration.used_n == 36
    assert max(result.corner_gaps_mm(bath.ImageToProbe)) < limit
    assert result.pitch_mm == pytest.approx((0.12, 0.1), rel=0.01)


@pytest.mark.parametrize("pitch", [(0.2, 0.15), (0.09, 0.13)])
def test_unequal_pixel_pitch_is_found(pitch):
    bath = record(FOUR, pitch_mm=pitch, size_px=(int(44 / pitch[0]), int(44 / pitch[1])), frames=24)
    result = calibrate_nwire(bath.sequence, bath.config)
    assert result.pitch_mm == pytest.approx(pitch, rel=0.01)
    assert max(result.corner_gaps_mm(bath.ImageToProbe)) < 0.15


@pytest.mark.parametrize("orientation", ["MFA", "MNA", "UFA", "UNA"])
def test_four_orientations_and_colour_give_the_same_matrix(orientation):
    bath = record(FOUR, orientation=orientation, rgb=orientation[0] == "U", frames=20)
    result = calibrate_nwire(bath.sequence, bath.config)
    assert max(result.corner_gaps_mm(bath.ImageToProbe)) < 0.15


def test_wrong_statement_of_the_pixel_pitch_is_noticed_and_survived():
    bath = record(FOUR, spacing_hint_mm=0.35, frames=20)
    result = calibrate_nwire(bath.sequence, bath.config)
    assert "stated pixel pitch of 0.35 mm does not fit" in result.notes[0]
    assert max(result.corner_gaps_mm(bath.ImageToProbe)) < 0.15


def test_clutter_does_not_mislead():
    bath = record(FOUR, clutter=12, frames=24)
    result = calibrate_nwire(bath.sequence, bath.config)
    assert result.calibration.used_n >= 22
    assert max(result.corner_gaps_mm(bath.ImageToProbe)) < 0.15


@pytest.mark.parametrize("method", ["orthogonal", "in_plane"])
def test_methods_agree_and_those_with_right_angles_have_them(method):
    result = calibrate_nwire(BATH.sequence, BATH.config, method=method)
    x, y = result.ImageToProbe[:3, 0], result.ImageToProbe[:3, 1]
    assert abs(x @ y) / (np.linalg.norm(x) * np.linalg.norm(y)) < 1e-9
    assert max(result.corner_gaps_mm(result.linear)) < 0.1
    assert max(result.corner_gaps_mm(BATH.ImageToProbe)) < 0.1


def test_stated_uncertainty_covers_the_true_corners():
    gaps, stated = [], []
    for seed in range(6):
        bath = record(FOUR, seed=seed, frames=30)
        result = calibrate_nwire(bath.sequence, bath.config)
        gaps.append(result.corner_gaps_mm(bath.ImageToProbe))
        stated.append(result.corner_sd_mm)
    ratio = np.sqrt(np.mean(np.square(gaps))) / np.sqrt(np.mean(np.square(stated)))
    assert 0.4 < ratio < 2.5
    assert np.linalg.eigvalsh(result.uncertain.spread)[0] > -1e-12


def test_invalid_pose_and_missing_time_are_refused_frame_by_frame():
    frames = list(BATH.sequence.frames)
    frames[3] = replace(frames[3], invalid=frozenset({"ProbeToReference"}))
    frames[5] = replace(frames[5], time_ns=None)
    frames[7] = replace(frames[7], fields={"ImageStatus": "INVALID"})
    result = calibrate_nwire(replace(BATH.sequence, frames=tuple(frames)), BATH.config)
    refused = {v.index: v.refusal.text for v in result.calibration.verdicts if v.refusal}
    assert refused == {
        3: "pose: INVALID: ProbeToReference",
        5: "time: the frame has no Timestamp",
        7: "image: ImageStatus is INVALID",
    }


def test_frames_with_hidden_dots_say_how_many_were_found():
    pixels = BATH.sequence.pixels.copy()
    pixels[4] = 3
    pixels[4, 200:206, 100:110] = 200
    pixels[9, :, 150:] = pixels[9, 0, 0]
    result = calibrate_nwire(replace(BATH.sequence, pixels=pixels), BATH.config)
    refused = {v.index: v.refusal for v in result.calibration.verdicts if v.refusal}
    assert refused[4].text == "dots: 1 found of 12"
    assert set(refused) == {4, 9}
    assert refused[9].code in ("dots", "line")


def _spoil(change):
    return replace(
        BATH.sequence,
        frames=tuple(
            replace(f, transforms={k: change(k, m.copy()) for k, m in f.transforms.items()})
            for f in BATH.sequence.frames
        ),
    )


@pytest.mark.parametrize(
    ("factors", "message"),
    [((1, 1.05, 1), "axis y of its source frame is scaled by 1.0500"), ((1, 1, -1), "mirrored")],
)
def test_spoiled_tracker_axis_is_named(factors, message):
    spoiled = _spoil(lambda _, m: m @ np.diag([*factors, 1.0]))
    with pytest.raises(ConfigError, match=message):
        calibrate_nwire(spoiled, BATH.config)


@pytest.mark.parametrize(("axis", "name"), [(0, "x"), (1, "y"), (2, "z")])
def test_scaled_wire_definition_is_refused_with_its_axis(axis, name):
    factors = np.ones(3)
    factors[axis] = 1.12
    with pytest.raises(CalibrationRefused, match=f"axis {name} of the wire definition should be 0.8"):
        calibrate_nwire(BATH.sequence, replace(BATH.config, phantom=_moved(lambda p: p * factors)))


def test_flipped_wire_definition_is_refused_with_its_axis():
    flipped = _moved(lambda p: p * np.array([1, -1, 1]))
    with pytest.raises(CalibrationRefused, match="axis y of the wire definition is flipped"):
        calibrate_nwire(BATH.sequence, replace(BATH.config, phantom=flipped))


def test_swapped_layers_are_named():
    wires = [list(p.wires) for p in FOUR.patterns]
    for a, b in ((0, 2),):
        for k in range(3):
            wires[a][k] = Wire(wires[a][k].name, _at_z(wires[a][k].front_mm, 14.0), _at_z(wires[a][k].back_mm, 14.0))
            wires[b][k] = Wire(wires[b][k].name, _at_z(wires[b][k].front_mm, 0.0), _at_z(wires[b][k].back_mm, 0.0))
    swapped = replace(FOUR, patterns=tuple(NPattern.of(tuple(w)) for w in wires))
    with pytest.raises(CalibrationRefused, match=r"layers of wires \(0L, 0M, 0R\) and \(2L, 2M, 2R\) look swapped"):
        calibrate_nwire(BATH.sequence, replace(BATH.config, phantom=swapped))


def test_flipped_and_scaled_images_are_named_against_an_expected_calibration():
    flipped = replace(BATH.sequence, pixels=BATH.sequence.pixels[:, :, ::-1])
    with pytest.raises(CalibrationRefused, match=r"image axis x \(columns\) runs the other way") as refused:
        calibrate_nwire(flipped, BATH.config, expected=BATH.ImageToProbe)
    assert refused.value.code == "image_flipped"
    assert any("flipped or stretched" in note for note in calibrate_nwire(flipped, BATH.config).notes)
    coarse = BATH.ImageToProbe @ np.diag([1.0, 1.1, 1.0, 1.0])
    result = calibrate_nwire(BATH.sequence, BATH.config, expected=coarse)
    assert [f.code for f in result.findings] == ["image_scaled"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: replace(s, pixels=np.full_like(s.pixels, 9)), "one grey value"),
        (lambda s: replace(s, pixels=np.repeat(s.pixels[:1], len(s.pixels), axis=0)), "frozen"),
        (lambda s: _with(s, time_ns=None), "no frame has a Timestamp"),
        (lambda s: _with(s, transforms=s.frames[0].transforms), "tracker is frozen"),
        (lambda s: _with(s, transforms={}), "no chain of transforms joins Phantom and Probe"),
        (lambda s: replace(s, pixels=None), "without images"),
    ],
)  # fmt: skip
def test_recording_that_cannot_be_used_says_why(spoil, message):
    with pytest.raises(ConfigError, match=message):
        calibrate_nwire(spoil(BATH.sequence), BATH.config)


def test_probe_that_hardly_moved_is_refused():
    still = record(FOUR, motion=(0.02, 0.02), frames=12)
    with pytest.raises(CalibrationRefused, match="hardly moved"):
        calibrate_nwire(still.sequence, still.config)


def test_poses_of_other_frames_are_refused():
    items = BATH.sequence.frames
    moved = tuple(replace(f, transforms=items[(k + 9) % len(items)].transforms) for k, f in enumerate(items))
    with pytest.raises(CalibrationRefused, match="pictures and poses may not belong together"):
        calibrate_nwire(replace(BATH.sequence, frames=moved), BATH.config)


def test_late_pictures_are_noticed():
    items = BATH.sequence.frames
    pixels = BATH.sequence.pixels
    late = replace(
        BATH.sequence,
        pixels=pixels[:-1],
        frames=tuple(replace(f, transforms=items[k + 1].transforms) for k, f in enumerate(items[:-1])),
    )
    result = calibrate_nwire(late, BATH.config, limit_mm=5.0)
    finding = next(f for f in result.findings if f.code == "time_offset")
    assert finding.figures["lag_ms"] == pytest.approx(80.0, abs=12.0)  # one frame


def test_result_file_is_read_back_and_pictures_are_made(tmp_path: Path):
    result = calibrate_nwire(BATH.sequence, BATH.config)
    write_plus_result(tmp_path / "r.xml", result)
    again = read_plus_result(tmp_path / "r.xml")
    assert np.array_equal(again.ImageToProbe, result.ImageToProbe)
    assert again.calibration_mm[0] == pytest.approx(result.calibration.errors.best95_mean_mm, rel=1e-4)
    assert len(again.calibration) == 36
    assert again.calibration[0].dots_px["0M"] == pytest.approx(result.calibration.points.dots_px[0, 1], rel=1e-4)
    draw_residuals(result, tmp_path / "r.png")
    draw_frame(result, BATH.sequence, 0, tmp_path / "f.png")
    assert min((tmp_path / n).stat().st_size for n in ("r.png", "f.png")) > 10_000


def test_best_95_percent_leaves_out_what_all_points_show():
    summary = ErrorSummary.of(np.array([0.1] * 95 + [10.0] * 5))
    assert summary.best95_mean_mm == pytest.approx(0.1)
    assert summary.mean_mm == pytest.approx(0.595)
    assert summary.max_mm == 10.0


def test_dot_centre_is_found_to_a_fifth_of_a_pixel():
    y, x = np.mgrid[:80, :90]
    image = 200 * np.exp(-((x - 41.3) ** 2) / 32 - (y - 37.6) ** 2 / 8)
    dots = find_dots(luminance(image), 0.1, 9)
    assert dots.centre_px[0] == pytest.approx((41.3, 37.6), abs=0.2)


def test_three_dots_in_no_line_are_refused_for_the_line():
    dots = Dots(np.array([[10.0, 10], [60, 90], [110, 10]]), np.ones(3))
    refusal = Labeller(SINGLE, Scale.guess(0.3)).label(dots)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "line"


def _with(sequence, **changes):
    return replace(sequence, frames=tuple(replace(f, **changes) for f in sequence.frames))


def _moved(change):
    patterns = tuple(
        NPattern.of(
            tuple(
                Wire(w.name, tuple(change(np.array(w.front_mm))), tuple(change(np.array(w.back_mm)))) for w in p.wires
            )
        )
        for p in FOUR.patterns
    )
    return replace(FOUR, patterns=patterns)


def _at_z(point, z):
    return (point[0], point[1], z)
