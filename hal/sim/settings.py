"""``[sim]`` of a rig file: properties of the simulated bench; parameters of the simulation, not findings."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hal.files import Degrees, Document, Offset, refusal, validated
from hal.sim.build import BuildErrors
from hal.sim.devices.pump_plunger import PlungerFigures
from hal.sim.devices.sensor_noise import SensorError
from hal.sim.devices.weigh_cell import BalanceFigures
from hal.sim.faults import FaultKind
from hal.sim.mount_error import MountError
from hal.sim.placement import PlacementErrors
from hal.sim.vessel import VesselSpec

ON_THE_LINE = frozenset(kind.value for kind in FaultKind)
WIRED = (
    "holder", "carrier", "pump", "pressure", "needle_force", "probe_force", "contact", "ultrasound", "tracker",
    "balance",
)  # fmt: skip
MISHAPS: dict[str, frozenset[str]] = {
    "pump": frozenset({"jam", "power_cycle", "blocked_line", "sticks"}),
    "holder": frozenset({"limit_switch"}),
    "carrier": frozenset({"limit_switch"}),
    "contact": frozenset({"short", "broken_wire"}),
    "operator": frozenset({"declines", "absent"}),
    "tracker": frozenset({"hidden"}),
    "balance": frozenset({"power_cycle", "zero_tracking", "stuck_flag", "draught"}),
    "bench": frozenset({"emergency_stop"}),
}
"""Faults of a device itself, in addition to those of its line."""
BENCH_UNLESS_DRAWN = 1
"""The bench that calibrations and ports stand on: one table, so that what is calibrated today holds tomorrow."""


class BenchFault(BaseModel):
    """One entry of ``[[sim.faults]]``: something goes wrong from one moment to another."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    device: Literal[
        "holder", "carrier", "pump", "pressure", "needle_force", "probe_force", "contact", "ultrasound", "tracker",
        "balance", "operator", "bench",
    ]  # fmt: skip
    """Role, or ``bench`` for what happens to the whole bench."""
    kind: str
    """On the line: ``drop_reply drop_command delay corrupt truncate wrong_crc duplicate stale silent unplugged``.
    Of the device: pump ``jam power_cycle blocked_line`` and ``sticks`` (its stopper, which then goes after the
    pusher), holder and carrier ``limit_switch``, contact ``short broken_wire``, operator ``declines absent``, tracker
    ``hidden`` (no sight of the stylus), balance ``power_cycle zero_tracking`` (switched on at its keys) ``stuck_flag``
    (calls everything stable) ``draught`` (of 2 mg), bench ``emergency_stop``."""
    from_s: float = Field(ge=0.0, le=1e6)
    """Seconds since the bench was switched on (every cartridge of a simulated study begins at 0)."""
    to_s: float | None = Field(default=None, gt=0.0, le=1e6)
    """End; left out = for good."""
    probability: float = Field(default=1.0, gt=0.0, le=1.0)
    """On the line: chance that one message is hit."""
    count: int | None = Field(default=None, ge=1, le=1_000_000)
    """On the line: hits after which the fault is over."""
    delay_s: float = Field(default=0.0, ge=0.0, le=3600.0)
    """Delay of the kind ``delay``."""
    keep_n: int = Field(default=0, ge=0, le=1_000_000)
    """Number of bytes that arrive, of the kind ``truncate``."""
    position: int = Field(default=-1, ge=-1_000_000, le=1_000_000)
    """Index of the wrong byte, of the kind ``wrong_crc``."""
    input: int = Field(default=0, ge=0, le=2)
    """Input of the kinds ``short`` and ``broken_wire``: 0 nerve, 1 vessel, 2 pedal."""
    axis: Literal["X", "Y", "Z", "A", "B", "C"] = "X"
    """Axis of the kind ``limit_switch``."""

    @property
    def on_the_line(self) -> bool:
        return self.kind in ON_THE_LINE

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.to_s is not None and self.to_s <= self.from_s:
            raise ValueError(f"to_s = {self.to_s:g} must be later than from_s = {self.from_s:g}")
        known = (ON_THE_LINE if self.device in WIRED else frozenset()) | MISHAPS.get(self.device, frozenset())
        if self.kind not in known:
            raise ValueError(f"{self.device} has no fault {self.kind!r}; it has {', '.join(sorted(known))}")
        return self


