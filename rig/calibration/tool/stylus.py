"""Tip of the stylus: from a pivot calibration or its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.files import parse_json
from hal.types import Vector
from rig.calibration.certificates.certificate import Certificate, read_certificate

PIVOT = "pivot"
"""Kind of a certificate that holds a stylus's tip."""


@dataclass(frozen=True)
class StylusTip:
    """Place of the tip, marker frame, mm."""

    tip_mm: Vector
    covariance: NDArray[np.float64] = field(repr=False)
    source: str
    simulated: bool = False

    def as_json(self) -> dict[str, object]:
        return {"tip_mm": self.tip_mm.tolist(), "covariance_mm2": self.covariance.tolist(), "source": self.source}


def read_tip(path: Path) -> StylusTip:
    """Read the JSON of ``calibrate pivot --json``, or a certificate of it, unchanged; raises ``ConfigError``."""
    try:
        lines = path.read_text().strip()
        data = parse_json(lines if lines.startswith("{\n") else lines.splitlines()[-1])
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(f"{path}: is no JSON of a pivot calibration: {error}") from None
    if isinstance(data, dict) and isinstance(data.get("certificate"), dict):
        data = dict(read_certificate(path).result)
    return _tip(data, path.name)


def tip_of(certificates: Sequence[Certificate]) -> StylusTip | None:
    """The tip of the one pivot certificate in force; None without one. Raises ``ConfigError`` for several."""
    own = [c for c in certificates if c.kind == PIVOT]
    if len(own) > 1:
        raise ConfigError(f"{', '.join(c.identity for c in own)} are pivots in force: say which with --tip")
    return _tip(dict(own[0].result), own[0].identity) if own else None


def _tip(data: object, source: str) -> StylusTip:
    try:
        if not isinstance(data, dict) or data.get("ok") is not True:
            raise ValueError("it is not an accepted result")
        tip = np.array(data["tip_mm"], dtype=np.float64)
        covariance = np.array(data["covariance_mm2"], dtype=np.float64)
        if tip.shape != (3,) or covariance.shape != (3, 3) or not np.isfinite([*tip, *covariance.ravel()]).all():
            raise ValueError("tip_mm is three numbers and covariance_mm2 nine")
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{source}: holds no tip of a pivot calibration: {error}") from None
    return StylusTip(tip, covariance, source, bool(data.get("simulated", False)))
