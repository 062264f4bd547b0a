"""Interfaces of all kinds of devices.

A constructor does no input or output; ``open`` connects and identifies. Every method that talks to the
device may raise ``LinkError`` (``NoReply``, ``BadReply``) or ``DeviceError`` and never waits without a
deadline. Reads may be repeated by the driver; actions are sent once. ``make_safe`` has no default: it
brings the device to its safe state and proves it by reading back.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from hal.clock import Deadline
from hal.types import (
    BalanceReading,
    CarrierState,
    ContactReading,
    ForceReading,
    Frame,
    HolderState,
    Identity,
    ImagingSettings,
    Instruction,
    NeedlePose,
    OperatorResponse,
    Pose6,
    PressureReading,
    PumpState,
    SafeReport,
    TemperatureReading,
    TrackedPose,
)


@runtime_checkable
class Device(Protocol):
    """Methods common to all roles."""

    role: str

    def open(self) -> Identity: ...

    def close(self) -> None: ...

    def make_safe(self, deadline: Deadline) -> SafeReport: ...


@runtime_checkable
class Interruptible(Protocol):
    """Optional: for actuators whose actions begin late, or that are a person's hands.

    Everything else is called in the lane of the device and waits for the action under way; this is called beside it.
    """

    def interrupt(self) -> None:
        """Cancel the current action at once: from any thread, without waiting; nothing is sent over the line.

        A person is asked to stop; an action that has not begun to move anything does not begin and raises
        ``DeviceError`` in its lane. What already moves is stopped by ``stop`` or ``make_safe``, which follow.
        """


@runtime_checkable
class Noticing(Protocol):
    """Optional: for devices whose driver notices something that stops nothing and yet affects the use of the
    readings."""

    def notices(self) -> dict[str, int]:
        """Events noticed since ``open``, in words, with their counts: ``clock set back by 80 ms``. From any thread."""


@runtime_checkable
class ProbeHolder(Device, Protocol):
    """Carries the probe. Poses are ``ProbeToHolder``."""

    watchdog_s: float | None
    """How long the device goes on by itself once the host has fallen silent; None: it has no watchdog and does whatever
    was sent, here at most 200 ms of motion."""

    def read(self) -> HolderState: ...

    def jog(self, pose: Pose6, speed_mm_s: float) -> None:
        """Send one short absolute move; at most 200 ms of motion may be queued (raises ``LimitViolation``)."""

    def stop(self) -> None:
        """Jog cancel, hold, and read back that nothing moves (raises ``DeviceError`` when it still does)."""


@runtime_checkable
class NeedleCarrier(Device, Protocol):
    """Carries the needle."""

    watchdog_s: float | None
    """As of a probe holder."""

    def read(self) -> CarrierState: ...

    def jog(self, pose: NeedlePose, speed_mm_s: float) -> None:
        """One short absolute move; a feed step longer than 1 mm raises ``LimitViolation``."""

    def stop(self) -> None: ...


@runtime_checkable
class Pump(Device, Protocol):
    """Pushes fluid."""

    watchdog_s: float | None
    """How long it pumps by itself once the host has fallen silent; None: it has no watchdog and pumps to the end of its
    volume. Limits what it may be asked for (``rig.safety.run_on``)."""

    def read(self) -> PumpState: ...

    def infuse(self, volume_ml: float, rate_ml_min: float) -> None:
        """Start one infusion of a fixed volume; the pump stops by itself. Sent once, never repeated."""

    def stop(self) -> None: ...

    def clear(self) -> None:
        """Set the dispensed total to zero (not while running)."""


@runtime_checkable
class PressureSensor(Device, Protocol):
    """Measures the line pressure upstream of the needle."""

    def read(self) -> PressureReading: ...

    def zero(self) -> None:
        """Make the present pressure read as zero."""


@runtime_checkable
class ForceSensor(Device, Protocol):
    """Measures an axial force."""

    def read(self) -> ForceReading: ...

    def tare(self) -> None: ...


@runtime_checkable
class ContactSensor(Device, Protocol):
    """Reports whether the needle touches a conductive insert, and the state of the pedal."""

    def read(self) -> ContactReading: ...


@runtime_checkable
class TemperatureSensor(Device, Protocol):
    """Measures the gel temperature."""

    def read(self) -> TemperatureReading: ...


@runtime_checkable
class Balance(Device, Protocol):
    """Weighs what a vessel under the needle has caught. It is asked when somebody wants to know, not polled."""

    def read(self) -> BalanceReading:
        """Net weight now, stable or not."""

    def read_stable(self) -> BalanceReading:
        """The next stable net weight; raises ``DeviceError`` (code ``unstable``) when there is none in time."""

    def tare(self) -> None:
        """Make the present stable weight the tare. Sent once."""

    def zero(self) -> None:
        """Make the present stable weight, near the zero of power-up, read as zero. Sent once."""


@runtime_checkable
class Ultrasound(Device, Protocol):
    """Gives frames."""

    def read(self) -> Frame | None:
        """Newest frame that was not read yet, or None when there is no newer one."""

    def settings(self) -> ImagingSettings: ...

    def apply(self, settings: ImagingSettings) -> ImagingSettings:
        """Ask the scanner for settings; returns the settings that it reports afterwards."""


@runtime_checkable
class Tracker(Device, Protocol):
    """Also the reference instrument, when it tracks the needle tip itself."""

    sees_bending: bool
    tip_uncertainty_mm: float
    """Standard uncertainty of the tip position at the target, per axis."""

    def read(self) -> tuple[TrackedPose, ...]:
        """The newest pose of every tool."""


@runtime_checkable
class EStop(Device, Protocol):
    """An emergency stop in addition to the wired one."""

    def read(self) -> bool:
        """True = pressed, absent or not readable."""


@runtime_checkable
class Operator(Device, Protocol):
    """The person at the needle and at the screen."""

    def begin(self, instruction: Instruction) -> None:
        """Show the instruction; one at a time."""

    def poll(self) -> OperatorResponse | None:
        """Answer of the operator, or None while there is none yet."""

    def cancel(self) -> None:
        """Stop: the current instruction is cancelled, hands hold still (after a person's reaction time)."""

    def show(self, text: str) -> None:
        """Show a text without asking for an answer."""
