"""The line of every key, table and array element is found, however TOML was written."""

import tomllib
from pathlib import Path

import pytest

from hal.files.lines import key_lines

ROOT = Path(__file__).resolve().parents[4]
FILES = sorted(path for room in ("hal", "rig", "experiments", "tests") for path in (ROOT / room).rglob("*.toml"))
AWKWARD = Path(__file__).with_name("awkward.toml").read_text()


def paths(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield (*path, i)
            yield from paths(inner, (*path, i))


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_every_key_that_tomllib_finds_has_a_line_that_names_it(path):
    text = path.read_text()
    found = key_lines(text)
    assert set(found) == set(paths(tomllib.loads(text)))
    rows = text.split("\n")
    for key, line in found.items():
        if isinstance(key[-1], str):
            assert key[-1] in rows[line - 1]


def test_lines_of_the_awkward_file_are_those_that_a_person_counts():
    found = key_lines(AWKWARD)
    rows = AWKWARD.split("\n")
    assert rows[found["many", 2, "y", "z"] - 1].strip().startswith("{ x = 1")
    assert rows[found["row", 1, "inner", 1, "n"] - 1] == "n = 4"
    assert rows[found["t", "u", "p#q"] - 1] == '"p#q" = -inf'


def test_a_file_from_windows_counts_the_same_lines():
    assert key_lines(AWKWARD.replace("\n", "\r\n")) == key_lines(AWKWARD)
