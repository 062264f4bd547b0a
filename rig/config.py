"""``rig.toml``: the devices of a rig, their places, and its limits.

Everything wrong with a file is reported in one ``ConfigError`` with the file, the key path and, for a
misspelt key, the nearest known one (``hal.files``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from hal import registry
from hal.clock import VirtualClock
from hal.errors import ConfigError
from hal.files import Coordinate, Degrees, Document, faults_of, parse, read, validated, within
from hal.files.validated import near
from hal.phantom.needles import load_needle
from hal.phantom.sound_speed import WATER_GEL_SLOPE_M_S_C, WATER_GEL_SLOPE_U_M_S_C, SoundSpeed
from hal.poses import why_refused
from hal.types import Matrix, ProbeGeometry
from rig.geometry.needle_mount import NeedleMount
from rig.geometry.transforms import TransformGraph, rotation
from rig.geometry.uncertain import UncertainTransform
from rig.safety.limits import Limits
from rig.safety.pressure import LineModel
from rig.safety.run_on import Undeclared, check_run_on, dose_problem

ROLES = (
    "holder", "carrier", "pump", "pressure", "needle_force", "probe_force", "contact", "ultrasound", "tracker",
    "temperature", "balance", "operator", "estop",
)  # fmt: skip
"""Every part that a device can play; a role that is not in the file is not measured."""

PROVIDED = frozenset({"simulated_operator"})
"""Drivers that the simulated bench builds itself and hands to ``open_rig``."""

Place = tuple[str | int, ...]
_REAL_PORT = re.compile(r"^(/dev/(?!pts/)\S+|COM\d+|hwgrep://.*|rfc2217://.*)$", re.IGNORECASE)
_SIMULATED_PORT = re.compile(r"^(rigsim://.*|/dev/pts/\d+)$")
_LOCAL_HOST = re.compile(r"(^|//|@)(127\.\d+\.\d+\.\d+|localhost|\[?::1\]?)([:/]|$)", re.IGNORECASE)
_LABEL = (
    "this is a simulator's address; set rig.simulated = true so that the data are labelled "
    "(a real server on this computer is reached by the computer's network name)"
)
_URL = re.compile(r"^[a-z+0-9]+://([^:/]+)", re.IGNORECASE)


TIP_OFFSET_MAX_MM = 10.0
"""Less than the needle's height above the skin while it is moved sideways (12 mm): it stays out of the gel; a tip
further off is another needle [A]."""
TipOffset = Annotated[float, Field(ge=-TIP_OFFSET_MAX_MM, le=TIP_OFFSET_MAX_MM)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)


class RigSection(_Strict):
    """Name of the bench, and whether it is simulated."""

    name: str = Field(min_length=1)
    simulated: bool


class Placement(_Strict):
    """A rigid transform as a person measures it: ``translation`` after ``Rz Ry Rx``; or a whole matrix."""

    translation_mm: tuple[Coordinate, Coordinate, Coordinate] = (0.0, 0.0, 0.0)
    rotation_deg: tuple[Degrees, Degrees, Degrees] = (0.0, 0.0, 0.0)
    matrix: tuple[tuple[Coordinate, Coordinate, Coordinate, Coordinate], ...] | None = None
    uncertainty_mm: float = within(0.0, 100.0, 0.0)
    """Standard uncertainty of the translation, per axis."""
    uncertainty_deg: float = within(0.0, 90.0, 0.0)
    """Standard uncertainty of the turn about the frame's own origin, per axis; 0: not stated."""

    @model_validator(mode="after")
    def _four_by_four(self) -> Placement:
        if self.matrix is not None and (len(self.matrix) != 4 or tuple(self.matrix[3]) != (0.0, 0.0, 0.0, 1.0)):
            raise ValueError("matrix must have four rows of four numbers, the last one 0 0 0 1")
        return self

    def as_matrix(self) -> Matrix:
        if self.matrix is not None:
            return np.array(self.matrix, dtype=np.float64)
        m = rotation(*self.rotation_deg)
        m[:3, 3] = self.translation_mm
        return m

    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the stated uncertainties, (6, 6), as ``UncertainTransform.rigid`` takes it."""
        own = np.diag([np.radians(self.uncertainty_deg) ** 2] * 3 + [self.uncertainty_mm**2] * 3)
        matrix = self.as_matrix()
        return UncertainTransform.about(matrix, own, matrix[:3, 3]).covariance if self.uncertainty_deg else own


class Frames(_Strict):
    """Places of the bases; nominal, refined by calibration."""

    HolderToRig: Placement = Placement()
    CarrierToRig: Placement = Placement()
    TrackerToRig: Placement = Placement()
    PhantomToRig: Placement = Placement()
    PhantomToReference: Placement = Placement()
    """The phantom in the tracked body that is fixed to it, which the tracker reports as ``PhantomToTracker``
    (``phantomrig calibrate phantom --method fiducials``); by default the body's frame is the phantom's own."""
    ImageToProbe: Placement | None = None
    """As calibrated (``phantomrig calibrate nwire``): replaces what the ultrasound link declares."""

    @model_validator(mode="after")
    def _possible(self) -> Frames:
        for name in type(self).model_fields:
            placement: Placement | None = getattr(self, name)
            why = "" if placement is None else why_refused(name, placement.as_matrix())
            if why:
                raise ValueError(f"{name} {why}")
        return self

    def graph(self) -> TransformGraph:
        """All placements as a transform graph."""
        graph = TransformGraph()
        for name in type(self).model_fields:
            placement: Placement | None = getattr(self, name)
            if placement is not None:
                graph.add(name, placement.as_matrix())
        return graph


class Needle(_Strict):
    """The needle in use: its gauge and length follow from its name (``hal/phantom/data/needles.toml``)."""

    name: str = "22G_quincke_120"
    tip_offset_mm: tuple[TipOffset, TipOffset, TipOffset] = (0.0, 0.0, 0.0)
    """Offset of the tip from the place that the carrier's axes give, needle frame (``phantomrig calibrate
    needle-tip``)."""
    run_out_mm: tuple[TipOffset, TipOffset] = (0.0, 0.0)
    """The part of the offset that turns with the bevel, at bevel 0."""

    @field_validator("name")
    @classmethod
    def _on_the_shelf(cls, name: str) -> str:
        try:
            load_needle(name)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return name

    @property
    def gauge(self) -> int:
        """Gauge, which sets the force limit."""
        return int(load_needle(self.name).gauge.rstrip("G"))

    @property
    def length_mm(self) -> float:
        return load_needle(self.name).length_mm

    @property
    def usable_mm(self) -> float:
        """Largest depth of the tip."""
        return load_needle(self.name).usable_mm

    @property
    def mount(self) -> NeedleMount:
        """Seat of the needle in the carrier."""
        return NeedleMount(self.tip_offset_mm, self.run_out_mm)


class Gel(_Strict):
    """Stated properties of the gel: depths in the image are corrected with its speed of sound at its temperature."""

    sound_speed_m_s: float = Field(default=1545.0, gt=1300.0, lt=1800.0)
    """As measured (``phantomrig calibrate sound-speed``); the default is that of the muscle gel's recipe."""
    u_sound_speed_m_s: float = within(0.0, 100.0, 5.0)
    """Standard uncertainty."""
    temperature_c: float = within(0.0, 50.0, 22.0)
    """Temperature at which the speed holds."""

    ledgers: str = "blocks"
    """Folder of the ledgers of a bench's blocks, one per block; beside the rig file unless absolute."""

    def speed(self, temperature_c: float | None) -> SoundSpeed:
        """Speed of sound at the gel's present temperature; at the stated one when nobody measures it."""
        stated = SoundSpeed(
            self.sound_speed_m_s, self.u_sound_speed_m_s, self.temperature_c, WATER_GEL_SLOPE_M_S_C,
            WATER_GEL_SLOPE_U_M_S_C, "as stated in the rig file",
        )  # fmt: skip
        return stated if temperature_c is None else stated.at(temperature_c)


