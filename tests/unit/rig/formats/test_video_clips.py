"""Videos that the test writes, as recordings: complete or refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hal.errors import ConfigError
from hal.links.grey import luminance
from rig.formats.clips import video_recording


@pytest.mark.parametrize(("ending", "code"), [(".avi", "MJPG"), (".mkv", "MJPG"), (".mp4", "mp4v"), (".mov", "mp4v")])
@pytest.mark.parametrize("share", [1.0, 0.9, 0.6, 0.02])
def test_film_that_was_cut_off_is_refused_and_a_whole_one_is_not(
    tmp_path: Path, ending: str, code: str, share: float
) -> None:
    path = tmp_path / f"film{ending}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10.0, (64, 48))
    for number in range(20):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    if share == 1.0:
        assert len(video_recording(path).frames) == 20
        return
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ConfigError, match=r"of 20 frames|no video that can be decoded"):
        video_recording(path)


@pytest.mark.parametrize("kind", ["<u2", "<i2", "<f4"])
def test_pixels_that_are_no_bytes_have_no_grey_value_here(kind: str) -> None:
    """300 as a byte is 44: cutting a number off is no conversion."""
    with pytest.raises(ConfigError, match="8-bit"):
        luminance(np.full((2, 2), 300, dtype=kind))
