"""A trial in the hands of a procedure of the user's own: the verbs of the bench.

Each of the first six verbs goes the way of the shipped techniques up to its end, whatever of it was not asked for
before, through the same steps: limits, interlocks, stop rules, record and scoring are theirs. Where the tip truly is,
and what the reference instrument said, is noted for the row and told to nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TypeVar, cast

import numpy as np

from experiments.protocol.measure import Measure
from experiments.protocol.states import State
from experiments.trial.injection import inject_in
from experiments.trial.reference import note_reference
from experiments.trial.sight import View
from experiments.trial.trial import ProcedureFault, TrialEnded, Walk
from hal.errors import LimitViolation
from rig.instruments.syringe import InjectionResult
from rig.record import LARGEST
from rig.safety.stop import HoldRequested

WAIT_MAX_S = 600.0
SHORT_OF_MAX_MM = 30.0
BESIDE_MAX_MM = 15.0
"""Further than this from the working view nothing of the needle is to be seen [A]."""
AT_INJECTION = "at_injection"
"""The moment of the tip of record."""
IN_THE_GEL = (State.ADVANCE, State.AT_TARGET, State.TEST_INJECT, State.INJECT, State.WITHDRAW)
_ORDER = (
    (State.SETUP,),
    (State.LONGITUDINAL, State.LEVEL_COUNT, State.TRANSVERSE, State.OPTIMISE, State.PALPATE),
    (State.PLAN,),
    (State.ENTRY, State.ADVANCE, State.BLIND_ADVANCE),
    (State.AT_TARGET, State.TEST_INJECT),
    (State.INJECT,),
    (State.WITHDRAW,),
    (State.CHECKOUT,),
    (State.DONE,),
)
"""States in the order of the verbs that begin with them."""
_PLACE = {state: n for n, states in enumerate(_ORDER) for state in states}
T = TypeVar("T")
Verb = TypeVar("Verb", bound=Callable[..., object])


def verb(act: Verb) -> Verb:
    """Raised again by all later calls once one has ended: a procedure cannot catch a stop of the rig and continue."""

    @wraps(act)
    def done(self: OwnTrial, *args: object, **kwargs: object) -> object:
        if self.ended is not None:
            raise self.ended
        try:
            return act(self, *args, **kwargs)
        except BaseException as error:
            self.ended = error
            raise

    return cast("Verb", done)


class OwnTrial:
    """Calls that a procedure may make; every call scans while it waits, and a stop of the rig ends the procedure
    there."""

    def __init__(self, walk: Walk, measures: Mapping[str, Measure]) -> None:
        self._walk, self._trial, self._measures = walk, walk.trial, measures
        self.ended: BaseException | None = None
        """Error that ended the procedure before its end."""

    def __repr__(self) -> str:
        return f"<trial {self.trial_id}: {self.level} {self.side}, next {self._walk.state.value}>"

    # ---- what is known ---------------------------------------------------------------------------------------

    @property
    def trial_id(self) -> str:
        return self._trial.planned.trial_id

    @property
    def level(self) -> str:
        """L4, L5 or S1."""
        return self._trial.technique.level

    @property
    def side(self) -> str:
        """left or right, of the phantom."""
        return self._trial.planned.side

    @property
    def time_s(self) -> float:
        """Time on the rig's clock."""
        return self._trial.now_ns * 1e-9

    @property
    def feed_mm(self) -> float:
        """How far the needle was advanced from its entry point, by the carrier or by the depth marks."""
        return float(self._trial.hand.feed_mm)

    # ---- the way ---------------------------------------------------------------------------------------------

    @verb
    def prepare(self) -> None:
        """Checklist, antisepsis with its contact times, line primed and its resistance measured in air."""
        self._on_to("prepare", State.LONGITUDINAL, State.PALPATE)

    @verb
    def find_level(self) -> None:
        """Sweeps, level counted from the sacrum, the bone around the root registered, a view that shows it; without
        an image: the landmark felt and marked."""
        self._on_to("find_level", State.PLAN, State.BLIND_ADVANCE)

    @verb
    def plan(self) -> None:
        """A path within the technique's corridor that keeps clear of bone, nerves and vessels."""
        self._on_to("plan", State.ENTRY, State.BLIND_ADVANCE)

    @verb
    def advance(self, short_of_mm: float = 0.0) -> None:
        """Through the skin and on, the tip confirmed before each step, to the aim point or ``short_of_mm`` before it.

        Called again, it goes on from there. A path that is given up is planned anew, as in the shipped techniques.
        """
        if not 0.0 <= short_of_mm <= SHORT_OF_MAX_MM:
            raise ProcedureFault(f"advance(short_of_mm={short_of_mm!r}): 0 to {SHORT_OF_MAX_MM:g} mm")
        if short_of_mm and not self._walk.has(State.ADVANCE):
            raise ProcedureFault("advance(short_of_mm=...): without an image nobody knows how far the tip is")
        before, self._trial.short_of_mm = self._trial.short_of_mm, short_of_mm
        if self._walk.state is State.AT_TARGET and before > short_of_mm:
            self._walk.state = State.ADVANCE
        self._on_to("advance", State.AT_TARGET)

    @verb
    def test(self) -> InjectionResult:
        """The technique's test injection, looked for in the image; a needle that does not flow is drawn back a little
        and tested again, then the trial ends."""
        self._on_to("test", State.INJECT)
        return self._flowed()

    @verb
    def inject(self) -> InjectionResult:
        """The technique's injection, once in a trial; the reference tip at its start is the tip of record."""
        self._on_to("inject", State.WITHDRAW)
        return self._flowed()

    @verb
    def withdraw(self) -> None:
        """Needle out, probe up, closing checklist. It comes by itself when a procedure ends before."""
        if self._walk.state is State.DONE:
            return
        if self._walk.state in IN_THE_GEL and AT_INJECTION not in self._trial.log.reference:
            self._held_ends("withdraw", lambda: note_reference(self._trial, AT_INJECTION))
        if _PLACE[self._walk.state] < _PLACE[State.WITHDRAW]:
            self._walk.state = State.WITHDRAW
        self._walk.to(State.DONE)

    # ---- beside the way --------------------------------------------------------------------------------------

    @verb
    def infuse(self, volume_ml: float) -> InjectionResult:
        """Fluid on the way, e.g. to open a plane before the tip: at the technique's rate, under the same pressure rule.

        It counts as test volume: raises ``LimitViolation`` above the technique's ``injection.test_total_max_ml``.
        """
        trial, planned = self._trial, self._trial.technique.injection
        if self._walk.state not in IN_THE_GEL[:-1]:
            raise ProcedureFault(f"infuse(): {self._where()}")
        left_ml = planned.test_total_max_ml - trial.log.test_ml
        if not 0.0 < volume_ml <= left_ml + 1e-9:
            left = f"what is left of injection.test_total_max_ml ({left_ml:g} mL)"
            raise LimitViolation("volume of infuse() in mL", volume_ml, left)
        return self._held_ends("infuse", lambda: inject_in(trial, volume_ml, planned.rate_ml_min, test=True))

    @verb
    def look(self, label: str, beside_mm: float = 0.0) -> View:
        """A picture from where the probe stands, or from a plane ``beside_mm`` of it, kept in the record under
        ``label``; the probe stays there."""
        sight = self._trial.sight
        if self._trial.controller.rig.ultrasound is None or not self._trial.log.frames_read_n:
            raise ProcedureFault("look(): the probe has not seen the phantom yet")
        if not abs(beside_mm) <= BESIDE_MAX_MM:
            raise ProcedureFault(f"look(beside_mm={beside_mm!r}): at most {BESIDE_MAX_MM:g} mm to either side")

        def seen() -> View:
            if beside_mm:
                pose = sight.ProbeToRig.copy()
                pose[:3, 3] += beside_mm * pose[:3, 1]
                sight.move(pose)
            return sight.take(label, keep=True)

        return self._held_ends("look", seen)

    @verb
    def read_reference(self, moment: str) -> None:
        """Let the reference instrument read the tip with the needle at rest, for the row and the scoring."""
        if moment == AT_INJECTION:
            raise ProcedureFault(f"read_reference({moment!r}): inject() reads the tip of record itself")
        self._held_ends("read_reference", lambda: note_reference(self._trial, moment))

    @verb
    def wait(self, seconds: float) -> None:
        """Let time pass; the rig is watched."""
        if not 0.0 <= seconds <= WAIT_MAX_S:
            raise ProcedureFault(f"wait({seconds!r}): 0 to {WAIT_MAX_S:g} s")
        self._held_ends("wait", lambda: self._trial.controller.wait(seconds))

    @verb
    def measured(self, name: str, value: float) -> None:
        """Put a declared measure into the trial's row; the last value counts, and each is journalled."""
        if name not in self._measures:
            known = ", ".join(self._measures) or "none"
            raise ProcedureFault(f"measured({name!r}): no measure of this name was declared; declared: {known}")
        unit = self._measures[name].unit
        if not math.isfinite(value) or abs(value) > LARGEST.get(unit, 1e6):
            raise ProcedureFault(f"measured({name!r}, {value!r}): no value in {unit}")
        self._trial.log.measured[name] = float(value)
        self._trial.event("measured", name=name, value=float(value), unit=unit)

    # ---- how -------------------------------------------------------------------------------------------------

    def _on_to(self, verb: str, *ends: State) -> None:
        if _PLACE[self._walk.state] > max(_PLACE[end] for end in ends):
            raise ProcedureFault(f"{verb}(): {self._where()}")
        self._walk.to(*ends)

    def _where(self) -> str:
        return f"not possible where the trial stands, before {self._walk.state.value}"

    def _flowed(self) -> InjectionResult:
        assert self._trial.log.last_injection is not None
        return self._trial.log.last_injection

    def _held_ends(self, verb: str, act: Callable[[], T]) -> T:
        """Between the steps of the way a stop rule has no step to go back to: the trial ends in good order."""
        try:
            return act()
        except HoldRequested as hold:
            self._trial.log.holds.append(hold.source)
            self._trial.event("hold", source=hold.source, reason=hold.reason, state=verb)
            raise TrialEnded("stopped", f"{verb}(): {hold.reason}") from hold


def changed_mm2(before: View, after: View, grey: int = 40) -> float:
    """Area of the picture that became darker or brighter by more than ``grey`` between two looks, in mm2."""
    moved = np.abs(after.pixels.astype(np.int16) - before.pixels.astype(np.int16)) > grey
    step = np.linalg.norm(after.ImageToProbe[:3, :2], axis=0)
    return float(moved.sum() * step[0] * step[1])
