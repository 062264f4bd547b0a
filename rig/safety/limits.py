"""Limits of the rig: frozen, read from ``rig.toml``, enforced before a command is sent and on every scan.

They are limits of a bench, and each lies between bounds of its own: a file that would switch a protection off by a
number (an infinite one, a period of 0, a workspace upside down) is refused when it is read. Sources are ``facts`` of
the domain as quoted at each field; a value marked [A] is a choice of this project that a bench may change in its
``rig.toml``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from hal.errors import LimitViolation
from hal.files import refusal
from hal.window import Window, leads_back, outside
from rig.safety.bounds import STRICT, between
from rig.safety.polling import ESTOP_S, POLLING, Polling

Interval = tuple[Annotated[float, between(-1000.0, 1000.0)], Annotated[float, between(-1000.0, 1000.0)]]
"""From and to, mm in the base frame of a carrier that stands on a table [A]."""

PSI_KPA = 6.895


@dataclass(frozen=True)
class Box:
    """An interval per coordinate, in the device's own base frame."""

    __pydantic_config__: ClassVar = STRICT
    x_mm: Interval = (-150.0, 150.0)
    y_mm: Interval = (-200.0, 200.0)
    z_mm: Interval = (-120.0, 30.0)

    def __post_init__(self) -> None:
        """Raise a refusal for an interval that ends where it begins, or before."""
        faults = [
            (name, "must go from the lower to the higher value: nothing lies inside")
            for name, (low, high) in (("x_mm", self.x_mm), ("y_mm", self.y_mm), ("z_mm", self.z_mm))
            if not low < high
        ]
        if faults:
            raise refusal(*faults)

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

    __pydantic_config__: ClassVar = STRICT
    holder: Box = field(default_factory=Box)
    holder_angle_deg: Annotated[float, between(1.0, 180.0)] = 120.0
    """Largest of |A|, |B|, |C|: the longitudinal view needs C = 90 deg and room to search."""
    probe_speed_mm_s: Annotated[float, between(0.1, 100.0)] = 30.0
    needle_entry: Box = field(default_factory=lambda: Box((-130.0, 130.0), (-150.0, 150.0), (-60.0, 140.0)))
    """x, y of the entry point; z is the range of the feed."""
    needle_angle_deg: Annotated[float, between(1.0, 89.0)] = 65.0
    needle_air_speed_mm_s: Annotated[float, between(0.1, 100.0)] = 30.0
    """Speed outside the phantom, and of bevel turns."""
    needle_speed_mm_s: Annotated[float, between(0.1, 20.0)] = 5.0
    withdraw_speed_mm_s: Annotated[float, between(0.1, 30.0)] = 10.0
    """Upper limit of withdrawal (domain 4.2, ST11)."""
    bone_speed_mm_s: Annotated[float, between(0.1, 2.0)] = 1.0
    """Wherever bone may be met: at 20-60 N/mm a faster needle leaves no time to stop."""
    needle_step_mm: Annotated[float, between(0.05, 1.0)] = 1.0
    blind_advance_mm: Annotated[float, between(0.1, 5.0)] = 2.0
    """Needle travel allowed since the tip was last confirmed."""
    stray: Annotated[float, between(0.02, 1.0)] = 0.1
    """Largest distance of an axis from where it was last read at rest, mm and degrees: twice the distance that counts
    as arrived, and coarser than the step of any controller [A]."""
    hand_speed_mm_s: Annotated[float, between(1.0, 250.0)] = 100.0
    """Speed of axes that a person guides in a declared hand-guided step; ISO 10218-1 allows 250 mm/s for a robot that
    is taught by hand."""


@dataclass(frozen=True)
class ForceLimits:
    """Strong resistance: hold at the limit, hard stop at twice the limit (domain 2.2 and 4.2)."""

    __pydantic_config__: ClassVar = STRICT
    needle_n: Annotated[float, between(0.1, 20.0)] | None = None
    """Not set: the figure of the needle's gauge, 5 N for 22G, 3 N for 25G."""
    needle_slope_n_mm: Annotated[float, between(0.1, 20.0)] = 3.0
    probe_n: Annotated[float, between(0.5, 40.0)] = 12.0
    """Probe contact force [A]."""
    hard_factor: Annotated[float, between(1.0, 3.0)] = 2.0


