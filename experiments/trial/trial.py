"""One trial: the context that the steps share, and the engine that goes from state to state.

Steps are functions ``Trial -> State`` in ``experiments.steps``. A stop rule (``HoldRequested``) sends any of them to
``reassess``; a safety stop or a device failure ends the trial, and the record is closed all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from experiments.protocol.plan import PlannedTrial
from experiments.protocol.states import State
from experiments.protocol.technique import Path_, Technique
from experiments.trial.device_fault import DEVICE_FAULT, KINDS, Ports, fault_of
from experiments.trial.log import TrialLog
from experiments.trial.needle_hand import NeedleHand, hand_of
from experiments.trial.scoring import drawn_truth, score
from experiments.trial.shared_errors import SeenTip, SharedErrors
from experiments.trial.sight import Sight, View
from hal.errors import DeviceError, LimitViolation, LinkError, RecordError, RigError, SafetyStop
from hal.phantom.needles import NeedleSpec, load_needle
from hal.phantom.nominal import NominalPhantom
from hal.phantom.target import Target
from hal.types import ImagingSettings, Matrix, Vector
from rig.calibration.certificates.in_force import InForce
from rig.control.controller import Controller
from rig.guidance.bending import Bending
from rig.guidance.lumbar.anatomy_fit import AnatomyFit
from rig.guidance.lumbar.dorsal_map import DorsalMap
from rig.guidance.lumbar.level import LevelCount
from rig.guidance.needle_line import direction_from_angles
from rig.guidance.panorama import SweepFrame
from rig.guidance.planning import Plan
from rig.instruments.syringe import InjectionResult, line_model
from rig.instruments.thermometer import PLACES
from rig.live.scene import LiveScene
from rig.record import Field, TrialRecord
from rig.safety.pressure import LineModel, TipReading
from rig.safety.stop import HoldRequested
from rig.setup.witness import Witness

TOLD_OF_INJECTION = ("verdict", "reason", "pumped_ml", "pumped_min_ml", "pumped_max_ml", "delivered_ml")
"""What a trial's journal says of an injection; all its numbers are in the entry ``infusion`` before it."""
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
    """What the steps of one trial share."""

    planned: PlannedTrial
    technique: Technique
    anatomy: Anatomy
    controller: Controller
    record: TrialRecord
    witness: Witness | None
    before_close: Callable[[], None] | None = None
    """Called before the record is closed: streams are written to their end."""
    scene: LiveScene | None = None
    """Who looks on over OpenIGTLink."""
    about: dict[str, object] = field(default_factory=dict)
    """Columns that were known before the trial began."""
    log: TrialLog = field(default_factory=TrialLog)
    PhantomToRig: Matrix = field(default_factory=lambda: np.eye(4))
    """Best estimate; nominal until the image has been registered."""
    sweep: list[list[SweepFrame]] = field(default_factory=list)
    """Longitudinal frames, one list per scan line."""
    seen: list[SweepFrame] = field(default_factory=list)
    """Every frame in which bone was looked for."""
    count: LevelCount | None = None
    plan: Plan | None = None
    refused: list[Plan] = field(default_factory=list)
    """Plans that were tried and given up."""
    bending: Bending | None = None
    feed_bias_mm: float = 0.0
    """Tip in the image minus tip by the carrier, along the needle: what their calibrations disagree by."""
    empty: list[View] = field(default_factory=list)
    """Frames of the working view and its neighbours without the needle."""
    planes: list[View] = field(default_factory=list)
    """Out of plane: frames of planes that cross the planned needle every millimetre, without the needle."""
    view: View | None = None
    """The last frame of the working view."""
    line_kpa_min_ml: float | None = None
    """Line and needle resistance, measured in air at the planned rate."""
    fit: AnatomyFit | None = None
    calibrated: InForce = field(default_factory=InForce)
    """Certificates behind the rig, for the uncertainty budget."""
    shared: SharedErrors | None = None
    """How the registration in force answers to what all frames share."""
    bending_before: Bending | None = None
    """The model before anybody looked at the needle."""
    seen_tip: SeenTip | None = None
    drawn_back_mm: float = 0.0
    """Way that the needle was drawn back since its tip was confirmed."""
    short_of_mm: float = 0.0
    """How far before the aim point an advance ends; a procedure of the user's own goes on from there."""
    own: dict[str, float] = field(default_factory=dict)
    """What a procedure of the user's own measured, by the name of its column."""
    last_injection: InjectionResult | None = None
    rescans_n: int = 0
    pressure_retries_n: int = 0
    _injection_declared: bool = False

    def __post_init__(self) -> None:
        self.noticed_before_n = self.controller.notices.total_n
        self.needle: NeedleSpec = load_needle(self.technique.needle)
        measured = self.about.get("temp_c")
        speed_of_sound = self.controller.rig.config.gel.speed(measured if isinstance(measured, float) else None)
        self.sound_speed_m_s = speed_of_sound.c_m_s
        """Of the gel at its temperature, by the rig file; images are corrected with it."""
        self.sound_speed_u_m_s = speed_of_sound.u_m_s
        self.log.sound_speed_m_s = self.sound_speed_m_s
        by = str(self.about.get("temp_by") or "")
        self.event(
            "gel", sound_speed_m_s=speed_of_sound.c_m_s, u_m_s=speed_of_sound.u_m_s, temperature_c=measured,
            temperature_by=by, temperature_place=PLACES.get(by, ""),
        )  # fmt: skip
        scanner = self.controller.rig.ultrasound
        imaging = scanner.settings() if scanner is not None else ImagingSettings()
        self.imaging_depth_mm = imaging.depth_mm
        self.assumed_speed_m_s = imaging.sound_speed_m_s
        self.depth_correction = speed_of_sound.correction(self.assumed_speed_m_s)
        speed = self.technique.scan.speed_mm_s if self.technique.scan else 30.0
        self.sight = Sight(self.controller, self.record, self.log, speed, self.scene)
        self.PhantomToRig = self.controller.rig.frames.get("Phantom", "Rig")
        self.hand: NeedleHand = hand_of(self.technique, self.controller, self.log)

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

    def line_model(self) -> LineModel:
        """The line with the resistance that was measured in air, where it was."""
        nominal = line_model(self.controller)
        if self.line_kpa_min_ml is None:
            return nominal
        return replace(nominal, resistance_kpa_min_ml=self.line_kpa_min_ml, k_line=1.0)

    def image_to_probe(self, view: View) -> Matrix:
        """``ImageToProbe`` corrected for the gel's speed of sound.

        Ranges count from the face, so that the correction is a scaling about the face's centre; for the curved
        face it is exact on the axis and within 0.1 mm at its edge for a 1 % difference.
        """
        scale = np.diag([*[self.sound_speed_m_s / self.assumed_speed_m_s] * 3, 1.0])
        return np.asarray(scale @ view.ImageToProbe)

    def note_injection(self, result: InjectionResult, *, test: bool) -> None:
        """Count volume and pressures."""
        log, self.last_injection = self.log, result
        if test:
            log.test_injections_n += 1
            log.test += result.pumped
        log.injected += result.pumped
        values = [None if v != v else float(v) for v in (result.opening_kpa, result.peak_kpa, result.plateau_kpa)]
        log.note_pressure(*values)
        told = {key: value for key, value in result.as_dict().items() if key in TOLD_OF_INJECTION}
        self.event("injection", purpose="test" if test else "main", **told)

    def note_pressure(self, reading: TipReading) -> None:
        """Record one reading of an injection as the pressure rule judged it, at once: a kill keeps it."""
        streams = self.record.streams
        if not self._injection_declared:
            self._injection_declared = True
            fields = [Field("sensor_kpa", "kPa"), Field("tip_kpa", "kPa"), Field("flow_ml_min", "mL/min")]
            streams.declare("injection", fields)
        streams.sample("injection", reading.time_ns, [reading.sensor_kpa, reading.tip_kpa, reading.flow_ml_min])

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
        """Whether trials of this kind go through the state."""
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


def run_trial(trial: Trial, steps: Mapping[State, Step], reassess: Reassess, lead: Lead = all_states) -> dict[str, Any]:
    """Go through the states; returns the trial row. Raises ``SafetyStop``, ``LinkError``, ``DeviceError`` or
    ``ProcedureFault`` after the record was closed, so that the caller ends the cartridge."""
    log = trial.log
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
        close_record(trial)
        raise
    if failure is not None:
        trial.controller.make_safe(str(failure))
    try:
        row = close_record(trial)
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


def close_record(trial: Trial) -> dict[str, Any]:
    """Score the trial, write truth and row, close the record."""
    truth = trial.witness.testimony() if trial.witness is not None else None
    known = truth or drawn_truth(
        trial.anatomy.phantom, trial.technique.level, trial.planned.side, trial.approach_direction
    )
    trial.log.device_notices_n = trial.controller.notices.total_n - trial.noticed_before_n
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
    row = {**trial.about, **row, **trial.own}
    if trial.before_close is not None:
        trial.before_close()
    trial.record.close(row)
    return row
