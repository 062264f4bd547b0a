"""The world's witness: the truth at the moments that scoring needs.

Implements ``rig.setup.witness.Witness``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hal.phantom.cords import Cord
from hal.phantom.target import Target
from hal.sim.world import World
from hal.types import Vector

COVER_LENGTH_MM = 10.0
COVER_GAP_MM = 2.0
COVER_ANGLES_N = 36
"""Spread: share of the nerve's circumference within 2 mm of injectate over 10 mm of its length (domain 3.4)."""


class WorldWitness:
    """Notes of one trial."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._level, self._side = "", ""
        self._approach: Vector = np.array([0.0, 0.0, 1.0])
        self._moments: dict[str, dict[str, Any]] = {}
        self._confirmations: list[dict[str, Any]] = []
        self._paths: list[NDArray[np.float64]] = []
        self._first_bolus = 0

    def begin(self, level: str, side: str, approach: Vector) -> None:
        self._level, self._side, self._approach = level, side, approach
        self._moments = {}
        self._confirmations = []
        self._paths = []
        self._first_bolus = len(self._world.fluid.boluses)

    def note(self, moment: str) -> None:
        needle = self._world.needle
        tip = needle.tip_mm
        self._moments[moment] = {
            "tip_mm": tip.copy(),
            "direction": np.asarray(needle.tip_direction).copy(),
            "structure": self._world.built.structure_at(tip),
            "gap_mm": self._gap(tip),
            "deflection_mm": float(needle.deflection_mm),
        }

    def confirmed(self, method: str, tip_rig_mm: Vector) -> None:
        tip = self._world.needle.tip_mm
        RigToPhantom = np.linalg.inv(self._world.placement.PhantomToRig)
        believed = RigToPhantom[:3, :3] @ np.asarray(tip_rig_mm) + RigToPhantom[:3, 3]
        self._confirmations.append(
            {
                "method": method,
                "tip_mm": tip.copy(),
                "believed_mm": believed,
                "off_mm": float(np.linalg.norm(believed - tip)),
            }
        )

    def insertion_done(self) -> None:
        for path in self._world.withdrawn_paths():
            self._paths.append(path)
            self._world.remember_track(path)

    def testimony(self) -> dict[str, Any]:
        built = self._world.built
        target = self._target
        cord = self._nerve
        path = np.concatenate(self._paths) if self._paths else np.zeros((0, 3))
        structures: list[str] = []
        for point in path:
            name = self._world.tissue.material(self._world.tissue.label_at(point)).name
            if not structures or structures[-1] != name:
                structures.append(name)
        return {
            "level": self._level,
            "side": self._side,
            "aim_mm": target.aim_mm(self._approach),
            "nerve_centre_mm": target.nerve_centre_mm,
            "nerve_axis": target.nerve_axis,
            "nerve_radius_mm": target.nerve_radius_mm,
            "nerve_line_mm": cord.line_mm,
            "targets": {f"{lv}.{sd}": t.nerve_centre_mm for (lv, sd), t in built.targets.items()},
            "channel": None
            if target.channel is None
            else {"rim_mm": target.channel.rim_mm, "axis": target.channel.axis, "radius_mm": target.channel.radius_mm},
            "moments": self._moments,
            "confirmations": self._confirmations,
            "path_gap_mm": float(min((self._gap(p) for p in path), default=99.0)),
            "path_structures": structures,
            "spread_cover": self._cover(),
            "PhantomToRig": self._world.placement.PhantomToRig,
            "level_shift": self._world.placement.levels,
            "sound_speed_m_s": built.sound_speed_m_s,
        }

    # ---- geometry ------------------------------------------------------------------------------------------

    @property
    def _target(self) -> Target:
        return self._world.built.target(self._level, self._side)

    @property
    def _nerve(self) -> Cord:
        return next(c for c in self._world.built.nerves if c.level == self._level and c.side == self._side)

    def _gap(self, point: Vector) -> float:
        """Signed distance to the nearest nerve's surface."""
        return min(
            float(np.min(np.linalg.norm(c.line_mm - point, axis=1) - c.radius_mm)) for c in self._world.built.nerves
        )

    def _cover(self) -> float:
        """Share of the nerve's circumference that injectate of this trial comes within ``COVER_GAP_MM`` of."""
        boluses = self._world.fluid.boluses[self._first_bolus :]
        if not boluses:
            return 0.0
        target = self._target
        axis = target.nerve_axis
        side = np.cross(axis, [0.0, 0.0, 1.0])
        side /= np.linalg.norm(side)
        up = np.cross(side, axis)
        angles = np.linspace(0.0, 2.0 * np.pi, COVER_ANGLES_N, endpoint=False)
        ring = target.nerve_radius_mm * (np.outer(np.cos(angles), side) + np.outer(np.sin(angles), up))
        covered = np.zeros(len(angles), dtype=bool)
        for along in np.linspace(-COVER_LENGTH_MM / 2, COVER_LENGTH_MM / 2, 5):
            points = target.nerve_centre_mm + along * axis + ring
            for bolus in boluses:
                local = (points - bolus.centre_mm) @ bolus.axes.T
                reach = np.asarray(bolus.semi_axes_mm) + COVER_GAP_MM
                covered |= np.sum((local / reach) ** 2, axis=1) <= 1.0
        return float(covered.mean())
