"""A simulated operator: reads instructions, acts with the hand, answers after a human time.

He feels force and bone through the world and places the needle relative to what he palpated; where the needle
ends results from the hand, the bending and the tissue. The error of the result is never drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from hal.clock import NS_PER_S, Clock, Deadline
from hal.errors import ConfigError, DeviceError
from hal.files import data_file, read, validated
from hal.sim.hand import Hand
from hal.sim.stylus import Stylus
from hal.sim.stylus_hand import StylusHand
from hal.sim.world import World
from hal.types import BONE, Identity, Instruction, InstructionKind, NeedlePose, OperatorResponse, SafeReport, Vector

LEVELS = ("L2", "L3", "L4", "L5", "S1")
TIP_ON_SKIN_MM = 1.0
"""Between the plane that a needle is placed on and the tip when "the tip is on the skin": the skin is not cut yet."""
TURN_S = 3.0
APPLY_S = 8.0
"""Until a reference stands at its value [A]."""
SET_SD = 0.002
"""How near a person sets a reference to the value that is wanted, relative [A]."""
READ_OFF_SD = {"pressure": 0.02, "needle_force": 0.002, "probe_force": 0.002}
"""Reference instrument and reading, kPa and N [A]: a calibrator of 0.01 % of 200 kPa, weights of class M1."""
WEIGHT_SD = 1e-6
"""Error of a check weight, relative: half the tolerance of class E2 at 50 g [A]."""
FEEL_PERIOD_S = 0.05
"""How often the hand compares what it feels with what it means to stop at."""


@dataclass(frozen=True)
class Profile:
    """Behaviour of one kind of operator (``data/operators.toml``)."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    reaction_lo_s: Annotated[float, Field(ge=0.0, le=5.0)]
    reaction_hi_s: Annotated[float, Field(ge=0.0, le=5.0)]
    confirm_s: Annotated[float, Field(ge=0.0, le=600.0)]
    position_s: Annotated[float, Field(ge=0.0, le=600.0)]
    palpate_s: Annotated[float, Field(ge=0.0, le=600.0)]
    advance_mm_s: Annotated[float, Field(ge=0.05, le=20.0)]
    near_mm_s: Annotated[float, Field(ge=0.05, le=20.0)]
    tremor_mm: Annotated[float, Field(ge=0.0, le=5.0)]
    entry_sd_mm: Annotated[float, Field(ge=0.0, le=20.0)]
    angle_sd_deg: Annotated[float, Field(ge=0.0, le=45.0)]
    turn_sd: Annotated[float, Field(ge=0.0, le=1.0)]
    """A change of angle differs from the one asked for by this share."""
    turn_sd_deg: Annotated[float, Field(ge=0.0, le=20.0)]
    step_sd: Annotated[float, Field(ge=0.0, le=1.0)]
    """A step differs from the one asked for by this share, but by no more than the marks on the shaft leave open."""
    depth_mark_sd_mm: Annotated[float, Field(ge=0.0, le=10.0)]
    felt_force_n: Annotated[float, Field(ge=0.1, le=50.0)]
    palpation_right: Annotated[float, Field(ge=0.0, le=1.0)]
    palpation_cranial: Annotated[float, Field(ge=0.0, le=1.0)]
    palpation_sd_mm: Annotated[float, Field(ge=0.0, le=50.0)]
    midline_sd_mm: Annotated[float, Field(ge=0.0, le=50.0)]


@cache
def profiles() -> dict[str, Profile]:
    """All operator profiles by name."""
    return validated(read(data_file("hal.sim", "operators.toml")), dict[str, Profile])


def profile(name: str) -> Profile:
    """One profile; raises ``ConfigError``."""
    if name not in profiles():
        raise ConfigError(f"unknown operator profile {name!r}; known: {', '.join(profiles())}")
    return profiles()[name]


