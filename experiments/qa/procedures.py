"""How each kind of QA test is carried out on a rig, by the name of the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.qa.evaluation import Parameters
from experiments.qa import (
    measure_balance_check,
    measure_capture_timing,
    measure_feed_axis,
    measure_holder_pose,
    measure_line_loss,
    measure_pump_bolus,
    measure_pump_occlusion,
    measure_pump_rate,
    measure_pump_trumpet,
    measure_sensor_static,
    measure_tracker_still,
    measure_ultrasound_air,
    measure_ultrasound_block,
)
from experiments.qa.station import Station
from rig.config import RigConfig


def _nothing(parameters: Parameters, config: RigConfig) -> str:
    return ""


@dataclass(frozen=True)
class Procedure:
    """Carries out one kind of test."""

    roles: tuple[str, ...]
    """Devices that the rig must have."""
    measure: Callable[[Station], None]
    """Fills the streams; raises what the devices and the scan raise."""
    refusal: Callable[[Parameters, RigConfig], str] = _nothing
    """Why the test cannot be carried out like this on this rig, before anything is opened; empty when it can."""


PROCEDURES = {
    "tracker_still": Procedure(measure_tracker_still.ROLES, measure_tracker_still.measure),
    "line_loss": Procedure(measure_line_loss.ROLES, measure_line_loss.measure),
    "pressure_static": Procedure((*measure_sensor_static.ROLES, "pressure"), measure_sensor_static.measure),
    "needle_force_static": Procedure((*measure_sensor_static.ROLES, "needle_force"), measure_sensor_static.measure),
    "holder_pose": Procedure(measure_holder_pose.ROLES, measure_holder_pose.measure),
    "feed_axis": Procedure(measure_feed_axis.ROLES, measure_feed_axis.measure),
    "pump_trumpet": Procedure(measure_pump_trumpet.ROLES, measure_pump_trumpet.measure, measure_pump_trumpet.refusal),
    "pump_bolus": Procedure(measure_pump_bolus.ROLES, measure_pump_bolus.measure, measure_pump_bolus.refusal),
    "pump_rate": Procedure(measure_pump_rate.ROLES, measure_pump_rate.measure, measure_pump_rate.refusal),
    "pump_occlusion": Procedure(
        measure_pump_occlusion.ROLES, measure_pump_occlusion.measure, measure_pump_occlusion.refusal
    ),
    "balance_check": Procedure(measure_balance_check.ROLES, measure_balance_check.measure),
    "ultrasound_air": Procedure(measure_ultrasound_air.ROLES, measure_ultrasound_air.measure),
    "ultrasound_block": Procedure(measure_ultrasound_block.ROLES, measure_ultrasound_block.measure),
    "capture_timing": Procedure(measure_capture_timing.ROLES, measure_capture_timing.measure),
}