class Line(_Strict):
    """Syringe, extension and needle as one compliance and one resistance (``facts`` of the domain, 3.1 and 3.2)."""

    compliance_ul_kpa: float = within(0.001, 100.0, 0.5)
    resistance_kpa_min_ml: float = within(0.0, 1000.0, 3.1)
    """Needle plus extension, by theory: 22G x 120 mm 2.8 and 500 mm of 1.0 mm tubing 0.34."""
    k_line: float = within(0.5, 5.0, 1.5)
    """Measured over theoretical loss; 1.3-1.6, or 1.0 once the set has been calibrated in air."""
    rating_kpa: float = Field(default=300.0, ge=50.0, le=2000.0)
    """Pressure rating of the weakest part: Luer connections are tested at 300 kPa (ISO 80369-7)."""

    @property
    def model(self) -> LineModel:
        """Line model of the pressure rule."""
        return LineModel(self.compliance_ul_kpa, self.resistance_kpa_min_ml, self.k_line)


class Safety(_Strict):
    """Wiring of the emergency stop and the pedal."""

    estop_inputs: tuple[Literal["holder", "carrier", "estop"], ...] = ("holder",)
    """Controllers whose emergency-stop input is wired (normally closed), and the separate ``estop`` device. Empty only
    where nothing moves, for work by hand: a pump alone is stopped by its own watchdog, Ctrl-C and the cut of its power.
    A study needs one."""
    pedal: Literal["pause", "off"] = "pause"
    hardware_cut: bool = False
    """True when the emergency stop also cuts drive and pump power; required on a real bench."""


