"""Devices that live in memory and answer at once, for tests of the controller alone. They count what they are told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hal.clock import Clock, Deadline
from hal.errors import DeviceError, NoReply
from hal.types import (
    CarrierState,
    ContactReading,
    ForceReading,
    Frame,
    HolderState,
    Identity,
    Instruction,
    MotionMode,
    NeedlePose,
    OperatorResponse,
    Pose6,
    PressureReading,
    PumpState,
    SafeReport,
)
from rig.config import RigConfig
from rig.control.controller import Controller
from rig.devices import Rig
from rig.setup.assemble import open_rig


class Tiny:
    """Common part. ``dead``: silent for 0.6 s, then NoReply, on every call."""

    def __init__(self, role: str, clock: Clock, log: list[str]) -> None:
        self.role = role
        self.clock = clock
        self.log = log
        self.dead = False
        self.latency_s = 0.001
        self.opened = self.closed = False
        self.frozen = False
        self._read_n = 0

    def noise(self) -> float:
        """No two readings of a sensor are equal, unless it is ``frozen``."""
        self._read_n += 0 if self.frozen else 1
        return 1e-9 * (self._read_n % 7)

    def call(self, what: str) -> None:
        if what:
            self.log.append(f"{self.role}.{what}")
        self.clock.sleep(0.6 if self.dead else self.latency_s)
        if self.dead:
            raise NoReply(f"{self.role} is silent", port="memory", command=what or "read")

    def open(self) -> Identity:
        self.call("")
        self.opened = True
        return Identity(self.role, "tiny", "tiny", simulated=True)

    def close(self) -> None:
        self.closed = True

    def make_safe(self, deadline: Deadline) -> SafeReport:
        self.call("make_safe")
        return SafeReport(self.role, True, "stopped, read back")


class TinyMover(Tiny):
    """An axis set that goes straight to the newest jog target at the speed asked for."""

    pose_type: type = Pose6

    def __init__(self, role: str, clock: Clock, log: list[str], start: Any) -> None:
        super().__init__(role, clock, log)
        self.jogs: list[tuple[Any, float]] = []
        self.estop = False
        self.alarm = ""
        self.stuck = False
        self.lose_reply_of_jog = 0
        self._from = self._to = start.as_tuple()
        self._t0 = 0.0
        self._t1 = 0.0

    def _now(self) -> float:
        return self.clock.now_ns() / 1e9

    def at(self) -> tuple[float, ...]:
        if self._t1 <= self._t0 or self._now() >= self._t1:
            return self._to
        share = (self._now() - self._t0) / (self._t1 - self._t0)
        return tuple(a + share * (b - a) for a, b in zip(self._from, self._to, strict=True))

    def moving(self) -> bool:
        return self._now() < self._t1

    def jog(self, pose: Any, speed_mm_s: float) -> None:
        self.jogs.append((pose, speed_mm_s))
        self.call("")
        queued = max(0.0, self._t1 - self._now())
        length = math.dist(self._to, pose.as_tuple())
        assert self.stuck or queued + length / speed_mm_s <= 0.2 + 1e-3, "more than 200 ms queued"
        if not self.stuck:
            here = self.at()
            self._from, self._to = here, pose.as_tuple()
            self._t0, self._t1 = self._now(), self._now() + queued + length / speed_mm_s
        if self.lose_reply_of_jog == len(self.jogs):
            raise NoReply(f"{self.role}: no ok for the jog", port="memory", command="$J")

    def stop(self) -> None:
        self.call("stop")
        self._from = self._to = self.at()
        self._t1 = self._t0 = self._now()

    def make_safe(self, deadline: Deadline) -> SafeReport:
        report = super().make_safe(deadline)
        self._from = self._to = self.at()
        self._t1 = self._t0 = self._now()
        return report

    def _mode(self) -> MotionMode:
        return MotionMode.ALARM if self.alarm else MotionMode.MOVING if self.moving() else MotionMode.IDLE


class TinyHolder(TinyMover):
    def __init__(self, clock: Clock, log: list[str]) -> None:
        super().__init__("holder", clock, log, Pose6(0, 0, 0))

    def read(self) -> HolderState:
        self.call("")
        return HolderState(self.clock.now_ns(), Pose6(*self.at()), self._mode(), self.estop, self.alarm)


class TinyCarrier(TinyMover):
    def __init__(self, clock: Clock, log: list[str]) -> None:
        super().__init__("carrier", clock, log, NeedlePose(0, 0, 0, 0, 0))

    def read(self) -> CarrierState:
        self.call("")
        return CarrierState(self.clock.now_ns(), NeedlePose(*self.at()), self._mode(), self.estop, self.alarm)

    @property
    def feed_mm(self) -> float:
        return float(self.at()[4])


class TinyPump(Tiny):
    """Pushes at the rate asked for until the volume is reached."""

    def __init__(self, clock: Clock, log: list[str]) -> None:
        super().__init__("pump", clock, log)
        self.alarm = ""
        self.infusions = 0
        self.lose_reply = False
        self._before_ml = 0.0
        self._rate = 0.0
        self._t0 = 0.0
        self._t1 = 0.0

    def _now(self) -> float:
        return self.clock.now_ns() / 1e9

    def dispensed_ml(self) -> float:
        return self._before_ml + self._rate / 60.0 * max(0.0, min(self._now(), self._t1) - self._t0)

    def rate_now(self) -> float:
        return self._rate if self._t0 <= self._now() < self._t1 else 0.0

    def read(self) -> PumpState:
        self.call("")
        return PumpState(self.clock.now_ns(), self.rate_now() > 0, self.dispensed_ml(), self.rate_now(), self.alarm)

    def infuse(self, volume_ml: float, rate_ml_min: float) -> None:
        self.call("infuse")
        self.infusions += 1
        self._before_ml = self.dispensed_ml()
        self._rate, self._t0, self._t1 = rate_ml_min, self._now(), self._now() + volume_ml / rate_ml_min * 60.0
        if self.lose_reply:
            raise NoReply("pump: no reply to RUN", port="memory", command="RUN")

    def stop(self) -> None:
        self.call("stop")
        self._halt()

    def _halt(self) -> None:
        self._before_ml, self._t1, self._t0 = self.dispensed_ml(), 0.0, 0.0

    def make_safe(self, deadline: Deadline) -> SafeReport:
        report = super().make_safe(deadline)
        self._halt()
        return report

    def clear(self) -> None:
        self._before_ml = 0.0


class TinyPressure(Tiny):
    """One compliance and one resistance behind the pump, integrated in 1 ms steps; ``back_kpa`` opens the tissue."""

    def __init__(self, clock: Clock, log: list[str], pump: TinyPump) -> None:
        super().__init__("pressure", clock, log)
        self.pump = pump
        self.c_ml_kpa = 0.5e-3
        self.loss = 4.65
        self.back_kpa = 20.0
        self.blocked = False
        self.fixed_kpa: float | None = None
        self._kpa = 0.0
        self._at_ns = 0
        self._pumped = 0.0

    def read(self) -> PressureReading:
        self.call("")
        now = self.clock.now_ns()
        steps = max(1, (now - self._at_ns) // 1_000_000)
        pumped = self.pump.dispensed_ml()
        for _ in range(min(steps, 2000)):
            flow = 0.0 if self.blocked else max(0.0, (self._kpa - self.back_kpa) / self.loss) / 60.0
            self._kpa += ((pumped - self._pumped) / steps - flow * (now - self._at_ns) / 1e9 / steps) / self.c_ml_kpa
            self._kpa = max(self._kpa, 0.0)
        self._at_ns, self._pumped = now, pumped
        return PressureReading(now, (self._kpa if self.fixed_kpa is None else self.fixed_kpa) + self.noise(), 21.0)

    def zero(self) -> None:
        self._kpa = 0.0


class TinyForce(Tiny):
    def __init__(self, role: str, clock: Clock, log: list[str]) -> None:
        super().__init__(role, clock, log)
        self.force_n = 0.2

    def read(self) -> ForceReading:
        self.call("")
        return ForceReading(self.clock.now_ns(), self.force_n + self.noise())

    def tare(self) -> None:
        self.force_n = 0.0


class BoneForce(TinyForce):
    """A stiff surface in the needle's way."""

    def __init__(self, clock: Clock, log: list[str], carrier: TinyCarrier, bone_mm: float, n_mm: float = 30.0) -> None:
        super().__init__("needle_force", clock, log)
        self.carrier, self.bone_mm, self.n_mm = carrier, bone_mm, n_mm

    def read(self) -> ForceReading:
        self.call("")
        depth = max(0.0, self.carrier.feed_mm - self.bone_mm)
        return ForceReading(self.clock.now_ns(), self.force_n + self.n_mm * depth + self.noise())


