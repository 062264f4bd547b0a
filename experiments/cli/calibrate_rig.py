"""``phantomrig calibrate latency``: calibrations that move the rig itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli import calibrate_phantom, calibrate_record
from experiments.cli.calibrate_frames import AsJson, answers
from experiments.cli.numbers import number
from experiments.cli.output import emit, say

if TYPE_CHECKING:
    from experiments.calibrations.latency import LatencyMeasurement

RigFile = Annotated[Path | None, typer.Option("--rig", help="rig.toml of the bench (default: the simulated rig)")]


def measure(
    rig: Path | None, out: Path, x_mm: float, y_mm: float, indentation_mm: float, strokes_n: int, seed: int
) -> tuple[LatencyMeasurement, bool]:
    """Open the rig, measure, keep journal, result and picture in ``out``; returns the result and whether simulated.

    ``x_mm, y_mm``: where the face stands, nominal Phantom frame. Raises ``ConfigError`` for a rig without holder or
    scanner, else what ``session`` and ``measure_latency`` raise.
    """
    import json
    from datetime import UTC, datetime

    import numpy as np

    from experiments.calibrations.latency import SPEEDS_MM_S, measure_latency
    from experiments.calibrations.session import session
    from hal.errors import ConfigError, LimitViolation
    from rig.calibration.certificates.in_force import in_force
    from rig.calibration.time.lag_picture import draw_temporal
    from rig.config import load_config
    from rig.geometry.transforms import invert, to_pose6
    from rig.instruments.jogs import check_probe

    stated = load_config(rig if rig is not None else "simulated")
    config = in_force(stated, datetime.now(UTC).date()).applied_to(stated)
    missing = [role for role in ("holder", "ultrasound") if role not in config.devices]
    if missing:
        raise ConfigError(f"this rig ({config.rig.name}) has no {' and no '.join(missing)}: nothing to compare")
    with session(config, out, seed=seed, stated=stated) as (controller, journal):
        frames = controller.rig.frames
        FaceToPhantom = np.eye(4)
        FaceToPhantom[:3, 3] = x_mm, y_mm, indentation_mm
        pose = to_pose6(invert(frames.get("Holder", "Rig")) @ frames.get("Phantom", "Rig") @ FaceToPhantom)
        try:
            check_probe(pose, SPEEDS_MM_S[1], config.limits.motion)
        except LimitViolation as error:
            raise ConfigError(f"--x {x_mm:g} --y {y_mm:g}: {error}") from None
        with journal.activity("latency", {"x_mm": x_mm, "y_mm": y_mm, "strokes_n": strokes_n}) as outcome:
            result = measure_latency(controller, pose, strokes_n=strokes_n, seed=seed)
            outcome.update(lag_s=result.calibration.lag_s, interval_s=list(result.calibration.interval_s))
        simulated = controller.rig.simulated
    data = {"rig": config.rig.name, "simulated": simulated}
    (out / "latency.json").write_text(json.dumps(result.as_json() | data, indent=1) + "\n")
    draw_temporal(out / "latency.png", result.calibration, "SIMULATED" if simulated else "")
    return result, simulated


def add_to(app: typer.Typer) -> None:
    """Put the commands into the group ``calibrate``."""
    calibrate_phantom.add_to(app)
    calibrate_record.add_to(app)

    @app.command(epilog="Example:  phantomrig calibrate latency --rig bench.toml --out calibrations/latency-1")
    def latency(
        rig: RigFile = None,
        out: Annotated[Path, typer.Option(help="new folder for journal, result and picture")] = Path("latency"),
        x: Annotated[float, number("where the probe stands on the phantom, mm to its left", -200, 200)] = 0.0,
        y: Annotated[float, number("the same, mm towards its head", -200, 200)] = 0.0,
        indentation: Annotated[float, number("how deep the face is pressed in, mm", 0, 10)] = 3.0,
        strokes: Annotated[int, number("strokes of the slide, 8 or more", 8, 1000)] = 24,
        seed: Annotated[int, number("seed of the uneven strokes", 0, 2**32 - 1)] = 1,
        speed: Annotated[float, number("speed for the cost in mm, mm/s", 0.001, 1000)] = 10.0,
        json: AsJson = False,
    ) -> None:
        """Lag between pictures and probe holder: the probe slides over the gel, no bath is needed."""
        with answers(json):
            result, simulated = measure(rig, out, x, y, indentation, strokes, seed)
            c = result.calibration
            low, high = (1e3 * v for v in c.interval_s)
            label = "SIMULATED rig: " if simulated else ""
            say(f"{label}lag {1e3 * c.lag_s:+.1f} ms (95 %: {low:+.1f} to {high:+.1f}); late: {c.late_stream}")
            cost = c.latency.cost(speed)
            say(f"at {speed:g} mm/s: {cost.uncorrected_mm:.2f} mm uncorrected, jitter {cost.jitter_mm:.2f} mm")
            say(f"{result.frames_n} pictures, {result.dropped_n} passed over; record and picture: {out}")
            if json:
                emit(result.as_json() | {"cost_at_speed": cost.as_json(), "simulated": simulated, "out": str(out)})
