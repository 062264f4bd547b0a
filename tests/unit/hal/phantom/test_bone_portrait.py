"""The shaded view of the bones."""

import numpy as np

from hal.phantom.nominal import load_phantom
from hal.phantom.portrait import portrait


def test_view_from_behind_shows_the_spine_in_the_middle_and_crests_at_the_sides() -> None:
    scene = load_phantom("lumbar_ref").bones()
    picture = portrait(scene, np.array([0, 0, 1.0]), np.array([0, 1.0, 0]), np.array([0, 10.0, 55.0]), 200, 200, 2.0)
    assert picture.shape == (100, 100)
    assert (picture[:, 48:52] > 0).mean() > 0.8
    at_crest = picture[62, :]  # Y = -14
    assert at_crest[3:15].max() > 0 and at_crest[85:97].max() > 0
    assert picture[5, 5] == 0


def test_the_phantoms_left_is_on_the_left_when_seen_from_behind() -> None:
    scene = load_phantom("lumbar_ref").bones().subset(("ilium",))
    half = portrait(scene, np.array([0, 0, 1.0]), np.array([0, 1.0, 0]), np.array([60, -20.0, 55.0]), 100, 160, 2.0)
    # Centred on the left crest (X 60): the crest rises laterally, that is to the left of the picture.
    top_row = int(np.argmax((half > 0).any(axis=1)))
    assert np.flatnonzero(half[top_row + 2]).mean() < half.shape[1] / 2
