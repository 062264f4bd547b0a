import errno

import pytest

from experiments.cli.output import exit_codes
from hal.errors import (
    ConfigError,
    DeviceAlarm,
    LimitViolation,
    NoReply,
    RecordError,
    RigError,
    SafetyStop,
    Stopped,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a"), 2), (RecordError("a"), 2), (OSError(errno.ENOSPC, "No space left on device", "x"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2), (IsADirectoryError(errno.EISDIR, "x", "x"), 2),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), 2), (SafetyStop("a"), 3), (Stopped("a"), 3),
        (KeyboardInterrupt(), 3), (NoReply("a"), 4), (DeviceAlarm("a"), 4),
        (LimitViolation("speed", 1.0, "0 .. 0.5"), 1), (RigError("a"), 1),
    ],
)  # fmt: skip
def test_every_error_has_its_exit_code_and_one_line(error, code, capsys):
    with pytest.raises(SystemExit) as ended, exit_codes():
        raise error
    assert ended.value.code == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_several_problems_stand_on_one_line(capsys):
    with pytest.raises(SystemExit), exit_codes():
        raise ConfigError("first\n  second\n")
    assert capsys.readouterr().err == "phantomrig: cannot do that: first; second\n"


def test_a_fault_of_our_own_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), exit_codes():
        _ = 1 / 0
    with pytest.raises(OSError), exit_codes():
        raise OSError(errno.EIO, "Input/output error")
