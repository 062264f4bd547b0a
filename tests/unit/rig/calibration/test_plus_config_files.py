"""PLUS configuration and result files, good and spoiled."""

from pathlib import Path

import numpy as np
import pytest

from hal.errors import ConfigError
from rig.calibration.probe.plus_config import PlusTransform, read_plus_config, write_plus_config
from rig.calibration.probe.plus_result import read_plus_result

TEXT = """<PlusConfiguration version="2.1">
  <!-- kept -->
  <DataCollection><Device Id="Video" Type="Something" /></DataCollection>
  <CoordinateDefinitions>
    <Transform From="Phantom" To="Reference" Matrix="1 0 0 5  0 1 0 6  0 0 1 7  0 0 0 1" Error="0.5" Date="today" />
  </CoordinateDefinitions>
  <Segmentation ApproximateSpacingMmPerPixel="0.1" ClipRectangleOrigin="1 2" ClipRectangleSize="30 40" />
  <vtkPlusProbeCalibrationAlgo ImageCoordinateFrame="Image" ProbeCoordinateFrame="MyProbe" />
  <PhantomDefinition>
    <Description Name="own" Version="3" />
    <Geometry>
      <Pattern Type="CoplanarParallelWires"><Wire Name="P" EndPointFront="0 0 0" EndPointBack="0 9 0" /></Pattern>
      <Pattern Type="NWire">
        <Wire Name="M" EndPointFront="2 0 0" EndPointBack="18 40 0" />
        <Wire Name="L" EndPointFront="0 0 0" EndPointBack="0 40 0" />
        <Wire Name="R" EndPointFront="20 0 0" EndPointBack="20 40 0" />
      </Pattern>
      <Landmarks><Landmark Name="#1" Position="1 2 3" /></Landmarks>
      <Planes><Plane Name="top" BasePoint="0 0 0" EndPoint1="1 0 0" EndPoint2="0 1 0" /></Planes>
    </Geometry>
  </PhantomDefinition>
</PlusConfiguration>
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "config.xml"
    file.write_text(TEXT)
    return file


def test_configuration_is_read_and_the_oblique_wire_is_found_whatever_its_order(path):
    config = read_plus_config(path)
    assert [w.name for w in config.phantom.wires] == ["L", "M", "R"]
    assert config.phantom.landmarks_mm == {"#1": (1.0, 2.0, 3.0)}
    assert config.phantom.skipped == ("CoplanarParallelWires: P",)
    assert config.frames.probe == "MyProbe"
    assert config.spacing_mm_per_px == 0.1
    assert config.clip_px == (1, 2, 30, 40)
    assert config.transform("PhantomToReference").error == 0.5
    assert np.array_equal(config.transform("PhantomToReference").matrix[:3, 3], (5, 6, 7))


def test_copy_with_a_new_transform_keeps_devices_and_comments(path, tmp_path):
    matrix = np.eye(4)
    matrix[:3, 3] = (1 / 3, 2e-7, -9.125)
    read_plus_config(path).write(tmp_path / "new.xml", PlusTransform("Image", "Probe", matrix, 0.61, "2026-01-01"))
    again = read_plus_config(tmp_path / "new.xml")
    assert np.array_equal(again.transform("ImageToProbe").matrix, matrix)
    assert again.transform("ImageToProbe").date == "2026-01-01"
    assert set(again.transforms) == {"ImageToProbe", "PhantomToReference"}
    text = (tmp_path / "new.xml").read_text()
    assert "<!-- kept -->" in text
    assert 'Type="Something"' in text


def test_phantom_definition_is_written_and_read_back(path, tmp_path):
    config = read_plus_config(path)
    write_plus_config(tmp_path / "own.xml", config.phantom, *config.transforms.values())
    again = read_plus_config(tmp_path / "own.xml")
    assert again.phantom.patterns == config.phantom.patterns
    assert again.phantom.planes_mm == config.phantom.planes_mm
    assert again.phantom.attributes == {"Version": "3"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</PlusConfiguration>", "", "no well-formed XML, perhaps cut off"),
        ("0 0 1 7  0 0 0 1", "0 0 1 7", "Phantom to Reference is not sixteen numbers"),
        ('EndPointBack="20 40 0"', 'EndPointBack="29 40 0"', "no two wires are parallel"),
        ('EndPointBack="18 40 0"', 'EndPointBack="18 40 9"', "mm out of one plane"),
        ('EndPointBack="18 40 0"', 'EndPointBack="2.1 40 0"', "says nothing of the place along them"),
        ('EndPointFront="2 0 0"', 'EndPointFront="2 0"', "is not three numbers"),
        ('EndPointFront="2 0 0"', 'EndPointFront="nan 0 0"', "finite"),
        ('Name="M" ', "", "a wire has no name"),
        ('Name="M"', 'Name="L"', "used twice"),
        ('Pattern Type="NWire"', 'Pattern Type="Other"', "has no N-wire pattern, only"),
        ('"0.1"', '"a lot"', "is not a number"),
        ("<PlusConfiguration", "<!DOCTYPE x><PlusConfiguration", "document type"),
    ],
)
def test_spoiled_configuration_is_refused_in_one_sentence(path, old, new, message):
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message) as caught:
        read_plus_config(path)
    assert str(path) in str(caught.value)


def test_missing_transform_is_named_with_those_that_are_there(path):
    with pytest.raises(ConfigError, match=r"no ImageToProbe transform \(it has: PhantomToReference\)"):
        read_plus_config(path).transform("ImageToProbe")


def test_configuration_is_not_taken_for_a_result(path):
    with pytest.raises(ConfigError, match="no probe calibration result"):
        read_plus_result(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_plus_result(path.with_name("absent.xml"))
