"""Looks of a tracker at a tool that rests."""

from __future__ import annotations

from experiments.qa.station import Station
from hal.clock import NS_PER_S
from hal.errors import ConfigError
from rig.roles import TRACKER

ROLES = ("tracker",)
TELL_S = 30.0


def measure(station: Station) -> None:
    """Look as often as the parameters say; a look without the tool is kept as such."""
    controller, tool = station.controller, station.text("tool")
    clock = controller.clock
    seconds, period_s = station.number("seconds"), 1.0 / station.number("looks_per_s")
    controller.wait(station.number("warm_up_s"))
    newest_ns, begun_ns = -1, clock.now_ns()
    end_ns, shown_ns = begun_ns + int(seconds * NS_PER_S), begun_ns
    known: set[str] = set()
    while clock.now_ns() < end_ns:
        poses = controller.read(TRACKER)
        pose = next((p for p in poses if p.name == tool), None)
        known |= {p.name for p in poses}
        if pose is not None and pose.valid and pose.time_ns > newest_ns:
            newest_ns = pose.time_ns
            station.sample("poses", pose.time_ns, (*(float(v) for v in pose.matrix[:3, 3]), 1.0))
        else:
            station.sample("poses", clock.now_ns(), (float("nan"),) * 3 + (0.0,))
        if clock.now_ns() - shown_ns > TELL_S * NS_PER_S:
            shown_ns = clock.now_ns()
            station.tell(f"{(end_ns - shown_ns) / NS_PER_S:.0f} s left")
        controller.wait(period_s)
    if newest_ns < 0:
        seen = ", ".join(sorted(known)) or "nothing"
        raise ConfigError(f"the tracker never showed {tool}; it knows {seen}: set `tool` in the acceptance file")
