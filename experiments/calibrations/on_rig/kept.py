"""Files in the folder of a calibration: its result, or the reason for a refusal, and the picture of either."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hal.errors import CalibrationRefused
from rig.calibration.result import Result


def keep(result: Result, out: Path, name: str) -> Result:
    """Write ``NAME.json``, which ``calibrate certify`` takes, and ``NAME.png``; returns the result."""
    result.write(out / f"{name}.json")
    if result.picture is not None:
        result.draw(out / f"{name}.png")
    return result


@contextmanager
def refusal_kept(out: Path, name: str, about: Mapping[str, object]) -> Iterator[None]:
    """A refusal of the block is written beside its picture, with what the caller says ``about`` it, and goes on."""
    try:
        yield
    except CalibrationRefused as refused:
        (out / f"{name}.json").write_text(json.dumps(refused.as_json() | dict(about), indent=1) + "\n")
        if refused.picture is not None:
            refused.picture(out / f"{name}.png")
        raise
