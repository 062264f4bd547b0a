"""A simulated bench: one world, one simulator per device behind its own wire, published in this process.

A cartridge is one world: pour, placement, needle and fluid are drawn from the cartridge's seed, the bench's own
errors from the bench's seed.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hal.clock import Clock
from hal.interfaces import Device
from hal.links import wire
from hal.links.wire import Endpoint, WireCore
from hal.phantom.materials import by_label
from hal.phantom.needles import load_needle
from hal.phantom.nominal import load_phantom
from hal.sim.acoustics.renderer import Renderer
from hal.sim.acoustics.scan_grid import ScanGrid
from hal.sim.acoustics.scene import Scene
from hal.sim.build import AsBuilt, BuildErrors, build
from hal.sim.devices.contact_modbus import ContactInputs
from hal.sim.devices.force_modbus import ForceAmplifier
from hal.sim.devices.motion_config import carrier_config, holder_config
from hal.sim.devices.motion_grbl import GrblCore
from hal.sim.devices.pressure_keller import KellerPressure
from hal.sim.devices.pump_new_era import NewEraPump
from hal.sim.devices.tracker_igtl import TrackerCore
from hal.sim.devices.ultrasound_igtl import UltrasoundCore
from hal.sim.fault_plan import FaultPlan
from hal.sim.faults import FaultyCore, FaultyEndpoint
from hal.sim.fluid import Hydraulics, LineSpec
from hal.sim.needle import Needle
from hal.sim.operator import SimulatedOperator, profile
from hal.sim.placement import Placement, place
from hal.sim.settings import ReferenceBody, SimSettings
from hal.sim.witness import WorldWitness
from hal.sim.world import Tissue, World
from hal.types import ImagingSettings, Matrix, ProbeGeometry

HAND_STIFFNESS_N_MM = 2.0
"""Of fingers and wrist along the needle [A]."""
BOTH = frozenset({"pty", "tcp"})
TCP = frozenset({"tcp"})
_numbers = itertools.count(1)


@dataclass(frozen=True)
class SimDevice:
    """One simulated device."""

    role: str
    driver: str
    core: WireCore
    tcp_core: WireCore | None
    kinds: frozenset[str]


@dataclass(frozen=True)
class BenchSpec:
    """What a bench is made from, besides the seeds."""

    settings: SimSettings
    frames: Mapping[str, Matrix]
    """Nominal ``PhantomToRig``, ``HolderToRig``, ``CarrierToRig``, ``TrackerToRig``."""
    probe: ProbeGeometry
    needle: str
    compliance_ul_kpa: float
    """As the rig file states it; the line at hand differs."""


GEL_CURVATURE_SD = 0.15
"""Relative standard deviation of the bending between gels, beside that between needles [A]: the published figures are
for one ballistic gel."""


class CarrierAxes:
    """Axes of a carrier's controller (X, Y, Z feed, A lateral, B tilt, C bevel) in the order of ``NeedlePose``."""

    def __init__(self, core: GrblCore) -> None:
        self._core = core
        self._seen: NDArray[np.float64] | None = None
        self._pose = np.zeros(6)

    def axes_at(self, now_ns: int) -> NDArray[np.float64]:
        axes = self._core.axes_at(now_ns)
        if axes is not self._seen:
            self._seen = axes
            self._pose = axes[[0, 1, 3, 4, 2, 5]]
        return self._pose


