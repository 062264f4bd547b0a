"""From a press of the emergency stop to the stop command, whatever the rig is doing: at most 100 ms (domain 3.2)."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from tiny_devices import Bench, MemoryJournal

from hal.clock import VirtualClock
from hal.errors import RigError
from rig.config import load_config
from rig.control.controller import Controller
from rig.devices import Rig
from rig.instruments.jogs import move_needle, move_probe
from rig.instruments.syringe import inject
from rig.setup.assemble import open_rig
from rig.setup.simulated import simulate

LIMIT_MS = 100.0
WIRE_PRESSES = 9
INPUTS = {"estop_inputs": ["holder", "carrier"]}


def infuse(controller: Controller) -> None:
    inject(controller, 0.5, 3.0)


def advance(controller: Controller) -> None:
    at = controller.read("carrier").pose
    move_needle(controller, replace(at, feed_mm=at.feed_mm + 3.0), 1.0, blind=True)


def slide(controller: Controller) -> None:
    at = controller.read("holder").pose
    move_probe(controller, replace(at, x_mm=at.x_mm + (20.0 if at.x_mm < 0.0 else -20.0)), 5.0)


WHAT = {"pump": infuse, "carrier": advance, "holder": slide}


def latency_ms(controller: Controller, rig: Rig, role: str, after_s: float, press: Callable[[bool], None]) -> float:
    """One press so many seconds after the beginning, timed until the lane hands the device its stop."""
    clock, device, seen = controller.clock, rig.device(role), {}
    make_safe = device.make_safe

    def stopped(deadline: Any) -> Any:
        seen["told"] = clock.now_ns()
        return make_safe(deadline)

    def finger() -> None:
        clock.sleep(after_s)
        seen["pressed"] = clock.now_ns()
        press(True)

    device.make_safe = stopped  # type: ignore[method-assign]
    clock.spawn("finger", finger)
    with suppress(RigError):
        WHAT[role](controller)
    device.make_safe = make_safe  # type: ignore[method-assign]
    return (seen["told"] - seen["pressed"]) / 1e6


@pytest.mark.parametrize("role", ["pump", "carrier", "holder"])
def test_of_60_presses_at_any_moment_59_reach_the_device_within_100_ms(role):
    draw, found = random.Random(1), []
    for _ in range(60):
        clock = VirtualClock()
        bench = Bench(clock, safety=INPUTS)

        def press(down: bool, bench: Bench = bench) -> None:
            bench.holder.estop = bench.carrier.estop = down

        controller = bench.controller()
        controller.start()
        controller.wait(draw.uniform(0.0, 1.0))
        found.append(latency_ms(controller, bench.rig, role, draw.uniform(0.3, 2.5), press))
    assert sum(ms <= LIMIT_MS for ms in found) >= 59, sorted(found)


def test_over_the_devices_own_wires_every_press_is_in_time_too():
    config, draw, found, clock = load_config("simulated"), random.Random(2), [], VirtualClock()
    bench = simulate(config, clock, cartridge_seed=3, phantom="lumbar_ref", needle=config.needle.name)
    rig = open_rig(config, clock, bench.publish(), provided=bench.provided())
    world: Any = bench.world  # type: ignore[attr-defined]
    with Controller(rig, config.limits, clock, MemoryJournal()) as controller:
        for i in range(WIRE_PRESSES):
            role = ("pump", "carrier", "holder")[i % 3]
            found.append(latency_ms(controller, rig, role, draw.uniform(0.3, 1.5), lambda down: press(world, down)))
            press(world, False)
            for device in (rig.carrier, rig.holder):  # what a person does at the bench
                device.unlock()  # type: ignore[union-attr]
            assert controller.acknowledge()
            controller.volumes.reset()
    rig.close()
    bench.close()
    assert max(found) <= LIMIT_MS, found


def press(world: Any, down: bool) -> None:
    world.estop = down
