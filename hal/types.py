"""Values that pass between the rooms: frozen, with units in their names.

Frames of reference (``AToB`` maps A coordinates to B, 4x4, row-major, left multiplication, mm):

``Phantom``  X lateral (0 = midline, + = the phantom's left), Y cranio-caudal (0 = centre of the L4-5 disc,
             + cranial), Z depth from the undeformed skin plane (+ deeper). Right-handed.
``Rig``      the bench. Nominally the phantom sits in its fixture so that ``PhantomToRig`` is a translation.
``Holder``   base of the probe holder; ``Carrier`` base of the needle carrier.
``Probe``    origin at the centre of the transducer face; x lateral along the array, y elevational, z axial
             (away from the face). ``ProbeToHolder`` = T(x, y, z) Rz(C) Ry(B) Rx(A): A tilts (about the array),
             B rocks heel-toe (about the elevation axis), C rotates (C = 0 transverse, C = 90 longitudinal).
``Image``    pixels: x = column, y = row, z = 0; ``ImageToProbe`` carries the pixel pitch.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

Vector = NDArray[np.float64]
"""Shape (3,), mm unless the name says otherwise."""
Matrix = NDArray[np.float64]
"""Shape (4, 4), a rigid transform in mm."""
Pixels = NDArray[np.uint8]
"""Shape (rows, columns), grey values."""


@dataclass(frozen=True)
class Identity:
    """Identity that a device reports."""

    role: str
    driver: str
    model: str
    serial: str = ""
    firmware: str = ""
    simulated: bool = False
    verified: bool = False
    """True once a transcript from the real device has been compared with the driver."""
    setup: str = ""
    """Settings that the device remembers and calibrations depend on (work offset, steps per unit); empty for a device
    that remembers nothing of the kind."""


@dataclass(frozen=True)
class Pose6:
    """Pose of a six-axis holder in its own base frame (see the module text for the order of rotations)."""

    x_mm: float
    y_mm: float
    z_mm: float
    a_deg: float = 0.0
    b_deg: float = 0.0
    c_deg: float = 0.0

    def as_tuple(self) -> tuple[float, float, float, float, float, float]:
        return (self.x_mm, self.y_mm, self.z_mm, self.a_deg, self.b_deg, self.c_deg)


@dataclass(frozen=True)
class NeedlePose:
    """Axes of the needle carrier in its base frame.

    The needle axis passes through the entry point (x, y, 0) on the skin plane and runs along
    ``(-sin(lateral), -sin(tilt) cos(lateral), cos(lateral) cos(tilt))`` into the phantom: a positive lateral
    angle enters from the +X side, a positive tilt enters from cranial. ``feed_mm`` = 0 puts the tip at the
    entry point, negative is above the skin. ``bevel_deg`` = 0 has the bevel opening facing +X of the needle frame.
    """

    x_mm: float
    y_mm: float
    lateral_deg: float
    tilt_deg: float
    feed_mm: float
    bevel_deg: float = 0.0

    def as_tuple(self) -> tuple[float, float, float, float, float, float]:
        return (self.x_mm, self.y_mm, self.lateral_deg, self.tilt_deg, self.feed_mm, self.bevel_deg)


class MotionMode(enum.Enum):
    """Activity of a motion controller."""

    IDLE = "idle"
    MOVING = "moving"
    HOLD = "hold"
    ALARM = "alarm"


@dataclass(frozen=True)
class HolderState:
    """One report of the probe holder."""

    time_ns: int
    pose: Pose6
    mode: MotionMode
    estop: bool = False
    """True when the controller's own emergency-stop input is active (or cannot be read)."""
    alarm: str = ""


@dataclass(frozen=True)
class CarrierState:
    """One report of the needle carrier."""

    time_ns: int
    pose: NeedlePose
    mode: MotionMode
    estop: bool = False
    alarm: str = ""


@dataclass(frozen=True)
class PumpState:
    """One report of the pump."""

    time_ns: int
    running: bool
    dispensed_ml: float
    """Total infused since the last clear, as the pump counts it."""
    rate_ml_min: float
    alarm: str = ""


@dataclass(frozen=True)
class PressureReading:
    """One reading of the line pressure."""

    time_ns: int
    pressure_kpa: float
    """Gauge pressure in the line, upstream of line and needle."""
    temperature_c: float


@dataclass(frozen=True)
class ForceReading:
    """One reading of a load cell, N; positive = pressing."""

    time_ns: int
    force_n: float


@dataclass(frozen=True)
class ContactReading:
    """One reading of the contact inputs."""

    time_ns: int
    nerve: bool
    vessel: bool
    pedal: bool
    """Foot pedal: True while pressed (dead-man or pause, by configuration)."""


@dataclass(frozen=True)
class TemperatureReading:
    """One reading of a thermometer."""

    time_ns: int
    temperature_c: float


@dataclass(frozen=True)
class BalanceReading:
    """One net weight, as it stands on the balance's display: not corrected for the buoyancy of air."""

    time_ns: int
    mass_g: float
    """NaN beyond either end of the range."""
    stable: bool
    """By the balance's own criterion."""
    unit: str
    """In which it was sent or typed."""
    digit_g: float
    """One step of the last digit that was sent; NaN beyond the range."""
    overload: bool = False
    underload: bool = False


