"""The reference pages that are made from the code: ``python -m experiments.cli.reference_pages``.

A test compares the pages in ``docs/reference`` with what this module makes, so they cannot fall behind.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from experiments.reference.page import page, table
from experiments.reference.pages import columns, drivers, files, material_table, techniques

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
EXITS = (
    ("0", "done, whatever the verdict"),
    ("1", "a fault of the program: a traceback is shown, please report it"),
    ("2", "bad input: a file, an option, a folder; one message says which"),
    ("3", "stopped by safety or by the operator"),
    ("4", "a device failed"),
)


def main() -> None:
    """Write every page; prints the paths."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in PAGES.items():
        (FOLDER / name).write_text(text(), encoding="utf-8")
        print(FOLDER / name, file=sys.stderr)


def command_line() -> str:
    """Every command with its options, as ``--help`` has them."""
    from typer.main import get_command

    from experiments.cli.main import app

    top = get_command(app)
    parts = [
        "Results for machines: `--json` prints one JSON object as the last line of stdout; text for people goes to "
        "stderr.",
        table(("exit code", "meaning"), EXITS),
    ]
    parts += [_command(name, command) for name, command in _commands(top, "phantomrig")]
    return page("Command line", "`./phantomrig` in a clone, `phantomrig` once installed.", *parts)


PAGES: dict[str, Callable[[], str]] = {
    "columns.md": columns,
    "drivers.md": drivers,
    "techniques.md": techniques,
    "command_line.md": command_line,
    "materials.md": material_table,
    "files.md": files,
}
"""File name to the function that makes its text."""


def _commands(command: Any, name: str) -> Iterable[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for key in sorted(inner):
        yield from _commands(inner[key], f"{name} {key}")


def _command(name: str, command: Any) -> str:
    rows: list[tuple[str, str, str]] = []
    arguments: list[str] = []
    for item in command.params:
        shown = item.opts[0] if len(item.opts) == 1 else max(item.opts, key=len)
        if item.param_type_name == "argument":
            shown = item.name.upper()
            arguments.append(shown if item.required else f"[{shown}]")
        if item.secondary_opts:
            shown += f" / {item.secondary_opts[0]}"
        default = "" if item.default in (None, False, ()) or callable(item.default) else str(item.default)
        rows.append((f"`{shown}`", default, str(getattr(item, "help", "") or "")))
    usage = " ".join([name, *arguments])
    parts = [f"## {name}", f"`{usage}`: {' '.join((command.help or '').split())}"]
    if rows:
        parts.append(table(("option", "default", "meaning"), rows))
    if command.epilog:
        parts.append(" ".join(command.epilog.split()))
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
