"""The scan: a fixed-period look at the newest inputs, the interlocks on them, and the stops that follow.

Each scan evaluates every interlock on its level and on its age. A hard trip brings the rig to its safe state and raises
``SafetyStop``; a stop rule stops needle and pump and raises ``HoldRequested`` for the technique to answer.

States: ``idle -> running -> (held -> running) | stopped``; ``stopped -> running`` only by ``acknowledge``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol, Self

from hal.clock import NS_PER_S, Clock
from hal.errors import DeviceError, SafetyStop
from hal.types import SafeReport
from rig.control.halt import ACTUATORS, Halt
from rig.control.notices import NoticeBoard
from rig.control.pose_history import PoseHistory
from rig.devices import Rig
from rig.lanes import Ticket
from rig.safety.axes_watch import LINEAR, AxesWatch
from rig.safety.deadman import ScanDeadman
from rig.safety.delivery_watch import DeliveryWatch
from rig.safety.estop import EStopLatch, EStopState
from rig.safety.interlocks import Guard, Watch, levels_for
from rig.safety.interrupt import Interrupt
from rig.safety.limits import Limits
from rig.safety.line_at_rest import LineAtRest
from rig.safety.proof import Proof, prove_all
from rig.safety.stop import ForcedStop, HoldRequested, Severity, Trip
from rig.safety.travel import NeedleTravel
from rig.safety.volume import VolumeLedger

SCAN_S = 0.02
EXCHANGE_S = 3.0
"""Longest time for one command or reading, the queue of its lane included."""
PEDAL = "pedal"
PAUSE = "pause"
PAUSE_MAX_S = 1800.0
"""Longest pause: after half an hour the gel has dried and the checklist no longer holds [A]."""


class JournalWriter(Protocol):
    """Interface of the journal; the record room has the real one."""

    def append(self, kind: str, data: dict[str, Any]) -> object: ...


class StopRule(Protocol):
    """A temporary condition (``Controller.watching``) that is called on every scan."""

    def __call__(self, now_ns: int) -> Trip | None: ...


class ScanLoop:
    """Watches one opened rig; everything that waits on it scans meanwhile."""

    def __init__(
        self,
        rig: Rig,
        limits: Limits,
        clock: Clock,
        journal: JournalWriter,
        *,
        interrupt: Interrupt | None = None,
        period_s: float = SCAN_S,
    ) -> None:
        self.rig = rig
        self.limits = limits
        self.clock = clock
        self.journal = journal
        self.interrupt = interrupt or Interrupt()
        self.estop = EStopLatch()
        self.halt = Halt(rig, clock, self._note, self._disarm)
        self.travel = NeedleTravel(limits.motion.blind_advance_mm)
        self.volumes = VolumeLedger(limits.volume)
        self.line_at_rest = LineAtRest(limits.pressure)
        self.probe_history = PoseHistory("holder")
        self.needle_history = PoseHistory("carrier")
        self.scans = 0
        self.late_scans = 0
        """Scans that began more than one period after their time (wall clock only)."""
        self.record_error: Exception | None = None
        """The first failure of the journal during a stop; whoever closes the run reports it."""
        self._period_ns = int(period_s * NS_PER_S)
        self._next_ns = clock.now_ns()
        levels = levels_for(limits, rig.config.needle.gauge, pedal_holds=rig.config.safety.pedal == "pause")
        now_ns = clock.now_ns()
        self.axes = {role: AxesWatch(role, limits.motion, clock) for role in LINEAR}
        self.delivery = DeliveryWatch(limits.volume, clock)
        self.watches: dict[str, Watch] = {**self.axes, "pump": self.delivery}
        self._guards = {
            role: Guard(
                channel, tuple(x for x in levels if x.role == role), limits.polling_of(role), now_ns,
                self.watches.get(role),
            )
            for role, channel in rig.channels.items()
            if channel.period_ns > 0
        }  # fmt: skip
        self._guard_list = tuple(self._guards.values())
        self.notices = NoticeBoard(rig, self._note)
        self._estop_channels = tuple(
            rig.channels[name] for name in rig.config.safety.estop_inputs if name in rig.channels
        )
        self._deadmen = {role: self._deadman(role) for role in ACTUATORS if role in rig.lanes and role in rig.channels}
        self._rules: list[StopRule] = []
        self._attended: Counter[str] = Counter()
        self._heeded = False
        """True while the emergency-stop inputs are judged as attended ones."""
        self._delivered: set[str] = set()
        """Hold conditions that were reported to the technique and are still true."""
        self._pauses: set[str] = set()
        self._running = False
        self._stop: SafetyStop | None = None
        self._forced = False
        for role, history in (("holder", self.probe_history), ("carrier", self.needle_history)):
            if role in rig.channels:
                rig.channels[role].listeners.append(history.add)

    def _deadman(self, role: str) -> ScanDeadman:
        deadman = ScanDeadman(self.rig.channels[role], self.rig.device(role).stop)  # type: ignore[attr-defined]
        self.rig.lanes[role].add_deadman(deadman)
        return deadman

    def _disarm(self) -> None:
        """Disarm the lanes' own stops: the safe state is on its way, and they would only follow it."""
        for deadman in self._deadmen.values():
            deadman.attend(False, self.clock.now_ns())

    # -- life --------------------------------------------------------------------------------------------

    def start(self, timeout_s: float = 5.0) -> None:
        """Take over Ctrl-C and wait until every watched device has been read once."""
        self.interrupt.install(getattr(self.rig.estop, "press", None))
        deadline = self.clock.deadline(timeout_s)
        while any(g.channel.sample is None and g.channel.fault is None for g in self._guard_list):
            if deadline.expired:
                break
            self.clock.sleep(0.01)
        self._running = True
        self._next_ns = self.clock.now_ns()
        guarded = sorted(self._guards)
        self.journal.append(
            "controller_started",
            {
                "guarded": guarded,
                "on_demand": sorted(self.rig.unmonitored),
                "estop_inputs": list(self.rig.config.safety.estop_inputs),
                "scan_s": self._period_ns / NS_PER_S,
            },
        )
        try:
            self.scan()
        except HoldRequested as hold:  # a foot on the pedal already: a pause to be waited out, no failure to begin
            self.journal.append("hold_at_start", {"source": hold.source, "reason": hold.reason})

    def close(self) -> tuple[SafeReport, ...]:
        """End the run: safe state (once), signals given back. Never raises for a device that fails."""
        reports = self.make_safe("end of run", tell=False)
        self._running = False
        self.interrupt.restore()
        return reports

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def stopped(self) -> SafetyStop | None:
        """Reason why the rig is in its safe state; None while it runs."""
        return self._stop

    def self_test(self) -> tuple[Proof, ...]:
        """Show that every interlock can trip and can pass; journals it, raises ``SafetyStop`` if one cannot."""
        proofs = prove_all(self._guard_list, self.limits, self.rig.config.line)
        unguarded = sorted(set(self.rig.channels) - set(self._guards))
        self.journal.append(
            "interlock_self_test",
            {"proofs": [p.as_dict() for p in proofs], "unguarded": unguarded, "passed": all(p.proven for p in proofs)},
        )
        bad = [p.name for p in proofs if not p.proven]
        if bad:
            raise SafetyStop(f"interlock self-test failed: {', '.join(bad)}", source="self_test")
        return proofs

    # -- the scan ----------------------------------------------------------------------------------------

    def scan(self) -> None:
        """One scan; raises ``SafetyStop`` or ``HoldRequested``."""
        self.scans += 1
        if self._stop is not None:
            self._raise_stop()
        now_ns = self.clock.now_ns()
        self._hard(now_ns)
        self.notices.look()
        holds: list[Trip] = []
        for guard in self._guard_list:
            if guard.holds:
                holds.extend(guard.holds)
        for rule in self._rules:
            trip = rule(now_ns)
            if trip is not None:
                if trip.severity is Severity.HARD:
                    self._trip(trip)
                holds.append(trip)
        for reason in self._pauses:
            holds.append(Trip(f"{PAUSE}:{reason}", Severity.HOLD, f"paused by {reason}"))
        if holds or self._delivered:
            self._judge_holds(holds)

    def _hard(self, now_ns: int) -> None:
        for deadman in self._deadmen.values():  # also while a hold waits for its stops: somebody does watch
            deadman.beat(now_ns)
        if self.interrupt.count and self._running:
            self._trip(Trip("operator", Severity.HARD, "stopped by the operator (Ctrl-C)"))
        if self._running and self._read_estop() is not EStopState.DISENGAGED:
            self._trip(Trip("estop", Severity.HARD, self._estop_words()))
        for guard in self._guard_list:
            trip = guard.check(now_ns)
            if trip is not None and self._running:
                self._trip(trip)
        over = self.volumes.evaluate()
        if over is not None and self._running:
            self._trip(over)

    def _read_estop(self) -> EStopState:
        # Nothing moves on a rig that states no input; one that is stated and not there is absent.
        pressed: bool | None = None if self.rig.config.safety.estop_inputs else False
        for channel in self._estop_channels:
            if channel.fault is not None:
                pressed = True
            elif channel.sample is not None:
                value = channel.sample.value
                pressed = bool(pressed) or bool(value if isinstance(value, bool) else value.estop)
        return self.estop.update(pressed)

    def _estop_words(self) -> str:
        """Wording for a pressed stop and for one that is only unreadable: a person must check different things."""
        for channel in self._estop_channels:
            if channel.fault is not None:
                return (
                    f"{channel.role} does not answer, so that its emergency-stop input counts as pressed: "
                    f"{channel.fault}"
                )
        return f"emergency stop {self.estop.state.value}: release it, check the bench, then acknowledge"

    def _judge_holds(self, holds: list[Trip]) -> None:
        sources = {trip.source for trip in holds}
        self._delivered &= sources
        fresh = next((trip for trip in holds if trip.source not in self._delivered), None)
        if fresh is not None:
            self._hold(fresh)

    def _hold(self, trip: Trip) -> NoReturn:
        """Stop what moves, then inform the technique."""
        self._delivered.add(trip.source)
        stopping: list[tuple[str, Ticket[None]]] = []
        self.halt.interrupt(role for role in ACTUATORS if self._attended[role])
        for role in ACTUATORS:
            if self._attended[role] and role in self.rig.lanes:
                lane = self.rig.lanes[role]
                lane.cancel_pending()
                stopping.append((role, lane.submit(getattr(self.rig, role).stop, f"stop {role}")))
        deadline = self.clock.deadline(3.0)
        while not all(ticket.done for _, ticket in stopping):
            if deadline.expired:
                break
            self.clock.sleep(0.005)
            self._hard(self.clock.now_ns())
        self.halt.note_failed()
        for role, ticket in stopping:
            if not ticket.done or ticket.error is not None:
                why = ticket.error or "no read-back within 3 s"
                self._trip(Trip(f"{role}_stop", Severity.HARD, f"the {role} did not stop on '{trip.reason}': {why}"))
        self.journal.append("hold", {**trip.as_dict(), "stopped": [role for role, _ in stopping]})
        raise HoldRequested(trip)

    def _trip(self, trip: Trip) -> NoReturn:
        self._stop = SafetyStop(trip.reason, source=trip.source)
        self.halt.make_safe(trip.reason, tell=True, trip=trip)
        self._raise_stop()

    def _note(self, kind: str, data: dict[str, Any]) -> None:
        """Journal on the way to the safe state: a full disk must not keep the pump running."""
        try:
            self.journal.append(kind, data)
        except Exception as error:
            self.record_error = self.record_error or error

    def _raise_stop(self) -> NoReturn:
        assert self._stop is not None
        if self.interrupt.count >= 2 and not self._forced:
            self._forced = True
            self._note("forced_stop", {"reason": self._stop.reason})
        if self._forced:
            raise ForcedStop(f"{self._stop.reason} (forced by a second Ctrl-C)", source=self._stop.source)
        raise SafetyStop(self._stop.reason, source=self._stop.source)

    def make_safe(self, reason: str, *, tell: bool = True) -> tuple[SafeReport, ...]:
        """Bring about the safe state, once per incident: a second call returns the first one's reports and sends
        nothing.

        The person at the needle is informed first, unless the run has simply ended (``tell`` False).
        """
        return self.halt.make_safe(reason, tell=tell)

    def acknowledge(self) -> bool:
        """Leave the stopped state after a person has looked. False while the cause is still there.

        Every watched device is read anew first: the newest values are from before the stop, and a silent sensor's
        age must not begin to count again.
        """
        for watch in self.watches.values():
            watch.forget()
        if not self._read_all_anew():
            return False
        self._read_estop()
        if not self.estop.acknowledge():
            return False
        now_ns = self.clock.now_ns()
        if any(guard.check(now_ns) is not None for guard in self._guard_list) or self.halt.still_moving():
            return False
        self.interrupt.count = 0
        self._forced = False
        self._stop = None
        self.halt.forget()
        self.journal.append("acknowledged", {})
        return True

    def _read_all_anew(self) -> bool:
        """Read every watched device once; False when one of them failed or did not answer in time."""
        reading = [(g.channel, self.rig.lanes[g.role].request(g.role)) for g in self._guard_list if not g.channel.fault]
        deadline = self.clock.deadline(EXCHANGE_S)
        while not all(ticket.done for _, ticket in reading) and not deadline.expired:
            self.clock.sleep(0.005)
        return all(ticket.done and channel.fault is None for channel, ticket in reading)

    # -- holds -------------------------------------------------------------------------------------------

    @property
    def active_holds(self) -> tuple[Trip, ...]:
        """Hold conditions of the devices that are true now, reported or not."""
        return tuple(trip for guard in self._guard_list for trip in guard.holds)

    def require_no_hold(self) -> None:
        """Raise a hold that is still true, before the needle goes deeper or fluid flows."""
        for trip in self.active_holds:
            self.refuse(trip)
        self.require_no_pause()

    def refuse(self, trip: Trip) -> NoReturn:
        """Refuse an action that is about to begin; nothing moves, so nothing is stopped."""
        self.journal.append("hold", {**trip.as_dict(), "stopped": [], "still": True})
        raise HoldRequested(trip)

    @property
    def paused_by(self) -> tuple[str, ...]:
        """Source of a pause now: the foot pedal while it is pressed, or the console."""
        pedal = [trip.reason for trip in self.active_holds if trip.source == PEDAL]
        return (*pedal, *sorted(self._pauses))

    def require_no_pause(self) -> None:
        """Raise during a pause, before anything moves in any direction: somebody may have a hand in the bench."""
        if self.paused_by:
            raise HoldRequested(Trip(PAUSE, Severity.HOLD, f"paused: {', '.join(self.paused_by)}"))

    def wait_out_pause(self, timeout_s: float = PAUSE_MAX_S) -> None:
        """Scan until nobody asks for a pause any more; raises ``SafetyStop`` when it lasts too long.

        A stop rule that fires meanwhile is raised when the pause ends: the technique answers it before anything moves.
        """
        end_ns = self.clock.now_ns() + int(timeout_s * NS_PER_S)
        fired: HoldRequested | None = None
        while self.paused_by:
            if self.clock.now_ns() >= end_ns:
                self._trip(Trip(PAUSE, Severity.HARD, f"paused for over {timeout_s:g} s: {', '.join(self.paused_by)}"))
            try:
                self.wait(0.1)
            except HoldRequested as hold:
                if not _asks_for_pause(hold.source):
                    fired = fired or hold
        if fired is not None:
            raise fired

    def pause(self, reason: str) -> None:
        """Ask for a hold from outside (console, foot switch); reasons add up, each must be resumed."""
        self._pauses.add(reason)

    def resume(self, reason: str) -> bool:
        """Withdraw one reason for a pause; True when none is left."""
        self._pauses.discard(reason)
        return not self._pauses

    @contextmanager
    def watching(self, rule: StopRule) -> Iterator[None]:
        """Evaluate one more stop rule on every scan inside the block."""
        self._rules.append(rule)
        try:
            yield
        finally:
            self._rules.remove(rule)

    @contextmanager
    def attending(self, *roles: str) -> Iterator[None]:
        """Read these roles fast, and judge their age strictly, inside the block (roles that are absent are skipped).

        Actuators that are attended are the ones that a hold stops.
        """
        present = [role for role in roles if role in self.rig.channels]
        for role in present:
            self._attended[role] += 1
            if self._attended[role] == 1:
                self._attend(role, True)
        self._heed_estops()
        try:
            yield
        finally:
            for role in present:
                self._attended[role] -= 1
                if self._attended[role] == 0:
                    self._attend(role, False)
            self._heed_estops()

    def attended(self, role: str) -> bool:
        """True when something depends on a role at present."""
        return self._attended[role] > 0

    def _heed_estops(self) -> None:
        """Judge an emergency-stop input that falls silent strictly while anything depends on the rig."""
        heed = any(self._attended.values())
        if heed is not self._heeded:
            self._heeded = heed
            now_ns = self.clock.now_ns()
            for guard in self._guard_list:
                if guard.channel.urgent:
                    guard.attend(heed, now_ns)

    def _attend(self, role: str, attended: bool) -> None:
        guard = self._guards.get(role)
        if guard is None:
            return
        now_ns = self.clock.now_ns()
        if role in self._deadmen:
            self._deadmen[role].attend(attended, now_ns)
        urgent = guard.channel.urgent
        self.rig.lanes[role].set_period(role, self.limits.period_s(role, attended=attended, estop=urgent))
        if not urgent:
            guard.attend(attended, now_ns)

    # -- waiting -----------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Sleep to the next scan of the fixed grid."""
        now_ns = self.clock.now_ns()
        self._next_ns += self._period_ns
        if self._next_ns <= now_ns:
            self.late_scans += now_ns - self._next_ns > self._period_ns
            self._next_ns = now_ns + self._period_ns
        self.clock.sleep_until(self._next_ns)

    def wait(self, seconds: float) -> None:
        """Scan for a while."""
        end_ns = self.clock.now_ns() + int(seconds * NS_PER_S)
        self.scan()
        while self.clock.now_ns() < end_ns:
            self.tick()
            self.scan()

    def wait_until(
        self, predicate: Callable[[], bool], timeout_s: float, doing: str, seen: Callable[[], str] | None = None
    ) -> None:
        """Scan until something has happened; raises ``DeviceError`` that says what did not happen.

        ``doing`` reads after "did not happen:", ``seen`` gives what was seen last.
        """
        end_ns = self.clock.now_ns() + int(timeout_s * NS_PER_S)
        while True:
            self.scan()
            if predicate():
                return
            if self.clock.now_ns() >= end_ns:
                last = f"; last seen: {seen()}" if seen is not None else ""
                raise DeviceError(f"did not happen within {timeout_s:.1f} s: {doing}{last}")
            self.tick()


def _asks_for_pause(source: str) -> bool:
    return source in (PEDAL, PAUSE) or source.startswith(f"{PAUSE}:")
