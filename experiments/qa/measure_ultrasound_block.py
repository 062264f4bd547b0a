"""Pictures of a QA block, a few of each view, and one in air; the probe is moved by its holder, or by a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.calibrations.clear_way import require_clear, way_over
from experiments.qa.block_log import BlockLog
from experiments.qa.station import Station
from hal.clock import NS_PER_S
from hal.errors import DeviceError
from hal.phantom.qa_block import load_block
from hal.types import Frame, Pose6
from rig.calibration.scanner import BlockPicture
from rig.geometry.transforms import from_pose6, to_pose6, translation
from rig.instruments.jogs import check_probe, move_probe
from rig.roles import HOLDER, PROBE_FORCE

ROLES = ("ultrasound",)
SPEED_MM_S, SLOW_MM_S = 10.0, 2.0
RESTS_NS = int(0.2 * NS_PER_S)
CLEAR_MM = 20.0
"""Least height over the window between places; more than any water well's depth."""
CONTACT_N, STEP_MM, PRESS_MM = 0.5, 0.25, 3.0
"""The face has met the window at this force; steps of the way down, and how far beyond the window's nominal place."""


def measure(station: Station) -> None:
    """Fill the tables of ``ultrasound_block``.

    Raises ``CalibrationRefused`` when the pictures do not show the block, or show it turned round, and
    ``LimitViolation`` before the first move for a view outside the workspace.
    """
    bench = _Bench(station)
    log = BlockLog(bench.block, station.sample)
    log.begin(station.controller.clock.now_ns(), station.number("temperature_c"), bench.assumed_m_s)
    views, n, step_mm = station.numbers("views_x_mm"), int(station.number("pictures")), station.number("step_mm")
    places = [(x, (k - (n - 1) / 2) * step_mm) for x in (views if bench.reaches else views[:1]) for k in range(n)]
    bench.begin(places)
    if station.number("lift_mm") > 0.0 and bench.in_air:
        frame = bench.frame()
        log.add_air(bench.picture(frame, 0.0), frame.time_ns)
    for x_mm, y_mm in places:
        bench.stand(x_mm, y_mm)
        frame = bench.frame()
        log.add(bench.picture(frame, x_mm), frame.time_ns)
        station.tell(f"picture {log.pictures_n} of {len(places)}, {x_mm:+g} mm from the column")
    bench.back()


class _Bench:
    """The probe over the block, which stands where the rig file has the phantom."""

    def __init__(self, station: Station) -> None:
        self._station, self._controller = station, station.controller
        rig = station.controller.rig
        assert rig.ultrasound is not None
        self.block = load_block(station.text("block"))
        self.assumed_m_s = rig.ultrasound.settings().sound_speed_m_s
        self._radius_mm = rig.config.probe.radius_mm
        self._over: Pose6 | None = None
        self._z_mm: float | None = None
        self._view_x_mm: float | None = None
        self.reaches = rig.holder is not None or rig.operator is not None

    def begin(self, places: Sequence[tuple[float, float]]) -> None:
        """Check every place, and let a person look before the probe moves."""
        name = self.block.title or self.block.name
        if self._controller.rig.holder is None:
            if self._controller.rig.operator is not None:
                self._station.ask(f"{name}: hold the probe in air with a clean, dry face. Ready?")
            return
        window = self._controller.rig.frames.get("Phantom", "Holder")[:3, 3]
        here = self._controller.read(HOLDER).pose
        lift_mm = max(self._station.number("lift_mm"), CLEAR_MM)
        x_mm, y_mm, z_mm = (float(v) for v in window)
        self._over = replace(here, x_mm=x_mm, y_mm=y_mm, z_mm=z_mm - lift_mm)
        for place in places:
            for down_mm in (0.0, lift_mm + PRESS_MM):
                check_probe(self._at(*place, down_mm), SPEED_MM_S, self._controller.limits.motion)
        require_clear(self._controller, f"{name} stands where the rig file has the phantom, its window wet")
        for pose in way_over(self._controller, self._over):
            move_probe(self._controller, pose, SPEED_MM_S)

    @property
    def in_air(self) -> bool:
        """True when the probe is in air, where ``begin`` left it."""
        return self._over is not None or self._controller.rig.operator is not None

    def stand(self, x_mm: float, y_mm: float) -> None:
        """Bring the probe to a place of the window, counted from the column of wires."""
        if self._over is not None:
            if self._z_mm is None:
                self._z_mm = self._lowered(x_mm, y_mm)
            move_probe(self._controller, self._at(x_mm, y_mm, self._z_mm), SPEED_MM_S)
        elif x_mm != self._view_x_mm and self._controller.rig.operator is not None:
            where = "with the column of wires in the middle of the picture" if self._view_x_mm is None else ""
            self._station.ask(
                f"Hold the probe on the window across the wires, {where or f'{x_mm:+g} mm from the column'}. Ready?"
            )
        self._view_x_mm = x_mm

    def back(self) -> None:
        """Lift the probe off the window."""
        if self._over is not None:
            for pose in way_over(self._controller, self._over):
                move_probe(self._controller, pose, SPEED_MM_S)

    def frame(self) -> Frame:
        """A frame taken after the probe came to rest."""
        return self._controller.frame(self._controller.clock.now_ns() + RESTS_NS)

    def picture(self, frame: Frame, view_x_mm: float) -> BlockPicture:
        dynamic_range_db = self._station.number("dynamic_range_db")
        return BlockPicture(frame.pixels, frame.ImageToProbe, dynamic_range_db, self._radius_mm, view_x_mm)

    def _at(self, x_mm: float, y_mm: float, down_mm: float) -> Pose6:
        assert self._over is not None
        return to_pose6(np.asarray(from_pose6(self._over) @ translation(x_mm, y_mm, down_mm)))

    def _lowered(self, x_mm: float, y_mm: float) -> float:
        """How far below its place in air the face meets the window: by force, or by the rig file without a sensor."""
        window_mm = max(self._station.number("lift_mm"), CLEAR_MM)
        if PROBE_FORCE not in self._controller.rig.channels:
            return window_mm
        move_probe(self._controller, self._at(x_mm, y_mm, window_mm - PRESS_MM), SPEED_MM_S)
        in_air_n = self._controller.read(PROBE_FORCE).force_n
        down_mm = window_mm - PRESS_MM
        while down_mm < window_mm + PRESS_MM:
            down_mm += STEP_MM
            move_probe(self._controller, self._at(x_mm, y_mm, down_mm), SLOW_MM_S)
            if self._controller.read(PROBE_FORCE).force_n - in_air_n >= CONTACT_N:
                return down_mm
        raise DeviceError(
            f"the probe met no window within {PRESS_MM:g} mm of where the rig file has it: no {CONTACT_N:g} N came; "
            "check the block's place and the force sensor",
            device="probe_force",
        )
