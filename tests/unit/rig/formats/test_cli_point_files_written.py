"""Readers read what the writers of point files write, name by name, or it is never written."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.errors import ConfigError
from rig.formats.named_points import labelled_simulated, read_named_points, write_named_points
from rig.formats.points import Fiducial, write_fiducials
from rig.formats.points import read_fiducials as read_slicer
from rig.geometry.fiducials import Fiducials, read_fiducials

NAMES = st.lists(st.text(max_size=8), min_size=1, max_size=5, unique=True)


@given(names=NAMES, place=st.floats(-1e6, 1e6), simulated=st.booleans())
def test_a_table_is_read_back_or_never_written(names: list[str], place: float, simulated: bool) -> None:
    points = Fiducials(tuple(names), np.arange(3.0 * len(names)).reshape(-1, 3) + place)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "points.txt"
        try:
            write_named_points(path, points, simulated=simulated)
        except ConfigError:
            assert not path.exists()
            assert any(not n or n != n.strip() or not n.isprintable() for n in names)
            return
        again = read_named_points(path)
        assert again.names == points.names
        assert np.array_equal(again.points_mm, points.points_mm)
        assert labelled_simulated(path) == simulated


@given(names=NAMES, text=st.text(max_size=8), ending=st.sampled_from([".fcsv", ".mrk.json"]))
def test_a_point_list_of_slicer_is_read_back_or_never_written(names: list[str], text: str, ending: str) -> None:
    points = tuple(Fiducial(name, (1.0, 2.0, float(k)), text) for k, name in enumerate(names))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"points{ending}"
        try:
            write_fiducials(path, points)
        except ConfigError:
            assert not path.exists()
            return
        assert read_slicer(path) == points


def test_names_with_a_hash_are_read_when_all_have_one(tmp_path: Path) -> None:
    path = tmp_path / "plus.txt"
    path.write_text("name x y z\n#1 0 0 0\n#2 10 0 0\n#3 0 10 0\n#4 0 0 10\n")
    assert read_named_points(path).names == ("#1", "#2", "#3", "#4")
    path.write_text("name,x,y,z\n#1,0,0,0\n#2,10,0,0\n")
    assert read_named_points(path).names == ("#1", "#2")


def test_a_point_that_was_taken_out_and_remarks_stay_out(tmp_path: Path) -> None:
    path = tmp_path / "points.txt"
    path.write_text("# touched on Monday\nA 1 2 3  # first\n#B 4 5 6\nC#2 7 8 9\n")
    assert read_fiducials(path).names == ("A", "C#2")


@pytest.mark.parametrize("name", ["", " F1", "a\nb", "a\u2028b", "\ud800"])
def test_a_name_that_no_line_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="point name"):
        write_named_points(tmp_path / "p.txt", Fiducials((name,), np.zeros((1, 3))), simulated=False)
