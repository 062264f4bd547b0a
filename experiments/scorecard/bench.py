"""The bench on which ``phantomrig score`` looks at guidance: one poured phantom seen through the probe.

Guidance gets frames, believed poses, the speed of sound of the rig file and the nominal phantom. What was poured, where
it lies and how fast sound is in it stay on this side and serve the scoring only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from hal.phantom.materials import by_label
from hal.phantom.nominal import NominalPhantom, load_phantom
from hal.sim.acoustics.renderer import Renderer
from hal.sim.acoustics.scan_grid import ScanGrid
from hal.sim.acoustics.scene import Scene
from hal.sim.acoustics.states import Bolus, EchoNeedle
from hal.sim.build import AsBuilt, build
from hal.types import ImagingSettings, Matrix, Pixels, ProbeGeometry, Vector
from rig.config import Gel
from rig.geometry.registration import Points, apply_transform, invert_rigid, rigid_matrix
from rig.guidance.bone_surface import BoneSurface, find_bone
from rig.guidance.lumbar.dorsal_map import DorsalMap, dorsal_map

PHANTOM = "lumbar_ref"
PROBE = ProbeGeometry("compact", 40.0, 60.0, 40.0, 14.0)
SETTINGS = ImagingSettings(depth_mm=95.0)
ImageToProbe = ScanGrid.of(PROBE, SETTINGS).ImageToProbe
GEL_M_S = Gel().speed(None).c_m_s
"""Gel as a rig file states it for guidance; the pour has another speed, which only the renderer knows."""
CORRECTED = np.diag([*[GEL_M_S / SETTINGS.sound_speed_m_s] * 3, 1.0]) @ ImageToProbe
"""As a trial corrects the scanner's scale."""
PRESS_MM = 4.0
NOISE_GREY = 8.0
"""Standard deviation of the noise from frame to frame, before a 3 x 3 blur [assumed]."""


@dataclass(frozen=True)
class ScoredBench:
    """A phantom in the rig, seen through the probe."""

    nominal: NominalPhantom
    built: AsBuilt
    renderer: Renderer
    PhantomToRig: Matrix

    def frame(
        self, ProbeToRig: Matrix, needle_rig: Points | None = None, bevel_deg: float = 0.0, injected_ml: float = 0.0
    ) -> Pixels:
        """Frame of the scanner at this true pose, with the needle's points (Rig, mm, tip last) if there is one, and
        a ball of fluid at its tip if some was injected.
        """
        RigToPhantom = invert_rigid(self.PhantomToRig)
        echo: EchoNeedle | None = None
        boluses: tuple[Bolus, ...] = ()
        if needle_rig is not None:
            echo = EchoNeedle(apply_transform(RigToPhantom, needle_rig), bevel_deg=bevel_deg)
            boluses = (Bolus.ball(echo.points_mm[-1], injected_ml),) if injected_ml > 0.0 else ()
        return self.renderer.render(RigToPhantom @ ProbeToRig, SETTINGS, needle=echo, boluses=boluses,
                                    sound_speed_m_s=self.built.sound_speed_m_s)  # fmt: skip

    def bone(self, ProbeToRig: Matrix) -> BoneSurface:
        """Bone as guidance finds it in the frame of this pose."""
        return find_bone(self.frame(ProbeToRig), ImageToProbe, PROBE, SETTINGS.depth_mm,
                         sound_speed_m_s=GEL_M_S, assumed_speed_m_s=SETTINGS.sound_speed_m_s)  # fmt: skip

    def placed(self, shift_mm: Vector, turn_deg: Vector) -> ScoredBench:
        """The same phantom shifted (mm) and turned (rotation vector, deg) in the rig."""
        return replace(self, PhantomToRig=rigid_matrix(np.radians(turn_deg), np.asarray(shift_mm, dtype=np.float64)))

    def map(self) -> DorsalMap:
        """Dorsal bone of the nominal phantom."""
        points, names = self.nominal.dorsal_bone_points(1.0)
        return dorsal_map(points, names)


def pour(seed: int, quality: str = "full", phantom: str = PHANTOM) -> ScoredBench:
    """A phantom (shipped name or file) poured with default build errors, at rest in the rig.

    ``quality`` is the renderer's: ``full`` (256 lines x 1024 samples x 5 slices) or ``fast`` (128 x 512 x 3); raises
    ``ValueError`` for another, ``ConfigError`` for a phantom that cannot be read.
    """
    nominal = load_phantom(phantom)
    built = build(nominal, seed)
    renderer = Renderer(Scene.of(built.volume, by_label()), PROBE, quality, seed)
    return ScoredBench(nominal, built, renderer, np.eye(4))


def with_noise(frame: Pixels, rng: np.random.Generator) -> Pixels:
    """The frame with noise of its own: the renderer repeats its noise at equal poses, a scanner does not."""
    noise = cv2.GaussianBlur(rng.normal(0.0, NOISE_GREY, frame.shape).astype(np.float32), (3, 3), 0)
    noisy = np.clip(np.round(frame + noise), 0, 255).astype(np.uint8)
    return np.where(frame > 0, noisy, frame)


def figure(value: float | np.floating[Any], digits: int = 3) -> float | None:
    """A number for a table or JSON, rounded; None when there was nothing to measure."""
    return round(float(value), digits) if np.isfinite(value) else None


def quantile(values: list[float], share: float) -> float | None:
    """Quantile of ``values`` (0..1), rounded; None of nothing."""
    return figure(np.quantile(values, share)) if values else None