class TinyContact(Tiny):
    def __init__(self, clock: Clock, log: list[str]) -> None:
        super().__init__("contact", clock, log)
        self.reading = ContactReading(0, False, False, False)

    def read(self) -> ContactReading:
        self.call("")
        return replace(self.reading, time_ns=self.clock.now_ns())


class TinyUltrasound(Tiny):
    polled = False

    def __init__(self, clock: Clock, log: list[str]) -> None:
        super().__init__("ultrasound", clock, log)
        self.lost = False

    def read(self) -> Frame | None:
        import numpy as np

        self.call("")
        if self.lost:
            return None
        return Frame(self.clock.now_ns(), np.zeros((4, 4), np.uint8), np.eye(4))


class TinyOperator(Tiny):
    """Says yes after ``reaction_s``."""

    def __init__(self, clock: Clock, log: list[str], reaction_s: float = 0.4) -> None:
        super().__init__("operator", clock, log)
        self.reaction_s = reaction_s
        self._due_ns: int | None = None

    def begin(self, instruction: Instruction) -> None:
        self.log.append(f"operator.asked {instruction.text}")
        self._due_ns = self.clock.now_ns() + int(self.reaction_s * 1e9)

    def poll(self) -> OperatorResponse | None:
        if self._due_ns is None or self.clock.now_ns() < self._due_ns:
            return None
        self._due_ns = None
        return OperatorResponse(self.clock.now_ns(), True, "yes")

    def cancel(self) -> None:
        self._due_ns = None

    def show(self, text: str) -> None:
        self.log.append(f"operator.shown {text}")


