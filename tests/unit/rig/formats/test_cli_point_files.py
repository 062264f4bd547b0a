from pathlib import Path

import numpy as np
import pytest

from hal.errors import ConfigError
from rig.formats.named_points import read_named_points
from rig.formats.points import Fiducial, write_fiducials

POINTS = {"F 1": (1.5, -2.0, 30.25), "F2": (4.0, 5.5, -6.0), "F3": (-70.0, 8.0, 9.0)}
PLUS = """<PlusConfiguration version="2.1"><PhantomDefinition><Geometry><Pattern Type="NWire">
<Wire Name="1" EndPointFront="0 0 0" EndPointBack="0 40 0"/>
<Wire Name="2" EndPointFront="0 0 0" EndPointBack="20 40 0"/>
<Wire Name="3" EndPointFront="20 0 0" EndPointBack="20 40 0"/></Pattern><Landmarks>
<Landmark Name="F 1" Position="1.5 -2 30.25"/><Landmark Name="F2" Position="4 5.5 -6"/>
<Landmark Name="F3" Position="-70 8 9"/></Landmarks></Geometry></PhantomDefinition></PlusConfiguration>"""


@pytest.mark.parametrize(
    "head, row, change",
    [
        ("name,x,y,z", "{n},{x},{y},{z}", str),
        ("\ufefflabel,x_mm,y_mm,z_mm", "{n},{x},{y},{z}", str),
        ("x,y,z,name", "{x},{y},{z},{n}", str),
        ('"Name";"X";"Y";"Z"', '"{n}";{x};{y};{z}', lambda v: str(v).replace(".", ",")),
        ("point\tx\ty\tz\tunit", "{n}\t{x}\t{y}\t{z}\tmm", str),
    ],
    ids=["commas", "byte order mark", "name last", "decimal commas", "tabs and unit"],
)
def test_tables_with_a_header_are_read_by_its_columns(tmp_path: Path, head, row, change) -> None:
    lines = [head] + [row.format(n=name, x=change(x), y=change(y), z=change(z)) for name, (x, y, z) in POINTS.items()]
    path = tmp_path / "points.csv"
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")
    _same(path)


@pytest.mark.parametrize("name", ["points.fcsv", "points.mrk.json"])
def test_point_lists_of_slicer_are_turned_to_ras(tmp_path: Path, name: str) -> None:
    path = write_fiducials(tmp_path / name, [Fiducial(label, at) for label, at in POINTS.items()])
    _same(path)


def test_landmarks_of_a_plus_configuration_are_points(tmp_path: Path) -> None:
    path = tmp_path / "config.xml"
    path.write_text(PLUS)
    _same(path)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("name,x_m,y_m,z_m\nA,1,2,3\n", "must be in mm"),
        ("name,x,y,z,unit\nA,1,2,3,m\n", "must be in mm, got 'm'"),
        ("name,x,y,z\nA,1,2\n", "line 2"),
        ("name,x,y,z\nA,1,2,3\nA,1,2,4\n", "occur twice"),
        ("name,x,y,z\n", "holds no points"),
    ],
)
def test_what_cannot_be_read_is_reported_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        read_named_points(path)


def _same(path: Path) -> None:
    read = read_named_points(path)
    assert read.names == tuple(POINTS)
    assert np.allclose(read.points_mm, list(POINTS.values()))
