"""One reader for every TOML file: all faults at once, each with file, line, key, value and what is allowed."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hal.errors import ConfigError
from hal.files import Id, numbers_of, parse, read, refusal, validated, within


@dataclass(frozen=True)
class Corner:
    __pydantic_config__: ClassVar = {"extra": "forbid"}
    x_mm: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.0


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = within(1, 5, 1)
    span_mm: tuple[Annotated[float, Field(ge=0.0, le=9.0)], Annotated[float, Field(ge=0.0, le=9.0)]] = (0.0, 1.0)
    way: Literal["left", "right"] = "left"
    corner: Corner = Corner()

    @model_validator(mode="after")
    def _ordered(self) -> "Inner":
        if self.span_mm[0] > self.span_mm[1]:
            raise refusal(("span_mm", "must grow"))
        return self


class File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: Id = "x"
    on: bool = True
    rows: tuple[Inner, ...] = ()
    speed: float | None = Field(default=None, gt=0.0, lt=3.0)


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        validated(parse(text, "my.toml"), File)
    return str(refused.value).splitlines()


def test_all_faults_come_at_once_with_line_key_value_and_bound():
    text = 'onn = true\nspeed = 3\n[[rows]]\ncount = 9\n[[rows]]\nspan_mm = [4, 2]\nway = "rigth"\n'
    assert set(faults(text)) == {
        "my.toml, line 1: onn = true: unknown key; did you mean 'on'?",
        "my.toml, line 2: speed = 3: must be more than 0 and less than 3",
        "my.toml, line 4: rows[0].count = 9: must lie between 1 and 5",
        "my.toml, line 7: rows[1].way = 'rigth': must be 'left' or 'right'; did you mean 'right'?",
    }


def test_a_check_across_keys_names_the_key_and_its_line():
    assert faults("[[rows]]\nspan_mm = [4, 2]\n") == ["my.toml, line 2: rows[0].span_mm = [4, 2]: must grow"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("speed = nan", "line 1: speed = nan: must be a finite number and be more than 0 and less than 3"),
        ("speed = -inf", "speed = -inf: must be a finite number"),
        ("speed = 1e999", "speed = inf: must be a finite number"),
        (
            "[[rows]]\ncorner = { x_mm = nan }",
            "line 2: rows[0].corner.x_mm = nan: must be a finite number and lie between -1",
        ),
        ('speed = "2"', "speed = '2': must be a finite number"),
        ("speed = true", "speed = true: must be a finite number"),
        ("on = 1", "on = 1: must be a valid boolean"),
        ('on = "false"', "must be a valid boolean"),
        ("[[rows]]\ncount = 2.0", "rows[0].count = 2.0: must be a whole number and lie between 1 and 5"),
        ("[[rows]]\ncount = true", "rows[0].count = true: must be a whole number"),
        ("id = 1979-05-27", "a date is not expected here"),
        ('id = "../x"', "id = '../x': must be 1 to 64 of the characters A-Z a-z 0-9 _ . -"),
        ('id = ".x"', "and not begin with a dot"),
        (f'id = "{"x" * 65}"', "must be 1 to 64"),
        ('id = "a\\n"', "must be 1 to 64"),
        ("[[rows]]\ncorner = { y_mm = 1 }", "line 2: rows[0].corner.y_mm = 1: unknown key"),
        ("[[rows]]\ncorner = { x_mm = 2 }", "line 2: rows[0].corner.x_mm = 2: must lie between -1 and 1"),
        ("speed = 99999999999999999999999999999999999", "be more than 0 and less than 3"),
        ("x = [", "not a TOML file"),
        ("x = " + "[" * 5000, "not a TOML file"),
        ("x = " + "9" * 5000, "not a TOML file"),
    ],
)
def test_what_no_file_may_hold_is_refused(text, says):
    assert says in "\n".join(faults(text))


def test_what_is_right_is_taken_as_it_is():
    file = validated(parse('id = "a.b-C_1"\nspeed = 2\n[[rows]]\nspan_mm = [1, 2.5]\n', "my.toml"), File)
    assert file.id == "a.b-C_1" and file.speed == 2.0 and file.rows[0].span_mm == (1.0, 2.5)


def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(tmp_path):
    spoilt = tmp_path / "spoilt.toml"
    spoilt.write_bytes(b"\xff\xfe\x00")
    for path, says in (
        (tmp_path / "none.toml", "there is no such file"),
        (tmp_path, "folder"),
        (spoilt, "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=says):
            read(path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbfid = 'a'\r\n")
    assert validated(read(path), File).id == "a"


def test_every_number_of_a_schema_is_found_with_its_bounds():
    found = {".".join(n.path): (n.low, n.high) for n in numbers_of(File)}
    assert found == {
        "rows.*.count": (1, 5),
        "rows.*.span_mm.*": (0, 9),
        "rows.*.corner.x_mm": (-1, 1),
        "speed": (0, 3),
    }
