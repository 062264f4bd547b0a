"""Every number of every file has bounds on both sides; what lies outside is refused with key, value, bound and line."""

import pytest

from experiments.protocol.study import Study
from experiments.protocol.technique import Technique
from hal import registry
from hal.errors import ConfigError
from hal.files import EACH, NAMED, faults_of, numbers_of, parse, tables_of, validated
from hal.phantom.materials import MaterialFile
from hal.phantom.needles import NeedleFile
from hal.phantom.qa_block import QaBlock
from hal.phantom.shape_files import AnatomyFile, BoneFile
from hal.phantom.spec import PhantomSpec
from hal.sim.operator import Profile
from hal.sim.settings import SimSettings
from rig.config import RigConfig
from rig.formats.log_columns import ColumnMap
from rig.live import replay_devices as replay

SCHEMAS = {
    "study": Study,
    "technique": Technique,
    "phantom": PhantomSpec,
    "qa_block": QaBlock,
    "needles": NeedleFile,
    "materials": MaterialFile,
    "anatomy": AnatomyFile,
    "bones": BoneFile,
    "operators": dict[str, Profile],
    "column map": ColumnMap,
    "rig": RigConfig,
    "sim": SimSettings,
    "replay": replay.Settings,
    **{name: entry.settings_model() for name, entry in registry.drivers().items()},
}
OWN_SCHEMA = {"rig.sim", "rig.devices"}
"""Free tables of a rig file that are checked against schemas of their own: ``sim`` and the drivers, above."""
NUMBERS = [(name, number) for name, schema in SCHEMAS.items() for number in numbers_of(schema)]
IDS = [f"{name}:{'.'.join(number.path)}" for name, number in NUMBERS]


NAMES = {"expected": '"$1"'}
"""Keys of tables of names that have a form of their own."""


def name_below(path, index):
    return NAMES.get(path[index - 1], "any")


def file_with(path, value):
    """The smallest file that holds a number at a path of a schema: an array gets one element, a table of names one."""
    text = str(value)
    for i, part in reversed(list(enumerate(path))[1:]):
        text = f"[{text}]" if part == EACH else f"{{ {name_below(path, i) if part == NAMED else part} = {text} }}"
    return f"# a remark\n\n{'any' if path[0] == NAMED else path[0]} = {text}\n"


def message_of(schema, number, value):
    """Message of the reader about this number in a file that holds nothing else."""
    document = parse(file_with(number.path, value), "my.toml")
    with pytest.raises(ConfigError) as refused:
        validated(document, schema)
    named = [name_below(number.path, i).strip('"') if p == NAMED else p for i, p in enumerate(number.path)]
    key = ".".join(named).replace(f".{EACH}", "[0]")
    return [line for line in str(refused.value).splitlines() if line.startswith(f"my.toml, line 3: {key} = ")]


def outside(number):
    """Values beyond each bound, by the least step and by far, and what no number may be."""
    step = 1 if number.integer else 1e-6 * max(1.0, abs(number.low), abs(number.high))
    low = number.low if number.low_open else number.low - step
    high = number.high if number.high_open else number.high + step
    far = max(1.0, abs(number.low), abs(number.high)) * 1e6
    exact = (int(low), int(high), -int(far), int(far)) if number.integer else (low, high, -far, far)
    return (*exact, "nan", "inf", "-inf", 10**400)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_table_refuses_keys_that_it_does_not_know(name):
    for table in tables_of(SCHEMAS[name]):
        config = getattr(table, "model_config", None) or getattr(table, "__pydantic_config__", {})
        assert config.get("extra") == "forbid", table


@pytest.mark.parametrize(("name", "number"), NUMBERS, ids=IDS)
def test_a_number_is_refused_beyond_each_of_its_two_bounds(name, number):
    assert number.bounded, f"{name}: {'.'.join(number.path)} has no bounds on both sides"
    assert number.low < number.high
    for value in outside(number):
        (line,) = message_of(SCHEMAS[name], number, value)
        assert number.words.removeprefix("must ") in line
        assert f"{number.low:.12g}" in number.words and f"{number.high:.12g}" in number.words


@pytest.mark.parametrize(("name", "number"), NUMBERS, ids=IDS)
def test_a_number_between_its_bounds_is_not_refused_for_them(name, number):
    middle = (int(number.low) + int(number.high)) // 2 if number.integer else (number.low + number.high) / 2
    inside = [middle, *([number.low] if not number.low_open else []), *([number.high] if not number.high_open else [])]
    for value in inside:
        document = parse(file_with(number.path, int(value) if number.integer else value), "my.toml")
        _, faults = faults_of(document, SCHEMAS[name])
        assert not [line for line in faults if number.words in line]
