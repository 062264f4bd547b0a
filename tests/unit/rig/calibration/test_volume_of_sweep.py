"""Volumes of made-up sweeps: every value is where it was put, compiled loops against plain NumPy."""

import json
from pathlib import Path

import numpy as np
import pytest

from hal.errors import ConfigError, RecordError
from hal.links.sequence import Sequence, SequenceFrame
from rig.calibration.volume.files import write_volume
from rig.calibration.volume.pictures import draw_sweep
from rig.calibration.volume.reconstruction import reconstruct
from rig.calibration.volume.sweep import reconstruct_sweep
from rig.formats import Fiducial, write_fiducials

RNG = np.random.default_rng(5)


def poses(n: int, step_mm: float = 0.5, pitch_mm: float = 0.5) -> np.ndarray:
    """Images side by side along z, turned a little about x and y."""
    out = np.tile(np.eye(4), (n, 1, 1))
    for k in range(n):
        out[k, :3, :3] = np.diag([pitch_mm, pitch_mm, 1.0])
        out[k, :3, 3] = (10.0, -4.0, 3.0 + k * step_mm)
    return out


def test_pixels_on_the_grid_come_back_unchanged():
    images = [RNG.integers(0, 255, (20, 30)).astype(np.uint8) for _ in range(6)]
    for interpolation in ("nearest", "trilinear"):
        volume = reconstruct(images, poses(6), spacing_mm=0.5, interpolation=interpolation)
        assert volume.size == (30, 20, 6)
        assert volume.origin_mm == (10.0, -4.0, 3.0)
        assert np.array_equal(volume.grey, np.stack(images))


@pytest.mark.parametrize("compounding", ["mean", "max"])
def test_nearest_insertion_agrees_with_plain_numpy(compounding):
    images = [RNG.integers(0, 255, (40, 50)).astype(np.uint8) for _ in range(5)]
    stack = poses(5, 0.3, 0.31)
    for k in range(5):
        c, s = np.cos(0.1 * k), np.sin(0.1 * k)
        stack[k, :3, :3] = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ stack[k, :3, :3]
    volume = reconstruct(images, stack, spacing_mm=0.7, compounding=compounding)
    v, u = np.mgrid[:40, :50]
    pixel = np.stack([u.ravel(), v.ravel(), np.zeros(2000), np.ones(2000)])
    at = np.concatenate([(m @ pixel)[:3].T for m in stack])
    index = np.floor((at - np.array(volume.origin_mm)) / 0.7 + 0.5).astype(int)
    value = np.concatenate([i.ravel() for i in images]).astype(float)
    inside = (index < volume.size).all(axis=1) & (index >= 0).all(axis=1)
    assert inside.mean() > 0.97
    flat = tuple(index[inside].T[::-1])
    if compounding == "max":
        expected = np.zeros(volume.grey.shape)
        np.maximum.at(expected, flat, value[inside])
    else:
        total, count = np.zeros(volume.grey.shape), np.zeros(volume.grey.shape)
        np.add.at(total, flat, value[inside])
        np.add.at(count, flat, 1.0)
        expected = np.floor(total / np.maximum(count, 1) + 0.5)
    assert np.abs(volume.grey - expected).max() <= 1


def test_holes_inside_are_filled_by_their_neighbours_and_nothing_grows_outside():
    images = [np.full((20, 30), 40 * (k + 1), np.uint8) for k in range(4)]
    sparse = reconstruct(images, poses(4, step_mm=1.5), spacing_mm=0.5)
    filled = reconstruct(images, poses(4, step_mm=1.5), spacing_mm=0.5, hole_voxels=4)
    assert np.count_nonzero(sparse.filled == 0) == 6 * 600
    assert filled.filled.min() > 0
    assert [filled.grey[k, 10, 15] for k in range(10)] == [40, 53, 67, 80, 93, 107, 120, 133, 147, 160]
    alone = reconstruct(images[:1], poses(1), spacing_mm=0.5, hole_voxels=4)
    assert np.count_nonzero(alone.filled == 2) == 0


def test_same_sweep_gives_the_same_bytes():
    images = [RNG.integers(0, 255, (40, 50)).astype(np.uint8) for _ in range(5)]
    one, two = (reconstruct(images, poses(5), spacing_mm=0.33, interpolation="trilinear", hole_voxels=3) for _ in "ab")
    assert one.grey.tobytes() == two.grey.tobytes()


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_written_volume_opens_elsewhere_at_the_same_place(tmp_path: Path, ending):
    sitk = pytest.importorskip("SimpleITK")
    images = [RNG.integers(0, 255, (20, 30)).astype(np.uint8) for _ in range(6)]
    volume = reconstruct(images, poses(6), spacing_mm=(0.5, 0.4, 0.6))
    path = tmp_path / f"v.{ending}"
    write_volume(volume, path)
    image = sitk.ReadImage(str(path))
    assert np.array_equal(sitk.GetArrayFromImage(image), volume.grey)
    assert image.GetSpacing() == pytest.approx(volume.spacing_mm)
    x, y, z = np.array(volume.origin_mm) + np.array(volume.spacing_mm) * (7, 5, 3)
    assert image.TransformIndexToPhysicalPoint((7, 5, 3)) == pytest.approx((-x, -y, z))  # LPS of a point in RAS


