"""A rig file that points at the ports of a served simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hal.errors import ConfigError, RecordError
from hal.files import read
from hal.files.toml_text import toml_text
from rig.config import RigConfig
from rig.record.appendfile import write_whole

OPERATOR = {"driver": "auto_operator"}
"""The operator of a served bench: nobody sits at it, and the simulated operator lives inside the world."""


def write_rig_file(path: Path, config: RigConfig, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the rig file of a served bench: ptys for the serial devices, TCP for the others; labelled simulated."""
    if config.path is None:
        raise ConfigError("the rig has no file that could be rewritten")
    data: dict[str, Any] = dict(read(config.path).data)
    data["rig"] = {"name": f"{config.rig.name}, over ports", "simulated": True}
    data["devices"] = {role: _pointed(role, dict(table), rows) for role, table in data["devices"].items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (f"# Points at a running simulation; its ports end with it.\n\n{toml_text(data)}").encode())
    except (OSError, RecordError) as error:
        raise ConfigError(f"--write-rig {path}: cannot be written: {error}") from None


def _pointed(role: str, table: dict[str, Any], rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A device's table with the address of its port; settings of another driver are left out."""
    if role == "operator":
        return dict(OPERATOR)
    own = {row["mount"]: row for row in rows if row["device"] == role}
    row = own.get("pty") or own.get("tcp")
    if row is None:
        return table
    kept = table if table.get("driver") == row["driver"] else {}
    return {**kept, "driver": row["driver"], "url": row["url"]}
