"""Pictures of a clean, dry probe in air, at rest."""

from __future__ import annotations

from dataclasses import replace

from experiments.calibrations.clear_way import require_clear, way_over
from experiments.qa.station import Station
from hal.clock import NS_PER_S
from rig.calibration.scanner import BlockPicture, read_air_bands
from rig.instruments.jogs import move_probe
from rig.roles import HOLDER

ROLES = ("ultrasound",)
SPEED_MM_S = 10.0
RESTS_NS = int(0.2 * NS_PER_S)


def measure(station: Station) -> None:
    """Lift the probe where a holder can, let a person wipe it, and take the pictures."""
    controller = station.controller
    rig = controller.rig
    if rig.holder is not None:
        height_mm = float(rig.frames.get("Phantom", "Holder")[2, 3]) - station.number("lift_mm")
        here = controller.read(HOLDER).pose
        above = replace(here, z_mm=min(here.z_mm, height_mm))
        require_clear(controller, "the probe is lifted into air")
        for pose in way_over(controller, above):
            move_probe(controller, pose, SPEED_MM_S)
    if rig.operator is not None:
        station.ask(
            "Wipe the probe's face clean and dry, and choose the preset for tests in air. Nothing near it. Ready?"
        )
    rested_ns = controller.clock.now_ns() + RESTS_NS
    for number in range(1, int(station.number("pictures")) + 1):
        frame = controller.frame(rested_ns)
        rested_ns = frame.time_ns
        picture = BlockPicture(
            frame.pixels, frame.ImageToProbe, station.number("dynamic_range_db"), rig.config.probe.radius_mm
        )
        found = read_air_bands(picture)
        station.sample("bands", frame.time_ns, (number, found.spacing_mm, found.first_mm, found.extent_mm))
        for at_mm, level_db in zip(found.along_mm.round(3), found.first_db, strict=True):
            station.sample("along", frame.time_ns, (number, float(at_mm), float(level_db)))
        for depth_mm, level_db in zip(found.depth_mm.round(3), found.depth_db, strict=True):
            station.sample("depths", frame.time_ns, (number, float(depth_mm), float(level_db)))
