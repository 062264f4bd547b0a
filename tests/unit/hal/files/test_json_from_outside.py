"""JSON that others wrote: one strict parser, and nobody beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hal.files import parse_json

ROOMS = Path(__file__).parents[4]

UNSOUND = {
    "nested without end": "[" * 100_000,
    "not a number": '{"x": NaN}',
    "infinite": '{"x": -Infinity}',
    "too large for a float": '{"x": 1e999}',
    "a key twice": '{"x": 1, "x": 2}',
    "no text": b"\xff\xfe\x00",
    "a number of ten thousand digits": "1" * 10_000,
    "empty": "",
}


@pytest.mark.parametrize("text", UNSOUND.values(), ids=UNSOUND)
def test_what_is_no_sound_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_sound_json_is_read_as_it_stands():
    assert parse_json(b'{"x": [1, 2.5, null, "\xc3\xa4"], "y": {"x": true}}') == {
        "x": [1, 2.5, None, "ä"],
        "y": {"x": True},
    }


def test_nobody_parses_json_beside_it():
    own = ROOMS / "hal/files/json_text.py"
    others = [
        path.relative_to(ROOMS).as_posix()
        for room in ("hal", "rig", "analysis", "experiments")
        for path in sorted((ROOMS / room).rglob("*.py"))
        if path != own and ("json.loads(" in path.read_text() or "json.load(" in path.read_text())
    ]
    assert others == []
