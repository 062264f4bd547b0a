"""Layouts of QA blocks as data."""

from __future__ import annotations

import pytest

from hal.errors import ConfigError
from hal.phantom.qa_block import block_names, is_block, load_block


@pytest.mark.parametrize("name", block_names())
def test_a_shipped_block_says_which_of_its_rows_nobody_has_compared_with_a_block(name):
    block = load_block(name)
    assert is_block(name) and block.all_wires()
    assert any("group" in words for words in block.unverified())
    assert not any("column" in words for words in block.unverified())


def test_the_column_of_the_chinese_standard_block_has_twelve_wires_one_centimetre_apart():
    column = [w.z_mm for w in load_block("qa_ks107bg").all_wires() if w.kind == "column"]
    assert column == [10.0 * k for k in range(1, 13)]


def test_wires_of_a_resolution_group_are_not_taken_as_isolated():
    wires = load_block("qa_ks107bg").all_wires()
    assert not any(w.isolated for w in wires if w.kind == "group")
    assert all(w.isolated for w in wires if w.kind == "column" and w.z_mm >= 80.0)


def test_a_wire_outside_its_block_is_refused_with_its_place(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        'name = "own"\nwidth_mm = 100.0\ndepth_mm = 100.0\n[[wires]]\nkind = "column"\nat_mm = [[0, 10], [60, 20]]\n'
    )
    with pytest.raises(ConfigError, match=r"X 60, Z 20 mm lies outside the block"):
        load_block(str(path))


def test_a_lumbar_phantom_is_no_block():
    assert not is_block("lumbar_ref")