def test_volume_lies_where_a_point_of_the_same_frame_lies(tmp_path: Path):
    sitk = pytest.importorskip("SimpleITK")
    images = [np.zeros((20, 30), np.uint8) for _ in range(6)]
    images[3][5, 7] = 200
    volume = reconstruct(images, poses(6), spacing_mm=0.5)
    x, y, z = (float(v) for v in poses(6)[3, :3, 3] + (3.5, 2.5, 0.0))
    write_volume(volume, tmp_path / "v.nrrd")
    write_fiducials(tmp_path / "p.mrk.json", (Fiducial("dot", (x, y, z)),))
    (point,) = json.loads((tmp_path / "p.mrk.json").read_text())["markups"][0]["controlPoints"]
    image = sitk.ReadImage(str(tmp_path / "v.nrrd"))
    assert image[image.TransformPhysicalPointToIndex(point["position"])] == 200


@pytest.mark.parametrize("there", ["v.mha", "v.png"])
def test_neither_volume_nor_picture_is_written_over(tmp_path: Path, there: str):
    (tmp_path / there).write_bytes(b"precious")
    volume = reconstruct([np.zeros((20, 30), np.uint8)] * 2, poses(2))
    with pytest.raises(ConfigError, match="not written over"):
        write_volume(volume, tmp_path / "v.mha")
    assert (tmp_path / there).read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


def between(value: int, **options) -> np.ndarray:
    """Voxels z of two pictures, the second a quarter of a voxel beyond the first voxel plane, (2 values of z)."""
    images = [np.full((4, 4), 100, np.uint8), np.full((4, 4), value, np.uint8), np.full((4, 4), 100, np.uint8)]
    stack = poses(3, 0.5, 0.5)
    stack[1, 2, 3] = stack[0, 2, 3] + 0.125
    stack[2, 2, 3] = stack[0, 2, 3] + 1.0
    return reconstruct(images, stack, spacing_mm=0.5, **options).grey[:, 1, 1]


def test_trilinear_weights_are_the_distances_to_the_voxels():
    """A picture a quarter beyond plane 0: weight 3/4 there beside a whole one of 100, alone in plane 1."""
    assert between(200, interpolation="trilinear").tolist() == [round((100 + 0.75 * 200) / 1.75), 200, 100]
    assert between(200).tolist() == [150, 0, 100]


def test_maximum_keeps_the_brightest_of_what_falls_together():
    assert between(200, compounding="max").tolist() == [200, 0, 100]
    assert between(50, compounding="max").tolist() == [100, 0, 100]
    assert between(50, compounding="max", interpolation="trilinear").tolist() == [100, 50, 100]


def test_hole_takes_the_line_between_its_neighbours_and_reach_is_respected():
    assert between(200, hole_voxels=2).tolist() == [150, 125, 100]
    assert between(200, hole_voxels=1).tolist() == [150, 0, 100]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": []}, "do not make a sweep"),
        ({"spacing_mm": 0.0}, "positive"),
        ({"spacing_mm": 1e-3}, "larger spacing"),
        ({"clip_px": (0, 0, 99, 5)}, "does not lie in the image"),
        ({"poses": np.full((2, 4, 4), np.nan)}, "not finite"),
    ],
)
def test_sweep_that_makes_no_volume_is_refused(change, message):
    images = change.pop("images", [np.zeros((20, 30), np.uint8)] * 2)
    stack = change.pop("poses", poses(2, step_mm=20.0))
    with pytest.raises(ConfigError, match=message):
        reconstruct(images, stack, **change)


def sequence(n: int = 8) -> Sequence:
    pixels = RNG.integers(0, 40, (n, 60, 80)).astype(np.uint8)
    pixels[:, 25:30, 30:50] = 220
    pixels[:, :, :10] = 77  # a ruler beside the picture
    frames = tuple(
        SequenceFrame(k, k * 10**8, {"ProbeToReference": m}, frozenset(), {}) for k, m in enumerate(poses(n, 1.0, 1.0))
    )
    return Sequence(Path("sweep.igs.mha"), {"UltrasoundImageOrientation": "MF"}, frames, pixels)


def test_recorded_sweep_names_unusable_frames_leaves_the_ruler_out_and_is_plotted(tmp_path):
    recording = sequence()
    frames = list(recording.frames)
    frames[2] = SequenceFrame(2, 0, frames[2].transforms, frozenset({"ProbeToReference"}), {})
    recording = Sequence(recording.path, recording.header, tuple(frames), recording.pixels)
    sweep = reconstruct_sweep(recording, {"ImageToProbe": np.eye(4)}, spacing_mm=1.0)
    assert sweep.refused == ((2, "INVALID: ProbeToReference"),)
    assert sweep.clip_px[0] == 10
    draw_sweep(sweep, tmp_path / "v.png")
    assert (tmp_path / "v.png").stat().st_size > 10_000