class ReferenceBody(BaseModel):
    """``[sim.reference_body]``: pose of the tracked body on the phantom's box, ``translation`` after ``Rz Ry Rx``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    translation_mm: tuple[Offset, Offset, Offset] = (0.0, 0.0, 0.0)
    rotation_deg: tuple[Degrees, Degrees, Degrees] = (0.0, 0.0, 0.0)


class PlantedError(BaseModel):
    """``[sim.sensor_errors.ROLE]``: fault of one sensor, kPa or N."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    gain: float = Field(default=1.0, ge=0.1, le=10.0)
    offset: float = Field(default=0.0, ge=-100.0, le=100.0)
    drift_per_h: float = Field(default=0.0, ge=-1000.0, le=1000.0)
    hysteresis: float = Field(default=0.0, ge=0.0, le=100.0)
    """Width of the play: a rising value reads half of it low, a falling one half of it high."""
    bend: float = Field(default=0.0, ge=-100.0, le=100.0)
    """Departure from a straight line at the middle of the range from 0 to ``bend_range``."""
    bend_range: float = Field(default=200.0, gt=0.0, le=1000.0)


class AxisErrors(BaseModel):
    """``[sim.axis_errors.ROLE]``: faults of the axes of one controller, all alike."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    backlash: float = Field(default=0.02, ge=0.0, le=5.0)
    """Play, mm or degrees."""
    scale: float = Field(default=1.0, ge=0.5, le=2.0)
    """True way over the way that the controller counts."""


class TrackerFigures(BaseModel):
    """``[sim.tracker]``: how well the tracker sees, and what is fixed to the bench for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    noise_mm: float = Field(default=0.2, ge=0.0, le=10.0)
    """Standard deviation per axis; a laser tracker on a reflector has 0.01."""
    probe_body: bool = False
    """A body on the probe, reported as ``ProbeToTracker``."""


class LineFaults(BaseModel):
    """``[sim.line]``: what of the line differs from what the rig file states."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    compliance_ul_kpa: float | None = Field(default=None, ge=0.01, le=50.0)
    """Of syringe and line, exactly; left out, that of the rig file within its spread."""
    air_ml: float = Field(default=0.0, ge=0.0, le=10.0)
    """Air bubbles in the line, at atmospheric pressure."""
    leak_ml_h: float = Field(default=0.0, ge=0.0, le=100.0)
    """Lost before the needle while the line is under pressure."""


class ScannerErrors(BaseModel):
    """``[sim.scanner_errors]``: faults of the scanner itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    depth_scale: float = Field(default=1.0, ge=0.5, le=2.0)
    """Factor on the row pitch that it declares."""
    lateral_scale: float = Field(default=1.0, ge=0.5, le=2.0)
    """Factor on the column pitch that it declares."""
    conversion_m_s: float | None = Field(default=None, ge=1300.0, le=1800.0)
    """Speed with which it truly turns time into depth, whatever it reports; left out: the one that it reports."""
    dead_elements: tuple[Annotated[int, Field(ge=0, le=127)], ...] = ()
    """Of 128 along the face, from its left end."""


