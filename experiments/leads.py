"""Conduct of a technique's trials: by its states, or by a procedure of the user's own.

A procedure is taken from the session of the script that declared it; worker processes and ``phantomrig resume`` take it
from the copy of the script in the run folder.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from experiments.protocol.measure import Measure
from experiments.protocol.technique import Technique
from experiments.session import Body, Defined, Session, as_current, current
from experiments.source import FOLDER
from experiments.trial.own import OwnTrial
from experiments.trial.trial import Lead, ProcedureFault, Walk, all_states
from hal.errors import ConfigError, RigError
from rig.by_hand.opened_rig import nothing_is_opened


def lead_of(technique: Technique, run: Path, measures: Mapping[str, Measure]) -> Lead:
    """Conductor of a technique's trials in this run. Raises ``ConfigError`` for a procedure that is not there."""
    if not technique.procedure:
        return all_states
    body = current().procedures.get(technique.procedure) or _from_copy(run, technique.procedure)

    def led(walk: Walk) -> str:
        own = OwnTrial(walk, measures)
        try:
            body(own)
        except ProcedureFault as fault:
            raise ProcedureFault(_message_of(technique.procedure, fault)) from fault
        except RigError:
            raise
        except Exception as error:
            raise ProcedureFault(_message_of(technique.procedure, error)) from error
        if own.ended is not None:
            raise own.ended
        own.withdraw()
        return f"its procedure came to its end ({technique.procedure})"

    return led


def _message_of(where: str, error: Exception) -> str:
    """Place of an error in the user's source."""
    name = where.split(":")[0].removeprefix(f"{FOLDER}/")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(os.path.basename(name))]
    at = f", line {frames[-1].lineno} ({frames[-1].line})" if frames else ""
    what = str(error) if isinstance(error, ProcedureFault) else f"{type(error).__name__}: {error}"
    return f"the procedure {where} ended at {name}{at}: {what}"


@cache
def _from_copy(run: Path, where: str) -> Body:
    """Run the copy up to its first study, with nothing printed or opened, and take the function from it."""
    file, name = where.rsplit(":", 1)
    path = (run / file).resolve()
    main = ModuleType("__main__")
    main.__file__ = str(path)
    before = sys.modules["__main__"]
    session = Session(script=path, source=b"", defining=True)
    folder = str((run / FOLDER).resolve())
    if folder not in sys.path:  # it stays, last of all: a procedure may import a helper when it is led
        sys.path.append(folder)
    sys.modules["__main__"] = main
    try:
        with as_current(session), nothing_is_opened(), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), main.__dict__)
    except Defined:
        pass
    except OSError as error:
        raise ConfigError(f"the procedure {where} is not in the run folder: {error.strerror}") from None
    except (Exception, SystemExit) as error:  # a script that ends itself must not end the worker
        raise ConfigError(f"the procedure {where} cannot be read from {path}: {error!r}") from error
    finally:
        sys.modules["__main__"] = before
    found = session.procedures.get(where)
    if found is None:
        raise ConfigError(f"{path} declares no procedure {name} before its first study")
    return found
