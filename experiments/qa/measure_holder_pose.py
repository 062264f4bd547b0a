"""The probe holder at the five poses of a cube, seen by the tracker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from experiments.calibrations.clear_way import require_clear, way_over
from experiments.qa.station import Station
from hal.types import Pose6
from rig.control.controller import Controller
from rig.instruments.jogs import check_probe, move_probe
from rig.instruments.tool_at_rest import tool_at_rest
from rig.roles import HOLDER

ROLES = ("holder", "tracker")
SHARE = 0.4
"""P2 to P5 stand so far along the diagonals from the centre: a tenth of a diagonal from its ends."""
ORDER = (1, 5, 4, 3, 2)
"""Of the poses in a cycle; the next cycle begins at P1 again."""
OF_DIRECTIONS = (1, 2, 4)
APPROACH_MM = 10.0
UP_MM = 5.0
"""The cube's lower face stays so far above the skin: a probe never meets the gel in this test."""


def measure(station: Station) -> None:
    """Cycles of the five poses, then three directions of approach at three of them.

    Everything is checked before the first move; raises ``LimitViolation`` for a cube outside the workspace.
    """
    controller = station.controller
    poses, speed = _cube(controller, station.number("cube_mm")), station.number("speed_mm_s")
    for pose in poses.values():
        check_probe(pose, speed, controller.limits.motion)
        for way in np.eye(3):
            check_probe(_beside(pose, way), speed, controller.limits.motion)
    require_clear(controller, "the probe holder is tested in air")
    cycles_n, turned_n = int(station.number("cycles")), int(station.number("direction_cycles"))
    for pose in way_over(controller, poses[2]):
        move_probe(controller, pose, speed)
    for cycle in range(1, cycles_n + 1):
        for n in ORDER:
            _reach(station, poses[n], n, cycle, 0, speed)
        station.tell(f"cycle {cycle} of {cycles_n}")
    for n in OF_DIRECTIONS if turned_n else ():
        for cycle in range(1, turned_n + 1):
            for direction, way in enumerate(np.eye(3), start=1):
                move_probe(controller, _beside(poses[n], way), speed)
                _reach(station, poses[n], n, cycle, direction, speed)
        station.tell(f"directions at P{n} done")


def _cube(controller: Controller, edge_mm: float) -> dict[int, Pose6]:
    """P1 in the middle, P2 to P5 on the plane through two opposite edges; the probe upright, turned as it stands.

    A tilted probe would hang a face lower than the point that is kept above the skin.
    """
    here = replace(controller.read(HOLDER).pose, a_deg=0.0, b_deg=0.0)
    box = controller.limits.motion.holder
    middle = np.array([np.mean(box.x_mm), np.mean(box.y_mm), 0.0])
    rig_z = controller.rig.frames.get("Phantom", "Holder")[2, 3]
    middle[2] = rig_z - UP_MM - edge_mm / 2.0
    corners = SHARE * edge_mm * np.array([[0, 0, 0], [1, 1, 1], [-1, 1, 1], [-1, -1, -1], [1, -1, -1]])
    return {
        n: replace(here, **dict(zip(("x_mm", "y_mm", "z_mm"), np.round(middle + corner, 3).tolist(), strict=True)))
        for n, corner in enumerate(corners, start=1)
    }


def _beside(pose: Pose6, way: NDArray[np.float64]) -> Pose6:
    """Where a pose is approached from: ``APPROACH_MM`` back along one axis of the base."""
    x, y, z = (float(v) for v in -APPROACH_MM * way)
    return replace(pose, x_mm=pose.x_mm + x, y_mm=pose.y_mm + y, z_mm=pose.z_mm + z)


def _reach(station: Station, pose: Pose6, n: int, cycle: int, direction: int, speed: float) -> None:
    controller = station.controller
    move_probe(controller, pose, speed)
    controller.wait(station.number("dwell_s"))
    tool = tool_at_rest(controller, station.text("tool"), int(station.number("readings")))
    row = (float(n), float(cycle), float(direction), pose.x_mm, pose.y_mm, pose.z_mm, *tool.at_mm.tolist())
    station.sample("poses", controller.clock.now_ns(), row)