class SimSettings(BaseModel):
    """The simulated bench."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    phantom: str = "lumbar_ref"
    """A lumbar phantom, or a QA block (``qa_ks107bg``, ``qa_405gsx``), by name or by path."""
    operator: str = "expert"
    temperature_c: float = Field(default=22.0, ge=5.0, le=35.0)
    """Temperature of bench and gel; ``build.temperature_c`` is set to it."""
    viscosity_mpa_s: float = Field(default=1.0, ge=0.3, le=50.0)
    """Viscosity of the fluid in the syringe: water at 20 C 1.0, steroid suspension 1.2-3. The line's resistance
    follows."""
    frame_quality: Literal["full", "fast"] = "full"
    frame_rate_hz: float = Field(default=20.0, ge=1.0, le=60.0)
    depth_mm: float = Field(default=95.0, ge=40.0, le=160.0)
    frequency_mhz: float = Field(default=4.0, ge=1.0, le=12.0)
    build: BuildErrors = BuildErrors()
    placement: PlacementErrors = PlacementErrors()
    needle_mount: MountError = MountError()
    """Seat of the needle in the carrier: as stated, not random (none by default)."""
    bench_seed: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None
    """Fixes the bench (holder, carrier, tracker, probe, needle bore); cartridges have their own seeds. Left out, a
    study draws its benches from its own seed, and everything else (calibrations, ports) stands on bench 1."""
    balance: BalanceFigures = BalanceFigures()
    """The balance, on a bench whose rig file has one."""
    vessel: VesselSpec = VesselSpec()
    """On the balance's pan, under the needle: what leaves the tip outside the gel goes into it."""
    plunger: PlungerFigures = PlungerFigures()
    """The mechanics of the pump and its syringe."""
    line: LineFaults = LineFaults()
    faults: tuple[BenchFault, ...] = ()
    """Faults and their times."""
    sensor_errors: dict[Literal["pressure", "needle_force", "probe_force"], PlantedError] = {}
    """Faults planted in sensors, by role: for showing that a QA test finds them."""
    axis_errors: dict[Literal["holder", "carrier"], AxisErrors] = {}
    """Faults planted in axes, by role."""
    tracker: TrackerFigures = TrackerFigures()
    lens_mm: float = Field(default=0.0, ge=0.0, le=5.0)
    """Thickness of the probe's lens, which reverberates in air; 0: a probe in air shows its ringing and noise alone."""
    scanner_errors: ScannerErrors = ScannerErrors()
    """Faults planted in the scanner: for showing that a QA test finds them."""
    reference_body: ReferenceBody | None = None
    """Where the tracked body truly sits on the phantom; left out, its frame is the phantom's own."""

    @model_validator(mode="after")
    def _one_temperature(self) -> Self:
        stated = self.build.temperature_c
        if stated not in (BuildErrors().temperature_c, self.temperature_c):
            text = (
                f"the gel has the temperature of its bench, sim.temperature_c = {self.temperature_c:g}: state it there"
            )
            raise refusal(("build.temperature_c", text))
        return self

    def axes_of(self, role: str) -> dict[str, float]:
        """Errors planted in the axes of a role; empty for healthy ones."""
        found = {str(name): errors for name, errors in self.axis_errors.items()}.get(role)
        return {} if found is None else found.model_dump()

    def planted(self, role: str) -> SensorError | None:
        """The fault of a sensor; None for a healthy one."""
        found = {str(name): error for name, error in self.sensor_errors.items()}.get(role)
        return None if found is None else SensorError(**found.model_dump())

    @property
    def poured(self) -> BuildErrors:
        """Build errors and state of the pour, at the temperature of the bench."""
        return replace(self.build, temperature_c=self.temperature_c)

    @property
    def bench(self) -> int:
        """Seed of the present bench."""
        return BENCH_UNLESS_DRAWN if self.bench_seed is None else self.bench_seed

    def shifted(self, by_levels: bool) -> SimSettings:
        """The same settings with cartridges that may stand a level off."""
        if not by_levels:
            return self
        return self.model_copy(update={"placement": replace(self.placement, level_shift=True)})

    def on_bench(self, bench_seed: int | None) -> SimSettings:
        """The same settings on the bench of this seed, unless the file gives one."""
        return self if self.bench_seed is not None else self.model_copy(update={"bench_seed": bench_seed})

    def at_age(self, age_h: float | None) -> SimSettings:
        """The same bench with a cartridge of this age."""
        if age_h is None:
            return self
        return self.model_copy(update={"build": replace(self.build, age_days=age_h / 24.0)})


def sim_settings(table: dict[str, Any], document: Document | None = None) -> SimSettings:
    """Check the ``[sim]`` table, of ``document`` where it was read from one; raises ``ConfigError``."""
    where, text = (document.where, document.text) if document is not None else ("rig file", "")
    return validated(Document(where, text, {"sim": table}), SimSettings, ("sim",))