@dataclass(frozen=True)
class PressureLimits:
    """Ladder at the tip, line loss removed (domain 3.2: 15 psi stop, 20 psi hard stop)."""

    __pydantic_config__: ClassVar = STRICT
    warn_kpa: Annotated[float, between(1.0, 200.0)] = 50.0
    hold_kpa: Annotated[float, between(1.0, 200.0)] = 75.0
    stop_kpa: Annotated[float, between(1.0, 200.0)] = 100.0
    hard_kpa: Annotated[float, between(1.0, 200.0)] = 138.0
    line_kpa: Annotated[float, between(1.0, 350.0)] = 300.0
    """Sensor value at which the range of a 350 kPa sensor nearly ends [A]."""
    zero_kpa: Annotated[float, between(0.5, 20.0)] = 5.0
    """Largest deviation of a line at rest from the pressure that it must hold, and largest reading that a sensor's
    driver zeroes. More cannot be drift of a sensor good to 1 kPa (domain 3.2); a negative deviation hides as much of
    the tissue's pressure."""

    def __post_init__(self) -> None:
        """Raise a refusal for a ladder whose steps are not in order."""
        steps = ("warn_kpa", "hold_kpa", "stop_kpa", "hard_kpa", "line_kpa")
        values = [getattr(self, name) for name in steps]
        faults = [
            (name, f"must not be below {before} = {low:g}: the ladder rises step by step")
            for before, name, low, high in zip(steps, steps[1:], values, values[1:], strict=False)
            if high < low
        ]
        if faults:
            raise refusal(*faults)


@dataclass(frozen=True)
class VolumeLimits:
    """Volumes and rates."""

    __pydantic_config__: ClassVar = STRICT
    test_ml: Annotated[float, between(0.01, 0.5)] = 0.3
    test_total_ml: Annotated[float, between(0.01, 5.0)] = 1.0
    injection_ml: Annotated[float, between(0.01, 20.0)] = 5.0
    rate_ml_min: Annotated[float, between(0.01, 15.0)] = 6.0
    hand_ml: Annotated[float, between(0.01, 5.0)] = 1.0
    """Volume pumped at the pump's own keys in a declared hand-guided step: enough to prime a line of 0.4 mL twice
    [A]."""

    def __post_init__(self) -> None:
        """Raise a refusal for one test injection that is larger than all of them together."""
        if self.test_ml > self.test_total_ml:
            raise refusal(("test_ml", f"must not be above test_total_ml = {self.test_total_ml:g}"))


FORCE_N = {18: 8.0, 20: 6.3, 21: 5.7, 22: 5.0, 23: 4.4, 25: 3.0, 27: 2.0}
"""Strong resistance by gauge: 22G and 25G from domain 2.2, the others scaled with the outer diameter [A]."""


def _polling_faults(role: str, polling: Polling) -> Iterator[tuple[str, str]]:
    """Settings that would leave a role unwatched, with the key in ``limits``."""
    where = f"polling.{role}"
    if role not in POLLING:
        yield where, f"there is no such role; known: {', '.join(POLLING)}"
        return
    watched = POLLING[role].idle_s > 0.0
    for name, stale, period in (
        ("idle_s", polling.stale_idle_s, polling.idle_s),
        ("attended_s", polling.stale_attended_s, polling.attended_s),
    ):
        if watched and period <= 0.0:
            yield (
                f"{where}.{name}",
                f"must be more than 0: the {role} protects, and nobody would read it",
            )
        elif period > 0.0 and stale <= period:
            yield (
                f"{where}.stale_{name}",
                f"must be above {name} = {period:g}: every reading would be late",
            )


@dataclass(frozen=True)
class Limits:
    """All limits of a rig."""

    __pydantic_config__: ClassVar = STRICT
    motion: MotionLimits = field(default_factory=MotionLimits)
    force: ForceLimits = field(default_factory=ForceLimits)
    pressure: PressureLimits = field(default_factory=PressureLimits)
    volume: VolumeLimits = field(default_factory=VolumeLimits)
    polling: dict[str, Polling] = field(default_factory=dict)
    """Overrides of ``POLLING`` by role."""

    def __post_init__(self) -> None:
        """Raise a refusal for a role that does not exist, and for one that would no longer be watched."""
        faults = [fault for role, polling in self.polling.items() for fault in _polling_faults(role, polling)]
        if faults:
            raise refusal(*faults)

    def polling_of(self, role: str) -> Polling:
        return self.polling.get(role) or POLLING[role]

    def period_s(self, role: str, *, attended: bool, estop: bool) -> float:
        """Polling period of a role; 0 = on demand only. ``estop``: its controller carries an emergency-stop input."""
        polling = self.polling_of(role)
        period_s = polling.attended_s if attended else polling.idle_s
        return min(period_s or ESTOP_S, ESTOP_S) if estop else period_s

    def needle_force_n(self, gauge: int) -> float:
        """Hold limit of the axial force; the nearest finer gauge in the table when the gauge is not in it."""
        if self.force.needle_n is not None:
            return self.force.needle_n
        finer = [g for g in FORCE_N if g >= gauge]
        return FORCE_N[min(finer)] if finer else min(FORCE_N.values())
