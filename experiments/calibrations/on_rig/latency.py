"""Lag between pictures and probe holder of a rig."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.calibrations.latency import SPEEDS_MM_S, measure_latency
from experiments.calibrations.on_rig.kept import keep
from experiments.calibrations.on_rig.rig import to_calibrate
from experiments.calibrations.session import session
from hal.errors import ConfigError, LimitViolation
from hal.types import Pose6
from rig.calibration import results
from rig.calibration.origins import from_rig
from rig.calibration.result import Result
from rig.control.controller import Controller
from rig.geometry.transforms import invert, to_pose6
from rig.instruments.jogs import check_probe


def measure_latency_of(
    rig: str | Path = "simulated",
    out: str | Path = "latency",
    *,
    x_mm: float = 0.0,
    y_mm: float = 0.0,
    indentation_mm: float = 3.0,
    strokes_n: int = 24,
    seed: int = 1,
    speed_mm_s: float = 10.0,
) -> Result:
    """Slide the probe over the gel and compare its pictures with its holder; ``out``: journal, result and picture.

    ``x_mm, y_mm``: where the face stands, nominal Phantom frame; ``speed_mm_s``: of the cost in mm. Raises
    ``ConfigError`` for a rig without holder or scanner, else what ``session`` and ``measure_latency`` raise.
    """
    out = Path(out)
    bench = to_calibrate(rig, "holder", "ultrasound", otherwise="nothing to compare")
    with session(bench.config, out, seed=seed, stated=bench.stated) as (controller, journal):
        pose = _on_skin(controller, x_mm, y_mm, indentation_mm)
        with journal.activity("latency", {"x_mm": x_mm, "y_mm": y_mm, "strokes_n": strokes_n}) as outcome:
            found = measure_latency(controller, pose, strokes_n=strokes_n, seed=seed)
            outcome.update(lag_s=found.calibration.lag_s, interval_s=list(found.calibration.interval_s))
        origin = from_rig(controller.rig)
    lag = found.calibration
    more = {"frames_n": found.frames_n, "dropped_n": found.dropped_n}
    cost = lag.latency.cost(speed_mm_s)
    return keep(results.temporal(lag, origin, "probe slides over the gel", cost, more), out, "latency")


def _on_skin(controller: Controller, x_mm: float, y_mm: float, indentation_mm: float) -> Pose6:
    frames = controller.rig.frames
    FaceToPhantom = np.eye(4)
    FaceToPhantom[:3, 3] = x_mm, y_mm, indentation_mm
    pose = to_pose6(invert(frames.get("Holder", "Rig")) @ frames.get("Phantom", "Rig") @ FaceToPhantom)
    try:
        check_probe(pose, SPEEDS_MM_S[1], controller.limits.motion)
    except LimitViolation as error:
        raise ConfigError(f"--x {x_mm:g} --y {y_mm:g}: {error}") from None
    return pose
