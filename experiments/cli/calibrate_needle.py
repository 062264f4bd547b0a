"""``phantomrig calibrate needle-tip``: where the tip is when the carrier's axes say where it should be."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, answers
from experiments.cli.numbers import number
from experiments.cli.output import emit, say

if TYPE_CHECKING:
    from datetime import date

    from rig.calibration.tool.needle_accepted import NeedleTipResult
    from rig.config import RigConfig
    from rig.geometry.uncertain import UncertainTransform

RigFile = Annotated[Path | None, typer.Option("--rig", help="rig.toml of the bench (default: the simulated rig)")]
NAME = "needle_tip.json"


@dataclass(frozen=True)
class InRig:
    """The carrier in the rig, through the tracker, beside what the rig file says of it."""

    CarrierToRig: UncertainTransform | None = field(repr=False)
    """None: nobody states how well the tracker's turn is known."""
    u_mm: float
    """Largest standard uncertainty per axis at the middle of the entry points; NaN without ``CarrierToRig``."""
    stated_u_mm: float
    why: str

    def as_json(self) -> dict[str, object]:
        known = self.CarrierToRig
        return {
            "CarrierToRig": None if known is None else known.matrix.tolist(),
            "covariance": None if known is None else known.covariance.tolist(),
            "CarrierToRig_u_mm": None if known is None else self.u_mm,
            "stated_CarrierToRig_u_mm": self.stated_u_mm,
            "CarrierToRig_advice": self.why,
        }


def carrier_in_rig(
    result: NeedleTipResult, config: RigConfig, today: date, centre_mm: tuple[float, float]
) -> tuple[InRig, UncertainTransform]:
    """``CarrierToRig`` with its worth, and the ``TrackerToRig`` that it was made with (certificate, else rig file).

    ``config``: the rig file without certificates. ``centre_mm``: middle of the entry points, carrier frame.
    """
    import numpy as np

    from rig.calibration.certificates.graph import STATED, rig_graph

    graph = rig_graph(config, today)
    chain = graph.look_up("Tracker", "Rig")
    (step,) = chain.steps
    point = np.array([*centre_mm, 0.0])

    def u_mm(AToB: UncertainTransform) -> float:
        return float(np.sqrt(np.linalg.eigvalsh(AToB.point(point)[1])[-1]))

    stated = u_mm(graph.look_up("Carrier", "Rig").transform)
    if step.identity == STATED and not config.frames.TrackerToRig.uncertainty_deg:
        why = (
            "no CarrierToRig: the rig file does not say how well the tracker's turn is known; state uncertainty_deg of "
            "TrackerToRig, or certify TrackerToRig. The needle's offset does not depend on it"
        )
        return InRig(None, float("nan"), stated, why), chain.transform
    CarrierToRig = result.calibration.CarrierToReference.then(chain.transform)
    own = u_mm(CarrierToRig)
    if own < stated:
        why = f"better than the value in force ({own:.2f}, not {stated:.2f} mm): certify with --transform CarrierToRig"
    else:
        why = (
            f"no better than the value in force ({own:.2f} against {stated:.2f} mm, the tracker's place in the rig "
            "decides): certify the needle's offset alone, without --transform"
        )
    return InRig(CarrierToRig, own, stated, why), chain.transform


