"""Transforms, points and logs as Slicer and Perk Tutor write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hal.errors import ConfigError
from rig.formats import (
    Fiducial,
    PerkLog,
    read_fiducials,
    read_perk_log,
    read_tfm,
    write_fiducials,
    write_perk_log,
    write_tfm,
)
from rig.formats.perk_tutor import PoseTrack


def pose() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (10, -40, 75), degrees=True).as_matrix()
    matrix[:3, 3] = (12.5, -3.25, 80.0)
    return matrix


def test_pose_survives_a_tfm(tmp_path: Path) -> None:
    assert read_tfm(write_tfm(tmp_path / "a.tfm", pose())) == pytest.approx(pose(), abs=1e-13)


def test_tfm_holds_the_inverse_in_lps(tmp_path: Path) -> None:
    matrix = np.eye(4)
    matrix[:3, 3] = (10.0, 20.0, 30.0)
    text = write_tfm(tmp_path / "a.tfm", matrix).read_text()
    assert "Parameters: 1.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 1.0 10.0 20.0 -30.0\n" in text


def test_simpleitk_maps_points_as_the_file_means(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    itk = sitk.ReadTransform(str(write_tfm(tmp_path / "a.tfm", pose())))
    point_a = np.array([3.0, -7.0, 11.0])
    point_b = (pose() @ [*point_a, 1.0])[:3]
    flip = np.array([-1.0, -1.0, 1.0])
    assert np.array(itk.TransformPoint((point_b * flip).tolist())) * flip == pytest.approx(point_a)


def test_centre_of_rotation_is_respected(tmp_path: Path) -> None:
    path = write_tfm(tmp_path / "a.tfm", pose())
    path.write_text(path.read_text().replace("FixedParameters: 0 0 0", "FixedParameters: 5 6 7"))
    sitk = pytest.importorskip("SimpleITK")
    itk, flip = sitk.ReadTransform(str(path)), np.array([-1.0, -1.0, 1.0])
    back = np.array(itk.TransformPoint(((read_tfm(path) @ [1.0, 2.0, 3.0, 1.0])[:3] * flip).tolist())) * flip
    assert back == pytest.approx([1.0, 2.0, 3.0])


@pytest.mark.parametrize("spoil", ["", "#Insight", "Affine", "Parameters: 1 2", "#Insight Transform File V1.0\n"])
def test_spoiled_tfm_is_refused(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "a.tfm"
    path.write_text(spoil)
    with pytest.raises(ConfigError):
        read_tfm(path)


POINTS = (Fiducial("L4, left", (1.5, -2.0, 3.25), "aim"), Fiducial("S1", (-0.1, 0.0, 1e-9)))


@pytest.mark.parametrize("name", ["a.fcsv", "a.mrk.json"])
def test_points_come_back_exactly(tmp_path: Path, name: str) -> None:
    assert read_fiducials(write_fiducials(tmp_path / name, POINTS)) == POINTS


@pytest.mark.parametrize("name", ["a.fcsv", "a.mrk.json"])
def test_points_are_lps_in_the_file_and_ras_here(tmp_path: Path, name: str) -> None:
    path = write_fiducials(tmp_path / name, POINTS)
    assert "-1.5" in path.read_text()
    path.write_text(path.read_text().replace("LPS", "RAS"))
    assert read_fiducials(path)[0].position == (-1.5, 2.0, 3.25)


@pytest.mark.parametrize("name", ["a.fcsv", "a.mrk.json"])
def test_points_of_unknown_handedness_are_refused(tmp_path: Path, name: str) -> None:
    path = write_fiducials(tmp_path / name, POINTS)
    path.write_text(path.read_text().replace("LPS", "XYZ"))
    with pytest.raises(ConfigError, match="RAS or LPS"):
        read_fiducials(path)


def test_old_fiducial_file_with_numbers_for_its_system_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.fcsv"
    path.write_text(
        "# Markups fiducial file version = 4.6\n# CoordinateSystem = 0\n"
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
        "vtkMRMLMarkupsFiducialNode_0,-19.8,52.1,-3.7,0,0,0,1,1,1,0,F-1,,\n"
    )
    assert read_fiducials(path) == (Fiducial("F-1", (-19.8, 52.1, -3.7)),)


def log() -> PerkLog:
    times = np.array([7_480_999_999, 7_613_000_000, 1_700_000_000_000_000_001], dtype=np.int64)
    matrices = np.stack([pose(), pose() @ pose(), np.eye(4)])
    odd = PoseTrack(times[:1], matrices[:1])
    return PerkLog({"ProbeToRAS": PoseTrack(times, matrices), "A & <b>": odd}, ((5, "go"),))


def test_log_comes_back_with_every_nanosecond(tmp_path: Path) -> None:
    back = read_perk_log(write_perk_log(tmp_path / "a.xml", log()))
    assert back.messages == ((5, "go"),)
    for name, track in log().tracks.items():
        assert np.array_equal(back.tracks[name].time_ns, track.time_ns)
        assert np.array_equal(back.tracks[name].matrices, track.matrices)


def test_log_as_perk_tutor_writes_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "perk.xml"
    path.write_text(
        '<TransformRecorderLog>\n  <log TimeStampSec="9" TimeStampNSec="61999999" type="transform"'
        ' DeviceName="ProbeToRAS" transform="1 0 0 0.5 0 1 0 2 0 0 1 3 0 0 0 1 " />\n</TransformRecorderLog>\n'
    )
    track = read_perk_log(path).tracks["ProbeToRAS"]
    assert track.time_ns.tolist() == [9_061_999_999]
    assert track.matrices[0, :3, 3].tolist() == [0.5, 2.0, 3.0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<TransformRecorderLog>",
        "<Other/>",
        "<TransformRecorderLog/>",
        '<TransformRecorderLog><log type="transform" DeviceName="A" transform="1 2"/></TransformRecorderLog>',
        '<TransformRecorderLog><log TimeStampSec="x" TimeStampNSec="0" type="message"/></TransformRecorderLog>',
        '<!DOCTYPE a [<!ENTITY b "c">]><TransformRecorderLog/>',
    ],
)
def test_spoiled_log_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read_perk_log(path)
