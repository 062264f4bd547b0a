"""Limits of the rig: frozen, read from ``rig.toml``, enforced before a command is sent and on every scan.

They are limits of a bench. Sources are ``facts`` of the domain as quoted at each field; a value marked
[A] is a choice of this project that a bench may change in its ``rig.toml``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from hal.errors import LimitViolation
from hal.window import Window, leads_back, outside

_STRICT = {"extra": "forbid"}
"""pydantic reads this when it builds a limit from a file: unknown keys are errors."""

PSI_KPA = 6.895


@dataclass(frozen=True)
class Box:
    """An interval per coordinate, in the device's own base frame."""

    __pydantic_config__: ClassVar = _STRICT
    x_mm: tuple[float, float] = (-150.0, 150.0)
    y_mm: tuple[float, float] = (-200.0, 200.0)
    z_mm: tuple[float, float] = (-120.0, 30.0)

    @property
    def windows(self) -> tuple[Window, Window, Window]:
        return (self.x_mm, self.y_mm, self.z_mm)

    def check(
        self, what: str, x_mm: float, y_mm: float, z_mm: float, start: tuple[float, float, float] | None = None
    ) -> None:
        """Raise ``LimitViolation`` for a point outside, unless the step from ``start`` leads back inside."""
        point = (x_mm, y_mm, z_mm)
        if start is not None and leads_back(start, point, self.windows):
            return
        for name, value, window in zip("xyz", point, self.windows, strict=True):
            if outside(value, window):
                raise LimitViolation(f"{what} {name} (mm)", value, f"the workspace {window[0]:g} to {window[1]:g} mm")


def check_angles(what: str, angles: dict[str, tuple[float, float]], limit_deg: float) -> None:
    """Raise ``LimitViolation`` for an angle beyond +- its limit, unless the step leads back.

    ``angles``: by name, where each is and where it shall go (degrees).
    """
    window = (-limit_deg, limit_deg)
    starts, ends = zip(*angles.values(), strict=True)
    if leads_back(starts, ends, [window] * len(angles)):
        return
    for name, (_, value) in angles.items():
        if outside(value, window):
            raise LimitViolation(f"{what} {name} (deg)", value, f"+-{limit_deg:g} deg")


@dataclass(frozen=True)
class MotionLimits:
    """Workspace and speeds."""

    __pydantic_config__: ClassVar = _STRICT
    holder: Box = field(default_factory=Box)
    holder_angle_deg: float = 120.0
    """Largest of |A|, |B|, |C|: the longitudinal view needs C = 90 deg and room to search."""
    probe_speed_mm_s: float = 30.0
    needle_entry: Box = field(default_factory=lambda: Box((-130.0, 130.0), (-150.0, 150.0), (-60.0, 140.0)))
    """x, y of the entry point; z is the range of the feed."""
    needle_angle_deg: float = 65.0
    needle_air_speed_mm_s: float = 30.0
    """Outside the phantom, and of bevel turns."""
    needle_speed_mm_s: float = 5.0
    withdraw_speed_mm_s: float = 10.0
    """Upper limit of withdrawal (domain 4.2, ST11)."""
    bone_speed_mm_s: float = 1.0
    """Wherever bone may be met: at 20-60 N/mm a faster needle leaves no time to stop."""
    needle_step_mm: float = 1.0
    blind_advance_mm: float = 2.0
    """Needle travel allowed since the tip was last confirmed."""


@dataclass(frozen=True)
class ForceLimits:
    """Strong resistance: hold at the limit, hard stop at twice the limit (domain 2.2 and 4.2)."""

    __pydantic_config__: ClassVar = _STRICT
    needle_n: float | None = None
    """None takes the figure of the needle's gauge: 5 N for 22G, 3 N for 25G."""
    needle_slope_n_mm: float = 3.0
    probe_n: float = 12.0
    """Probe contact force [A]."""
    hard_factor: float = 2.0


@dataclass(frozen=True)
class PressureLimits:
    """Ladder at the tip, line loss removed (domain 3.2: 15 psi stop, 20 psi hard stop)."""

    __pydantic_config__: ClassVar = _STRICT
    warn_kpa: float = 50.0
    hold_kpa: float = 75.0
    stop_kpa: float = 100.0
    hard_kpa: float = 138.0
    line_kpa: float = 300.0
    """Sensor value at which the range of a 350 kPa sensor nearly ends [A]."""


