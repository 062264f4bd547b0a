"""Bench on which the ``[[sim.faults]]`` happen: on lines, in devices, to the operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hal.clock import NS_PER_S, Clock
from hal.errors import ConfigError
from hal.interfaces import Operator
from hal.links.wire import WireCore
from hal.sim.faults import Fault, FaultKind, FaultyCore
from hal.sim.mishaps import HiddenStylus, Mishap, MishapCore, MoodyOperator, ShortedInputs, Span
from hal.sim.ports import ContactPort, TrackerPort
from hal.sim.settings import BenchFault
from hal.sim.world import World

CLOGGED = 1e4
"""Factor on the resistance of a line that is blocked: what still passes is less than the pump can measure."""
WITHOUT_WIRE = ("operator", "bench")
AT_THE_BALANCE: Mapping[str, tuple[str, object, object]] = {
    "zero_tracking": ("zero_tracking", True, False),
    "stuck_flag": ("stuck_flag", True, False),
    "draught": ("draught_mg", 2.0, 0.0),
}
"""Fault: what of the weighing cell changes, to what, and to what at its end."""
Act = Callable[[int], None]


class FaultPlan:
    """The faults of one bench; times count from ``start_ns``, when it was switched on."""

    def __init__(self, faults: Sequence[BenchFault], start_ns: int, seed: int) -> None:
        self._faults = tuple(faults)
        self._start_ns = start_ns
        self._seed = seed
        self._mishaps: dict[str, list[Mishap]] = {}

    def on(self, role: str, core: WireCore) -> WireCore:
        """``core`` with the mishaps of its device and the faults of its line; itself when it has none."""
        mishaps = list(self._mishaps.get(role, ()))
        if role == "contact":
            for fault in self._of("contact", "broken_wire"):
                wires = _part(role, core, "broken_wires", fault)
                mishaps += self._acts(
                    fault,
                    partial(_ignoring_time, wires.add, fault.input),
                    partial(_ignoring_time, wires.discard, fault.input),
                )
        if mishaps:
            core = MishapCore(core, mishaps)
        schedule = [self._on_line(fault) for fault in self._faults if fault.device == role and fault.on_the_line]
        return FaultyCore(core, schedule, self._seed) if schedule else core

    def touched(self, port: ContactPort) -> ContactPort:
        """The contact module's circuits, with the faults among them."""
        shorts = [(fault.input, self._span(fault)) for fault in self._of("contact", "short")]
        return ShortedInputs(port, shorts) if shorts else port

    def seen(self, port: TrackerPort) -> TrackerPort:
        """The tracker's view, with the faults among them."""
        hidden = [self._span(fault) for fault in self._of("tracker", "hidden")]
        return HiddenStylus(port, hidden) if hidden else port

    def asked(self, operator: Operator, clock: Clock) -> Operator:
        """The operator, with the faults that concern the operator."""
        declines = [self._span(fault) for fault in self._of("operator", "declines")]
        absent = [self._span(fault) for fault in self._of("operator", "absent")]
        return MoodyOperator(operator, clock.now_ns, declines, absent) if declines or absent else operator

    def happen_to(self, world: World, cores: Mapping[str, WireCore]) -> None:
        """Note the faults of pump, motion controllers and bench; before ``on``.

        Raises ``ConfigError`` for a fault that the simulator of that device does not know.
        """
        for fault in self._faults:
            if fault.device not in (*cores, *WITHOUT_WIRE):
                raise ConfigError(f"sim.faults: there is no {fault.device} on this bench")
        pump = cores["pump"]
        for fault in self._of("pump", "jam"):
            _part("pump", pump, "jam", fault)
            self._note("pump", fault, partial(_jam, pump, True), partial(_jam, pump, False))
        for fault in self._of("pump", "power_cycle"):
            self._note("pump", fault, _part("pump", pump, "power_cycle", fault))
        for fault in self._of("pump", "blocked_line"):
            self._note("pump", fault, partial(_narrow, world, CLOGGED), partial(_narrow, world, 1.0 / CLOGGED))
        for fault in self._of("pump", "sticks"):
            stick = _part("pump", pump, "stick", fault)
            self._note("pump", fault, partial(stick, True), partial(stick, False))
        self._happen_to_balance(cores)
        for role in ("holder", "carrier"):
            for fault in self._of(role, "limit_switch"):
                trip = _part(role, cores[role], "trip_limit", fault)
                release = partial(_ignoring_time, _part(role, cores[role], "release_limit", fault), fault.axis)
                self._note(role, fault, partial(trip, fault.axis), release)
            for fault in self._of("bench", "emergency_stop"):
                self._note(role, fault, partial(_press, world, True), partial(_press, world, False))

    def _happen_to_balance(self, cores: Mapping[str, WireCore]) -> None:
        for fault in self._of("balance", "power_cycle"):
            self._note("balance", fault, _part("balance", cores["balance"], "power_cycle", fault))
        for kind, (name, value, before) in AT_THE_BALANCE.items():
            for fault in self._of("balance", kind):
                put = partial(setattr, _part("balance", cores["balance"], "cell", fault), name)
                self._note("balance", fault, partial(_ignoring_time, put, value), partial(_ignoring_time, put, before))

    def _note(self, role: str, fault: BenchFault, begin: Act, end: Act | None = None) -> None:
        self._mishaps.setdefault(role, []).extend(self._acts(fault, begin, end))

    def _acts(self, fault: BenchFault, begin: Act, end: Act | None = None) -> list[Mishap]:
        span = self._span(fault)
        acts = [Mishap(span.start_ns, begin)]
        if end is not None and span.end_ns is not None:
            acts.append(Mishap(span.end_ns, end))
        return acts

    def _of(self, device: str, kind: str) -> list[BenchFault]:
        return [fault for fault in self._faults if (fault.device, fault.kind) == (device, kind)]

    def _span(self, fault: BenchFault) -> Span:
        end_ns = None if fault.to_s is None else self._start_ns + int(fault.to_s * NS_PER_S)
        return Span(self._start_ns + int(fault.from_s * NS_PER_S), end_ns)

    def _on_line(self, fault: BenchFault) -> Fault:
        span = self._span(fault)
        return Fault(
            FaultKind(fault.kind), span.start_ns, span.end_ns, fault.probability, fault.count, fault.delay_s,
            fault.keep_n, fault.position,
        )  # fmt: skip


def _part(role: str, core: WireCore, name: str, fault: BenchFault) -> Any:
    """Part of a simulator that a fault acts on; raises ``ConfigError`` when it has none of the kind."""
    part = getattr(core, name, None)
    if part is None:
        raise ConfigError(f"sim.faults: the simulator of this {role} knows no fault {fault.kind!r}")
    return part


def _ignoring_time(act: Callable[..., None], value: object, now_ns: int) -> None:
    act(value)


def _jam(pump: Any, jammed: bool, now_ns: int) -> None:
    pump.jam = jammed


def _narrow(world: World, factor: float, now_ns: int) -> None:
    world.advance(now_ns)
    world.fluid.resistance_kpa_min_ml *= factor


def _press(world: World, pressed: bool, now_ns: int) -> None:
    world.estop = pressed