class Bench:
    """A world with all its devices."""

    def __init__(self, spec: BenchSpec, clock: Clock, cartridge_seed: int) -> None:
        s = spec.settings
        self.name = f"bench{next(_numbers)}"
        self.lock = threading.RLock()
        self.clock = clock
        self._published: list[str] = []
        built = _poured(s, cartridge_seed)
        placement = place(dict(spec.frames), s.placement, s.bench, cartridge_seed)
        self.world = _world(spec, built, placement, cartridge_seed)
        world = self.world
        holder = GrblCore(holder_config(), world, seed=s.bench)
        carrier = GrblCore(carrier_config(), world, seed=s.bench + 1)
        pump = NewEraPump(world, seed=s.bench + 2)
        self.carrier = CarrierAxes(carrier)
        world.holder, world.needle_source, world.plunger = holder, self.carrier, pump
        body = s.reference_body
        world.ReferenceToPhantom = placement.ReferenceToPhantom if body is None else _body(body)
        imaging = ImagingSettings(depth_mm=s.depth_mm, frequency_mhz=s.frequency_mhz)

        def geometry(settings: ImagingSettings) -> Matrix:
            return ScanGrid.of(spec.probe, settings, s.frame_quality).ImageToProbe

        seed = s.bench
        faults = FaultPlan(s.faults, clock.now_ns(), seed)
        faults.happen_to(world, pump, holder, carrier)
        touched = faults.touched(world)
        devices = (
            SimDevice("holder", "grblhal_holder", holder, None, BOTH),
            SimDevice("carrier", "grblhal_carrier", carrier, None, BOTH),
            SimDevice("pump", "new_era_pump", pump, None, BOTH),
            SimDevice("pressure", "keller_pressure", KellerPressure(world, seed=seed + 3),
                      KellerPressure(world, seed=seed + 3, mbap=True), BOTH),
            SimDevice("needle_force", "modbus_needle_force", ForceAmplifier(world, "needle", seed=seed + 4),
                      ForceAmplifier(world, "needle", seed=seed + 4, mbap=True), BOTH),
            SimDevice("probe_force", "modbus_probe_force", ForceAmplifier(world, "probe", seed=seed + 5),
                      ForceAmplifier(world, "probe", seed=seed + 5, mbap=True), BOTH),
            SimDevice("contact", "modbus_contact", ContactInputs(touched), ContactInputs(touched, mbap=True), BOTH),
            SimDevice("ultrasound", "igtl_ultrasound",
                      UltrasoundCore(world, geometry, rate_hz=s.frame_rate_hz, settings=imaging), None, TCP),
            SimDevice("tracker", "igtl_tracker", TrackerCore(faults.seen(world)), None, TCP),
        )  # fmt: skip
        self._devices = tuple(_with_faults(device, faults) for device in devices)
        self.operator = SimulatedOperator(world, profile(s.operator), clock, cartridge_seed, bench_seed=seed)
        self._asked = faults.asked(self.operator, clock)
        self.witness = WorldWitness(world)

    def cores(self) -> Sequence[SimDevice]:
        """All wire simulators."""
        return self._devices

    def publish(self) -> str:
        """Make every core reachable as ``rigsim://NAME/ROLE``; returns NAME."""
        for device in self._devices:
            address = f"{self.name}/{device.role}"
            wire.publish(address, _endpoint(device.core, self.clock, self.lock))
            self._published.append(address)
        return self.name

    def provided(self) -> dict[str, Device]:
        """Devices without a wire."""
        return {"operator": self._asked}

    def hand_over(self, by_hand: bool) -> None:
        """Who holds the needle from now on: the operator's hand or the carrier."""
        self.world.needle_source = self.operator.hand if by_hand else self.carrier
        self.world.hand_stiffness_n_mm = HAND_STIFFNESS_N_MM if by_hand else None

    def close(self) -> None:
        """Take the addresses back."""
        for address in self._published:
            wire.withdraw(address)
        self._published = []


def _with_faults(device: SimDevice, faults: FaultPlan) -> SimDevice:
    tcp_core = device.tcp_core
    return replace(
        device,
        core=faults.on(device.role, device.core),
        tcp_core=None if tcp_core is None else faults.on(device.role, tcp_core),
    )


def _endpoint(core: WireCore, clock: Clock, lock: threading.RLock) -> Endpoint:
    kind = FaultyEndpoint if isinstance(core, FaultyCore) else Endpoint
    return kind(core, clock, lock)


def _body(body: ReferenceBody) -> Matrix:
    """``ReferenceToPhantom``."""
    matrix = np.eye(4)
    # A rig file's placement: Rz Ry Rx, intrinsic rotations about z, then y, then x.
    matrix[:3, :3] = Rotation.from_euler("ZYX", body.rotation_deg[::-1], degrees=True).as_matrix()
    matrix[:3, 3] = body.translation_mm
    return matrix


def _poured(s: SimSettings, cartridge_seed: int) -> AsBuilt:
    if Path(s.phantom).suffix:  # a file, which may change between two pours
        return build(load_phantom(s.phantom), cartridge_seed, s.poured)
    return _poured_before(s.phantom, cartridge_seed, s.poured)


@lru_cache(maxsize=1)
def _poured_before(phantom: str, cartridge_seed: int, errors: BuildErrors) -> AsBuilt:
    """The pour takes two seconds and nothing ever changes it: tracks and fluid are kept by the world."""
    return build(load_phantom(phantom), cartridge_seed, errors)


def _world(spec: BenchSpec, built: AsBuilt, placement: Placement, cartridge_seed: int) -> World:
    s = spec.settings
    kind = load_needle(spec.needle)
    kind = replace(kind, curvature_sd=math.hypot(kind.curvature_sd, GEL_CURVATURE_SD))
    renderer = Renderer(Scene.of(built.volume, by_label()), spec.probe, s.frame_quality, seed=cartridge_seed)
    line = LineSpec(
        compliance_ul_kpa=spec.compliance_ul_kpa, gauge=int(kind.gauge.rstrip("G")), needle_mm=kind.length_mm
    )
    return World(
        built,
        placement,
        renderer,
        Needle(kind, Tissue(built), cartridge_seed),
        Hydraulics(line, s.bench),
        temperature_c=s.temperature_c,
        seed=cartridge_seed,
        mount=s.needle_mount,
    )
