"""Every number that can be typed on the command line has bounds, and what lies outside ends with one line, code 2."""

import inspect
import math
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import typer

from experiments.cli.main import app


def numbers(group: typer.Typer, path: str = ""):
    """Every option or argument that takes a number: command, name, and how it was declared."""
    for command in group.registered_commands:
        hints = get_type_hints(command.callback, include_extras=True)
        for name in inspect.signature(command.callback).parameters:
            hint = hints[name]
            inner, declared = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, None)
            kinds = {inner, *get_args(inner)}
            if kinds & {int, float}:
                yield f"{path}{command.name or command.callback.__name__} {name}", declared
    for below in group.registered_groups:
        yield from numbers(below.typer_instance, f"{path}{below.name} ")


NUMBERS = dict(numbers(app))


class Param:
    opts = ("--it",)


def test_there_are_numbers_on_the_command_line():
    assert len(NUMBERS) > 40


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_of_the_command_line_is_refused_beyond_each_bound(name, capsys):
    check = NUMBERS[name].callback
    low, high = check.bounds
    assert math.isfinite(low) and math.isfinite(high) and low < high
    assert check(Param, low) == low and check(Param, high) == high and check(Param, None) is None
    for wrong in (low - 1, high + 1, math.nan, math.inf, -math.inf, (low, high + 1)):
        with pytest.raises(SystemExit) as ended:
            check(Param, wrong)
        assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6 and all(f"--it must lie between {low:.12g} and {high:.12g}, got " in line for line in lines)
