"""Where no needle is: lines laid at random into a recorded sweep over a spine phantom."""

from __future__ import annotations

import numpy as np
from recordings import FOLDER, needs

from hal.links.sequence import read_sequence
from rig.guidance.needle import find_needle

SWEEP = FOLDER / "plus/SpinePhantomFreehand.igs.mha"
PITCH_MM = 0.1
"""About what the sweep's depth says; the finder's rule does not depend on it."""

pytestmark = needs(str(SWEEP.relative_to(FOLDER)))


def test_bone_and_muscle_of_a_real_spine_are_seldom_taken_for_a_needle() -> None:
    pixels = np.asarray(read_sequence(SWEEP).pixels)
    ImageToProbe = np.array(
        [[PITCH_MM, 0.0, 0.0, -PITCH_MM * pixels.shape[2] / 2], [0, 0, 1, 0], [0, PITCH_MM, 0, 0], [0, 0, 0, 1.0]]
    )
    rng = np.random.default_rng(3)
    found = lines = 0
    for picture in pixels:
        rows, columns = np.nonzero(picture > 5)
        for _ in range(8):
            angle = np.radians(rng.uniform(20.0, 60.0)) * rng.choice([-1, 1])
            k = rng.integers(len(rows))
            tip = (ImageToProbe @ np.array([columns[k], rows[k], 0.0, 1.0]))[:3]
            direction = np.array([np.sin(angle), 0.0, np.cos(angle)])
            found += find_needle(picture, ImageToProbe, np.eye(4), tip, direction).found
            lines += 1
    assert lines == 168
    assert found <= 0.05 * lines  # by contrast alone it was every second one
