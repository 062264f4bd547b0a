"""Six-number poses on a Grbl controller: limits, feed and queue of one carrier of probe or needle.

Feed. Grbl measures a block by the Euclidean length over all its axes, a degree counting like a millimetre,
and runs that length at F per minute. So that a mixed move runs its physical path (tip, or probe face) at the
speed asked for, F is chosen from the time the move should take: ``F = 60 * |all axes| / time``, with
``time = max(path / speed, |axis change| / axis maximum)``. A firmware built to measure mixed blocks by their
linear axes alone (``feed_metric = "linear"``; RS274/NGC 2.1.2.5) needs the linear length instead.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hal.clock import NS_PER_S, Clock, Deadline
from hal.drivers.motion_grbl import USUAL, Firmware, GrblController, MotionStatus, Patience
from hal.errors import DeviceAlarm, DeviceError, LimitViolation, LinkError
from hal.files import Coordinate
from hal.types import Identity, MotionMode, SafeReport
from hal.window import leads_back, outside

QUEUE_S = 0.2
"""Most motion that may be queued: what a stop of the host lets run on (acceleration ramps not counted)."""
ROUNDING_S = 0.002
"""A jog of exactly 200 ms after rounding of the pose to 0.001 must pass."""
ROOM_S = 0.04
"""A jog that comes at most so early is sent when the queue has room for it: host and controller pace differently."""
RESOLUTION = 0.001
"""Rounding of a pose on the wire, mm and degrees."""
COARSEST_STEP = 0.05
"""Coarsest step of an axis, mm or degrees: a move counts as arrived within 0.05, which a coarser axis never reaches."""
SAME_RATIO = 0.01
"""Two accelerations that differ by no more are the same."""
FRESH_S = 0.1
"""A jog starts from a status no older than this."""
LINEAR = "XYZ"


class AxisSettings(BaseModel):
    """Limits of one axis, work coordinates, mm or degrees."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    low: float = Field(ge=-2000, le=2000)
    high: float = Field(ge=-2000, le=2000)
    max_speed: float = Field(gt=0, le=1000)
    """Per second."""
    acceleration: float = Field(gt=0, le=20_000)
    """Per second squared; what the controller is expected to use."""

    @model_validator(mode="after")
    def _ordered(self) -> AxisSettings:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        return self


