"""Who holds the needle: a carrier that the rig drives, or a person who follows instructions; alike to a step."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from experiments.protocol.technique import Technique
from experiments.trial.log import TrialLog
from hal.errors import SafetyStop
from hal.ranges import within
from hal.types import BONE, Instruction, InstructionKind, Matrix, NeedlePose, OperatorResponse
from rig.control.controller import Controller
from rig.geometry.transforms import invert
from rig.guidance.bending import FACTOR_SD, Bending
from rig.guidance.needle_line import NeedleLine, angles_from_direction
from rig.instruments.jogs import check_reach, move_needle, rotate_bevel
from rig.roles import CARRIER
from rig.safety.stop import HoldRequested, Severity, Trip

ABOVE_SKIN_MM = 12.0
"""Feed at which the carrier sets entry point and angles: clear of the probe's housing and of gel on the skin."""
CARRIER_SD_MM = 0.2
MARK_SD_MM = 0.8
"""Depth read off the marks on the shaft, in steps of a centimetre with a thumb's guess between them [A]."""
STEP_SHARE, STEP_SD_MM = 0.12, 0.15
"""A step by hand differs from the one asked for by this share of it, and by what a hand cannot resolve [A]."""
MISREAD_MM = 5.0
"""A depth mark may be misread by so much beyond the needle's own length [A]."""
READS_MARKS = (InstructionKind.ADVANCE, InstructionKind.WITHDRAW, InstructionKind.READ_VALUE)
"""Instructions whose answer may hold a depth off the shaft."""
SURPRISE_MM = 2.5
"""A mark that reads this far from what was asked for is believed: the hand stopped on its way."""
DECLINED = "operator_declined"
"""Source of the hold, or of the stop, when a person answers that something cannot be done."""
WITHDRAW_ASKED_N = 3
"""How often a person is asked to withdraw before the rig is stopped with the needle where it is [A]."""
HAND_STEP_MM = 1.6
"""Advance requested of a person at a time, so that a step that comes out longer stays under 2 mm."""
ENTRY_SD_MM, ANGLE_SD_DEG = 2.0, 4.0
"""How well a hand places entry and angle: between expert and novice (``facts/domain.md`` 6)."""
HAND_VARIANCE = np.array([FACTOR_SD**2, *[np.radians(ANGLE_SD_DEG) ** 2] * 2, *[ENTRY_SD_MM**2] * 2])
"""Uncertainty of ``Bending.mean`` before anybody has seen where the hand put the needle."""
PLACE_MM_S = 5.0
OUT_MM_S = 10.0


class NeedleHand(Protocol):
    """Places, advances and withdraws the needle; positions are what the hand believes, not what is true."""

    by: str
    """robot, freehand or landmark, as the trial row says."""
    repeatable: bool
    """Sent along the same path it goes the same way, so that a path that failed is not tried again."""

    def place(self, line: NeedleLine, bevel_deg: float) -> None:
        """Bring the needle to its entry point outside the skin."""

    def advance(self, amount_mm: float, speed_mm_s: float, *, blind: bool = False) -> None:
        """Feed forward, ``blind`` where no picture can show the tip; ``HoldRequested`` when a stop rule fires."""

    def withdraw(self, amount_mm: float, speed_mm_s: float) -> None: ...

    def regain(self, amount_mm: float, speed_mm_s: float) -> None:
        """Forward again over track that the needle has just left."""

    def turn_bevel(self, bevel_deg: float) -> None: ...

    def out(self) -> float:
        """Withdraw until the tip is above the skin; returns by how much (mm), as far as the hand knows."""

    def seen(self, feed_mm: float, sd_mm: float) -> None:
        """The image says how deep the tip is along the needle."""

    def unseen(self, nominal: Bending) -> Bending:
        """The bending model of a needle that this hand has placed and nobody has looked at."""

    @property
    def step_max_mm(self) -> float:
        """Longest step that may be asked for now."""

    @property
    def feed_mm(self) -> float: ...

    @property
    def feed_sd_mm(self) -> float:
        """How well the feed is known."""

    @property
    def line(self) -> NeedleLine:
        """Axis of the needle in the Rig frame, as the hand believes it."""


