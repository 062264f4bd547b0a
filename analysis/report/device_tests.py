"""QA tests that a rig required of its devices when the study began, as recorded in ``qa.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.report.view import Block, Paragraph, Table
from hal.errors import ConfigError
from hal.files import parse_json
from rig.record import RecordedRun

QA_FILE = "qa.json"
DASH = "–"


def _recorded(run: RecordedRun) -> Mapping[str, Any]:
    path = run.path / QA_FILE
    if not path.is_file():
        return {"override": "", "required": []}
    try:
        data = parse_json(path.read_bytes())
        return {"override": str(data["override"]), "required": [dict(one) for one in data["required"]]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"the run folder cannot be used: {QA_FILE} is damaged: {error!r}") from error


def deviation(run: RecordedRun) -> Block | None:
    """Note on the first page when somebody authorised the study although a required test was missing."""
    data = _recorded(run)
    if not data["override"]:
        return None
    missing = "; ".join(f"{one['acceptance']}: {one['fault']}" for one in data["required"] if one["fault"])
    return Paragraph(
        f"Authorised deviation. Required device tests: {missing}. Authorised by {data['override']}.", "warning"
    )


def _verdict(one: Mapping[str, Any]) -> str:
    """A record that is older than this remark has none."""
    return (one["verdict"] or DASH) + (" (from files)" if one.get("from_files") else "")


def table(run: RecordedRun) -> tuple[Block, ...]:
    """State of every required test; nothing for a rig that requires none."""
    rows = tuple(
        (one["acceptance"], one["run"] or DASH, one["day"] or DASH, _verdict(one), one["due"] or DASH,
         one["fault"] or "in force")
        for one in _recorded(run)["required"]
    )  # fmt: skip
    if not rows:
        return ()
    titles = ("Device test", "Run", "Day", "Verdict", "Due", "When the study began")
    return (Table(titles, rows, "llllll", (1.2, 2.2, 1.0, 1.2, 1.0, 2.4)),)
