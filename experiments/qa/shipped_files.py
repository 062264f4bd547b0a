"""Acceptance files that come with the project, and a user's own by path."""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path

from analysis.qa.acceptance import Acceptance, load_acceptance
from analysis.qa.kinds.registry import evaluation_of
from hal.errors import ConfigError


def shipped_acceptances() -> dict[str, Path]:
    """Name to file."""
    folder = Path(str(files("experiments.qa").joinpath("shipped")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def acceptance_file(name_or_path: str) -> Path:
    """A shipped acceptance file by name, or a path that ends in ``.toml``; raises ``ConfigError``."""
    if name_or_path.endswith(".toml"):
        return Path(name_or_path)
    shipped = shipped_acceptances()
    if name_or_path not in shipped:
        near = difflib.get_close_matches(name_or_path, shipped, n=1)
        hint = f"did you mean {near[0]}?" if near else f"shipped: {', '.join(shipped)}"
        raise ConfigError(f"there is no QA test {name_or_path!r} ({hint}); a path of your own must end in .toml")
    return shipped[name_or_path]


def acceptance_of(name_or_path: str) -> Acceptance:
    """Read an acceptance file and hold it against its test; raises ``ConfigError`` with every fault."""
    path = acceptance_file(name_or_path)
    acceptance = load_acceptance(path)
    evaluation = evaluation_of(acceptance.test)
    evaluation.settings(acceptance.parameters)
    faults = []
    for limit in acceptance.criteria:
        known = evaluation.figures.get(limit.figure)
        if known is None:
            near = difflib.get_close_matches(limit.figure, evaluation.figures, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; it gives {', '.join(evaluation.figures)}"
            faults.append(f"criterion {limit.id}: {acceptance.test} gives no figure {limit.figure!r}{hint}")
        elif limit.limit is not None and limit.unit != known[0]:
            faults.append(
                f"criterion {limit.id}: the unit of {limit.figure} is {known[0] or 'none'}, not {limit.unit!r}"
            )
    if faults:
        raise ConfigError("\n".join(f"{path.name}: {fault}" for fault in faults))
    return acceptance
