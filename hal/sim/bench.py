"""A simulated bench: one world, one simulator per device behind its own wire, published in this process.

A cartridge is one world: pour, placement, needle and fluid are drawn from the cartridge's seed, the bench's own
errors from the bench's seed.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from hal.clock import Clock
from hal.errors import ConfigError
from hal.interfaces import Device
from hal.links import wire
from hal.links.wire import Endpoint, WireCore
from hal.phantom.needles import load_needle
from hal.phantom.nominal import load_phantom
from hal.phantom.qa_block import is_block, load_block
from hal.sim.acoustics.renderer import Renderer
from hal.sim.acoustics.scan_grid import ScanGrid
from hal.sim.acoustics.scene import PreparedScene, Scene, prepare
from hal.sim.build import AsBuilt, BuildErrors, build
from hal.sim.fault_plan import FaultPlan
from hal.sim.faults import FaultyCore, FaultyEndpoint
from hal.sim.fluid import Hydraulics, LineSpec
from hal.sim.needle import Needle
from hal.sim.operator import SimulatedOperator, profile
from hal.sim.placement import Placement, place
from hal.sim.ports import AxesSource
from hal.sim.qa_block import pour_block
from hal.sim.settings import ReferenceBody, SimSettings
from hal.sim.simulators import Imaging, SimDevice, SimPlace, simulator_of
from hal.sim.vessel import Vessel
from hal.sim.witness import WorldWitness
from hal.sim.world import Tissue, World
from hal.types import ImagingSettings, Matrix, ProbeGeometry

HAND_STIFFNESS_N_MM = 2.0
"""Stiffness of fingers and wrist along the needle [A]."""
_numbers = itertools.count(1)


STANDARD = {
    "holder": "grblhal_holder",
    "carrier": "grblhal_carrier",
    "pump": "new_era_pump",
    "pressure": "keller_pressure",
    "needle_force": "modbus_needle_force",
    "probe_force": "modbus_probe_force",
    "contact": "modbus_contact",
    "ultrasound": "igtl_ultrasound",
    "tracker": "igtl_tracker",
}
"""Driver of each role whose device a bench has although the rig file names none. The order also gives each device its
own seed on the bench."""


@dataclass(frozen=True)
class StatedDevice:
    """A device that the rig file puts on the bench."""

    driver: str
    address: str
    """``rigsim://ADDRESS``."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Properties that the file states, checked by the driver's settings."""


@dataclass(frozen=True)
class BenchSpec:
    """Definition of a bench, apart from the seeds."""

    settings: SimSettings
    frames: Mapping[str, Matrix]
    """Nominal ``PhantomToRig``, ``HolderToRig``, ``CarrierToRig``, ``TrackerToRig``."""
    probe: ProbeGeometry
    needle: str
    compliance_ul_kpa: float
    """As the rig file states it; the line at hand differs."""
    devices: Mapping[str, StatedDevice] = field(default_factory=dict)
    """By role; of the roles that are not named the bench has its standard device."""


GEL_CURVATURE_SD = 0.15
"""Relative standard deviation of the bending between gels, beside that between needles [A]: the published figures are
for one ballistic gel."""


class Bench:
    """A world with all its devices."""

    def __init__(self, spec: BenchSpec, clock: Clock, cartridge_seed: int) -> None:
        s = spec.settings
        self.name = f"bench{next(_numbers)}"
        self.lock = threading.RLock()
        self.clock = clock
        self._published: list[str] = []
        built = _poured(s, cartridge_seed)
        placement = place(dict(spec.frames), s.placement, s.bench, cartridge_seed, _level_mm(built))
        self.world = _world(spec, built, placement, cartridge_seed)
        world = self.world
        body = s.reference_body
        world.ReferenceToPhantom = placement.ReferenceToPhantom if body is None else _body(body)
        imaging = ImagingSettings(depth_mm=s.depth_mm, frequency_mhz=s.frequency_mhz)

        def geometry(settings: ImagingSettings) -> Matrix:
            declared = ScanGrid.of(spec.probe, settings, s.frame_quality).ImageToProbe
            return np.diag([s.scanner_errors.lateral_scale, 1.0, s.scanner_errors.depth_scale, 1.0]) @ declared

        faults = FaultPlan(s.faults, clock.now_ns(), s.bench)
        scanner = Imaging(s.frame_rate_hz, imaging, geometry)
        touched, tracked = faults.touched(world), faults.seen(world)
        stated = {role: StatedDevice(driver, role) for role, driver in STANDARD.items()} | dict(spec.devices)
        devices = [
            simulator_of(device.driver)(
                SimPlace(
                    role,
                    device.driver,
                    _seed(s.bench, role),
                    world,
                    touched,
                    tracked,
                    scanner,
                    device.settings,
                    error=s.planted(role),
                    balance=s.balance,
                    axes=s.axes_of(role),
                    plunger=s.plunger,
                )
            )
            for role, device in stated.items()
        ]
        self._addresses = {role: device.address for role, device in stated.items()}
        self.carrier = self._wire_up({device.role: device for device in devices})
        faults.happen_to(world, {device.role: device.core for device in devices})
        self._devices = tuple(_with_faults(device, faults) for device in devices)
        self.operator = SimulatedOperator(world, profile(s.operator), clock, cartridge_seed, bench_seed=s.bench)
        self._asked = faults.asked(self.operator, clock)
        self.witness = WorldWitness(world)

    def _wire_up(self, devices: Mapping[str, SimDevice]) -> AxesSource:
        """Let the world follow what moves and pumps; returns the carrier's axes."""
        sources: dict[str, Any] = {}
        for role, what in (("holder", "axes"), ("carrier", "axes"), ("pump", "plunger")):
            source = getattr(devices[role], what)
            if source is None:
                raise ConfigError(
                    f"the simulator of {devices[role].driver} gives no {what}, so the world cannot follow the {role}"
                )
            sources[role] = source
        world = self.world
        carrier: AxesSource = sources["carrier"]
        world.holder, world.needle_source, world.plunger = sources["holder"], carrier, sources["pump"]
        return carrier

    def cores(self) -> Sequence[SimDevice]:
        """All wire simulators."""
        return self._devices

    def publish(self) -> str:
        """Make every core reachable as ``rigsim://NAME/ADDRESS``; returns NAME."""
        for device in self._devices:
            address = f"{self.name}/{self._addresses[device.role]}"
            wire.publish(address, _endpoint(device.core, self.clock, self.lock))
            self._published.append(address)
        return self.name

    def provided(self) -> dict[str, Device]:
        """Devices without a wire."""
        return {"operator": self._asked}

    def hand_over(self, by_hand: bool) -> None:
        """Set who holds the needle from now on: the operator's hand or the carrier."""
        self.world.needle_source = self.operator.hand if by_hand else self.carrier
        self.world.hand_stiffness_n_mm = HAND_STIFFNESS_N_MM if by_hand else None

    def close(self) -> None:
        """Withdraw the addresses."""
        for address in self._published:
            wire.withdraw(address)
        self._published = []


