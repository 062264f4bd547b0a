"""Manual entry: a person reads an instrument, or moves something by hand, and types what it shows.

These drivers make a rig complete where a device is missing. Their values come when they are asked for
(``polled = False``), so no interlock can watch them; the controller lists them as unguarded. Every wait ends
at ``answer_s``. They need the wall clock: nobody answers in simulated time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hal.clock import Clock, Deadline
from hal.drivers.operator_terminal import NO, Console, console, parse_number
from hal.errors import DeviceError, LimitViolation, NoReply
from hal.poses import TIP_UNCERTAINTY_MAX_MM
from hal.ranges import ARM_DEG, ARM_MM, FORCE_N, GEL_C, MASS_G, PRESSURE_KPA, TIP_MM, VOLUME_ML, Within
from hal.types import (
    BalanceReading,
    ContactReading,
    ForceReading,
    HolderState,
    Identity,
    MotionMode,
    Pose6,
    PressureReading,
    PumpState,
    SafeReport,
    TemperatureReading,
    TrackedPose,
)

LOOK_S = 0.05
DECLINED, NO_ANSWER = "declined", "no answer"
"""Codes of errors of a person who said that he cannot, and of one whose answers could not be used."""
TIP = "NeedleTipToTracker"
HOLDER_STEP_MM = 50.0
"""Longest move of a probe arm that a person is asked for at once [A]."""


class Settings(BaseModel):
    """Settings common to all manual drivers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    instrument: str = "instrument"
    """Instrument that the person reads, e.g. ``manometer on the line``, with its serial number, for the record."""
    answer_s: float = Field(default=120.0, gt=0.0, le=3600.0)
    uncertainty_mm: float = Field(default=1.0, gt=0.0, le=TIP_UNCERTAINTY_MAX_MM)
    """Trackers: standard uncertainty of a measured tip position, per axis."""
    sees_bending: bool = True
    """Trackers: the measurement is of the tip itself, not of the hub."""


class ManualDevice:
    """Asks and waits; the roles build on it."""

    role = "manual"
    driver = "manual"
    polled = False
    within: tuple[Within, ...] = ()
    """Ranges that typed numbers must lie in, one each or one for all; empty: any."""

    def __init__(self, settings: Settings, clock: Clock, terminal: Console | None = None) -> None:
        self.settings = settings
        self.clock = clock
        self._console = terminal or console()
        self._cancelled = False

    @property
    def patience_s(self) -> float:
        """Time that the controller waits for one read or action of this device."""
        return 3.0 * self.settings.answer_s + 1.0

    def open(self) -> Identity:
        if self.clock.virtual:
            raise DeviceError(f"{self.role}: a person cannot answer in simulated time", device=self.role)
        self._console.start()
        return Identity(self.role, self.driver, self.settings.instrument)

    def close(self) -> None:
        """Do nothing: no port is held."""

    def make_safe(self, deadline: Deadline) -> SafeReport:
        return SafeReport(self.role, True, "an instrument that only a person reads")

    def ask(self, question: str) -> str:
        """One typed line; raises ``NoReply`` at the deadline and ``DeviceError`` when the person declines or the
        question is cancelled."""
        self._cancelled = False
        return self._ask(question)

    def _ask(self, question: str) -> str:
        self._console.drop()
        self._console.say(f">> {question} (n = cannot)")
        deadline = self.clock.deadline(self.settings.answer_s)
        while not deadline.expired:
            if self._cancelled:
                raise DeviceError(f"{self.role}: cancelled: {question}", device=self.role, code="cancelled")
            line = self._console.line()
            if line is not None:
                if line.lower() in NO:
                    raise DeviceError(f"{self.role}: the person declined: {question}", device=self.role, code=DECLINED)
                return line
            self.clock.sleep(LOOK_S)
        waited = f"{self.settings.answer_s:g} s"
        raise NoReply(f"{self.role}: nobody answered within {waited}: {question}", port="terminal", command=question)

    def numbers(self, question: str, n: int) -> tuple[float, ...]:
        """Exactly ``n`` numbers, separated by blanks; asked again (at most twice) when they do not fit.

        They must lie in ``within``. Raises ``DeviceError`` (code ``no answer``) when none of three answers does.
        """
        ranges = self.within * (n if len(self.within) == 1 else 1)
        for attempt in range(3):
            line = self._ask(question) if attempt else self.ask(question)  # an interruption outlasts a wrong answer
            values = [parse_number(part) for part in line.replace(";", " ").split()]
            good = [v for v in values if v is not None]
            if len(good) == n == len(values):
                wrong = [(v, r) for v, r in zip(good, ranges, strict=bool(ranges)) if not r[0] <= v <= r[1]]
                if not wrong:
                    return tuple(good)
                value, (low, high) = wrong[0]
                self._console.say(f"   {value:g} cannot be true: {low:g} to {high:g}; look at the unit and type again")
            else:
                self._console.say(f"   {n} number{'s' if n > 1 else ''} needed")
        raise DeviceError(f"{self.role}: no usable answer to: {question}", device=self.role, code=NO_ANSWER)

    def number(self, question: str) -> float:
        return self.numbers(question, 1)[0]

    def yes(self, question: str) -> bool:
        """Enter or y is yes; n is no."""
        try:
            self.ask(question)
        except DeviceError:
            return False
        return True


