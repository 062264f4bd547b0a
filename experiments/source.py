"""Source of the script that runs a study, with what it imports from its own folder: kept in the run folder.

Data files that a script reads are not among them, and neither are installed packages: their versions are in the
manifest as far as they can change a number.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from experiments.session import Session
from hal.errors import ConfigError

FOLDER = "script"
"""Name in a run folder."""
NOTEBOOK = "notebook.py"
"""The cells of a notebook there."""
PLACE = Path(__file__).resolve().parents[1]
SHIPPED = Path(__file__).resolve().parent / "scripts"


def script_files(session: Session) -> dict[str, bytes]:
    """Contents by name in the run folder: the script first; empty at a prompt. Raises ``ConfigError``.

    In a notebook the cells that were executed so far stand for the script.
    """
    cells = "" if session.script else _cells()
    if cells:
        return {f"{FOLDER}/{NOTEBOOK}": cells.encode()}
    main = session.script or _main()
    if main is None:
        return {}
    try:
        found = {main: session.source if session.script else main.read_bytes()}
        for path in sorted(_of_folder(main, found[main])):
            found.setdefault(path, path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{main}: the script's source cannot be kept: {error}") from None
    return {f"{FOLDER}/{path.relative_to(main.parent).as_posix()}": content for path, content in found.items()}


def folder_of_script(session: Session, file: str) -> str:
    """Name of a source file of the script in the run folder. Raises ``ConfigError`` where none is kept."""
    main = session.script or _main()
    if main is not None:
        path = Path(file).resolve()
        if path.suffix == ".py" and path.is_relative_to(main.parent):
            return path.relative_to(main.parent).as_posix()
        where = "in the script or in a module beside it, so that its source is kept"
        raise ConfigError(f"{file}: define a procedure {where}")
    if _cells():
        return NOTEBOOK
    raise ConfigError("define a procedure in a script or a notebook: at a prompt its source cannot be kept")


def shipped_scripts() -> dict[str, Path]:
    """Scripts that come with the project, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.py")) if path.stem != "__init__"}


def _main() -> Path | None:
    """File with which Python was started, when it is a script of the user's."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or not str(file).endswith(".py"):
        return None
    path = Path(file).resolve()
    return None if _installed(path) else path


def _cells() -> str:
    """The cells of a notebook, in the order of their execution."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    cells = getattr(shell, "user_ns", {}).get("In", [])
    return "\n\n".join(f"# [{n}]\n{cell}" for n, cell in enumerate(cells) if cell)


def _installed(path: Path) -> bool:
    """True for a part of Python, of a package or of this project: not the user's."""
    libraries = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")}
    rooms = {PLACE / room for room in ("analysis", "experiments", "hal", "rig")}
    return any(path.is_relative_to(folder) for folder in libraries | rooms) and not path.is_relative_to(SHIPPED)


def _of_folder(main: Path, source: bytes) -> set[Path]:
    """Files of the script's own folder that it has imported, or names in an import and may import later."""
    loaded = (Path(str(file)).resolve() for m in list(sys.modules.values()) if (file := getattr(m, "__file__", None)))
    found = {p for p in loaded if p.suffix == ".py" and p.is_relative_to(main.parent) and not _installed(p)}
    found.discard(main)
    waiting = [source, *(path.read_bytes() for path in found)]
    while waiting:
        for path in _named(waiting.pop(), main.parent):
            if path not in found and path != main and not _installed(path):
                found.add(path)
                waiting.append(path.read_bytes())
    return found


def _named(source: bytes, folder: Path) -> Iterator[Path]:
    """Files that a source's imports mean, if they are in the folder; relative ones are resolved from it."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [module, *(f"{module}.{alias.name}".strip(".") for alias in node.names)]
        for name in filter(None, names):
            parts = name.split(".")
            for n in range(1, len(parts) + 1):
                at = folder.joinpath(*parts[:n])
                yield from (p for p in (at.with_suffix(".py"), at / "__init__.py") if p.is_file())