class MotionSettings(BaseModel):
    """Settings of one motion controller in a ``rig.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    url: str
    baudrate: int = Field(default=115200, ge=300, le=4_000_000)
    timeout_s: float = Field(default=USUAL.reply_s, gt=0, le=5)
    """Silence of the controller that counts as a fault; the firmwares answer a status query within 5 to 20 ms."""
    start_s: float = Field(default=USUAL.start_s, gt=0, le=30)
    """Time for a board that restarts when its port opens to send its welcome line: about two seconds."""
    lost_reply_s: float = Field(default=USUAL.lost_reply_s, gt=0, le=5)
    """Longest time for which late acknowledgements are collected after one was lost."""
    axes: str = Field(default="XYZABC", pattern="^[XYZABC]{1,6}$")
    """Letters that the controller drives, in its own order."""
    limits: dict[str, AxisSettings]
    set_by_hand: dict[str, Coordinate] = Field(default_factory=dict)
    """Values of the axes that are not driven, read off their scales."""
    max_speed_mm_s: float = Field(gt=0, le=500)
    feed_metric: Literal["euclidean", "linear"] = "euclidean"
    require_homing: bool = True
    """Refuse a controller without homing ($22) and soft limits ($20), and one that is not homed."""
    work_offset: dict[str, Coordinate] = Field(default_factory=dict)
    """Machine position of the work zero (WCO) of each axis as it was when the rig was calibrated; another one is
    refused. Axes that are not named here are not compared."""
    expected: dict[Annotated[str, Field(pattern=r"^\$\d{1,3}$")], Annotated[float, Field(ge=-1e6, le=1e6)]] = Field(
        default_factory=dict
    )
    """Settings of the controller as they were when the rig was calibrated (``{ "$3" = 0, "$100" = 800 }``): steps per
    unit, directions, everything that a calibration depends on; other values are refused."""

    @model_validator(mode="after")
    def _complete(self) -> MotionSettings:
        if len(set(self.axes)) != len(self.axes):
            raise ValueError(f"axes = {self.axes!r} names an axis twice")
        unknown = sorted((set(self.limits) | set(self.set_by_hand) | set(self.work_offset)) - set("XYZABC"))
        if unknown:
            raise ValueError(f"there is no axis {', '.join(unknown)}")
        missing = sorted(set(self.axes) - set(self.limits))
        if missing:
            raise ValueError(f"limits are missing for driven axes {', '.join(missing)}")
        return self


def _patience(settings: MotionSettings) -> Patience:
    return Patience(settings.timeout_s, settings.start_s, settings.lost_reply_s)


class PoseMotion:
    """Common part of probe holder and needle carrier; ``order`` gives the letters in the order of the pose."""

    role = "motion"
    driver = "grblhal"
    watchdog_s: float | None = None
    """Grbl has none: what was accepted runs on, 200 ms at most."""

    def __init__(self, settings: MotionSettings, clock: Clock, order: str) -> None:
        self._settings = settings
        self._clock = clock
        self._order = order
        self._controller = GrblController(
            settings.url, settings.baudrate, settings.axes, clock, self.role, _patience(settings)
        )
        self._status: MotionStatus | None = None
        self._goal: tuple[float, ...] | None = None
        self._queue_end_ns = 0
        self._max = {letter: settings.limits[letter].max_speed for letter in settings.axes}

    @abstractmethod
    def path_mm(self, start: tuple[float, ...], end: tuple[float, ...]) -> float:
        """Distance that the fastest relevant point moves between two poses (mm)."""

    def check_step(self, start: tuple[float, ...], end: tuple[float, ...]) -> None:
        """Check further limits of one jog; raises ``LimitViolation``."""

    def open(self) -> Identity:
        """Connect and check axes, units, coordinate systems, offsets, reports, soft limits, homing and travel; nothing
        moves.

        Raises ``DeviceError`` with everything that is not as the rig needs it, and ``DeviceAlarm`` for a controller
        that is not homed or in alarm (``home`` then still works).
        """
        firmware = self._controller.open()
        self._goal, self._queue_end_ns = None, 0
        self._status = self._controller.status()
        self._check_settings(firmware, self._status)
        if self._status.mode is MotionMode.ALARM and not self._status.estop:
            raise DeviceAlarm(
                f"{self.role} at {self._settings.url} is in alarm ({self._status.alarm}): its position is not known; "
                "clear the way and home it",
                device=self.role,
                code=self._status.alarm,
            )
        homed = firmware.setup.homed_axes
        if self._settings.require_homing and homed is not None and ~homed & ((1 << len(self._settings.axes)) - 1):
            raise DeviceAlarm(
                f"{self.role} at {self._settings.url} is not homed (homed axes, as bits: {homed}): its limits are not "
                "checked and its position means nothing; clear the way and home it",
                device=self.role,
                code="homing",
            )
        return Identity(
            self.role,
            self.driver,
            f"{firmware.name} {self._settings.axes}",
            "",
            firmware.version,
            firmware.simulated,
            setup=self._remembered(firmware),
        )

    def _remembered(self, firmware: Firmware) -> str:
        """Work offset and steps per unit, for the record: a calibration depends on them."""
        axes = self._settings.axes
        offsets = " ".join(f"{c}{value:.3f}" for c, value in zip(axes, firmware.work_offset, strict=True))
        steps = " ".join(f"{c}{firmware.settings.get(100 + i, math.nan):g}" for i, c in enumerate(axes))
        return f"work offset {offsets}; steps per unit {steps}"

    def _check_settings(self, firmware: Firmware, status: MotionStatus) -> None:
        found, problems = firmware.settings, list(firmware.problems)
        if self._settings.require_homing:
            if found.get(20, 0.0) == 0.0:
                problems.append("soft limits are off (set $20=1)")
            if int(found.get(22, 0.0)) & 1 == 0:
                problems.append("homing is off (set $22=1)")
        for text, value in self._settings.expected.items():
            if found.get(int(text[1:])) != value:
                problems.append(f"{text} is {found.get(int(text[1:]), math.nan):g}, the rig file knows it as {value:g}")
        for index, letter in enumerate(self._settings.axes):
            problems += self._axis_problems(index, letter, firmware, status)
            rate = found.get(110 + index)
            if rate is not None:  # the slower of the two is what happens
                self._max[letter] = min(self._settings.limits[letter].max_speed, rate / 60.0)
        if problems:
            raise DeviceError(
                f"{self.role} at {self._settings.url} is not set up as the rig needs it: {'; '.join(problems)}",
                device=self.role,
                code="settings",
            )

    def _axis_problems(self, index: int, letter: str, firmware: Firmware, status: MotionStatus) -> list[str]:
        """Travel by place, steps, acceleration and offset of one axis against the rig file."""
        limit, settings, problems = self._settings.limits[letter], firmware.settings, []
        steps, offset = settings.get(100 + index, 0.0), firmware.work_offset[index]
        step = 1.0 / steps if steps > 0.0 else 0.0
        if step > COARSEST_STEP:
            problems.append(f"axis {letter} moves in steps of {step:g} (${100 + index}), {COARSEST_STEP:g} is needed")
        travel = firmware.setup.travel(index)
        if travel is not None:
            low, high = travel[0] - offset, travel[1] - offset
            tolerance = max(RESOLUTION, step)
            if limit.low < low - tolerance or limit.high > high + tolerance:
                problems.append(
                    f"axis {letter} travels from {low:g} to {high:g} (${130 + index} and its work offset), limits ask "
                    f"for {limit.low:g} to {limit.high:g}"
                )
            here = status.position[index]
            if self._settings.require_homing and not low - tolerance <= here <= high + tolerance:
                problems.append(f"axis {letter} claims to stand at {here:g}, outside its travel (home it)")
        acceleration = settings.get(120 + index)
        if acceleration is not None and abs(acceleration - limit.acceleration) > SAME_RATIO * limit.acceleration:
            problems.append(
                f"axis {letter} accelerates with {acceleration:g} (${120 + index}), the rig file says "
                f"{limit.acceleration:g}"
            )
        known = self._settings.work_offset.get(letter)
        if known is not None and abs(known - offset) > max(RESOLUTION, step):
            problems.append(
                f"axis {letter} has its work zero at {offset:g}, the rig was calibrated with it at {known:g}"
            )
        return problems

    def close(self) -> None:
        self._controller.close()
        self._status = self._goal = None

    def read_status(self) -> tuple[MotionStatus, tuple[float, ...]]:
        """One status and the pose in pose order, hand-set values filled in."""
        status = self._controller.status()
        self._status = status
        if not status.moving:
            self._goal, self._queue_end_ns = None, 0
        return status, self._pose(status)

    def _pose(self, status: MotionStatus) -> tuple[float, ...]:
        at = dict(zip(self._settings.axes, status.position, strict=True))
        hand = self._settings.set_by_hand
        return tuple(at[letter] if letter in at else hand.get(letter, 0.0) for letter in self._order)

    @property
    def queue_end_ns(self) -> int:
        """End of the motion that was sent, by its planned durations; may be asked from any thread."""
        return self._queue_end_ns

    def step_toward(self, target: tuple[float, ...], speed_mm_s: float) -> tuple[float, ...]:
        """Farthest pose toward ``target`` that one jog from here may ask for (straight in all six numbers)."""
        start = self._start()
        duration = self._duration_s(start, target, speed_mm_s)
        share = 1.0 if duration <= QUEUE_S else QUEUE_S / duration
        return tuple(a + share * (b - a) for a, b in zip(start, target, strict=True))

    def move(self, target: tuple[float, ...], speed_mm_s: float) -> None:
        """Check and send one jog; see ``hal.interfaces``."""
        target = tuple(round(value, 3) for value in target)
        self._check_speed(speed_mm_s)
        self._check_target(target)
        start = self._start()
        self._check_ready()
        if all(abs(a - b) < RESOLUTION / 2.0 for a, b in zip(start, target, strict=True)):
            return
        self.check_step(start, target)
        duration_s = self._duration_s(start, target, speed_mm_s)
        self._make_room(duration_s)
        if self._status is not None and self._status.mode is MotionMode.HOLD:
            self._status = self._controller.leave_hold()
        change = {letter: b - a for letter, a, b in zip(self._order, start, target, strict=True)}
        metric = LINEAR if self._settings.feed_metric == "linear" and any(change[c] for c in LINEAR) else self._order
        length = math.hypot(*(change[letter] for letter in metric))
        words = {c: v for c, v in zip(self._order, target, strict=True) if c in self._settings.axes and change[c]}
        self._goal = target
        self._queue_end_ns = max(self._clock.now_ns(), self._queue_end_ns) + int(duration_s * NS_PER_S)
        try:
            self._controller.jog(words, max(0.1, 60.0 * length / duration_s))
        except (DeviceError, LinkError):
            self._goal, self._status = None, None
            raise

    def _make_room(self, duration_s: float) -> None:
        """Raise ``LimitViolation`` for more than 200 ms of queued motion; wait when it is too much by a little."""
        queued_s = max(0.0, (self._queue_end_ns - self._clock.now_ns()) / NS_PER_S) + duration_s
        early_s = queued_s - QUEUE_S
        if duration_s > QUEUE_S + ROUNDING_S or early_s > ROOM_S:
            raise LimitViolation(f"{self.role}: motion queued by this jog (s)", queued_s, f"0 to {QUEUE_S:g} s")
        if early_s > ROUNDING_S:
            self._clock.sleep(early_s)

    def _start(self) -> tuple[float, ...]:
        """Start of the next jog: the end of the queue while moving, else the position just read."""
        now_ns = self._clock.now_ns()
        if self._goal is not None and now_ns < self._queue_end_ns:
            return self._goal
        if self._status is None or self._goal is not None or now_ns - self._status.time_ns > FRESH_S * NS_PER_S:
            status, pose = self.read_status()
            if status.moving and self._goal is not None:
                return self._goal
            return pose
        return self._pose(self._status)

    def _check_speed(self, speed_mm_s: float) -> None:
        if not 0.0 < speed_mm_s <= self._settings.max_speed_mm_s:
            raise LimitViolation(f"{self.role}: speed (mm/s)", speed_mm_s, f"0 to {self._settings.max_speed_mm_s:g}")

    def _check_target(self, target: tuple[float, ...]) -> None:
        """Check that every axis is in its window, or on the way back into it, and hand-set ones are where they are."""
        refusal: LimitViolation | None = None
        windows = []
        for letter, value in zip(self._order, target, strict=True):
            if not math.isfinite(value):
                raise LimitViolation(f"{self.role}: axis {letter}", value, "finite numbers")
            if letter in self._settings.axes:
                limit = self._settings.limits[letter]
                windows.append((limit.low, limit.high))
                if refusal is None and outside(value, windows[-1]):
                    refusal = LimitViolation(f"{self.role}: axis {letter}", value, f"{limit.low:g} to {limit.high:g}")
            else:
                fixed = self._settings.set_by_hand.get(letter, 0.0)
                windows.append((fixed, fixed))
                if abs(value - fixed) > RESOLUTION:
                    raise LimitViolation(f"{self.role}: axis {letter}", value, f"its hand-set value {fixed:g}")
        if refusal is None:
            return
        last = None if self._status is None else self._pose(self._status)
        if last is None or not any(map(outside, last, windows)) or not leads_back(self._start(), target, windows):
            raise refusal

    def _check_ready(self) -> None:
        status = self._status
        if status is None:
            return
        if status.estop:
            raise DeviceAlarm(
                f"{self.role}: emergency stop or door input is active; release it first", device=self.role, code="estop"
            )
        if status.mode is MotionMode.ALARM:
            raise DeviceAlarm(f"{self.role} is in alarm: {status.alarm}", device=self.role, code=status.alarm)

    def _duration_s(self, start: tuple[float, ...], end: tuple[float, ...], speed_mm_s: float) -> float:
        slowest = max(
            (abs(b - a) / self._max[c] for c, a, b in zip(self._order, start, end, strict=True) if c in self._max),
            default=0.0,
        )
        return max(self.path_mm(start, end) / speed_mm_s, slowest, 1e-6)

    def stop(self) -> None:
        """Jog cancel, hold, and read back that nothing moves."""
        self._goal, self._status, self._queue_end_ns = None, None, 0
        self._status = self._controller.stop()

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Stop in place (never retract); safe once two positions in a row agree."""
        self._goal, self._status, self._queue_end_ns = None, None, 0
        try:
            status = self._controller.stop(max(0.05, deadline.remaining_s))
        except (DeviceError, LinkError) as error:
            return SafeReport(self.role, False, str(error))
        self._status = status
        text = ", ".join(f"{c} {v:.3f}" for c, v in zip(self._settings.axes, status.position, strict=True))
        return SafeReport(self.role, True, f"{status.state} at {text}")

    def home(self) -> None:
        """Run the homing cycle: every axis moves to its switch. For bench set-up only, the needle out."""
        self._goal = None
        self._status = self._controller.home()

    def unlock(self) -> None:
        """Acknowledge an alarm after its cause was removed; the position may be wrong until homed."""
        self._goal = None
        self._status = self._controller.unlock()
