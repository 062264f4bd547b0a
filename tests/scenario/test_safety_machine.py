"""Pause x emergency stop x fault x Ctrl-C x cleared causes, in any order: the controller has no dead ends.

Opentrons and bluesky both had combinations of these that crashed or never ended; a rule-based machine tries many.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tiny_devices import Bench

from hal.clock import VirtualClock
from hal.errors import LimitViolation, SafetyStop
from rig.instruments.jogs import advance, withdraw
from rig.safety.stop import HoldRequested


class SafetyMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.clock = VirtualClock()
        self.bench = Bench(self.clock)
        self.controller = self.bench.controller()
        self.controller.start()
        self.incidents = 0
        self.was_stopped = False

    def attempt(self, action):
        """Run something; a stop must leave everything at rest, a hold must leave the needle at rest."""
        try:
            action()
        except SafetyStop:
            assert self.controller.stopped is not None
            if not self.was_stopped:
                self.was_stopped = True
                self.incidents += 1
            assert not self.bench.carrier.moving() and not self.bench.holder.moving()
            assert self.bench.pump.rate_now() == 0.0
        except HoldRequested:
            assert not self.bench.carrier.moving()
        except LimitViolation:
            pass

    @rule(seconds=st.sampled_from([0.02, 0.3, 1.2]))
    def wait(self, seconds):
        self.attempt(lambda: self.controller.wait(seconds))

    @rule()
    def push(self):
        self.controller.travel.confirm()
        self.attempt(lambda: advance(self.controller, 0.5, 2.0))

    @rule()
    def pull(self):
        self.attempt(lambda: withdraw(self.controller, 0.5, 5.0))

    @rule(pressed=st.booleans())
    def estop(self, pressed):
        self.bench.holder.estop = pressed

    @rule(nerve=st.booleans(), pedal=st.booleans())
    def contact(self, nerve, pedal):
        self.bench.contact.reading = replace(self.bench.contact.reading, nerve=nerve, pedal=pedal)

    @rule(force=st.sampled_from([0.2, 6.0, 11.0]))
    def force(self, force):
        self.bench.needle_force.force_n = force

    @rule(who=st.sampled_from(["operator", "console"]))
    def pause(self, who):
        self.controller.pause(who)

    @rule(who=st.sampled_from(["operator", "console"]))
    def resume(self, who):
        self.controller.resume(who)

    @rule()
    def ctrl_c(self):
        self.controller.interrupt.request()

    @precondition(lambda self: self.controller.stopped is not None)
    @rule()
    def acknowledge(self):
        self.clock.sleep(1.0)
        if self.controller.acknowledge():
            self.was_stopped = False
            assert self.controller.stopped is None

    @invariant()
    def one_safe_state_per_incident(self):
        assert self.bench.log.count("pump.make_safe") == self.incidents

    @invariant()
    def nothing_moves_while_stopped(self):
        if self.controller.stopped is not None:
            jogs = len(self.bench.carrier.jogs)
            self.attempt(lambda: advance(self.controller, 0.5, 2.0))
            assert len(self.bench.carrier.jogs) == jogs

    def teardown(self):
        """Whatever happened: with every cause gone the rig can be acknowledged and works."""
        self.bench.holder.estop = False
        self.bench.needle_force.force_n = 0.2
        self.bench.contact.reading = replace(self.bench.contact.reading, nerve=False, pedal=False)
        for who in ("operator", "console"):
            self.controller.resume(who)
        self.clock.sleep(1.0)  # the lanes see it
        self.attempt(lambda: self.controller.wait(1.0))
        if self.controller.stopped is not None:
            self.clock.sleep(1.0)
            if not self.controller.acknowledge():  # pressed until now: the latch sees the release first
                assert self.controller.acknowledge()
        self.controller.wait(0.5)
        withdraw(self.controller, 0.5, 5.0)


SafetyMachine.TestCase.settings = settings(
    max_examples=120, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
TestSafetyMachine = SafetyMachine.TestCase
