"""Tip of the stylus: from a pivot calibration or its certificate, and whether the touches themselves contradict it.

While a tip rests in a divot and the shaft swivels, a wrong tip offset draws a small arc around the divot. All rests
together say where the tip really is; a wrong one would else shift all fiducials alike and stay unseen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.types import Vector
from rig.calibration.certificate import Certificate, read_certificate
from rig.calibration.certificate_refusal import CalibrationRefused
from rig.calibration.dwell import Dwell
from rig.calibration.pivot import Poses

PIVOT = "pivot"
"""Kind of a certificate that holds a stylus's tip."""
NEAR_MM = 2.5
"""A sample this near to a dwell belongs to it: an arc of a tip that is some mm off is still whole."""
SIGMAS = 4.0
LEAST_OFF_MM = 0.3
"""A tip is refused from 4 standard uncertainties and 0.3 mm on [A]."""
BLOCK_N = 20
"""Samples that share an error (half a second at 40 Hz): the hand's sway and the tracker's drift [A]."""


@dataclass(frozen=True)
class StylusTip:
    """Where the tip is, marker frame, mm."""

    tip_mm: Vector
    covariance: NDArray[np.float64] = field(repr=False)
    source: str
    simulated: bool = False

    def as_json(self) -> dict[str, object]:
        return {"tip_mm": self.tip_mm.tolist(), "covariance_mm2": self.covariance.tolist(), "source": self.source}


@dataclass(frozen=True)
class TipCheck:
    """What the touches say of the tip."""

    off_mm: Vector
    """True tip minus used tip, marker frame."""
    covariance: NDArray[np.float64] = field(repr=False)
    sigmas: float
    samples_n: int

    @property
    def length_mm(self) -> float:
        return float(np.linalg.norm(self.off_mm))

    def as_json(self) -> dict[str, object]:
        return {
            "off_mm": self.off_mm.tolist(),
            "covariance_mm2": self.covariance.tolist(),
            "sigmas": self.sigmas,
            "samples_n": self.samples_n,
        }


def read_tip(path: Path) -> StylusTip:
    """From the JSON of ``calibrate pivot --json``, or from a certificate of it, unchanged; raises ``ConfigError``."""
    try:
        lines = path.read_text().strip()
        data = json.loads(lines if lines.startswith("{\n") else lines.splitlines()[-1])
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


def check_tip(poses: Poses, tip: StylusTip, dwells: Sequence[Dwell]) -> TipCheck:
    """Tip offset that all rests together ask for; ``poses`` (n, 4, 4) as given to ``find_dwells``.

    Raises ``CalibrationRefused`` (``stylus tip``) when it contradicts the calibrated one.
    """
    at = poses[:, :3, :3] @ tip.tip_mm + poses[:, :3, 3]
    rows, rest = [], []
    for dwell in dwells:
        own = np.linalg.norm(at - dwell.point_mm, axis=1) < NEAR_MM
        if own.sum() < 3:
            continue
        rotation = poses[own, :3, :3]
        rows.append((rotation - rotation.mean(axis=0)).reshape(-1, 3))
        rest.append(-(at[own] - at[own].mean(axis=0)).ravel())
    a, b = np.concatenate(rows), np.concatenate(rest)
    normal = a.T @ a
    off = np.linalg.solve(normal + 1e-9 * np.eye(3), a.T @ b)
    variance = float(((b - a @ off) ** 2).mean()) * BLOCK_N
    covariance = variance * np.linalg.inv(normal + 1e-9 * np.eye(3))
    sigmas = float(np.sqrt(off @ np.linalg.solve(covariance + tip.covariance, off)))
    found = TipCheck(off, covariance, sigmas, len(b) // 3)
    if sigmas > SIGMAS and found.length_mm > LEAST_OFF_MM:
        x, y, z = off
        raise CalibrationRefused(
            "stylus tip",
            f"the stylus swivels about a point that lies {found.length_mm:.1f} mm ({x:+.1f}, {y:+.1f}, {z:+.1f}) from "
            f"its calibrated tip ({tip.source})",
            advice="Calibrate the tip again (calibrate record, calibrate pivot); is it bent, or another stylus?",
            figures=found.as_json(),
        )
    return found
