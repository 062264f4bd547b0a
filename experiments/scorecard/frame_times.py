"""Frame times of the acoustic simulation on the lumbar phantom."""

from __future__ import annotations

import cv2
import numpy as np

from hal.clock import WallClock
from hal.phantom.materials import by_label
from hal.phantom.nominal import load_phantom
from hal.sim.acoustics.renderer import Renderer
from hal.sim.acoustics.scene import Scene
from hal.sim.acoustics.states import EchoNeedle
from hal.sim.build import build
from hal.types import ImagingSettings, Matrix, ProbeGeometry

PROBE = ProbeGeometry("curved", 40.0, 60.0, 40.0, 14.0)
SEED = 1
INDENTATION_MM = 2.0
VIEWS = (
    (0.0, 14.5, 0.0), (17.0, 0.0, 0.0), (30.0, 10.0, 0.0), (36.0, 8.0, 90.0), (14.0, 8.0, 90.0), (22.0, -55.0, 0.0),
)  # fmt: skip
"""Probe x, y (mm) and rotation (deg): spinous process, facet, between the transverse processes, both parasagittal
views, sacrum. Times depend on how much of the field bone hides, so one view alone would flatter."""


def _pose(x_mm: float, y_mm: float, turn_deg: float) -> Matrix:
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    pose = np.eye(4)
    pose[:3, :3] = [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]
    pose[:3, 3] = x_mm, y_mm, INDENTATION_MM
    return pose


def _times_ms(renderer: Renderer, repeats: int, clock: WallClock) -> list[float]:
    """Every view in turn, ``repeats`` times; a needle at 40 deg is in each frame."""
    settings = ImagingSettings()
    poses = [_pose(*view) for view in VIEWS]
    needles = [EchoNeedle(np.array([pose[:3, 3] + 60 * pose[:3, 0], pose[:3, 3] + [0.0, 0.0, 50.0]])) for pose in poses]
    times: list[float] = []
    for pose, needle in zip(poses, needles, strict=True):  # compiles, and fills caches
        renderer.render(pose, settings, needle=needle, indentation_mm=INDENTATION_MM)
    for _ in range(repeats):
        for pose, needle in zip(poses, needles, strict=True):
            start_ns = clock.now_ns()
            renderer.render(pose, settings, needle=needle, indentation_mm=INDENTATION_MM)
            times.append((clock.now_ns() - start_ns) / 1e6)
    return times


def measure_frames(repeats: int = 20) -> dict[str, float]:
    """Median and 95th percentile of whole frames, ms.

    Keys ``frame_full_ms_1core``, ``frame_full_ms_2core``, ``frame_fast_ms`` and the same with ``_p95``. OpenCV's
    threads are set with the renderer's and put back.
    """
    clock = WallClock()
    scene = Scene.of(build(load_phantom(), SEED).volume, by_label())
    out: dict[str, float] = {}
    before = cv2.getNumThreads()
    try:
        for key, quality, threads in (
            ("frame_full_ms_1core", "full", 1), ("frame_full_ms_2core", "full", 2), ("frame_fast_ms", "fast", 1),
        ):  # fmt: skip
            cv2.setNumThreads(threads)
            times = _times_ms(Renderer(scene, PROBE, quality, SEED, threads=threads), repeats, clock)
            out[key] = float(np.median(times))
            out[f"{key}_p95"] = float(np.percentile(times, 95))
    finally:
        cv2.setNumThreads(before)
    return out