def test_recording_without_motion_or_chain_is_refused():
    recording = sequence()
    still = tuple(
        SequenceFrame(f.index, f.time_ns, recording.frames[0].transforms, frozenset(), {}) for f in recording.frames
    )
    with pytest.raises(ConfigError, match="tracker is frozen"):
        reconstruct_sweep(Sequence(recording.path, {}, still, recording.pixels), {"ImageToProbe": np.eye(4)})
    with pytest.raises(ConfigError, match=r"no sweep can be made of it: frame .Image. is not known"):
        reconstruct_sweep(recording, {})


def _posed(change) -> Sequence:
    recording = sequence()
    frames = tuple(
        SequenceFrame(f.index, f.time_ns, {k: change(m) for k, m in f.transforms.items()}, frozenset(), {})
        for f in recording.frames
    )
    return Sequence(recording.path, recording.header, frames, recording.pixels)


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (_posed(lambda m: m * np.array([1, 1, -1, 1])[:, None]), "frame 0: ProbeToReference is mirrored"),
        (_posed(lambda m: m * np.array([1, 1.1, 1, 1])[:, None]), "axis y .* is scaled by 1.1"),
        (_posed(lambda m: m * np.nan), "ProbeToReference has numbers that are not finite"),
    ],
)
def test_poses_that_are_no_rotation_make_no_volume(recording: Sequence, message: str):
    with pytest.raises(ConfigError, match=message):
        reconstruct_sweep(recording, {"ImageToProbe": np.eye(4)})


def test_pose_recorded_twice_is_used_when_both_agree_and_refused_when_they_differ():
    recording = sequence()

    def twice(shift_mm: float) -> Sequence:
        shift = np.eye(4)
        shift[1, 3] = shift_mm
        frames = tuple(
            SequenceFrame(
                f.index,
                f.time_ns,
                {
                    "ProbeToTracker": f.transforms["ProbeToReference"],
                    "ReferenceToTracker": np.eye(4),
                    "ProbeToReference": shift @ f.transforms["ProbeToReference"],
                    "status of the day": np.eye(4),
                },
                frozenset(),
                {},
            )
            for f in recording.frames
        )
        return Sequence(recording.path, recording.header, frames, recording.pixels)

    image = {"ImageToProbe": np.eye(4)}
    plain, agreed = (reconstruct_sweep(r, image, spacing_mm=1.0).volume for r in (recording, twice(0.0)))
    assert np.array_equal(plain.grey, agreed.grey)
    with pytest.raises(ConfigError, match=r"differ by 1\.000 mm"):
        reconstruct_sweep(twice(1.0), image)


def test_pixels_of_two_bytes_make_no_volume():
    recording = sequence()
    wide = Sequence(recording.path, recording.header, recording.frames, recording.pixels.astype(np.uint16) * 100)
    with pytest.raises(ConfigError, match="uint16"):
        reconstruct_sweep(wide, {"ImageToProbe": np.eye(4)})


def test_frozen_pictures_and_pictures_without_times_make_no_volume():
    recording = sequence()
    frozen = np.repeat(recording.pixels[:1], len(recording.frames), axis=0)
    with pytest.raises(ConfigError, match="the picture is frozen"):
        reconstruct_sweep(Sequence(recording.path, {}, recording.frames, frozen), {"ImageToProbe": np.eye(4)})
    untimed = tuple(SequenceFrame(f.index, None, f.transforms, frozenset(), {}) for f in recording.frames)
    with pytest.raises(ConfigError, match="no frame has a Timestamp"):
        reconstruct_sweep(Sequence(recording.path, {}, untimed, recording.pixels), {"ImageToProbe": np.eye(4)})


def test_colour_pictures_of_equal_channels_make_the_same_volume():
    recording = sequence()
    colour = Sequence(
        recording.path, recording.header, recording.frames, np.repeat(recording.pixels[..., None], 3, axis=3)
    )
    one, two = (reconstruct_sweep(r, {"ImageToProbe": np.eye(4)}, spacing_mm=1.0).volume for r in (recording, colour))
    assert np.array_equal(one.grey, two.grey)


def test_volume_of_unknown_ending_or_place_is_refused(tmp_path):
    volume = reconstruct([np.zeros((20, 30), np.uint8)] * 2, poses(2))
    with pytest.raises(ConfigError, match=r"\.mha or \.nrrd"):
        write_volume(volume, tmp_path / "v.vtk")
    with pytest.raises(RecordError, match="cannot be written"):
        write_volume(volume, tmp_path / "absent" / "v.mha")