def measure(
    rig: Path | None, out: Path, poses_n: int, x_mm: float, y_mm: float, seed: int
) -> tuple[NeedleTipResult, dict[str, object]]:
    """Open the rig, measure, keep journal, result and picture in ``out``; returns the result and its JSON.

    ``x_mm, y_mm``: middle of the entry points, nominal Phantom frame. Raises ``ConfigError`` for a rig without carrier
    or tracker, ``CalibrationRefused``, else what ``session`` and ``measure_needle_tip`` raise.
    """
    import json
    from datetime import UTC, datetime

    from experiments.calibrations.needle_poses import plan_poses, room_of
    from experiments.calibrations.needle_tip import measure_needle_tip
    from experiments.calibrations.session import session
    from hal.errors import CalibrationRefused, ConfigError
    from rig.calibration.certificates.in_force import in_force
    from rig.calibration.tool.needle_accepted import fit_needle_tip
    from rig.calibration.tool.needle_picture import draw_needle_tip
    from rig.config import load_config
    from rig.geometry.transforms import apply, invert

    stated = load_config(rig if rig is not None else "simulated")
    today = datetime.now(UTC).date()
    config = in_force(stated, today).applied_to(stated)
    missing = [role for role in ("carrier", "tracker") if role not in config.devices]
    if missing:
        raise ConfigError(
            f"this rig ({config.rig.name}) has no {' and no '.join(missing)}: the carrier shows its needle's tip to "
            "the tracker"
        )
    frames = config.frames.graph()
    entry = apply(invert(frames.get("Carrier", "Rig")) @ frames.get("Phantom", "Rig"), [x_mm, y_mm, 0.0])
    centre = (float(entry[0]), float(entry[1]))
    poses = plan_poses(room_of(config), poses_n, centre)
    with session(config, out, seed=seed, stated=stated) as (controller, journal):
        simulated, tracker = controller.rig.simulated, controller.rig.tracker
        assert tracker is not None
        data: dict[str, object] = {"needle": config.needle.name, "rig": config.rig.name, "simulated": simulated}
        with journal.activity("needle_tip", {"poses_n": len(poses), "x_mm": x_mm, "y_mm": y_mm}) as outcome:
            seen = measure_needle_tip(controller, poses, journal)
            try:
                result = fit_needle_tip(seen, tracker.tip_uncertainty_mm)
            except CalibrationRefused as refused:
                (out / NAME).write_text(json.dumps(refused.as_json() | data, indent=1) + "\n")
                raise
            outcome.update(offset_mm=result.calibration.offset_mm.tolist(), held_out=result.held_out.as_json())
    placed, TrackerToRig = carrier_in_rig(result, stated, today, centre)
    u_mm = None if placed.CarrierToRig is None else result.tip_u_mm(TrackerToRig)
    data = result.as_json() | placed.as_json() | {"tip_rig_u_mm": u_mm} | data
    (out / NAME).write_text(json.dumps(data, indent=1) + "\n")
    draw_needle_tip(out / "needle_tip.png", result, "SIMULATED" if simulated else "")
    return result, data


def add_to(app: typer.Typer) -> None:
    """Put the command into the group ``calibrate``."""

    @app.command(
        name="needle-tip",
        epilog="Example:  phantomrig calibrate needle-tip --rig bench.toml --out needle-tip-1   then   phantomrig "
        "calibrate certify needle-tip-1/needle_tip.json calibrations --identity NT-2026-003 --kind needle_tip "
        "--device carrier --by AB --due 2026-12-31",
    )
    def needle_tip(
        rig: RigFile = None,
        out: Annotated[Path, typer.Option(help="new folder for journal, result and picture")] = Path("needle-tip"),
        poses: Annotated[int, number("poses of the carrier, 12 or more", 12, 1000)] = 24,
        x: Annotated[float, number("middle of the entry points on the phantom, mm to its left", -200, 200)] = 0.0,
        y: Annotated[float, number("the same, mm towards its head", -200, 200)] = 0.0,
        seed: Annotated[int, number("seed of the simulated cartridge", 0, 2**32 - 1)] = 1,
        json: AsJson = False,
    ) -> None:
        """Offset and run-out of the needle's tip in the carrier, and the carrier's place: in air, by the tracker."""
        with answers(json):
            result, data = measure(rig, out, poses, x, y, seed)
            c, h = result.calibration, result.held_out
            u = result.offset_u_mm()
            label = "SIMULATED rig: " if data["simulated"] else ""
            offset = ", ".join(f"{v:+.2f} +-{s:.2f}" for v, s in zip(c.offset_mm, u, strict=True))
            run_out = ", ".join(f"{v:+.2f}" for v in c.run_out_mm)
            say(f"{label}tip off the carrier's axis by {offset} mm (x, y, z; standard), with the bevel {run_out} mm")
            say(f"held-out poses: {h.rms_mm:.2f} mm rms, {h.max_mm:.2f} mm max ({h.expected_mm:.2f} mm rms expected)")
            say(f"CarrierToRig: {data['CarrierToRig_advice']}")
            say(f"{len(result.seen)} poses; the probe stays parked; record and picture: {out}")
            if json:
                emit(data | {"out": str(out)})
