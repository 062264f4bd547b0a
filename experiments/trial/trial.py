"""One trial: what the steps share, and the engine that goes from state to state.

Steps are functions ``Trial -> State`` in ``experiments.steps``. A stop rule (``HoldRequested``) sends any of them to
``reassess``; a safety stop or a device failure ends the trial, and the record is closed all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.protocol.plan import PlannedTrial
from experiments.protocol.states import State
from experiments.protocol.technique import Path_, Technique
from experiments.trial.device_fault import DEVICE_FAULT, KINDS, Ports, fault_of
from experiments.trial.imaging import Imaging
from experiments.trial.log import TrialLog
from experiments.trial.needle_hand import NeedleHand, hand_of
from experiments.trial.path import Path
from experiments.trial.registration import Registration, Sweep
from experiments.trial.scoring import nominal_truth, score
from experiments.trial.sight import Sight
from experiments.trial.tip import Tip
from hal.errors import DeviceError, LimitViolation, LinkError, RecordError, RigError, SafetyStop
from hal.phantom.needles import NeedleSpec, load_needle
from hal.phantom.nominal import NominalPhantom
from hal.phantom.target import Target
from hal.types import ImagingSettings, Vector
from rig.calibration.certificates.in_force import InForce
from rig.control.controller import Controller
from rig.guidance.bending import nominal_bending
from rig.guidance.lumbar.dorsal_map import DorsalMap
from rig.guidance.needle_line import direction_from_angles
from rig.guidance.planning import Plan
from rig.instruments.syringe import line_model
from rig.instruments.thermometer import PLACES
from rig.live.scene import LiveScene
from rig.record import TrialRecord
from rig.safety.stop import HoldRequested
from rig.setup.witness import Witness

HOLDS_IN_A_ROW_MAX_N = 4
STATES_MAX_N = 60
"""A trial that changes state more often than this goes in circles."""


class TrialEnded(RigError):
    """A step ends the trial on purpose: ``how`` is stopped or aborted."""

    def __init__(self, how: str, reason: str) -> None:
        super().__init__(reason)
        self.how = how


@dataclass(frozen=True)
class Anatomy:
    """Nominal phantom as guidance uses it, prepared once per process."""

    phantom: NominalPhantom
    dorsal: DorsalMap = field(repr=False)
    surface: Any = field(repr=False)


@dataclass
class Trial:
    """Shared state of the steps of one trial: first what stays, then the few values that steps take and replace whole.

    A step that a stop rule breaks leaves the values as they stood then: ``reassess`` must know the tip of that moment.
    """

    planned: PlannedTrial
    technique: Technique
    anatomy: Anatomy
    controller: Controller
    record: TrialRecord
    witness: Witness | None
    scene: LiveScene | None = None
    """Who looks on over OpenIGTLink."""
    about: dict[str, object] = field(default_factory=dict)
    """Columns that were known before the trial began."""
    calibrated: InForce = field(default_factory=InForce)
    """Certificates behind the rig, for the uncertainty budget."""
    log: TrialLog = field(default_factory=TrialLog)

    def __post_init__(self) -> None:
        rig = self.controller.rig
        measured = self.about.get("temp_c")
        gel = rig.config.gel.speed(measured if isinstance(measured, float) else None)
        self.log.sound_speed_m_s = gel.c_m_s
        by = str(self.about.get("temp_by") or "")
        self.event(
            "gel", sound_speed_m_s=gel.c_m_s, u_m_s=gel.u_m_s, temperature_c=measured, temperature_by=by,
            temperature_place=PLACES.get(by, ""),
        )  # fmt: skip
        settings = rig.ultrasound.settings() if rig.ultrasound is not None else ImagingSettings()
        self.imaging = Imaging(settings.depth_mm, settings.sound_speed_m_s, gel)
        speed = self.technique.scan.speed_mm_s if self.technique.scan else 30.0
        self.sight = Sight(self.controller, self.record, self.log, speed, self.scene)
        self.hand: NeedleHand = hand_of(self.technique, self.controller, self.log)
        self.line = line_model(self.controller)
        """Syringe to needle tip; with the resistance that was measured in air as soon as it was."""
        self.sweep = Sweep()
        self.registration = Registration(rig.frames.get("Phantom", "Rig"))
        self.given_up: tuple[Plan, ...] = ()
        """Paths that were tried; the next one differs."""
        self.short_of_mm = 0.0
        """How far before the aim point an advance ends; a procedure of the user's own goes on from there."""
        self._path: Path | None = None
        self._tip: Tip | None = None

    @property
    def path(self) -> Path:
        """The path in force, from ``plan`` on."""
        assert self._path is not None
        return self._path

    @path.setter
    def path(self, path: Path) -> None:
        self._path = path

    @property
    def tip(self) -> Tip:
        """Knowledge of the tip, from ``plan`` on."""
        assert self._tip is not None
        return self._tip

    @tip.setter
    def tip(self, tip: Tip) -> None:
        self._tip = tip

    def begin(self, plan: Plan) -> None:
        """A new path, and the tip of a needle that nobody has looked at on it."""
        self._path = Path(plan)
        self._tip = Tip.planned(self.hand.unseen(nominal_bending(self._path.line, self.needle)), self._tip)

    def pulled_back(self, by_mm: float) -> None:
        """Note that the needle was pulled back, also one that no image has guided."""
        self._tip = None if self._tip is None else self._tip.pulled_back(by_mm)

    # ---- short names that steps use ------------------------------------------------------------------------

    @property
    def side(self) -> int:
        """+1 for the phantom's left (X > 0), -1 for its right."""
        return 1 if self.planned.side == "left" else -1

    @property
    def target(self) -> Target:
        """The nominal root (Phantom frame)."""
        return self.anatomy.phantom.target(self.technique.level, self.planned.side)

    @property
    def needle(self) -> NeedleSpec:
        return load_needle(self.technique.needle)

    @property
    def path_rules(self) -> Path_:
        """The corridor of an ultrasound technique."""
        assert self.technique.path is not None
        return self.technique.path

    @property
    def approach_direction(self) -> Vector:
        """Direction of the technique's preferred path: it fixes the aim point before the first trial."""
        if self.technique.landmark is not None:
            lateral, tilt = self.technique.landmark.lateral_deg, self.technique.landmark.tilt_deg
        else:
            assert self.technique.path is not None
            lateral, tilt = self.technique.path.lateral_deg.preferred, self.technique.path.tilt_deg.preferred
        return direction_from_angles(self.side * lateral, tilt)

    @property
    def now_ns(self) -> int:
        return self.controller.clock.now_ns()

    def event(self, kind: str, **data: object) -> None:
        self.record.event(kind, data)
        if self.scene is not None:
            self.scene.event(kind, {**data, "trial_id": self.planned.trial_id}, self.now_ns)

    def stop(self, reason: str) -> TrialEnded:
        """The trial ends here, in good order."""
        return TrialEnded("stopped", reason)