class ManualPressure(ManualDevice):
    """A gauge in the line."""

    role = "pressure"
    driver = "manual_pressure"
    within = (PRESSURE_KPA,)

    def read(self) -> PressureReading:
        kpa = self.number(f"pressure on the {self.settings.instrument} (kPa)")
        return PressureReading(self.clock.now_ns(), kpa, float("nan"))

    def zero(self) -> None:
        """Raises ``DeviceError`` when the gauge cannot be set."""
        self.ask(f"open the line to air and set the {self.settings.instrument} to zero, then Enter")


class ManualForce(ManualDevice):
    """A scale or a spring gauge."""

    role = "needle_force"
    driver = "manual_force"
    within = (FORCE_N,)

    def read(self) -> ForceReading:
        force_n = self.number(f"force on the {self.settings.instrument} (N)")
        return ForceReading(self.clock.now_ns(), force_n)

    def tare(self) -> None:
        self.ask(f"unload the {self.settings.instrument} and set it to zero, then Enter")


class ManualTemperature(ManualDevice):
    """A thermometer in the gel."""

    role = "temperature"
    driver = "manual_temperature"
    within = (GEL_C,)

    def read(self) -> TemperatureReading:
        celsius = self.number(f"temperature on the {self.settings.instrument} (degC)")
        return TemperatureReading(self.clock.now_ns(), celsius)


class ManualBalance(ManualDevice):
    """A balance whose display a person reads: when it stands still, so that every reading is a stable one."""

    role = "balance"
    driver = "manual_balance"
    within = (MASS_G,)

    def read(self) -> BalanceReading:
        """One typed weight. Its last digit is not known from a number, and stays NaN."""
        mass_g = self.number(f"weight on the {self.settings.instrument} once it stands still (g)")
        return BalanceReading(self.clock.now_ns(), mass_g, True, "g", float("nan"))

    def read_stable(self) -> BalanceReading:
        return self.read()

    def tare(self) -> None:
        """Raises ``DeviceError`` when the person cannot."""
        self.ask(f"press tare on the {self.settings.instrument}, wait until it shows zero, then Enter")

    def zero(self) -> None:
        """Raises ``DeviceError`` when the person cannot."""
        self.ask(f"take everything off the {self.settings.instrument}, set it to zero, then Enter")


class ManualHolder(ManualDevice):
    """A probe arm that a person sets by its scales. It stays where it was last read; only a person can move it.

    Implements ``hal.interfaces.Interruptible``. After a move that was not confirmed its scales are read again.
    """

    role = "holder"
    driver = "manual_holder"
    watchdog_s: float | None = None
    """A clamped arm needs none."""
    within = (ARM_MM, ARM_MM, ARM_MM, ARM_DEG, ARM_DEG, ARM_DEG)

    def __init__(self, settings: Settings, clock: Clock, terminal: Console | None = None) -> None:
        super().__init__(settings, clock, terminal)
        self._pose: Pose6 | None = None

    def read(self) -> HolderState:
        """Pose on the scales: asked for once, afterwards as last set."""
        if self._pose is None:
            values = self.numbers("pose on the probe arm's scales: x y z (mm) A B C (deg)", 6)
            self._pose = Pose6(*values)
        return HolderState(self.clock.now_ns(), self._pose, MotionMode.IDLE)

    def step_toward(self, target: tuple[float, ...], speed_mm_s: float) -> tuple[float, ...]:
        """Return the target itself: a person sets the arm in one move."""
        return target

    def jog(self, pose: Pose6, speed_mm_s: float) -> None:
        """Ask for the arm to be set to a pose; raises ``LimitViolation`` for a move longer than a person sets at
        once."""
        here = self.read().pose
        path = float(np.linalg.norm(np.subtract(pose.as_tuple()[:3], here.as_tuple()[:3])))
        if path > HOLDER_STEP_MM:
            raise LimitViolation("manual move of the probe arm (mm)", path, f"{HOLDER_STEP_MM:g} mm at once")
        words = ", ".join(f"{n} {v:.1f}" for n, v in zip("xyzABC", pose.as_tuple(), strict=True))
        self._pose = None  # until somebody says that it was done, the arm may stand anywhere on the way
        self.ask(f"set the probe arm to {words}, clamp it, then Enter")
        self._pose = pose

    def interrupt(self) -> None:
        """Tell the person who moves the arm to stop, at once; the current question is cancelled."""
        self._cancelled = True
        self._console.shout("!! STOP. Do not move the probe arm any further; clamp it where it is.")

    def stop(self) -> None:
        """Do nothing: a clamped arm does not move by itself."""

    def make_safe(self, deadline: Deadline) -> SafeReport:
        self._console.say("!! STOP. Leave the probe arm clamped where it is.")
        return SafeReport(self.role, True, "clamped; moved by hand only")