def _seed(bench_seed: int, role: str) -> int:
    """Seed of one device, so that its errors are its own."""
    roles = list(STANDARD)
    return bench_seed + (roles.index(role) if role in STANDARD else len(roles))


def _level_mm(built: AsBuilt) -> float:
    """Distance from the L5 to the L4 root along Y of the designed phantom."""
    if built.block is not None:
        return 0.0
    upper, lower = (built.nominal.target(level, "left").nerve_centre_mm for level in ("L4", "L5"))
    return float(upper[1] - lower[1])


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
        return _pour(s.phantom, cartridge_seed, s.poured)
    return _poured_before(s.phantom, cartridge_seed, s.poured)


@lru_cache(maxsize=1)
def _poured_before(phantom: str, cartridge_seed: int, errors: BuildErrors) -> AsBuilt:
    """Pour from the cache: a pour takes two seconds and never changes, since the world keeps tracks and fluid."""
    return _pour(phantom, cartridge_seed, errors)


def _pour(phantom: str, cartridge_seed: int, errors: BuildErrors) -> AsBuilt:
    if is_block(phantom):
        return pour_block(load_block(phantom), cartridge_seed, errors)
    return build(load_phantom(phantom), cartridge_seed, errors)


_prepared: dict[object, PreparedScene] = {}
"""The last pour as the renderer needs it: a second to make, 150 MB to keep, never written to."""


def _prepare(s: SimSettings, built: AsBuilt, cartridge_seed: int) -> PreparedScene:
    key = None if Path(s.phantom).suffix else (s.phantom, cartridge_seed, s.poured)
    found = _prepared.get(key)
    if found is None or key is None:
        _prepared.clear()  # before the next one is made, so that there are never two
        found = prepare(Scene.of(built.volume, dict(built.materials)), cartridge_seed)
        if key is not None:
            _prepared[key] = found
    return found


def _world(spec: BenchSpec, built: AsBuilt, placement: Placement, cartridge_seed: int) -> World:
    s = spec.settings
    kind = load_needle(spec.needle)
    kind = replace(kind, curvature_sd=math.hypot(kind.curvature_sd, GEL_CURVATURE_SD))
    renderer = Renderer(partial(_prepare, s, built, cartridge_seed), spec.probe, s.frame_quality, seed=cartridge_seed)
    renderer.dead_elements, renderer.lens_mm = s.scanner_errors.dead_elements, s.lens_mm
    line = LineSpec(
        compliance_ul_kpa=spec.compliance_ul_kpa if s.line.compliance_ul_kpa is None else s.line.compliance_ul_kpa,
        compliance_sd=LineSpec.compliance_sd if s.line.compliance_ul_kpa is None else 0.0,
        gauge=int(kind.gauge.rstrip("G")),
        needle_mm=kind.length_mm,
        viscosity_mpa_s=s.viscosity_mpa_s,
        leak_ml_h=s.line.leak_ml_h,
        air_ml=s.line.air_ml,
    )
    world = World(
        built,
        placement,
        renderer,
        Needle(kind, Tissue(built), cartridge_seed),
        Hydraulics(line, s.bench),
        temperature_c=s.temperature_c,
        seed=cartridge_seed,
        mount=s.needle_mount,
    )
    world.tracker_noise_mm, world.tracks_probe = s.tracker.noise_mm, s.tracker.probe_body
    world.conversion_m_s = s.scanner_errors.conversion_m_s
    world.vessel = Vessel(s.vessel, kind.od_mm, s.temperature_c, s.bench)
    return world