class Calibrations(_Strict):
    """Folder of this rig's certificates."""

    folder: str = ""
    """Beside the rig file unless absolute; empty = none. Its certificates replace ``[frames]`` and ``[gel]``."""


class Qa(_Strict):
    """Tests of the devices that a study needs to have passed."""

    runs: str = ""
    """Folder of the QA runs, beside the rig file unless absolute."""
    required: tuple[str, ...] = ()
    """Ids of acceptance files (``phantomrig qa list``). A study does not begin while one of them was never passed, was
    failed last, or is overdue; an authorised deviation (``--qa-override``) stands on the first page of its report."""


class RigConfig(_Strict):
    """One ``rig.toml``."""

    rig: RigSection
    sim: dict[str, Any] = {}
    """Passed unchanged to the simulated bench."""
    devices: dict[str, dict[str, Any]]
    frames: Frames = Frames()
    probe: ProbeGeometry = ProbeGeometry("compact convex", 40.0, 60.0, 40.0, 14.0)
    needle: Needle = Needle()
    gel: Gel = Gel()
    line: Line = Line()
    limits: Limits = Field(default_factory=Limits)
    safety: Safety = Safety()
    calibrations: Calibrations = Calibrations()
    qa: Qa = Qa()
    path: Path | None = Field(default=None, exclude=True)
    """The file that this was read from."""
    _document: Document | None = PrivateAttr(default=None)

    @property
    def document(self) -> Document:
        """The file that this was read from; it gives the line of each key."""
        return self._document or Document(str(self.path or "rig file"), "", {})

    @property
    def calibration_folder(self) -> Path | None:
        """Folder of the certificates; None when the rig file names none."""
        if not self.calibrations.folder:
            return None
        beside = self.path.parent if self.path is not None else Path()
        return beside / self.calibrations.folder

    @property
    def qa_folder(self) -> Path | None:
        """Folder of the QA runs; None when the rig file names none."""
        if not self.qa.runs:
            return None
        beside = self.path.parent if self.path is not None else Path()
        return beside / self.qa.runs

    @property
    def pump_watchdog_s(self) -> float | Undeclared | None:
        """Watchdog that the pump's driver declares; 0 where a person pushes, or the simulated bench brings its own
        pump."""
        settings = self.driver_settings("pump")
        if settings is None:
            return 0.0
        pump = registry.driver(str(self.devices["pump"]["driver"])).build(settings, VirtualClock())
        return getattr(pump, "watchdog_s", Undeclared()) if getattr(pump, "polled", True) else 0.0

    def check_run_on(self, volume_ml: float, rate_ml_min: float) -> None:
        """Raise ``LimitViolation`` for an infusion that would be unsafe if nobody watched the rig."""
        watchdog_s = self.pump_watchdog_s
        if not isinstance(watchdog_s, Undeclared):
            check_run_on(
                self.line.model, self.line.rating_kpa, self.limits.pressure, volume_ml, rate_ml_min, watchdog_s
            )

    @property
    def ledger_folder(self) -> Path | None:
        """Folder of the ledgers of a bench's blocks; None for a simulated rig, whose gel ends with its run."""
        if self.rig.simulated:
            return None
        return (self.path.parent if self.path is not None else Path()) / self.gel.ledgers

    def driver_settings(self, role: str) -> BaseModel | None:
        """Validated settings of a role's driver; None for a device that the simulated bench provides.

        Raises ``ConfigError`` for an unknown driver, a driver of another role, or wrong settings.
        """
        table = dict(self.devices[role])
        where = self.document.place(("devices", role))
        name = table.pop("driver", None)
        if not isinstance(name, str):
            raise ConfigError(f"{where}: the key 'driver' is missing")
        if name in PROVIDED and name not in registry.drivers():
            if not self.rig.simulated:
                raise ConfigError(f"{where}: driver {name!r} exists on simulated rigs only")
            return None
        try:
            entry = registry.driver(name)
        except ConfigError as error:
            raise ConfigError(f"{where}.driver: {error}") from None
        if not _fits(entry.role, role):
            raise ConfigError(f"{where}.driver: {name!r} is a driver for {entry.role!r}, not for {role!r}")
        try:
            model = entry.settings_model()
        except ConfigError as error:
            raise ConfigError(f"{where}.driver: {error}") from None
        document = Document(self.document.where, self.document.text, {"devices": {role: table}})
        return validated(document, model, ("devices", role))


