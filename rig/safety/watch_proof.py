"""Proof that the watch over an actuator can trip and can pass: a fresh one with the rig's limits gets test
sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from hal.clock import NS_PER_S, VirtualClock
from hal.types import CarrierState, HolderState, MotionMode, NeedlePose, Pose6, PumpState
from rig.lanes import Sample
from rig.safety.axes_watch import AxesWatch
from rig.safety.delivery_watch import DeliveryWatch
from rig.safety.limits import Limits
from rig.safety.volume import PumpedVolume, VolumeLedger

Story = tuple[str, bool, bool]
"""Name of an interlock, whether it tripped on what it must trip on, and let pass what it must let pass."""
START: dict[str, HolderState | CarrierState] = {
    "holder": HolderState(0, Pose6(0, 0, 0), MotionMode.IDLE),
    "carrier": CarrierState(0, NeedlePose(0, 0, 0, 0, -20.0), MotionMode.IDLE),
}


def axes_stories(role: str, limits: Limits) -> Iterator[Story]:
    """Test sequences of axes: displaced at rest, moving at rest, off the corridor, ahead of speed, guided too fast by
    hand."""
    start, stray = START[role], limits.motion.stray

    def at(x_mm: float, seconds: float, mode: MotionMode = MotionMode.IDLE) -> Sample[HolderState | CarrierState]:
        time_ns = int(seconds * NS_PER_S)
        if isinstance(start, HolderState):
            return Sample(replace(start, pose=replace(start.pose, x_mm=x_mm), mode=mode, time_ns=time_ns), time_ns)
        return Sample(replace(start, pose=replace(start.pose, x_mm=x_mm), mode=mode, time_ns=time_ns), time_ns)

    def resting() -> AxesWatch:
        watch = AxesWatch(role, limits.motion, VirtualClock())
        watch.evaluate(at(0.0, 0.0))
        return watch

    def on_the_way(x_mm: float, seconds: float) -> bool:
        watch = resting()
        with watch.ordered(start.pose.as_tuple(), 1.0):
            watch.extend(at(10.0, 0.0).value.pose.as_tuple())
            return watch.evaluate(at(x_mm, seconds, MotionMode.MOVING)) is not None

    def by_hand(x_mm: float) -> bool:
        watch = resting()
        watch.by_hand(True)
        watch.evaluate(at(0.0, 0.0))
        return watch.evaluate(at(x_mm, 0.1)) is not None

    moved = [resting().evaluate(at(x, 1.0)) is not None for x in (3.0 * stray, 0.5 * stray)]
    yield f"{role}_moved", moved[0], not moved[1]
    moving = resting().evaluate(at(0.0, 1.0, MotionMode.MOVING)) is not None
    yield f"{role}_uncommanded", moving, resting().evaluate(at(0.0, 1.0)) is None
    yield f"{role}_astray", on_the_way(-5.0 * stray, 5.0), not on_the_way(5.0, 5.0)
    yield f"{role}_ahead", on_the_way(9.0, 1.0), not on_the_way(1.0, 1.0)
    fast = 0.2 * limits.motion.hand_speed_mm_s
    yield f"{role}_hand", by_hand(min(fast, 1e4)), not by_hand(0.01 * fast)


def delivery_stories(limits: Limits) -> Iterator[Story]:
    """Test sequences of a pump: without an order, beyond its volume, ahead of its rate, at its keys, ledger over its
    limit."""

    def report(ml: float, seconds: float, running: bool = False) -> Sample[PumpState]:
        time_ns = int(seconds * NS_PER_S)
        return Sample(PumpState(time_ns, running, ml, 0.0), time_ns)

    def resting() -> DeliveryWatch:
        watch = DeliveryWatch(limits.volume, VirtualClock())
        watch.evaluate(report(0.0, 0.0))
        return watch

    def ordered(ml: float, seconds: float) -> bool:
        watch = resting()
        with watch.ordered(0.0, 1.0, 6.0):
            return watch.evaluate(report(ml, seconds, True)) is not None

    def trips(watch: DeliveryWatch, sample: Sample[PumpState]) -> bool:
        return watch.evaluate(sample) is not None

    uncommanded = trips(resting(), report(0.1, 1.0)) and trips(resting(), report(0.0, 1.0, True))
    yield "pump_uncommanded", uncommanded, not trips(resting(), report(0.0, 1.0))
    yield "pump_beyond", ordered(1.1, 60.0), not ordered(1.0, 60.0)
    yield "pump_ahead", ordered(0.5, 1.0), not ordered(0.1, 1.0)
    guided = [resting() for _ in range(2)]
    for watch in guided:
        watch.by_hand(True)
        watch.evaluate(report(0.0, 0.0))
    yield (
        "pump_hand",
        trips(guided[0], report(2.0 * limits.volume.hand_ml, 9.0)),
        not trips(guided[1], report(0.0, 9.0)),
    )
    yield "volume_ledger", *_ledger(limits)


def _ledger(limits: Limits) -> tuple[bool, bool]:
    over, full = VolumeLedger(limits.volume), VolumeLedger(limits.volume)
    over.add(PumpedVolume.counted(1.1 * limits.volume.injection_ml + 0.1), test=False)
    full.add(PumpedVolume.counted(limits.volume.injection_ml), test=False)
    return over.evaluate() is not None, full.evaluate() is None


STORIES: dict[str, Callable[[Limits], Iterator[Story]]] = {
    "holder": lambda limits: axes_stories("holder", limits),
    "carrier": lambda limits: axes_stories("carrier", limits),
    "pump": delivery_stories,
}
