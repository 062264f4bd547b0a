"""A simulated Grbl controller on a line on which other things happen: damage, strangers, delays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hal.clock import NS_PER_S, VirtualClock
from hal.drivers import carrier_grbl, holder_grbl
from hal.links.wire import Endpoint, WireCore, publish, withdraw
from hal.sim.devices.motion_config import GrblConfig, holder_config
from hal.sim.devices.motion_grbl import GrblCore

NAME = "grbl-line"
Damage = Callable[[bytes], bytes]


class Meddler:
    """Stands on the line: remembers what the host sent, and damages the next reports as it is told."""

    def __init__(self, core: WireCore) -> None:
        self.core = core
        self.sent = b""
        self.damages: list[Damage] = []
        """Each is used on one report."""

    def receive(self, data: bytes, now_ns: int) -> None:
        self.sent += data
        self.core.receive(data, now_ns)

    def transmit(self, now_ns: int) -> bytes:
        data = self.core.transmit(now_ns)
        if data.startswith(b"<") and self.damages:
            data = self.damages.pop(0)(data)
        return data

    def next_ns(self, now_ns: int) -> int | None:
        return self.core.next_ns(now_ns)


class GrblBench:
    """One controller, its line and its clock."""

    def __init__(self, config: GrblConfig | None = None) -> None:
        self.clock = VirtualClock()
        self.core = GrblCore(config or holder_config())
        self.line = Meddler(self.core)
        publish(NAME, Endpoint(self.line, self.clock))

    def __enter__(self) -> GrblBench:
        return self

    def __exit__(self, *error: object) -> None:
        withdraw(NAME)

    def holder(self, **changes: Any) -> holder_grbl.Driver:
        """Not opened."""
        settings = {"axes": self.core.config.letters, **changes}
        return holder_grbl.Driver(holder_grbl.Settings(url=f"rigsim://{NAME}", **settings), self.clock)

    def carrier(self, **changes: Any) -> carrier_grbl.Driver:
        """Not opened."""
        settings = {"axes": self.core.config.letters, **changes}
        return carrier_grbl.Driver(carrier_grbl.Settings(url=f"rigsim://{NAME}", **settings), self.clock)

    def stranger(self, text: bytes) -> None:
        """Another sender speaks to the controller on the same line."""
        self.core.receive(text, self.clock.now_ns())

    def commanded(self, at_ns: int) -> list[float]:
        """Where the motors were told to be, in the frame that the rig knows."""
        place = self.core._planner.position(at_ns) - self.core.config.work_offset
        return [float(value) for value in place]

    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def age_s(self, time_ns: int) -> float:
        return (self.clock.now_ns() - time_ns) / NS_PER_S