class MemoryJournal:
    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.full = False

    def append(self, kind: str, data: dict[str, Any]) -> None:
        if self.full:
            raise DeviceError("disk full")
        self.entries.append((kind, data))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.entries]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for k, data in self.entries if k == kind]


class Bench:
    """All tiny devices, an opened rig and a running controller."""

    def __init__(self, clock: Clock, without: tuple[str, ...] = (), **config: Any) -> None:
        self.clock = clock
        self.log: list[str] = []
        self.holder = TinyHolder(clock, self.log)
        self.carrier = TinyCarrier(clock, self.log)
        self.pump = TinyPump(clock, self.log)
        self.pressure = TinyPressure(clock, self.log, self.pump)
        self.needle_force: TinyForce = TinyForce("needle_force", clock, self.log)
        self.probe_force = TinyForce("probe_force", clock, self.log)
        self.contact = TinyContact(clock, self.log)
        self.ultrasound = TinyUltrasound(clock, self.log)
        self.operator = TinyOperator(clock, self.log)
        self.without = without
        self.config = RigConfig.model_validate({"rig": {"name": "tiny", "simulated": True}, "devices": {}, **config})
        self.journal = MemoryJournal()
        self.rig: Rig | None = None

    def devices(self) -> dict[str, Any]:
        names = (
            "holder", "carrier", "pump", "pressure", "needle_force", "probe_force", "contact", "ultrasound", "operator",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names if name not in self.without}

    def controller(self) -> Controller:
        self.rig = open_rig(self.config, self.clock, provided=self.devices())
        return Controller(self.rig, self.config.limits, self.clock, self.journal)
