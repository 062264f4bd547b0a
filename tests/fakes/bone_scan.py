"""The scan of ``calibrate phantom --method surface`` without devices: one poured phantom, placed with its errors.

Run as ``python -m tests.fakes.bone_scan FIRST_SEED COUNT`` it says how often the error at the targets, which only the
simulation knows, lies within what the registration claims (simulated data).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import numpy as np

from experiments.calibrations.phantom_surface import SIDES_X_MM, designed, scan_plan
from hal.errors import CalibrationRefused
from hal.phantom.materials import by_label
from hal.phantom.nominal import load_phantom
from hal.sim.acoustics.renderer import Renderer
from hal.sim.acoustics.scan_grid import ScanGrid
from hal.sim.acoustics.scene import Scene
from hal.sim.build import AsBuilt, BuildErrors, build
from hal.sim.placement import Placement, PlacementErrors, place
from hal.types import ImagingSettings, Pixels
from rig.calibration.certificates.in_force import InForce
from rig.calibration.certificates.stated import holder, image_spread
from rig.calibration.phantom.bone import BoneRegistration, FittedBone, Sweep, fit_bone, judge
from rig.calibration.phantom.budget import Spreads
from rig.config import load_config
from rig.geometry.registration import apply_transform
from rig.guidance.bone_surface import find_bone
from rig.guidance.panorama import SweepFrame

CONFIG = load_config("simulated")
IMAGING = ImagingSettings(depth_mm=95.0)
ImageToProbe = ScanGrid.of(CONFIG.probe, IMAGING).ImageToProbe
STATED_M_S = CONFIG.gel.sound_speed_m_s
NOMINAL = load_phantom("lumbar_ref")
DRAWING = designed(NOMINAL)
NominalToRig = CONFIG.frames.PhantomToRig.as_matrix()
PLAN = scan_plan(NominalToRig)
SPREADS = Spreads(
    CONFIG.gel.u_sound_speed_m_s / STATED_M_S,
    image_spread(CONFIG, InForce())[1],
    CONFIG.frames.HolderToRig.uncertainty_mm,
    0.1,
    CONFIG.frames.HolderToRig.as_matrix()[:3, 3],
    holder(InForce()).u or 0.0,
)


@dataclass(frozen=True)
class Scene_:
    """One cartridge and its frames."""

    built: AsBuilt
    placement: Placement
    images: tuple[Pixels, ...]

    def frames(self, sound_speed_m_s: float = STATED_M_S) -> list[SweepFrame]:
        """Bone as found with a speed of sound that somebody states."""
        return [
            SweepFrame(
                find_bone(image, ImageToProbe, CONFIG.probe, IMAGING.depth_mm, sound_speed_m_s=sound_speed_m_s,
                          assumed_speed_m_s=IMAGING.sound_speed_m_s),
                look.ProbeToRig,
            )
            for look, image in zip(PLAN, self.images, strict=True)
        ]  # fmt: skip

    def targets_rig_mm(self) -> np.ndarray:
        """Where the roots truly are, Rig frame, (m, 3), in the order of the drawing's targets."""
        keys = [name.split(".") for name in DRAWING.places.targets]
        return np.array(
            [apply_transform(self.placement.PhantomToRig, self.built.target(*key).nerve_centre_mm) for key in keys]
        )


def scene(seed: int, errors: BuildErrors | None = None, quality: str = "full") -> Scene_:
    """Pour, place and look; bench and cartridge are drawn from the same seed."""
    built = build(NOMINAL, seed, errors)
    frames = {name: getattr(CONFIG.frames, name).as_matrix() for name in ("PhantomToRig", "HolderToRig")}
    frames |= {"CarrierToRig": np.eye(4), "TrackerToRig": np.eye(4)}
    placement = place(frames, PlacementErrors(), seed, seed)
    renderer = Renderer(Scene.of(built.volume, by_label()), CONFIG.probe, quality, seed)
    RigToPhantom = np.linalg.inv(placement.PhantomToRig)
    back = placement.HolderToRig @ np.linalg.inv(frames["HolderToRig"])
    images = tuple(
        renderer.render(
            RigToPhantom @ back @ look.ProbeToRig @ placement.ProbeToFlange, IMAGING,
            sound_speed_m_s=built.sound_speed_m_s,
        )
        for look in PLAN
    )  # fmt: skip
    return Scene_(built, placement, images)


def sides(frames: list[SweepFrame]) -> tuple[list[list[Sweep]], list[SweepFrame]]:
    """As ``fit_bone`` takes them."""
    pairs = list(zip(PLAN, frames, strict=True))
    along = [
        [Sweep(x, tuple(f for look, f in pairs if look.kind == "longitudinal" and look.x_mm == x)) for x in xs]
        for xs in SIDES_X_MM
    ]
    return along, [f for look, f in pairs if look.kind == "transverse"]


def fitted(frames: list[SweepFrame], PhantomToRig: np.ndarray = NominalToRig) -> FittedBone:
    """Counted and fitted to the design."""
    return fit_bone(*sides(frames), DRAWING, PhantomToRig)


def registered(seed: int, draws_n: int = 0) -> tuple[BoneRegistration, np.ndarray]:
    """Registration and the true targets (Rig frame)."""
    made = scene(seed)
    return judge(fitted(made.frames()), DRAWING, SPREADS, draws_n=draws_n), made.targets_rig_mm()


def errors(result: BoneRegistration, true_rig_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Length of each target's error (mm), whether it lies within the claimed 95 %, and its squared Mahalanobis length
    (3 is expected)."""
    designed_mm = np.array(list(DRAWING.places.targets.values()))
    away = apply_transform(result.PhantomToRig, designed_mm) - true_rig_mm
    own = away @ result.PhantomToRig[:3, :3]
    lengths = np.linalg.norm(away, axis=1)
    inside = lengths <= np.array([c.radius_95_mm for c in result.budget.claims])
    return (
        lengths,
        inside,
        np.array([v @ np.linalg.solve(c.covariance, v) for v, c in zip(own, result.budget.claims, strict=True)]),
    )


def moved(frames: list[SweepFrame], change: np.ndarray) -> list[SweepFrame]:
    """The same frames with the whole phantom somewhere else: ``change`` is applied in the rig."""
    return [replace(f, ProbeToRig=change @ f.ProbeToRig) for f in frames]


def main() -> None:
    first, count = int(sys.argv[1]), int(sys.argv[2])
    rows, refused = [], []
    for seed in range(first, first + count):
        try:
            result, true = registered(seed)
        except CalibrationRefused as error:
            refused.append(seed)
            print(seed, "refused:", error.code, error.reason, flush=True)
            continue
        rows.append(errors(result, true))
        print(seed, rows[-1][0].round(2), rows[-1][1].astype(int), flush=True)
    lengths, inside, mahalanobis = (np.array([row[k] for row in rows]) for k in range(3))
    print(f"SIMULATED, {len(rows)} cartridges, {len(refused)} refused, {inside.size} targets")
    print(f"within the claimed 95 %: {inside.mean():.3f}; by target {inside.mean(axis=0).round(2)}")
    print(f"error: median {np.median(lengths):.2f}, p95 {np.quantile(lengths, 0.95):.2f} mm; ", end="")
    print(f"mean squared Mahalanobis length {mahalanobis.mean():.2f} (3 is expected)")


if __name__ == "__main__":
    main()
