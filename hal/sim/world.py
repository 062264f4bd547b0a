"""The one physical world behind all simulated devices.

Move the tip by one millimetre and image, force, pressure and contact change together. The world is pulled:
whoever asks for a value names a moment, the world is advanced to it in steps of ``STEP_S`` and asks the
actuators (``AxesSource``, ``PlungerSource``) where they were. Nobody outside ``hal.sim`` sees it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from hal.clock import NS_PER_S
from hal.phantom.materials import Material, materials
from hal.sim.acoustics.renderer import Content, Renderer
from hal.sim.acoustics.states import EchoNeedle, Track
from hal.sim.build import AsBuilt
from hal.sim.fluid import Hydraulics
from hal.sim.mount_error import MountError
from hal.sim.needle import Needle
from hal.sim.placement import Placement
from hal.sim.ports import AxesSource, PlungerSource
from hal.sim.stylus import Stylus
from hal.sim.vessel import Vessel
from hal.types import ImagingSettings, Matrix, NeedlePose, Pixels, Vector

STEP_S = 0.005
"""Mechanics and fluid: the fastest time constant of interest is the line's (about 0.1 s)."""
PROBE_STIFFNESS_N_MM = 1.2
"""Contact force per indentation of the compact face on 18 kPa gel (assumption: E a, a = 20 mm, halved)."""
HAND_RELAXATION = 0.04
"""Share per step: below the ratio of hand to bone stiffness (2 to 40 N/mm), so that the contact is stable."""
REFERENCE_NOISE_MM = 0.2
"""Repeatability of the tip sensor per axis (assumption for an electromagnetic stylet in gel)."""
STYLUS_NOISE_DEG = 0.05
"""Noise of the stylus's marker per axis, beside ``REFERENCE_NOISE_MM`` [A]."""


WELL_MOUNTED = MountError()


@dataclass(frozen=True)
class _Moment:
    """Needle source axes and plunger at the last step."""

    axes: tuple[float, ...]
    displaced_ml: float


class Tissue:
    """Properties of the phantom that the needle needs."""

    def __init__(self, built: AsBuilt) -> None:
        self._volume = built.volume
        self._materials = built.materials
        self._couplant = materials()["couplant"]

    def label_at(self, point: Vector) -> int:
        return self._volume.label_at_point(float(point[0]), float(point[1]), float(point[2]))

    def material(self, label: int) -> Material:
        return self._materials.get(label, self._couplant)


