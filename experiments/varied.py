"""A file with some of its numbers changed, without writing a file: the way a script varies shipped files.

Keys are those of the file, dotted: ``path.lateral_deg.preferred``; a number among dots is a place in a list
(``checklist.3.wait_s``), and None leaves a key out. What comes out is checked as a file is, at once.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from experiments.protocol.measure import Declared
from experiments.protocol.technique import Technique, technique_file
from experiments.session import current
from hal.errors import ConfigError
from hal.files import Document, read, validated
from hal.files.toml_text import toml_text
from hal.phantom.spec import PhantomSpec, phantom_file
from rig.config import RigConfig, checked, config_file
from rig.setup.simulated import check_sim, needs_bench

Changes = Mapping[str, object]
FOLDERS = (("gel", "ledgers", "blocks"), ("calibrations", "folder", ""))
"""Keys of a rig file that name a folder beside it, and what stands there when they are left out."""
STATED_BY_SCRIPT = ("limits", "needle")
"""Tables of a real bench's rig file that a script may change; all others say what stands on the table."""


@dataclass(frozen=True)
class Varied:
    """A technique, a phantom or a rig file with changes."""

    kind: str
    """technique, phantom or rig."""
    base: str
    """Name of what is shipped, or path of a file."""
    changes: Changes
    data: Mapping[str, Any]
    """The whole file as changed."""
    measures: tuple[Declared, ...] = ()
    """Measures of a procedure."""

    @property
    def text(self) -> str:
        """Text for the run folder; its head lists the changes."""
        base = " ".join(self.base.split())
        head = [f"# {base} as a script changed it{':' if self.changes else ' (not at all)'}"]
        head += [f"#   {line}" for line in change_lines(self.changes)]
        return "\n".join(head) + "\n" + toml_text(self.data)


def change_lines(changes: Changes) -> list[str]:
    """One ``key = value`` per change; control characters cannot leave a comment."""
    return [" ".join(f"{key} = {'left out' if value is None else value}".split()) for key, value in changes.items()]


def technique(base: str | Path = "L4_IP_T", changes: Changes | None = None) -> Varied:
    """A technique by name or path with changes; raises ``ConfigError`` with everything that is wrong with it."""
    if current().defining:
        return Varied("technique", str(base), {}, {})
    document = varied(read(technique_file(str(base))), changes, f"technique {base} as varied")
    validated(document, Technique)
    return Varied("technique", str(base), dict(changes or {}), document.data)


def phantom(base: str | Path = "lumbar_ref", changes: Changes | None = None) -> Varied:
    """A phantom by name or path with changes; raises ``ConfigError`` with everything that is wrong with it.

    Of the skin's depth ``s0_mm`` and the ``bmi`` that it follows from, the one that is not changed is left out. Its
    name ends in ``_varied`` unless another is given.
    """
    if current().defining:
        return Varied("phantom", str(base), {}, {})
    changes = dict(changes or {})
    base_file = read(phantom_file(str(base)))
    whole: dict[str, object] = dict(changes)
    if changes:
        whole.setdefault("name", f"{base_file.data.get('name', 'phantom')}_varied")
    given = {key for key in ("anatomy.bmi", "anatomy.s0_mm") if key in changes}
    if len(given) == 1:
        whole[({"anatomy.bmi", "anatomy.s0_mm"} - given).pop()] = None
    document = varied(base_file, whole, f"phantom {base} as varied")
    validated(document, PhantomSpec)
    return Varied("phantom", str(base), changes, document.data)


def rig_file(base: str | Path = "simulated", changes: Changes | None = None) -> Varied:
    """A rig file by name or path with changes; raises ``ConfigError`` with everything that is wrong with it.

    Limits can only be made narrower, ``rig.simulated``, ``safety`` and ``qa`` cannot be changed; of a real bench only
    limits and needle can, since everything else in its file says what stands on the table.
    """
    if current().defining:
        return Varied("rig", str(base), {}, {})
    file, changes = config_file(base), dict(changes or {})
    before = checked(read(file), path=file)
    where = f"rig {base} as varied"
    document = varied(read(file), changes, where)
    after = checked(document, path=file)
    if needs_bench(after):
        check_sim(after)
    faults = [f"{where}: {fault}" for fault in _beyond_a_script(before, after, changes)]
    if faults:
        raise ConfigError("\n".join(faults))
    data = copy.deepcopy(dict(document.data))
    if not after.rig.simulated:
        for table, key, default in FOLDERS:
            name = str(data.get(table, {}).get(key, default))
            if name:
                data.setdefault(table, {})[key] = str(file.parent.absolute() / name)
    return Varied("rig", str(base), changes, data)