@dataclass(frozen=True)
class VolumeLimits:
    """Volumes and rates."""

    __pydantic_config__: ClassVar = _STRICT
    test_ml: float = 0.3
    test_total_ml: float = 1.0
    injection_ml: float = 5.0
    rate_ml_min: float = 6.0


@dataclass(frozen=True)
class Polling:
    """How often a role is read, and when its newest value is too old.

    ``attended`` holds while something depends on the value (the needle moves, the pump runs), ``idle`` otherwise.
    A period of 0 means: read on demand only, and then age is not judged.
    """

    __pydantic_config__: ClassVar = _STRICT
    idle_s: float
    attended_s: float
    stale_idle_s: float
    stale_attended_s: float
    frozen_n: int = 0
    """So many attended readings in a row that are equal to the last digit: the sensor no longer measures. 0 = not
    judged (for an instrument whose steps are coarser than its noise)."""


POLLING: dict[str, Polling] = {
    "holder": Polling(0.5, 0.1, 2.0, 0.6),
    "carrier": Polling(0.5, 0.1, 2.0, 0.6),
    "pump": Polling(0.5, 0.1, 2.0, 0.6),
    "pressure": Polling(0.25, 0.02, 1.0, 0.2, 50),
    "needle_force": Polling(0.25, 0.04, 1.0, 0.25, 50),
    "probe_force": Polling(0.5, 0.1, 2.0, 0.5),
    "contact": Polling(0.25, 0.04, 1.0, 0.25),
    "estop": Polling(0.1, 0.1, 0.5, 0.5),
    "temperature": Polling(0.0, 0.0, 0.0, 0.0),
    "tracker": Polling(0.0, 0.0, 0.0, 0.0),
    "ultrasound": Polling(0.0, 0.0, 0.0, 0.0),
    "operator": Polling(0.0, 0.0, 0.0, 0.0),
}
"""Defaults by role [A]; pressure at 50 Hz while injecting (domain 3.2 asks for at least 20 Hz). 50 equal readings are
1 s of injecting, or 2 s of advancing: 2 mm near bone."""

ESTOP_S = 0.04
"""Longest time between two readings of an emergency-stop input, whatever the rig does. From a press to the stop command
pass at most this, one reading and one scan of 20 ms, which leaves a third of the 100 ms of domain 3.2 to the lane that
is to stop [A]."""

FORCE_N = {18: 8.0, 20: 6.3, 21: 5.7, 22: 5.0, 23: 4.4, 25: 3.0, 27: 2.0}
"""Strong resistance by gauge: 22G and 25G from domain 2.2, the others scaled with the outer diameter [A]."""


@dataclass(frozen=True)
class Limits:
    """Everything together."""

    __pydantic_config__: ClassVar = _STRICT
    motion: MotionLimits = field(default_factory=MotionLimits)
    force: ForceLimits = field(default_factory=ForceLimits)
    pressure: PressureLimits = field(default_factory=PressureLimits)
    volume: VolumeLimits = field(default_factory=VolumeLimits)
    polling: dict[str, Polling] = field(default_factory=dict)
    """Overrides of ``POLLING`` by role."""

    def polling_of(self, role: str) -> Polling:
        return self.polling.get(role) or POLLING[role]

    def period_s(self, role: str, *, attended: bool, estop: bool) -> float:
        """How often a role is read; 0 = on demand only. ``estop``: its controller carries an emergency-stop input."""
        polling = self.polling_of(role)
        period_s = polling.attended_s if attended else polling.idle_s
        return min(period_s or ESTOP_S, ESTOP_S) if estop else period_s

    def needle_force_n(self, gauge: int) -> float:
        """Hold limit of the axial force; the nearest finer gauge in the table when the gauge is not in it."""
        if self.force.needle_n is not None:
            return self.force.needle_n
        finer = [g for g in FORCE_N if g >= gauge]
        return FORCE_N[min(finer)] if finer else min(FORCE_N.values())