@dataclass(frozen=True)
class Frame:
    """One ultrasound image as received over the link."""

    time_ns: int
    pixels: Pixels
    ImageToProbe: Matrix = field(repr=False)
    """As declared by the calibration in use; NaN-free."""
    sequence_n: int = 0
    dropped_n: int = 0
    """Frames that the scanner made since the previous one that was read, and nobody read."""


@dataclass(frozen=True)
class TrackedPose:
    """One pose of one tracked tool."""

    time_ns: int
    name: str
    """``AToB``, e.g. ``NeedleTipToTracker``."""
    matrix: Matrix = field(repr=False)
    valid: bool = True
    why: str = ""
    """Fault of the newest report of a tool that is not valid; empty: it was not seen."""
    impossible: bool = False
    """The newest report held numbers that no pose has, or a stamp that no clock explains."""
    typed: bool = False
    """A position that a person measured and typed when asked, in the frame of the body on the phantom; its orientation
    is not measured."""


@dataclass(frozen=True)
class ImagingSettings:
    """Settings sent to the scanner; a driver that cannot set one reports it instead."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    depth_mm: Annotated[float, Interval(ge=10.0, le=400.0)] = 90.0
    frequency_mhz: Annotated[float, Interval(ge=0.5, le=30.0)] = 4.0
    gain_db: Annotated[float, Interval(ge=-100.0, le=100.0)] = 0.0
    dynamic_range_db: Annotated[float, Interval(ge=1.0, le=200.0)] = 60.0
    sound_speed_m_s: Annotated[float, Interval(ge=1300.0, le=1800.0)] = 1540.0
    """Speed that the scanner assumes when it turns time into depth."""


FLAT_MM = 100_000.0
"""Radius from which an array is taken as linear: over 50 mm of footprint it bulges by 3 um."""


@dataclass(frozen=True)
class ProbeGeometry:
    """A curved array; one of a radius of 100 m (``radius_mm = 100000``) or more is a linear one."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: str
    radius_mm: Annotated[float, Interval(ge=3.0, le=FLAT_MM)]
    field_of_view_deg: Annotated[float, Interval(ge=1.0, le=360.0)]
    footprint_mm: Annotated[float, Interval(ge=1.0, le=300.0)]
    """Chord of the face along the array."""
    thickness_mm: Annotated[float, Interval(ge=1.0, le=200.0)]
    """Elevational size of the housing at the skin."""

    @property
    def linear(self) -> bool:
        return self.radius_mm >= FLAT_MM


@dataclass(frozen=True)
class SafeReport:
    """Outcome of one device's part of ``make_safe``."""

    device: str
    safe: bool
    """True only when read back from the device."""
    detail: str


class InstructionKind(enum.Enum):
    """Kinds of actions that a person can be asked for."""

    CONFIRM = "confirm"
    POSITION_NEEDLE = "position_needle"
    ADVANCE = "advance"
    WITHDRAW = "withdraw"
    JIGGLE = "jiggle"
    ROTATE_BEVEL = "rotate_bevel"
    TURN_NEEDLE = "turn_needle"
    """Change the angles of a needle that stays in the skin, by ``needle.lateral_deg`` and ``needle.tilt_deg``."""
    AT_TARGET = "at_target"
    PALPATE = "palpate"
    READ_VALUE = "read_value"
    APPLY = "apply"
    """Let a reference act on a sensor, and type what the reference shows: ``manner`` = the sensor's role, ``amount`` =
    the value that is wanted, in the unit that ``text`` names; ``("pressure", "off")`` takes it away."""
    NAME = "name"
    """Type the name of something, of a block of gel for example; ``manner`` = what it is, and what a simulated person
    says."""
    SCRUB = "scrub"
    TOUCH = "touch"
    """Take the tracked stylus: ``manner`` = ``fiducials`` and names (touch each, in any order), ``pivot`` or ``spin``
    (tip in a divot for ``amount`` seconds, shaft swivelled or turned about itself)."""


@dataclass(frozen=True)
class Instruction:
    """One action that the operator is asked for, with the text that the person reads."""

    kind: InstructionKind
    text: str
    amount: float = 0.0
    """mm, degrees or the unit that ``text`` names."""
    needle: NeedlePose | None = None
    options: tuple[str, ...] = ()
    """Answers to choose from; empty: done or cannot."""
    manner: tuple[str, ...] = ()
    """How or on what, for an operator that cannot read ``text``, which says it too: a landmark, ``slow``, ..."""
    within: tuple[float, float] | None = None
    """Lowest and highest number that a typed answer may hold; what lies outside was mistyped and is asked for again."""


BONE = "bone"
"""Text of the answer to an advance that ended at strong resistance."""


@dataclass(frozen=True)
class OperatorResponse:
    """Answer of a person."""

    time_ns: int
    done: bool
    """False: declined, or could not be done."""
    text: str = ""
    value: float | None = None
    """A number that the instruction asked for (a depth mark in mm, a reading)."""