def _fits(driver_role: str, role: str) -> bool:
    return driver_role == role or {driver_role, role} == {"needle_force", "probe_force"}


def _texts(value: Any, path: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _texts(inner, (*path, i))


def _followed(text: str) -> str:
    """Resolve a port to the system's name: a link (``/dev/pump``) may lead to a simulator's terminal."""
    try:
        return str(Path(text).resolve()) if text.startswith("/") else text
    except (OSError, RuntimeError):  # a link that leads in a circle, or a name that is too long
        return text


def _port_problems(config: RigConfig) -> Iterator[tuple[Place, str]]:
    """Simulated rigs must not touch real ports, real rigs must not run on simulators."""
    for role, table in config.devices.items():
        for path, text in _texts({k: v for k, v in table.items() if k != "driver"}, ("devices", role)):
            text = _followed(text)
            local = bool(_SIMULATED_PORT.match(text) or _LOCAL_HOST.search(text))
            url = _URL.match(text)
            if config.rig.simulated and (
                _REAL_PORT.match(text) or (url and not local and url[1] and not text.lower().startswith("file://"))
            ):
                yield path, f"{text!r}: a simulated rig must not open a real port (a bench has simulated = false)"
            if not config.rig.simulated and local:
                yield path, f"{text!r}: {_LABEL}"


def _role_problems(config: RigConfig) -> Iterator[tuple[Place, str]]:
    inputs: Place = ("safety", "estop_inputs")
    for role in config.devices:
        if role not in ROLES:
            yield ("devices", role), f"unknown role{near(role, ROLES)}"
    for name in config.safety.estop_inputs:
        if name not in config.devices:
            yield inputs, f"{name!r} is not among the devices"
    if "estop" in config.devices and "estop" not in config.safety.estop_inputs:
        text = "it is not among safety.estop_inputs, so that pressing it would stop nothing; "
        yield ("devices", "estop"), text + 'add "estop" there, or leave the device out'
    moving = [role for role in ("holder", "carrier") if role in config.devices]
    if moving and not config.safety.estop_inputs:
        yield inputs, f"at least one emergency-stop input is needed; without one the {moving[0]} may not move"
    if not config.rig.simulated and not config.safety.hardware_cut:
        text = "on a real bench the emergency stop must cut drive and pump; confirm with true"
        yield ("safety", "hardware_cut"), text


def _device_problems(config: RigConfig) -> Iterator[str]:
    for role in config.devices:
        if role in ROLES:
            try:
                config.driver_settings(role)
            except ConfigError as error:
                yield from str(error).splitlines()


def _pump_problems(config: RigConfig) -> Iterator[tuple[Place, str]]:
    """Faults of the volume that a pump may still push once the host has died."""
    watchdog_s, pump = config.pump_watchdog_s, ("devices", "pump")
    if isinstance(watchdog_s, Undeclared):
        name = config.devices["pump"]["driver"]
        yield pump, f"the driver {name!r} does not declare whether its pump stops by itself (watchdog_s)"
    elif problem := dose_problem(config.limits.volume, watchdog_s):
        yield pump, problem
    if config.limits.pressure.line_kpa > config.line.rating_kpa:
        rating = f"line.rating_kpa = {config.line.rating_kpa:g}"
        text = f"{config.limits.pressure.line_kpa:g}: the line is rated for {rating}"
        yield ("limits", "pressure", "line_kpa"), text


def parse_config(
    text: str, where: str = "rig.toml", *, path: Path | None = None, check_drivers: bool = True
) -> RigConfig:
    """Read a rig file's text; raises one ``ConfigError`` that lists everything wrong with it."""
    return checked(parse(text, where), path=path, check_drivers=check_drivers)


def checked(document: Document, *, path: Path | None = None, check_drivers: bool = True) -> RigConfig:
    """Check a rig file that was read; raises one ``ConfigError`` that lists everything wrong with it."""
    config, problems = faults_of(document, RigConfig)
    if "path" in document.data:
        problems.append(f"{document.place(('path',))}: unknown key")
    looked_at = config
    if looked_at is None:  # the devices are checked all the same, so that everything wrong is reported at once
        tables = {key: document.data[key] for key in ("rig", "devices") if key in document.data}
        looked_at, _ = faults_of(Document(document.where, document.text, tables), RigConfig)
    if looked_at is not None:
        looked_at = looked_at.model_copy(update={"path": path})
        looked_at._document = document
        found = [*_port_problems(looked_at), *(_role_problems(looked_at) if config is not None else ())]
        problems += [f"{document.place(place)}: {text}" for place, text in found]
        problems += _device_problems(looked_at) if check_drivers else ()
        if check_drivers and not problems and "pump" in looked_at.devices:
            problems += [f"{document.place(place)}: {text}" for place, text in _pump_problems(looked_at)]
    if config is None or looked_at is None or problems:
        raise ConfigError("\n".join(problems))
    return looked_at


def config_file(path: Path | str) -> Path:
    """Path of a rig file, or of a shipped one by name; raises ``ConfigError`` with the nearest names."""
    file = Path(path)
    if file.exists():
        return file
    shipped = files("rig").joinpath("data")
    names = sorted(p.name.removesuffix(".toml") for p in shipped.iterdir() if p.name.endswith(".toml"))
    if str(path) in names:
        return Path(str(shipped.joinpath(f"{path}.toml")))
    hint = near(str(path), names) if file.suffix != ".toml" else ""
    raise ConfigError(f"{path}: there is no such rig file{hint}")


def load_config(path: Path | str, *, check_drivers: bool = True) -> RigConfig:
    """Read a rig file, or a shipped one by name (``simulated``, ``core``, ``bench_example``)."""
    file = config_file(path)
    return checked(read(file), path=file, check_drivers=check_drivers)
