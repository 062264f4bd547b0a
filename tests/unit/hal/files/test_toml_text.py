import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.files.toml_text import toml_text

ROOT = Path(__file__).parents[4]
plain = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text())
keys = st.text(min_size=1, max_size=8)
tables = st.recursive(
    st.dictionaries(keys, st.one_of(plain, st.lists(plain, max_size=3)), max_size=4),
    lambda inner: st.dictionaries(keys, st.one_of(plain, inner, st.lists(inner, min_size=1, max_size=2)), max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "name",
    ["rig/data/simulated.toml", "rig/data/bench_example.toml", "experiments/studies/lumbar.toml",
     "experiments/techniques/S1_IP.toml", "hal/phantom/data/lumbar_ref.toml"],
)  # fmt: skip
def test_a_shipped_file_comes_back_as_it_was(name):
    data = tomllib.loads((ROOT / name).read_text())
    assert tomllib.loads(toml_text(data)) == data


@given(tables)
def test_any_table_comes_back_as_it_was(data):
    assert tomllib.loads(toml_text(data)) == data


def test_what_is_not_set_is_left_out():
    assert tomllib.loads(toml_text({"a": None, "t": {"b": None, "c": 1}})) == {"t": {"c": 1}}


def test_a_value_without_a_form_in_toml_is_an_error():
    with pytest.raises(TypeError, match="bytes"):
        toml_text({"a": b"x"})
