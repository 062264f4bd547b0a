"""Output of commands: progress for people on stderr, one JSON object as the last line of stdout, exit codes."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from experiments.cli.lost_terminal import surviving_terminal
from experiments.messages import say as say
from hal.errors import ConfigError, DeviceError, LinkError, RigError, SafetyStop, Stopped
from hal.errors import one_line as one_line


class Exit(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    OWN_FAULT = 1
    BAD_INPUT = 2
    STOPPED = 3
    DEVICE_FAILURE = 4


NOT_OURS = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS,
        errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP,
    }
)  # fmt: skip
"""A full disk, a quota, a folder that may not be written or stands where a file is to be, a name that no disk takes:
the user's to mend, not our fault."""


def emit(data: dict[str, Any]) -> None:
    """Print one JSON object on one line of stdout."""
    print(json.dumps(data, sort_keys=False, default=str), flush=True)


def _code(error: RigError) -> Exit:
    from hal.errors import RecordError

    if isinstance(error, ConfigError | RecordError):
        return Exit.BAD_INPUT
    if isinstance(error, SafetyStop | Stopped):
        return Exit.STOPPED
    if isinstance(error, LinkError | DeviceError):
        return Exit.DEVICE_FAILURE
    return Exit.OWN_FAULT


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn the rig's errors into one clear message and the right exit code; leave our own faults as tracebacks.

    A lost terminal changes neither what is done nor the code.
    """
    with surviving_terminal(), _codes():
        yield


@contextmanager
def _codes() -> Iterator[None]:
    try:
        yield
    except RigError as error:
        code = _code(error)
        kind = {
            Exit.BAD_INPUT: "cannot do that",
            Exit.STOPPED: "stopped",
            Exit.DEVICE_FAILURE: "device failure",
            Exit.OWN_FAULT: "fault",
        }[code]
        say(f"phantomrig: {kind}: {one_line(error)}")
        raise SystemExit(int(code)) from None
    except OSError as error:
        if error.errno not in NOT_OURS:
            raise
        say(f"phantomrig: cannot do that: {error.strerror}: {error.filename or 'the output folder'}")
        raise SystemExit(int(Exit.BAD_INPUT)) from None
    except KeyboardInterrupt:
        say("phantomrig: stopped by the operator")
        raise SystemExit(int(Exit.STOPPED)) from None


def guarded(action: Callable[[], None]) -> None:
    """Run ``action`` under :func:`exit_codes`."""
    with exit_codes():
        action()
