"""Volume of the 21-frame sweep over a real spine phantom, beside the extent that PLUS gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import FOLDER, needs

from experiments.calibrations import volume_from
from hal.links.sequence import read_sequence
from rig.calibration.probe.plus_config import read_plus_config
from rig.calibration.volume.pictures import bone_likeness, draw_sweep
from rig.calibration.volume.sweep import SweepVolume, reconstruct_sweep

SWEEP = FOLDER / "plus/SpinePhantomFreehand.igs.mha"
CONFIG = FOLDER / "plus_config/PlusDeviceSet_SpinePhantomFreehandReconstructionOnly.xml"

pytestmark = needs(*(str(p.relative_to(FOLDER)) for p in (SWEEP, CONFIG)))


def sweep(**options: object) -> SweepVolume:
    transforms = {name: t.matrix for name, t in read_plus_config(CONFIG).transforms.items()}
    return reconstruct_sweep(read_sequence(SWEEP), transforms, **options)  # type: ignore[arg-type]


def test_extent_of_the_whole_picture_is_that_of_plus() -> None:
    volume = sweep(clip_px=(0, 0, 820, 616)).volume
    assert volume.size == (147, 106, 105)
    assert volume.origin_mm == pytest.approx((-74.5217, 165.573, 29.072), abs=1e-3)


def test_ultrasound_part_of_the_screen_is_found() -> None:
    assert sweep().clip_px == (187, 12, 445, 589)


def test_bone_lies_below_the_tissue_and_in_the_middle() -> None:
    made = sweep()
    score = bone_likeness(made)
    z, _, x = np.nonzero(score > np.quantile(score[made.volume.filled > 0], 0.99))
    depth_mm = z * 0.5
    assert 8.0 < np.median(depth_mm) < 25.0  # laminae and spinous process, 10 to 23 mm under the face
    assert abs(np.median(x) * 0.5 - made.volume.size[0] * 0.25) < 8.0


def test_interpolations_agree_where_both_have_values() -> None:
    one, two = sweep(hole_voxels=0).volume, sweep(hole_voxels=0, interpolation="trilinear").volume
    both = (one.filled == 1) & (two.filled == 1)
    assert np.corrcoef(one.grey[both], two.grey[both])[0, 1] > 0.99


def test_files_and_picture_are_written(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    result, made = volume_from(SWEEP, CONFIG, tmp_path / "spine.mha"), sweep()
    assert not result.simulated
    assert result.details["used_n"] == made.used_n
    image = sitk.ReadImage(str(tmp_path / "spine.mha"))
    assert np.array_equal(sitk.GetArrayFromImage(image), made.volume.grey)
    assert (tmp_path / "spine.png").stat().st_size > 50_000
    draw_sweep(made, tmp_path / "again.png")