class World:
    """Phantom, probe, needle and fluid in one place; the truth."""

    def __init__(
        self,
        built: AsBuilt,
        placement: Placement,
        renderer: Renderer,
        needle: Needle,
        fluid: Hydraulics,
        *,
        temperature_c: float,
        seed: int,
        mount: MountError = WELL_MOUNTED,
    ) -> None:
        self.built = built
        self.placement = placement
        self.renderer = renderer
        self.needle = needle
        self.fluid = fluid
        self.tissue = Tissue(built)
        self.temperature = temperature_c
        self.mount = mount
        self.holder: AxesSource | None = None
        self.needle_source: AxesSource | None = None
        """Axes in the order of ``NeedlePose``: x, y, lateral, tilt, feed, bevel."""
        self.plunger: PlungerSource | None = None
        self.pedal = False
        self.estop = False
        self.tracker_noise_mm = REFERENCE_NOISE_MM
        self.tracks_probe = False
        """A body on the probe is in the tracker's sight."""
        self.applied: dict[str, float] = {}
        """What a reference makes act on a sensor, by the sensor's role, in place of what it feels otherwise; a check
        weight (g) stands on the balance beside the vessel."""
        self.stopcock_closed = False
        """Between pressure sensor and needle."""
        self.vessel: Vessel | None = None
        """Under the tip, while that is outside the gel."""
        self._caught_ml = 0.0
        self.tracks: list[Track] = []
        """Paths of earlier insertions."""
        self.conversion_m_s: float | None = None
        """Speed with which the scanner turns time into depth, where that is not the one that it reports."""
        self.hand_stiffness_n_mm: float | None = None
        """Set while a hand holds the needle; None for a machine."""
        self.stylus: Stylus | None = None
        """Set once somebody has taken it: before that no tracker reports it."""
        self.ReferenceToPhantom: Matrix = placement.ReferenceToPhantom
        """Where the tracked body sits on the phantom's box."""
        self._stylus_rng = np.random.default_rng([seed, 0x5D])
        self._give_mm = 0.0
        self._bevel_deg = 0.0
        self._deepest_mm = 0.0
        self._deepest_path: Vector | None = None
        self.rendered_n = 0
        self._rng = np.random.default_rng([seed, 0x57])
        self._time_ns = 0
        self._last = _Moment((), 0.0)
        self._RigToPhantom = np.linalg.inv(placement.PhantomToRig)
        self._CarrierToPhantom = self._RigToPhantom @ placement.CarrierToRig
        self._probe_axes: tuple[float, ...] = ()
        self._ProbeToPhantom = np.eye(4)

    # ---- time -----------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Bring mechanics and fluid to ``now_ns``; earlier moments are ignored."""
        if now_ns <= self._time_ns:
            return
        quiet = (
            self._needle_axes(now_ns) == self._last.axes
            and self._displaced(now_ns) == self._last.displaced_ml
            and self.needle.settled
        )
        if quiet:
            self._step(now_ns)
            return
        step_ns = int(STEP_S * NS_PER_S)
        while self._time_ns < now_ns:
            self._step(min(now_ns, self._time_ns + step_ns))

    def _needle_axes(self, now_ns: int) -> tuple[float, ...]:
        if self.needle_source is None:
            return ()
        return tuple(self.needle_source.axes_at(now_ns).tolist())

    def _displaced(self, now_ns: int) -> float:
        return 0.0 if self.plunger is None else self.plunger.displaced_ml(now_ns)

    def _step(self, to_ns: int) -> None:
        dt_s = (to_ns - self._time_ns) / NS_PER_S
        axes = self._needle_axes(to_ns)
        if axes and (axes != self._last.axes or not self.needle.settled):
            pose = NeedlePose(*axes)
            if self.hand_stiffness_n_mm is not None:
                pose = replace(pose, feed_mm=pose.feed_mm - self._give(pose.feed_mm))
            backwards = bool(self._last.axes) and pose.feed_mm < self._last.axes[4]
            if backwards and self.needle.embedded_mm > self._deepest_mm:
                self._deepest_mm = self.needle.embedded_mm
                self._deepest_path = self.needle.path.copy()
            entry, direction = self._needle_line(pose)
            self._bevel_deg = pose.bevel_deg
            feed = pose.feed_mm
            if not self.mount.none and self.hand_stiffness_n_mm is None:
                entry, feed = self._as_mounted(pose, entry)
            self.needle.step(entry, direction, feed, pose.bevel_deg, dt_s)
        displaced = self._displaced(to_ns)
        tip = self.needle.tip_mm
        in_gel = self.needle.embedded_mm > 0.0
        material = self.tissue.material(self.tip_label()) if in_gel else None
        before_ml = self.fluid.delivered_ml
        self.fluid.step(dt_s, displaced, material, tip, in_gel, self.needle.bone_contact or self.stopcock_closed)
        if not in_gel:
            self._caught_ml += self.fluid.delivered_ml - before_ml
        self._last = _Moment(axes, displaced)
        self._time_ns = to_ns

    def _give(self, feed_mm: float) -> float:
        """Distance that a hand yields under the needle's force (mm): a hand is a spring, not a machine.

        Relaxed step by step: the needle on bone is twenty times stiffer than the hand.
        """
        assert self.hand_stiffness_n_mm is not None
        wanted = self.needle.axial_force_n / self.hand_stiffness_n_mm
        self._give_mm += HAND_RELAXATION * (wanted - self._give_mm)
        if feed_mm <= 0.0:
            self._give_mm = 0.0
        return self._give_mm

    def _needle_line(self, pose: NeedlePose) -> tuple[Vector, Vector]:
        """Entry point and direction in the Phantom frame, with the true carrier placement."""
        lateral, tilt = np.radians(pose.lateral_deg), np.radians(pose.tilt_deg)
        direction = np.array([-np.sin(lateral), -np.sin(tilt) * np.cos(lateral), np.cos(lateral) * np.cos(tilt)])
        T = self._CarrierToPhantom
        entry: Vector = T[:3, :3] @ np.array([pose.x_mm, pose.y_mm, 0.0]) + T[:3, 3]
        return entry, T[:3, :3] @ direction

    def _as_mounted(self, pose: NeedlePose, entry: Vector) -> tuple[Vector, float]:
        """Entry point and feed of the shaft as it sits in the carrier; a hand holds its needle itself."""
        x, y, z = self.mount.local_mm(pose)
        r = self._CarrierToPhantom[:3, :3]
        axes = Rotation.from_euler("XY", (pose.tilt_deg, -pose.lateral_deg), degrees=True).as_matrix()
        return entry + r @ (axes[:, 0] * x + axes[:, 1] * y), pose.feed_mm + z

    # ---- what is where ----------------------------------------------------------------------------------

    def tip_label(self) -> int:
        return self.tissue.label_at(self.needle.tip_mm)

    def probe_to_phantom(self, now_ns: int) -> Matrix:
        """True pose of the probe face, ``ProbeToPhantom``."""
        if self.holder is None:
            return self._ProbeToPhantom
        axes = tuple(self.holder.axes_at(now_ns).tolist())
        if axes != self._probe_axes:
            self._probe_axes = axes
            flange = np.eye(4)
            # Rz(C) Ry(B) Rx(A): intrinsic rotations about z, then y, then x.
            flange[:3, :3] = Rotation.from_euler("ZYX", (axes[5], axes[4], axes[3]), degrees=True).as_matrix()
            flange[:3, 3] = axes[:3]
            p = self.placement
            self._ProbeToPhantom = self._RigToPhantom @ p.HolderToRig @ flange @ p.ProbeToFlange
        return self._ProbeToPhantom

    def indentation_mm(self, now_ns: int) -> float:
        return max(0.0, float(self.probe_to_phantom(now_ns)[2, 3]))

    # ---- ports ------------------------------------------------------------------------------------------

    def line_pressure_kpa(self, now_ns: int) -> float:
        self.advance(now_ns)
        return self.applied.get("pressure", self.fluid.line_pressure_kpa)

    def temperature_c(self, now_ns: int) -> float:
        return self.temperature

    def pan(self, now_ns: int) -> tuple[float, float]:
        """Weight of vessel and check weight (g), and its rate (g/s)."""
        self.advance(now_ns)
        weight_g = self.applied.get("balance", 0.0)
        if self.vessel is None:
            return weight_g, 0.0
        outflow_ml_min = 0.0 if self.needle.embedded_mm > 0.0 else self.fluid.outflow_ml_min
        return weight_g + self.vessel.weight_g(self._caught_ml, now_ns), self.vessel.rate_g_s(outflow_ml_min)

    def needle_force_n(self, now_ns: int) -> float:
        self.advance(now_ns)
        return self.applied.get("needle_force", self.needle.axial_force_n)

    def probe_force_n(self, now_ns: int) -> float:
        return self.applied.get("probe_force", PROBE_STIFFNESS_N_MM * self.indentation_mm(now_ns))

    def touches(self, now_ns: int) -> tuple[bool, bool, bool]:
        self.advance(now_ns)
        if self.needle.embedded_mm <= 0.0:
            return (False, False, self.pedal)
        name = self.tissue.material(self.tip_label()).name
        return (name in ("nerve_rim", "nerve_core"), name in ("artery", "vein"), self.pedal)

    def estop_pressed(self, now_ns: int) -> bool:
        return self.estop

    def render(self, now_ns: int, settings: ImagingSettings) -> Pixels:
        self.advance(now_ns)
        self.rendered_n += 1
        needle = None
        if self.needle.embedded_mm > 0.0:
            needle = EchoNeedle(self.needle.path, self.needle.spec.od_mm, self._bevel_deg)
        content = Content(needle=needle, boluses=self.fluid.boluses, tracks=tuple(self.tracks))
        if self.built.block is None:
            content["indentation_mm"] = self.indentation_mm(now_ns)
        else:
            content["wires_mm"], content["couplant_gap_mm"] = self.built.block.wires_mm, self.built.block.well_mm
        if self.conversion_m_s is not None:
            settings = replace(settings, sound_speed_m_s=self.conversion_m_s)
        pose, speed_m_s = self.probe_to_phantom(now_ns), self.built.sound_speed_m_s
        return self.renderer.render(pose, settings, sound_speed_m_s=speed_m_s, **content)

    def tracked(self, now_ns: int) -> dict[str, Matrix | None]:
        """Tip sensor in the needle (sees bending), the body on the phantom's box, and the stylus once it is in use."""
        self.advance(now_ns)
        RigToTracker = np.linalg.inv(self.placement.TrackerToRig)
        PhantomToTracker = RigToTracker @ self.placement.PhantomToRig
        tip = np.eye(4)
        tip[:3, :3] = Rotation.align_vectors(self.needle.tip_direction, np.array([0.0, 0.0, 1.0]))[0].as_matrix()
        tip[:3, 3] = self.needle.tip_mm
        poses: dict[str, Matrix | None] = {}
        body = PhantomToTracker @ self.ReferenceToPhantom
        for name, pose in (("NeedleTipToTracker", PhantomToTracker @ tip), ("PhantomToTracker", body)):
            noisy = pose.copy()
            noisy[:3, 3] += self._rng.normal(0.0, self.tracker_noise_mm, 3)
            poses[name] = noisy
        if self.tracks_probe:
            noisy = PhantomToTracker @ self.probe_to_phantom(now_ns)
            noisy[:3, 3] += self._rng.normal(0.0, self.tracker_noise_mm, 3)
            poses["ProbeToTracker"] = noisy
        if self.stylus is not None:
            noisy = PhantomToTracker @ self.stylus.pose_at(now_ns)
            shake = self._stylus_rng.normal(0.0, (*[REFERENCE_NOISE_MM] * 3, *[STYLUS_NOISE_DEG] * 3))
            noisy[:3, 3] += shake[:3]
            noisy[:3, :3] = Rotation.from_rotvec(shake[3:], degrees=True).as_matrix() @ noisy[:3, :3]
            poses["StylusToTracker"] = noisy
        return poses

    # ---- between insertions -------------------------------------------------------------------------------

    def withdrawn_paths(self) -> list[Vector]:
        """Paths that the needle has cut since the last call, each (n, 3), Phantom frame."""
        paths = [] if self._deepest_path is None else [self._deepest_path]
        self._deepest_mm, self._deepest_path = 0.0, None
        return paths

    def remember_track(self, path: Vector) -> None:
        """Keep a withdrawn needle's path as an old track of the cartridge."""
        if len(path) >= 2:
            self.tracks.append(Track(path, self.needle.spec.od_mm))