class CarrierHand:
    """The needle carrier."""

    by = "robot"
    repeatable = True

    def __init__(self, controller: Controller, log: TrialLog) -> None:
        self._controller = controller
        self._log = log
        self._CarrierToRig: Matrix = controller.rig.frames.get("Carrier", "Rig")
        self._mount = controller.rig.config.needle.mount

    def _pose(self) -> NeedlePose:
        return self._controller.read(CARRIER).pose

    def place(self, line: NeedleLine, bevel_deg: float) -> None:
        RigToCarrier = invert(self._CarrierToRig)
        direction = RigToCarrier[:3, :3] @ line.direction
        entry = RigToCarrier[:3, :3] @ line.entry_mm + RigToCarrier[:3, 3]
        entry = entry - entry[2] / direction[2] * direction
        lateral, tilt = angles_from_direction(direction)
        self.out()
        target = self._mount.pose_on(entry, lateral, tilt, bevel_deg, -ABOVE_SKIN_MM)
        move_needle(self._controller, target, PLACE_MM_S)

    def advance(self, amount_mm: float, speed_mm_s: float, *, blind: bool = False) -> None:
        pose = self._pose()
        after = replace(pose, feed_mm=pose.feed_mm + amount_mm)
        move_needle(self._controller, after, speed_mm_s, blind=blind, felt=self._log.note_force)

    def withdraw(self, amount_mm: float, speed_mm_s: float) -> None:
        pose = self._pose()
        move_needle(self._controller, replace(pose, feed_mm=pose.feed_mm - amount_mm), speed_mm_s)

    def regain(self, amount_mm: float, speed_mm_s: float) -> None:
        self.advance(amount_mm, speed_mm_s)

    def turn_bevel(self, bevel_deg: float) -> None:
        rotate_bevel(self._controller, bevel_deg)

    def out(self) -> float:
        pose = self._pose()
        up_mm = -ABOVE_SKIN_MM - self._mount.ahead_mm(pose)
        move_needle(self._controller, replace(pose, feed_mm=up_mm), OUT_MM_S)
        return max(0.0, pose.feed_mm - up_mm)

    def seen(self, feed_mm: float, sd_mm: float) -> None:
        """A carrier knows its feed: what the image disagrees by is kept by the trial (``feed_bias_mm``)."""

    def unseen(self, nominal: Bending) -> Bending:
        return nominal

    @property
    def step_max_mm(self) -> float:
        """A turn of the bevel moves the tip of a needle with run-out a little: that is travel since it was
        confirmed."""
        return self._controller.travel.room_mm

    @property
    def feed_mm(self) -> float:
        """Feed of the tip, from where the shaft meets the skin."""
        pose = self._pose()
        return pose.feed_mm + self._mount.ahead_mm(pose)

    @property
    def feed_sd_mm(self) -> float:
        return CARRIER_SD_MM

    @property
    def line(self) -> NeedleLine:
        return NeedleLine.from_pose(self._pose(), self._CarrierToRig, self._mount)