class ManualPump(ManualDevice):
    """A hand-pushed syringe. The volume is the one that the person reads off the barrel afterwards.

    Implements ``hal.interfaces.Interruptible``. A push whose volume was not stated is asked for by the next ``read``.
    """

    role = "pump"
    driver = "manual_pump"
    watchdog_s: float | None = None
    """A person who was asked pushes on to the volume, and watches."""
    within = (VOLUME_ML,)

    def __init__(self, settings: Settings, clock: Clock, terminal: Console | None = None) -> None:
        super().__init__(settings, clock, terminal)
        self._total_ml = 0.0
        self._untold = False
        """Somebody pushed, or may have, and the volume was not stated."""

    def read(self) -> PumpState:
        """Sum of the volumes read off the barrel; asks for a volume that is still missing."""
        if self._untold:
            self._tell("the push was interrupted: volume that went in, read off the barrel (mL), 0 for nothing")
        return PumpState(self.clock.now_ns(), False, self._total_ml, 0.0)

    def infuse(self, volume_ml: float, rate_ml_min: float) -> None:
        """Return when the person has pushed and read the barrel; raises ``DeviceError`` when it was cancelled."""
        seconds = volume_ml / rate_ml_min * 60.0
        self._untold = True
        self._tell(
            f"push {volume_ml:g} mL evenly over {seconds:.0f} s, stop at resistance; volume read off the barrel (mL)"
        )

    def _tell(self, question: str) -> None:
        self._total_ml += self.number(question)
        self._untold = False

    def interrupt(self) -> None:
        """Tell the person who pushes to stop, at once; the current question is cancelled."""
        self._cancelled = True
        self._console.shout("!! STOP pushing the syringe, now.")

    def stop(self) -> None:
        """Repeat the stop: nothing else can be done once nobody waits for an answer any more."""
        self._console.say("!! Stop pushing the syringe.")

    def clear(self) -> None:
        self._total_ml, self._untold = 0.0, False

    def make_safe(self, deadline: Deadline) -> SafeReport:
        self.stop()
        return SafeReport(self.role, False, "told to stop pushing; a hand cannot be read back")


class ManualTracker(ManualDevice):
    """A tip position that somebody measured: calliper, height gauge, coordinate machine."""

    role = "tracker"
    driver = "manual_tracker"
    within = (TIP_MM,)

    def __init__(self, settings: Settings, clock: Clock, terminal: Console | None = None) -> None:
        super().__init__(settings, clock, terminal)
        self.sees_bending = settings.sees_bending
        self.tip_uncertainty_mm = settings.uncertainty_mm

    def read(self) -> tuple[TrackedPose, ...]:
        """Position of the tip as a person measures it from the body on the phantom: asked once, one reading.

        ``NeedleTipToTracker`` with the identity as its orientation, which is not measured; not valid, and saying why,
        when the person cannot tell. Raises ``NoReply``, and ``DeviceError`` for a question that was cancelled.
        """
        matrix = np.eye(4)
        question = f"tip position from the body on the phantom, with the {self.settings.instrument}: x y z (mm)"
        try:
            matrix[:3, 3] = self.numbers(question, 3)
        except DeviceError as error:
            if error.code not in (DECLINED, NO_ANSWER):
                raise
            return (TrackedPose(self.clock.now_ns(), TIP, np.eye(4), False, str(error), typed=True),)
        return (TrackedPose(self.clock.now_ns(), TIP, matrix, typed=True),)


class ManualContact(ManualDevice):
    """A lamp per insert that a person watches."""

    role = "contact"
    driver = "manual_contact"

    def read(self) -> ContactReading:
        blank = ContactReading(0, False, False, False)
        word = self.ask("contact lamps: Enter = dark, v = vessel, c = nerve (contact), vc = both").lower()
        if word.strip("vc"):
            raise DeviceError(f"contact: {word!r} is none of Enter, v, c, vc", device=self.role)
        return replace(blank, time_ns=self.clock.now_ns(), nerve="c" in word, vessel="v" in word)
