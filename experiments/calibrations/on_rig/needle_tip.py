"""Offset and run-out of the needle's tip in the carrier of a rig, and the carrier's place in the rig."""

from __future__ import annotations

from pathlib import Path

from experiments.calibrations.needle_poses import plan_poses, room_of
from experiments.calibrations.needle_tip import measure_needle_tip
from experiments.calibrations.on_rig.kept import keep, refusal_kept
from experiments.calibrations.on_rig.rig import to_calibrate
from experiments.calibrations.session import session
from rig.calibration import results
from rig.calibration.origins import from_rig
from rig.calibration.result import Result
from rig.calibration.tool.carrier_in_rig import carrier_in_rig
from rig.calibration.tool.needle_accepted import fit_needle_tip
from rig.geometry.transforms import apply, invert

NAME = "needle_tip"


def measure_needle_tip_of(
    rig: str | Path = "simulated",
    out: str | Path = "needle-tip",
    *,
    poses_n: int = 24,
    x_mm: float = 0.0,
    y_mm: float = 0.0,
    seed: int = 1,
) -> Result:
    """Show the tip to the tracker, in air, from many poses; ``out``: journal, result and picture, a refusal's too.

    ``x_mm, y_mm``: middle of the entry points, nominal Phantom frame. The transform of the result is ``CarrierToRig``
    where that is better than the value in force, else there is none. Raises ``ConfigError`` for a rig without carrier
    or tracker, ``CalibrationRefused``, else what ``session`` and ``measure_needle_tip`` raise.
    """
    out = Path(out)
    why = "the carrier shows its needle's tip to the tracker"
    bench = to_calibrate(rig, "carrier", "tracker", otherwise=why)
    frames = bench.config.frames.graph()
    entry = apply(invert(frames.get("Carrier", "Rig")) @ frames.get("Phantom", "Rig"), [x_mm, y_mm, 0.0])
    centre = (float(entry[0]), float(entry[1]))
    poses = plan_poses(room_of(bench.config), poses_n, centre)
    needle = {"needle": bench.config.needle.name}
    with session(bench.config, out, seed=seed, stated=bench.stated) as (controller, journal):
        tracker = controller.rig.tracker
        assert tracker is not None
        origin = from_rig(controller.rig)
        about = needle | {"rig": origin.rig, "simulated": origin.simulated}
        with journal.activity(NAME, {"poses_n": len(poses), "x_mm": x_mm, "y_mm": y_mm}) as outcome:
            seen = measure_needle_tip(controller, poses, journal)
            with refusal_kept(out, NAME, about):
                found = fit_needle_tip(seen, tracker.tip_uncertainty_mm)
            outcome.update(offset_mm=found.calibration.offset_mm.tolist(), held_out=found.held_out.as_json())
    placed = carrier_in_rig(found, bench.stated, bench.today, centre)
    u_mm = None if placed.CarrierToRig is None else found.tip_u_mm(placed.TrackerToRig)
    more = placed.as_json() | {"tip_rig_u_mm": u_mm} | needle
    return keep(results.needle_tip(found, placed.better, placed.why, origin, more), out, NAME)