Step = Callable[[Trial], State]
Reassess = Callable[[Trial, HoldRequested, State], State]


class Walk:
    """The way of a trial from state to state; a stop rule that fires in one is answered by ``reassess``."""

    def __init__(self, trial: Trial, steps: Mapping[State, Step], reassess: Reassess) -> None:
        self.trial = trial
        self.state = State.SETUP
        """The next one."""
        self._steps, self._reassess, self._entered_n = steps, reassess, 0

    def has(self, state: State) -> bool:
        """True when trials of this kind go through the state."""
        return state in self._steps

    def to(self, *ends: State) -> None:
        """Go on until one of these states is the next."""
        while self.state not in ends:
            if self._entered_n == STATES_MAX_N:
                raise TrialEnded("aborted", f"more than {STATES_MAX_N} changes of state")
            self._entered_n += 1
            self.trial.event("state.entered", state=self.state.value)
            try:
                self.state = self._steps[self.state](self.trial)
            except HoldRequested as hold:
                self.state = _answer(self.trial, hold, self.state, self._reassess)


Lead = Callable[[Walk], str]
"""Goes the way of a trial; returns in words how it came to its end."""


def all_states(walk: Walk) -> str:
    """The way that a technique describes."""
    walk.to(State.DONE)
    return "all states passed"


class ProcedureFault(RigError):
    """A procedure of the user's own raised something itself, or asked for what is not possible where it stands."""