class OperatorHand:
    """A person who goes by feel: every movement is an instruction with a confirmation.

    Depth is what was asked for, what the marks on the shaft say and, where there is a picture, what it shows; each
    weighed by its spread.

    "Cannot" is an answer: nothing is believed to have moved, and ``HoldRequested`` (source ``operator_declined``) is
    raised. A withdrawal that cannot be done is asked for again, then raises ``SafetyStop``: the needle is still in.
    """

    by = "landmark"
    repeatable = False
    WAIT_S = 600.0
    """A person may take this long for one instruction."""

    def __init__(self, controller: Controller, log: TrialLog) -> None:
        self._controller = controller
        self._log = log
        self._CarrierToRig: Matrix = controller.rig.frames.get("Carrier", "Rig")
        self._commanded: NeedlePose | None = None
        self._feed_mm = -ABOVE_SKIN_MM
        self._feed_sd_mm = MARK_SD_MM
        self._stopped_midway = False
        """The depth is to be read off the shaft before anything is made of it."""
        self._in_hand = False
        """Somebody was asked to take the needle to the phantom."""

    def _ask(self, kind: InstructionKind, text: str, amount: float = 0.0, needle: NeedlePose | None = None,
             manner: tuple[str, ...] = ()) -> OperatorResponse:  # fmt: skip
        longest_mm = self._controller.rig.config.needle.length_mm + MISREAD_MM
        marks = (-2.0 * ABOVE_SKIN_MM, longest_mm) if kind in READS_MARKS else None
        instruction = Instruction(kind, text, amount, needle, manner=manner, within=marks)
        try:
            answer = self._controller.ask(instruction, self.WAIT_S, attend=("needle_force", "contact"))
        except BaseException:
            operator = self._controller.rig.operator
            if operator is not None:
                operator.cancel()
                self._stopped_midway = True
            raise
        self._controller.journal.append(
            "instruction",
            {"asked": kind.value, "text": text, "amount": amount, "done": answer.done, "value": answer.value},
        )
        if marks is not None and answer.value is not None and not within(answer.value, marks):
            # A depth that this needle cannot have is no answer; one far above the skin is read in the air: it is out.
            is_out = kind is InstructionKind.WITHDRAW and answer.value < marks[0]
            return replace(answer, done=answer.done and is_out, value=None)
        return answer

    def _have(self, kind: InstructionKind, text: str, amount: float = 0.0, needle: NeedlePose | None = None,
              manner: tuple[str, ...] = ()) -> OperatorResponse:  # fmt: skip
        """As ``_ask``, for what must have been done when this returns."""
        answer = self._ask(kind, text, amount, needle, manner)
        if not answer.done:
            raise self._declined(text)
        return answer

    def _declined(self, text: str) -> HoldRequested:
        """A person who began and could not go on may have moved the needle: its depth is read before the next use."""
        self._stopped_midway = True
        return HoldRequested(Trip(DECLINED, Severity.HOLD, f"the operator could not: {text}"))

    def _believe(self, feed_mm: float, sd_mm: float) -> None:
        self._feed_mm, self._feed_sd_mm = feed_mm, sd_mm

    def _moved(self, amount_mm: float, read_mm: float | None) -> None:
        """Asked for, then weighed against the mark."""
        expected = self._feed_mm + amount_mm
        variance = self._feed_sd_mm**2 + STEP_SD_MM**2 + min(STEP_SHARE * amount_mm, MARK_SD_MM) ** 2
        if read_mm is not None and abs(read_mm - expected) > SURPRISE_MM:
            self._believe(read_mm, MARK_SD_MM)
        elif read_mm is not None:
            gain = variance / (variance + MARK_SD_MM**2)
            self._believe(expected + gain * (read_mm - expected), float(np.sqrt((1.0 - gain) * variance)))
        else:
            self._believe(expected, float(np.sqrt(variance)))

    def seen(self, feed_mm: float, sd_mm: float) -> None:
        """Take the depth that the image shows, weighed against the assumed one."""
        gain = self._feed_sd_mm**2 / (self._feed_sd_mm**2 + sd_mm**2)
        believed = self._feed_mm + gain * (feed_mm - self._feed_mm)
        self._believe(believed, float(np.sqrt(1.0 - gain)) * self._feed_sd_mm)

    def place(self, line: NeedleLine, bevel_deg: float) -> None:
        RigToCarrier = invert(self._CarrierToRig)
        direction = RigToCarrier[:3, :3] @ line.direction
        entry = RigToCarrier[:3, :3] @ line.entry_mm + RigToCarrier[:3, 3]
        entry = entry - entry[2] / direction[2] * direction
        lateral, tilt = angles_from_direction(direction)
        pose = NeedlePose(float(entry[0]), float(entry[1]), lateral, tilt, 0.0, bevel_deg)
        self.place_pose(
            pose,
            f"Place the needle at X {pose.x_mm:.0f} mm, Y {pose.y_mm:.0f} mm, {abs(lateral):.0f} deg from the side, "
            f"{tilt:+.0f} deg cranial; tip on the skin",
        )

    def place_pose(self, pose: NeedlePose, text: str, manner: tuple[str, ...] = ()) -> None:
        """Have the needle placed as ``pose`` says (needle frame, or from the operator's own mark)."""
        self._in_hand = True
        self._have(InstructionKind.POSITION_NEEDLE, text, needle=pose, manner=manner)
        self._commanded = pose
        self._believe(0.0, MARK_SD_MM)

    def advance(self, amount_mm: float, speed_mm_s: float, *, blind: bool = False) -> None:
        self._controller.require_no_hold()
        self._feed(amount_mm, speed_mm_s)

    def _feed(self, amount_mm: float, speed_mm_s: float) -> OperatorResponse:
        check_reach(self._feed_mm + amount_mm, self._controller.rig.config.needle)
        slow = ("slow",) if speed_mm_s <= 1.0 else ()
        text = f"Advance {amount_mm:.1f} mm{', slowly (1 mm/s)' if slow else ''}, stop at resistance"
        answer = self._have(InstructionKind.ADVANCE, text, amount_mm, manner=slow)
        self._moved(amount_mm, answer.value)
        if answer.text == BONE and answer.value is None:
            self._stopped_midway = True
        return answer

    def withdraw(self, amount_mm: float, speed_mm_s: float) -> None:
        text = f"Withdraw {amount_mm:.1f} mm"
        for _ in range(WITHDRAW_ASKED_N):
            answer = self._ask(InstructionKind.WITHDRAW, text, amount_mm)
            if answer.done:
                self._moved(-amount_mm, answer.value)
                return
            self._stopped_midway = True
        raise SafetyStop(
            f"the operator, asked {WITHDRAW_ASKED_N} times, could not: {text}; the needle is still in the phantom",
            source=DECLINED,
        )

    def regain(self, amount_mm: float, speed_mm_s: float) -> None:
        """Push the needle forward again: what marks and hand leave open is no new ground."""
        self.advance(amount_mm, speed_mm_s, blind=True)

    def turn_bevel(self, bevel_deg: float) -> None:
        now = self._commanded.bevel_deg if self._commanded else 0.0
        self._have(InstructionKind.ROTATE_BEVEL, f"Turn the bevel by {bevel_deg - now:.0f} deg", bevel_deg - now)
        if self._commanded is not None:
            self._commanded = replace(self._commanded, bevel_deg=bevel_deg)

    def turn_needle(self, lateral_deg: float, tilt_deg: float) -> None:
        """Change the angles of a needle in the skin by so much."""
        commanded = self._commanded or NeedlePose(0.0, 0.0, 0.0, 0.0, 0.0)
        outward = lateral_deg if commanded.lateral_deg >= 0.0 else -lateral_deg
        text = (
            f"Keep the needle in the skin. Tilt its hub {abs(outward):.0f} deg {'away from' if outward > 0 else 'to'} "
            f"the midline and {abs(tilt_deg):.0f} deg towards the {'head' if tilt_deg > 0 else 'feet'}"
        )
        self._have(
            InstructionKind.TURN_NEEDLE, text, float(np.hypot(lateral_deg, tilt_deg)),
            NeedlePose(0.0, 0.0, lateral_deg, tilt_deg, 0.0),
        )  # fmt: skip
        self._commanded = replace(
            commanded, lateral_deg=commanded.lateral_deg + lateral_deg, tilt_deg=commanded.tilt_deg + tilt_deg
        )

    def out(self) -> float:
        if not self._in_hand:  # nobody was asked to take it to the phantom
            return 0.0
        try:
            depth_mm = self.feed_mm
        except HoldRequested as hold:
            if hold.source != DECLINED:
                raise
            depth_mm = self._feed_mm  # it leaves the skin wherever it stands
        self.withdraw(depth_mm + ABOVE_SKIN_MM, 10.0)
        self._believe(-ABOVE_SKIN_MM, MARK_SD_MM)
        self._stopped_midway = False
        return max(0.0, depth_mm)

    def unseen(self, nominal: Bending) -> Bending:
        return replace(nominal, covariance=np.diag(HAND_VARIANCE))

    @property
    def step_max_mm(self) -> float:
        return HAND_STEP_MM

    @property
    def feed_mm(self) -> float:
        if self._stopped_midway:
            read = self._have(InstructionKind.READ_VALUE, "Read the depth mark at the skin, in mm").value
            self._stopped_midway = False
            if read is not None:
                self._believe(read, MARK_SD_MM)
        return self._feed_mm

    @property
    def feed_sd_mm(self) -> float:
        return self._feed_sd_mm

    @property
    def line(self) -> NeedleLine:
        pose = self._commanded or NeedlePose(0.0, 0.0, 0.0, 0.0, 0.0)
        return NeedleLine.from_pose(pose, self._CarrierToRig)


