"""Transforms, points, logs and surfaces that cannot be meant: one message each, never a wrong number or a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.motion_metrics import measure
from hal.errors import ConfigError
from rig.formats import Fiducial, read_fiducials, read_perk_log, read_tfm, write_fiducials
from rig.formats.convert import convert
from rig.formats.stl import read_stl

READERS: dict[str, Callable[[Path], object]] = {
    ".tfm": read_tfm,
    ".json": read_fiducials,
    ".fcsv": read_fiducials,
    ".xml": read_perk_log,
    ".stl": read_stl,
}


def tfm(parameters: str, centre: str = "0 0 0", more: str = "") -> str:
    return (
        "#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {parameters}\n{more}FixedParameters: {centre}\n"
    )


EYE = "1 0 0 0 1 0 0 0 1 0 0 0"
POSE = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"


def pose(seconds: str, nanoseconds: str, matrix: str = POSE, kind: str = 'type="transform"') -> str:
    stamp = f'TimeStampSec="{seconds}" TimeStampNSec="{nanoseconds}"'
    return f'<log {stamp} {kind} DeviceName="ProbeToRAS" transform="{matrix}"/>'


def log(*entries: str) -> str:
    return f"<TransformRecorderLog>{''.join(entries)}</TransformRecorderLog>"


def markups(points: str, system: str = '"LPS"') -> str:
    return f'{{"markups":[{{"coordinateSystem":{system},"controlPoints":[{points}]}}]}}'


FACET = "facet outer loop vertex 0 0 0 vertex 1 0 0 vertex 0 1 0 endloop\n"
SPOILED = {
    "not a number.tfm": (tfm(EYE.replace("1", "nan", 1)), "finite"),
    "infinite shift.tfm": (tfm(EYE[:-1] + "inf"), "finite"),
    "centre of two numbers.tfm": (tfm(EYE, "0 0"), "centre of three"),
    "two sets of parameters.tfm": (tfm(EYE, more=f"Parameters: {EYE}\n"), "given once"),
    "eleven parameters.tfm": (tfm("1 0 0 0 1 0 0 0 1 0 0"), "parameters"),
    "nested too deeply.mrk.json": ("[" * 200_000, "nested"),
    "text for a markup.mrk.json": ('{"markups":["x"]}', "no point list"),
    "text for a point.mrk.json": (markups('"a"'), "no point list"),
    "list for a system.mrk.json": (markups("", '["LPS"]'), "no point list"),
    "no system.mrk.json": (markups("", "null"), "left and right"),
    "number of 400 digits.mrk.json": (markups(f'{{"label":"a","position":[1{"0" * 400},0,0]}}'), "no point list"),
    "endless name.fcsv": (f'# CoordinateSystem = LPS\n1,1,2,3,0,0,0,1,1,1,0,"{"x" * 200_000}",,\n', "field limit"),
    "row cut off.fcsv": ("# CoordinateSystem = LPS\n1,1,2\n", "no point list"),
    "no system.fcsv": ("1,1,2,3,0,0,0,1,1,1,0,a,,\n", "left and right"),
    "second of 1.5e9 ns.xml": (log(pose("1", "1500000000")), "no possible time"),
    "negative ns.xml": (log(pose("1", "-5")), "no possible time"),
    "time beyond 64 bits.xml": (log(pose(str(10**30), "0")), "no possible time"),
    "pose that is no number.xml": (log(pose("1", "0", "nan " * 16)), "not finite"),
    "entry without type.xml": (log(pose("1", "0", kind="")), "type"),
    "entry in an entry.xml": (log(f"<log>{pose('1', '0')}</log>"), "entry 1"),
    "late declaration of entities.xml": (" " * 5000 + "<!DOCTYPE a>" + log(pose("1", "0")), "entities"),
    "two faces.stl": (f"solid a\n{FACET * 2}endsolid\n", "at least 4"),
    "no faces.stl": ("solid a\nendsolid a\n", "at least 4"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    text, words = SPOILED[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        READERS[path.suffix](path)


def test_log_in_utf_16_cannot_hide_entities(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY x "y">]><a/>'.encode("utf-16"))
    with pytest.raises(ConfigError, match="UTF-16"):
        read_perk_log(path)


@pytest.mark.parametrize("label", ["针 L4 «gauche»", "a,b", 'quote"d', "a\u2028b", "#3"])
@pytest.mark.parametrize("ending", [".fcsv", ".mrk.json"])
def test_point_names_of_any_script_come_back(tmp_path: Path, label: str, ending: str) -> None:
    points = (Fiducial(label, (1.0, 2.0, 3.0), label),)
    assert read_fiducials(write_fiducials(tmp_path / f"p{ending}", points)) == points


def test_line_break_in_a_point_name_goes_into_json_only(tmp_path: Path) -> None:
    points = (Fiducial("two\nlines", (1.0, 2.0, 3.0)),)
    assert read_fiducials(write_fiducials(tmp_path / "p.mrk.json", points)) == points
    with pytest.raises(ConfigError, match="line break"):
        write_fiducials(tmp_path / "p.fcsv", points)


def test_mirrored_pose_of_a_log_has_no_metrics(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(log(pose("1", "0"), pose("2", "0", "-" + POSE)))
    with pytest.raises(ConfigError, match="mirror"):
        measure(path)


def test_log_whose_name_no_sequence_can_hold_is_not_converted(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(log(pose("1", "0"), pose("2", "0")).replace("ProbeToRAS", "Probe To RAS"))
    with pytest.raises(ConfigError, match="cannot be the name"):
        convert(path, tmp_path / "b.igs.mha")


def test_folder_is_no_target_for_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(log(pose("1", "0"), pose("2", "0")))
    (tmp_path / "b.igs.mha").mkdir()
    with pytest.raises(ConfigError, match="folder"):
        convert(path, tmp_path / "b.igs.mha")


GOOD = {
    ".tfm": tfm(EYE),
    ".mrk.json": markups('{"label":"a","position":[1,2,3]}'),
    ".fcsv": "# CoordinateSystem = LPS\n1,1,2,3,0,0,0,1,1,1,0,a,,\n",
    ".xml": log(pose("1", "0"), pose("2", "0")),
    ".stl": "solid a\n" + FACET * 4 + "endsolid\n",
}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_good_file_with_changed_bytes_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    ending = data.draw(st.sampled_from(sorted(GOOD)))
    raw = bytearray(GOOD[ending].encode())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"changed{ending}"
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw))
    try:
        READERS[path.suffix](path)
    except ConfigError:
        pass