def run_trial(
    trial: Trial,
    steps: Mapping[State, Step],
    reassess: Reassess,
    lead: Lead = all_states,
    before_close: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Go through the states; returns the trial row. ``before_close`` is called before the record is closed: streams are
    written to their end.

    Raises ``SafetyStop``, ``LinkError``, ``DeviceError`` or ``ProcedureFault`` after the record was closed, so that the
    caller ends the cartridge.
    """
    log = trial.log
    noticed_before_n = trial.controller.notices.total_n

    def close() -> dict[str, Any]:
        log.device_notices_n = trial.controller.notices.total_n - noticed_before_n
        return close_record(trial, before_close)

    trial.controller.volumes.reset()
    trial.controller.travel.reset()
    if trial.witness is not None:
        trial.witness.begin(trial.technique.level, trial.planned.side, trial.approach_direction)
    failure: Exception | None = None
    try:
        log.end_reason = lead(Walk(trial, steps, reassess))
        log.ended = "finished"
    except TrialEnded as end:
        log.ended, log.end_reason = end.how, str(end)
        _note_fault(trial, end.__context__)
        failure = _leave_phantom(trial, steps)
    except LimitViolation as error:
        log.ended, log.end_reason = "aborted", str(error)
        failure = _leave_phantom(trial, steps)
    except ProcedureFault as fault:
        log.ended, log.end_reason = "interrupted", str(fault)
        failure = _leave_phantom(trial, steps) or fault
    except SafetyStop as stop:
        # A person who stops the rig interrupts the trial: it is no failure of its technique.
        log.ended = "interrupted" if stop.source == "operator" else "aborted"
        log.end_reason, failure = str(stop), stop
        _note_fault(trial, stop)
    except (LinkError, DeviceError) as error:
        log.ended, log.end_reason, failure = "aborted", str(error), error
        _note_fault(trial, error)
    except BaseException as error:
        log.ended, log.end_reason = "interrupted", f"{type(error).__name__}: {error}"
        trial.controller.make_safe(log.end_reason)  # scoring and writing take seconds in which nobody scans
        close()
        raise
    if failure is not None:
        trial.controller.make_safe(str(failure))
    try:
        row = close()
    except RecordError as lost:
        if failure is None:
            raise
        raise failure from lost  # the reason of the stop is not hidden behind that of the record
    if failure is not None:
        raise failure
    return row


def _note_fault(trial: Trial, cause: BaseException | None) -> None:
    """Was it a device, by the rules of the plan? Asked of what ended the trial, never of where the tip is."""
    rig = trial.controller.rig
    broken = [role for role, channel in rig.channels.items() if channel.fault is not None]
    found = fault_of(cause, Ports.of(rig.config.devices), broken)
    if found:
        trial.log.ended, trial.log.device_fault = DEVICE_FAULT, found
        role, kind = found.split(": ")
        trial.event("device_fault", device=role, fault=kind, words=f"the {role} {KINDS[kind]}", cause=str(cause))


def _answer(trial: Trial, hold: HoldRequested, state: State, reassess: Reassess) -> State:
    """Reassess; a stop rule that fires while the needle is being withdrawn is answered the same way, a few times."""
    for _ in range(HOLDS_IN_A_ROW_MAX_N):
        trial.log.holds.append(hold.source)
        trial.event("hold", source=hold.source, reason=hold.reason, state=state.value)
        try:
            trial.controller.wait_out_pause()
            return reassess(trial, hold, state)
        except HoldRequested as again:
            hold = again
    raise TrialEnded("stopped", f"stop rules kept firing: {hold.reason}")


def _leave_phantom(trial: Trial, steps: Mapping[State, Step]) -> Exception | None:
    """After a stopped trial the needle leaves the gel and the checklist is closed; a fault here ends the cartridge."""
    for state in (State.WITHDRAW, State.CHECKOUT):
        trial.event("state.entered", state=state.value)
        for attempt in range(HOLDS_IN_A_ROW_MAX_N):
            try:
                steps[state](trial)
                break
            except HoldRequested as hold:  # withdrawal is always allowed but in a pause: told once, then go on
                trial.event("hold", source=hold.source, reason=hold.reason, state=state.value)
                try:
                    trial.controller.wait_out_pause()
                except HoldRequested as again:
                    trial.event("hold", source=again.source, reason=again.reason, state=state.value)
                except SafetyStop as stop:
                    return stop
                if attempt + 1 == HOLDS_IN_A_ROW_MAX_N:
                    return SafetyStop(f"a stop rule kept firing while the needle was withdrawn: {hold.reason}")
            except (SafetyStop, LinkError, DeviceError, LimitViolation, TrialEnded) as error:
                return error
    return None


def close_record(trial: Trial, before_close: Callable[[], None]) -> dict[str, Any]:
    """Score the trial, write truth and row, close the record."""
    truth = trial.witness.testimony() if trial.witness is not None else None
    known = truth or nominal_truth(
        trial.anatomy.phantom, trial.technique.level, trial.planned.side, trial.approach_direction
    )
    limits = trial.controller.limits
    gauge = trial.controller.rig.config.needle.gauge
    PhantomToRig = (
        trial.controller.rig.frames.get("Phantom", "Rig") if truth is None else np.asarray(truth["PhantomToRig"])
    )
    row = score(
        trial.log,
        trial.technique,
        trial.planned.side,
        known,
        PhantomToRig=PhantomToRig,
        force_limit_n=limits.needle_force_n(gauge),
    )
    if truth is not None:
        trial.record.truth(truth)
    row = {**trial.about, **row, **trial.log.measured}
    before_close()
    trial.record.close(row)
    return row