class GuidedHand(OperatorHand):
    """A person whose needle is looked at between steps: travel without a confirmed tip is limited as for a carrier, and
    strong resistance that the person reports is a hold."""

    by = "freehand"

    def _believe(self, feed_mm: float, sd_mm: float) -> None:
        super()._believe(feed_mm, sd_mm)
        self._controller.travel.moved_to(feed_mm)

    def advance(self, amount_mm: float, speed_mm_s: float, *, blind: bool = False) -> None:
        self._controller.require_no_hold()
        if not blind:
            self._controller.travel.check(self.feed_mm + amount_mm)
        if self._feed(amount_mm, speed_mm_s).text == BONE:
            raise HoldRequested(Trip("needle_force_felt", Severity.HOLD, "the operator felt strong resistance"))


def by_person(hand: NeedleHand) -> OperatorHand:
    """The same hand, for what only a person can be asked to do."""
    assert isinstance(hand, OperatorHand)
    return hand


def hand_of(technique: Technique, controller: Controller, log: TrialLog) -> NeedleHand:
    """Who holds the needle of a trial: a person where nobody looks or the rig has no carrier."""
    if technique.plane == "landmark":
        return OperatorHand(controller, log)
    return GuidedHand(controller, log) if controller.rig.carrier is None else CarrierHand(controller, log)
