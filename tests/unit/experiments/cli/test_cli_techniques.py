import json

from typer.testing import CliRunner

from experiments.cli.main import app
from experiments.protocol.technique import shipped


def last_line(*arguments):
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1]), result.stderr


def test_all_nine_techniques_are_listed_with_level_plane_and_needle():
    data, table = last_line("techniques")
    rows = {row["id"]: row for row in data["techniques"]}
    assert set(rows) == {"L4_IP_T", "L4_OOP_T", "L4_LM", "L5_IP_T", "L5_OOP_T", "L5_LM", "S1_IP", "S1_OOP", "S1_LM"}
    assert rows["S1_OOP"]["level"] == "S1" and rows["S1_OOP"]["plane"] == "out_of_plane"
    assert all(row["needle"] for row in rows.values())
    assert all(name in table for name in rows)


def test_one_technique_is_shown_with_its_numbers_and_its_checklist():
    data, text = last_line("techniques", "L4_IP_T")
    assert data["technique"]["advance"]["far_step_mm"] == 2.0
    assert "advance.far_step_mm" in text and "PRE4" in text and "30 s contact" in text


def test_a_technique_of_the_users_own_is_found_by_its_path(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(shipped()["L5_LM"].read_text().replace('id = "L5_LM"', 'id = "MINE"'))
    assert last_line("techniques", str(mine))[0]["technique"]["id"] == "MINE"