def varied(document: Document, changes: Changes | None, where: str) -> Document:
    """Document with its changes, called ``where`` in messages; raises ``ConfigError`` for an unknown key."""
    if changes is not None and not isinstance(changes, Mapping):
        raise ConfigError(f"{where}: changes are a table {{'key': value}}, not {changes!r}")
    data = copy.deepcopy(dict(document.data))
    for key, value in (changes or {}).items():
        _put(data, key, plain(value), where)
    return Document(where, "", data)


def plain(value: object) -> Any:
    """Value in the form of a TOML file: numbers of NumPy become Python's, tuples lists. Raises ``ConfigError``."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ConfigError(f"{value!r} ({type(value).__name__}) is no value of a TOML file")
    return value


def _put(data: dict[str, Any], key: object, value: Any, where: str) -> None:
    if not isinstance(key, str) or not all(key.split(".")):
        raise ConfigError(f"{where}: {key!r} is no key; keys are written as in the file: 'path.lateral_deg.preferred'")
    at: Any = data
    *way, last = key.split(".")
    for n, part in enumerate(way):
        inside = _step(at, part)
        if inside is None and isinstance(at, dict):
            inside = at[part] = {}
        if not isinstance(inside, dict | list):
            raise ConfigError(f"{where}: {key}: {'.'.join(way[: n + 1])} is no table")
        at = inside
    if isinstance(at, list):
        if _step(at, last) is None:
            raise ConfigError(f"{where}: {key}: the list has {len(at)} entries, the first is {'.'.join(way)}.0")
        at[int(last)] = value
    elif value is None:
        at.pop(last, None)
    else:
        at[last] = value


def _step(at: Any, part: str) -> Any:
    if isinstance(at, list):
        return at[int(part)] if part.isascii() and part.isdigit() and int(part) < len(at) else None
    return at.get(part)


def _beyond_a_script(before: RigConfig, after: RigConfig, changes: Changes) -> Iterator[str]:
    """Keys that only the rig file itself may set."""
    if before.rig.simulated != after.rig.simulated:
        yield "rig.simulated: a script cannot change whether the rig is simulated"
    if before.qa != after.qa:
        yield "qa: which tests a study needs cannot be changed by a script; change the rig file itself"
    if before.safety != after.safety:
        yield "safety: the wiring of the emergency stop cannot be changed by a script; change the rig file itself"
    if not before.rig.simulated:
        for key in changes:
            if key.split(".")[0] not in STATED_BY_SCRIPT:
                yield f"{key}: this file describes a real bench, of which a script may change only limits and needle"
    if before.line.rating_kpa < after.line.rating_kpa:
        yield _wider("line.rating_kpa", before.line.rating_kpa, after.line.rating_kpa)
    if before.limits.polling != after.limits.polling:
        yield "limits.polling: how often devices are read cannot be changed by a script; change the rig file itself"
    gauge = after.needle.gauge  # a finer or thicker needle brings its own limit of force
    old, new = _limits(before, gauge), _limits(after, gauge)
    for key, (low, high) in new.items():
        if low < old[key][0] or high > old[key][1]:
            shown = [span[1] if span[0] == 0.0 else list(span) for span in (old[key], (low, high))]
            yield _wider(f"limits.{key}", *shown)


def _wider(key: str, before: object, after: object) -> str:
    return f"{key} = {after}: wider than {before} of the rig file; a script can only make limits narrower"


def _limits(config: RigConfig, gauge: int) -> dict[str, tuple[float, float]]:
    """Every limit as the interval that it allows, by its key; a plain number allows everything below it."""
    found: dict[str, tuple[float, float]] = {}
    for table in ("motion", "force", "pressure", "volume"):
        for key, value in _leaves(getattr(config.limits, table), table):
            if key == "force.needle_n":
                value = config.limits.needle_force_n(gauge)
            found[key] = value if isinstance(value, tuple) else (0.0, float(value))
    return found


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    for field in fields(value):
        inner = getattr(value, field.name)
        if is_dataclass(inner):
            yield from _leaves(inner, f"{key}.{field.name}")
        else:
            yield f"{key}.{field.name}", inner
