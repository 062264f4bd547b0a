"""Before the probe goes onto the gel for a calibration: no needle in it, a person agrees, and it rises first."""

from __future__ import annotations

from dataclasses import replace

from hal.errors import ConfigError, SafetyStop
from hal.types import Instruction, InstructionKind, Pose6
from rig.control.controller import Controller
from rig.instruments.jogs import ARRIVED_MM, INSERTED_MM, check_probe, depth_mm
from rig.roles import CARRIER, HOLDER

WAIT_S = 600.0
"""A person may take this long to answer."""


def require_no_needle(controller: Controller, before: str = "the probe scans") -> None:
    """Raises ``ConfigError`` for a needle in the gel, by its axis or by its calibrated tip."""
    if controller.rig.carrier is None:
        return
    state = controller.read(CARRIER)
    deep_mm = depth_mm(state.pose, controller.rig.config.needle.mount)
    if deep_mm > INSERTED_MM + ARRIVED_MM:
        raise ConfigError(f"the needle is {deep_mm:.1f} mm in the gel: withdraw it before {before}")


def require_clear(controller: Controller, doing: str) -> None:
    """A person looks before the probe moves: only he sees a needle held by hand, or a carrier beside the phantom.

    Raises ``ConfigError`` for a needle in the gel, ``SafetyStop`` when the answer is no, ``DeviceError`` without one.
    """
    require_no_needle(controller)
    if controller.rig.operator is None:
        return
    text = f"{doing}: the probe slides over the gel. Gel wet, needle out and aside, nothing in its way, nobody near?"
    if not controller.ask(Instruction(InstructionKind.CONFIRM, text), WAIT_S).done:
        raise SafetyStop("the operator did not agree to the probe moving", source="operator_declined")
    require_no_needle(controller)


def way_over(controller: Controller, above: Pose6) -> tuple[Pose6, Pose6]:
    """Straight up from wherever the probe stands, then across: one that a stop left on the gel is not dragged.

    ``above``: off the skin (``ProbeToHolder``). Raises ``LimitViolation``.
    """
    here = controller.read(HOLDER)
    up = replace(here.pose, z_mm=min(here.pose.z_mm, above.z_mm))
    check_probe(up, controller.limits.motion.probe_speed_mm_s, controller.limits.motion, here.pose)
    return up, above
