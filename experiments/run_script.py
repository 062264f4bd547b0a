"""Running a script as a study: its runs go where the command line says, and its end is reported in one line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from experiments.protocol.study import shipped_studies
from experiments.session import Session, as_current
from experiments.source import shipped_scripts
from hal.errors import ConfigError, RigError


def script_path(name_or_path: str) -> Path | None:
    """Path of a script by its name: a path in ``.py``, or a shipped one; None when the name means a study."""
    if name_or_path.endswith(".py"):
        return Path(name_or_path)
    return None if name_or_path in shipped_studies() else shipped_scripts().get(name_or_path)


def run_script(path: Path, session: Session) -> None:
    """Run a script to its end in this process; ``session.runs`` holds its runs, whatever ends it.

    Its own folder is searched for modules last. Raises ``ConfigError`` for a script that cannot be read or that raises
    itself, and the rig's own errors as they are.
    """
    try:
        session.script, session.source = path.resolve(), path.read_bytes()
        code = compile(session.source, str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise ConfigError(f"{path}: the script cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise ConfigError(f"{path}{line}: this is no Python script: {error}") from None
    main = ModuleType("__main__")
    main.__file__ = str(session.script)
    with as_current(session), _as_main(main):
        try:
            exec(code, main.__dict__)
        except RigError:
            raise
        except Exception as error:
            raise ConfigError(_message_of(path, session, error)) from error


def _message_of(path: Path, session: Session, error: Exception) -> str:
    """Message with the place of a script's own fault, and what is left of its work."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent == path.parent]
    at = f"line {frames[-1].lineno} ({frames[-1].line})" if frames else "its end"
    where = frames[-1].filename if frames else str(path)
    kept = ", ".join(str(run.run) for run in session.runs) or "none"
    return f"the script ended at {where}, {at}: {type(error).__name__}: {error}. Runs kept: {kept}"


@contextmanager
def _as_main(main: ModuleType) -> Iterator[None]:
    """While the script runs it is ``__main__``, has its own arguments, and finds its own modules after all others."""
    before, arguments, search = sys.modules["__main__"], sys.argv, list(sys.path)
    known = set(sys.modules)
    folder = str(Path(str(main.__file__)).parent)
    sys.modules["__main__"], sys.argv = main, [str(main.__file__)]
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.modules["__main__"], sys.argv, sys.path[:] = before, arguments, search
        for name in set(sys.modules) - known:  # a helper.py of one script is not that of the next
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(folder) and name.split(".")[0] not in ("experiments",):
                del sys.modules[name]
