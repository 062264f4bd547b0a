"""How each kind of QA test is carried out on a rig, by the name of the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from experiments.qa import (
    measure_capture_timing,
    measure_feed_axis,
    measure_holder_pose,
    measure_line_loss,
    measure_sensor_static,
    measure_tracker_still,
)
from experiments.qa.station import Station


@dataclass(frozen=True)
class Procedure:
    """Carries out one kind of test."""

    roles: tuple[str, ...]
    """Devices that the rig must have."""
    measure: Callable[[Station], None]
    """Fills the streams; raises what the devices and the scan raise."""


PROCEDURES = {
    "tracker_still": Procedure(measure_tracker_still.ROLES, measure_tracker_still.measure),
    "line_loss": Procedure(measure_line_loss.ROLES, measure_line_loss.measure),
    "pressure_static": Procedure((*measure_sensor_static.ROLES, "pressure"), measure_sensor_static.measure),
    "needle_force_static": Procedure((*measure_sensor_static.ROLES, "needle_force"), measure_sensor_static.measure),
    "holder_pose": Procedure(measure_holder_pose.ROLES, measure_holder_pose.measure),
    "feed_axis": Procedure(measure_feed_axis.ROLES, measure_feed_axis.measure),
    "capture_timing": Procedure(measure_capture_timing.ROLES, measure_capture_timing.measure),
}
