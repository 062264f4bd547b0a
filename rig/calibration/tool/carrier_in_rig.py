"""Where the carrier stands in the rig by its own needle tip, and whether that is better than the value in force."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np

from rig.calibration.certificates.graph import STATED, rig_graph
from rig.calibration.tool.needle_accepted import NeedleTipResult
from rig.config import RigConfig
from rig.geometry.graph import Step
from rig.geometry.uncertain import UncertainTransform


@dataclass(frozen=True)
class InRig:
    """The carrier in the rig, through the tracker, beside what the rig file says of it."""

    CarrierToRig: UncertainTransform | None = field(repr=False)
    """None: nobody states how well the tracker's turn is known."""
    TrackerToRig: UncertainTransform = field(repr=False)
    """That it was made with (certificate, else rig file)."""
    u_mm: float
    """Largest standard uncertainty per axis at the middle of the entry points; NaN without ``CarrierToRig``."""
    stated_u_mm: float
    why: str

    @property
    def better(self) -> Step | None:
        """``CarrierToRig`` where it is better than the value in force."""
        if self.CarrierToRig is None or not self.u_mm < self.stated_u_mm:
            return None
        return Step("CarrierToRig", self.CarrierToRig)

    def as_json(self) -> dict[str, object]:
        """Keys as ``calibrate needle-tip`` prints them."""
        known = self.CarrierToRig
        return {
            "CarrierToRig": None if known is None else known.matrix.tolist(),
            "covariance": None if known is None else known.covariance.tolist(),
            "CarrierToRig_u_mm": None if known is None else self.u_mm,
            "stated_CarrierToRig_u_mm": self.stated_u_mm,
            "CarrierToRig_advice": self.why,
        }


def carrier_in_rig(result: NeedleTipResult, config: RigConfig, today: date, centre_mm: tuple[float, float]) -> InRig:
    """``CarrierToRig`` with its worth.

    ``config``: the rig file without certificates. ``centre_mm``: middle of the entry points, carrier frame.
    """
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
        return InRig(None, chain.transform, float("nan"), stated, why)
    CarrierToRig = result.calibration.CarrierToReference.then(chain.transform)
    own = u_mm(CarrierToRig)
    if own < stated:
        why = (
            f"better than the value in force ({own:.2f}, not {stated:.2f} mm): it is certified with the needle's "
            "offset (without it: --transform none)"
        )
    else:
        why = (
            f"no better than the value in force ({own:.2f} against {stated:.2f} mm, the tracker's place in the rig "
            "decides): the needle's offset alone is certified"
        )
    return InRig(CarrierToRig, chain.transform, own, stated, why)