class SimulatedOperator:
    """Implements ``hal.interfaces.Operator`` in the world."""

    role = "operator"

    def __init__(self, world: World, who: Profile, clock: Clock, seed: int, *, bench_seed: int = 1) -> None:
        self._world = world
        self._who = who
        self._clock = clock
        self._rng = np.random.default_rng([seed, 0x0B])
        self.hand = Hand(seed, who.tremor_mm)
        self.stylus = StylusHand(world, Stylus.of(bench_seed, seed, who.tremor_mm))
        self._mark = np.zeros(3)
        self._ready: OperatorResponse | None = None
        self._ready_ns = 0
        self._feeling = False
        self._next_feel_ns = 0
        self._asked = ""

    def open(self) -> Identity:
        return Identity("operator", "simulated_operator", "simulated person", simulated=True)

    def close(self) -> None:
        self._ready = None

    def make_safe(self, deadline: Deadline) -> SafeReport:
        self.hand.freeze(self._clock.now_ns())
        self.stylus.freeze(self._clock.now_ns())
        return SafeReport("operator", True, "the hand holds still")

    def show(self, text: str) -> None:
        """Do nothing: a notice needs no answer."""

    def begin(self, instruction: Instruction) -> None:
        if self._ready is not None:
            raise DeviceError(f"the operator is still busy with: {self._asked}", device="operator")
        self._asked = instruction.text
        reaction = float(self._rng.uniform(self._who.reaction_lo_s, self._who.reaction_hi_s))
        act = {
            InstructionKind.POSITION_NEEDLE: self._position,
            InstructionKind.ADVANCE: self._advance,
            InstructionKind.WITHDRAW: self._withdraw,
            InstructionKind.JIGGLE: self._jiggle,
            InstructionKind.ROTATE_BEVEL: self._rotate,
            InstructionKind.TURN_NEEDLE: self._turn,
            InstructionKind.PALPATE: self._palpate,
            InstructionKind.SCRUB: self._scrub,
            InstructionKind.READ_VALUE: self._read_depth,
            InstructionKind.APPLY: self._apply,
            InstructionKind.NAME: self._name,
            InstructionKind.TOUCH: self._touch,
        }.get(instruction.kind, self._confirm)
        act(instruction, reaction)

    def poll(self) -> OperatorResponse | None:
        now = self._clock.now_ns()
        if self._ready is None:
            return None
        if self._feeling:
            self._feel(now)
        if now < self._ready_ns:
            return None
        answer = OperatorResponse(now, self._ready.done, self._ready.text, self._ready.value)
        if self._asked and answer.value is not None and answer.text in ("depth", BONE):
            feed = self.hand.pose(now).feed_mm
            answer = OperatorResponse(
                now, True, answer.text, feed + float(self._rng.normal(0, self._who.depth_mark_sd_mm))
            )
        self._ready = None
        self._feeling = False
        return answer

    def cancel(self) -> None:
        """Freeze after the reaction time."""
        reaction_s = float(self._rng.uniform(self._who.reaction_lo_s, self._who.reaction_hi_s))
        self.hand.freeze(self._clock.now_ns() + int(reaction_s * NS_PER_S))
        self.stylus.freeze(self._clock.now_ns() + int(reaction_s * NS_PER_S))
        self._ready = None
        self._feeling = False

    # ---- what he does -------------------------------------------------------------------------------------

    def _answer(self, after_s: float, text: str = "", value: float | None = None) -> None:
        self._ready_ns = self._clock.now_ns() + int(after_s * NS_PER_S)
        self._ready = OperatorResponse(self._ready_ns, True, text, value)

    def _move(self, after: NeedlePose, duration_s: float) -> None:
        self._world.needle_source = self.hand
        self.hand.start(after, self._clock.now_ns(), duration_s)

    def _confirm(self, instruction: Instruction, reaction_s: float) -> None:
        if "needle_out" in instruction.manner and self._world.needle_source is self.hand:
            here = self.hand.pose(self._clock.now_ns())
            self._move(self._with_feed(here, -10.0), self._who.confirm_s)
        if instruction.manner[:1] == ("stopcock",):
            self._world.advance(self._clock.now_ns())
            self._world.stopcock_closed = instruction.manner[1:] == ("close",)
        self._answer(reaction_s + self._who.confirm_s)

    def _read_depth(self, instruction: Instruction, reaction_s: float) -> None:
        self._answer(reaction_s + self._who.confirm_s, "depth", 0.0)

    def _apply(self, instruction: Instruction, reaction_s: float) -> None:
        """Set the reference near the value that is wanted, and read off what it shows."""
        role, *how = instruction.manner
        if "off" in how:
            self._world.applied.pop(role, None)
            self._answer(reaction_s + self._who.confirm_s, "off", 0.0)
            return
        if role == "balance":  # a weight is what it is, and is called by its nominal value
            self._world.applied[role] = instruction.amount * (1.0 + float(self._rng.normal(0.0, WEIGHT_SD)))
            shown = instruction.amount
        else:
            value = instruction.amount * (1.0 + float(self._rng.normal(0.0, SET_SD)))
            self._world.applied[role] = value
            shown = round(value + float(self._rng.normal(0.0, READ_OFF_SD[role])), 3)
        self._answer(reaction_s + APPLY_S + self._who.confirm_s, "applied", shown)

    def _name(self, instruction: Instruction, reaction_s: float) -> None:
        """Read the label, as asked."""
        self._answer(reaction_s + self._who.confirm_s, instruction.manner[-1])

    def _scrub(self, instruction: Instruction, reaction_s: float) -> None:
        self._answer(reaction_s + instruction.amount)

    def _touch(self, instruction: Instruction, reaction_s: float) -> None:
        """Touch with the stylus: one round over divots, or one divot for a while."""
        begins_ns = self._clock.now_ns() + int(reaction_s * NS_PER_S)
        ready_ns = self.stylus.begin(instruction, begins_ns, self._rng)
        self._answer((ready_ns - self._clock.now_ns()) / NS_PER_S + self._who.confirm_s, "touched")

    def _palpate(self, instruction: Instruction, reaction_s: float) -> None:
        """Feel for a spinous process; the level may be a neighbour's, mostly the one above."""
        level = instruction.manner[0].split(".")[0]
        index = LEVELS.index(level)
        u = float(self._rng.random())
        if u > self._who.palpation_right:
            index += -1 if u < self._who.palpation_right + self._who.palpation_cranial else 1
        index = min(max(index, 0), LEVELS.index("S1"))
        tip = self._spinous(LEVELS[index])
        self._mark = np.array(
            [
                tip[0] + self._rng.normal(0.0, self._who.midline_sd_mm),
                tip[1] + self._rng.normal(0.0, self._who.palpation_sd_mm),
                0.0,
            ]
        )
        self._answer(reaction_s + self._who.palpate_s, "marked")

    def _spinous(self, level: str) -> Vector:
        scene = self._world.built.scene
        nominal = self._world.built.nominal
        # Below L5 the next thing that a finger feels in the midline is the sacral crest.
        bone, landmark = ("sacrum", "S1.median_crest") if level == "S1" else (level, f"{level}.spinous_tip")
        landmark_mm, before = nominal.landmarks[landmark], nominal.frames[bone]
        after = next(f for b, f in zip(scene.bones, scene.frames, strict=True) if b.name == bone)
        return np.asarray(after.to_phantom((landmark_mm - before.origin_mm) @ before.rotation))

    def _position(self, instruction: Instruction, reaction_s: float) -> None:
        """Set the needle on the skin: at the operator's own mark, or where the instruction's pose says."""
        wanted = instruction.needle
        if wanted is None:
            raise DeviceError("POSITION_NEEDLE without a pose", device="operator")
        entry = np.array([wanted.x_mm, wanted.y_mm, 0.0])
        if "from_mark" in instruction.manner:
            T = np.linalg.inv(self._world.placement.CarrierToRig) @ self._world.placement.PhantomToRig
            entry = T[:3, :3] @ (self._mark + entry) + T[:3, 3]
        entry[:2] += self._rng.normal(0.0, self._who.entry_sd_mm, 2)
        lateral, tilt = np.array([wanted.lateral_deg, wanted.tilt_deg]) + self._rng.normal(0, self._who.angle_sd_deg, 2)
        feed = -TIP_ON_SKIN_MM
        aimed = NeedlePose(float(entry[0]), float(entry[1]), float(lateral), float(tilt), feed, wanted.bevel_deg)
        self._move(aimed, self._who.position_s)
        self._answer(reaction_s + self._who.position_s, "placed")

    def _step(self, asked_mm: float) -> float:
        """Distance that the hand moves for an instructed distance."""
        spread = min(self._who.step_sd * asked_mm, self._who.depth_mark_sd_mm)
        return max(0.05, asked_mm + float(self._rng.normal(0.0, spread)))

    def _advance(self, instruction: Instruction, reaction_s: float) -> None:
        here = self.hand.pose(self._clock.now_ns())
        slow = "slow" in instruction.manner
        amount = self._step(instruction.amount)
        duration = amount / (self._who.near_mm_s if slow else self._who.advance_mm_s)
        self._move(self._with_feed(here, here.feed_mm + amount), duration)
        self._answer(duration + 0.2, "depth", 0.0)
        self._feeling = True

    def _withdraw(self, instruction: Instruction, reaction_s: float) -> None:
        here = self.hand.pose(self._clock.now_ns())
        amount = self._step(instruction.amount)
        duration = amount / self._who.advance_mm_s
        self._move(self._with_feed(here, here.feed_mm - amount), duration)
        self._answer(duration + reaction_s, "depth", 0.0)

    def _jiggle(self, instruction: Instruction, reaction_s: float) -> None:
        self._advance(instruction, reaction_s)

    def _rotate(self, instruction: Instruction, reaction_s: float) -> None:
        here = self.hand.pose(self._clock.now_ns())
        after = NeedlePose(
            here.x_mm, here.y_mm, here.lateral_deg, here.tilt_deg, here.feed_mm, here.bevel_deg + instruction.amount
        )
        self._move(after, 1.0)
        self._answer(reaction_s + 1.0, "rotated")

    def _turn(self, instruction: Instruction, reaction_s: float) -> None:
        """Tilt the hub: a change is judged better than an angle, with an error that grows with it."""
        if instruction.needle is None:
            raise DeviceError("TURN_NEEDLE without the change of the angles", device="operator")
        asked = np.array([instruction.needle.lateral_deg, instruction.needle.tilt_deg])
        spread = np.hypot(self._who.turn_sd * np.linalg.norm(asked), self._who.turn_sd_deg)
        lateral, tilt = asked + self._rng.normal(0.0, spread, 2)
        here = self.hand.pose(self._clock.now_ns())
        after = replace(here, lateral_deg=here.lateral_deg + float(lateral), tilt_deg=here.tilt_deg + float(tilt))
        self._move(after, TURN_S)
        self._answer(reaction_s + TURN_S, "turned")

    @staticmethod
    def _with_feed(pose: NeedlePose, feed_mm: float) -> NeedlePose:
        return NeedlePose(pose.x_mm, pose.y_mm, pose.lateral_deg, pose.tilt_deg, feed_mm, pose.bevel_deg)

    def _feel(self, now_ns: int) -> None:
        """Stop the hand at strong resistance, after the reaction time."""
        if now_ns < self._next_feel_ns or now_ns >= self.hand.done_ns:
            return
        self._next_feel_ns = now_ns + int(FEEL_PERIOD_S * NS_PER_S)
        if self._world.needle_force_n(now_ns) > self._who.felt_force_n:
            reaction_s = float(self._rng.uniform(self._who.reaction_lo_s, self._who.reaction_hi_s))
            self._clock.sleep(reaction_s)
            self.hand.freeze(self._clock.now_ns())
            self._ready_ns = self._clock.now_ns()
            self._ready = OperatorResponse(self._ready_ns, True, BONE, 0.0)
            self._feeling = False
