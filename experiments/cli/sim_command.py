"""``phantomrig sim``: one simulated bench on ptys and TCP ports of this machine, in real time, until it is stopped."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from experiments.cli.output import say
from hal.clock import WallClock
from hal.errors import ConfigError
from hal.phantom.nominal import load_phantom
from hal.phantom.qa_block import is_block
from hal.sim.served import BenchWithDevices, Served
from hal.types import ImagingSettings, Pixels
from rig.config import load_config
from rig.control.heap import settle_heap
from rig.setup.rig_of_ports import write_rig_file
from rig.setup.simulated import check_sim, simulate

TICK_S = 0.05
"""How often the world is brought up to date while nobody asks for it: less to catch up when somebody does."""


class World(Protocol):
    """Parts of the world that serving needs."""

    def advance(self, now_ns: int) -> None: ...

    def render(self, now_ns: int, settings: ImagingSettings) -> Pixels: ...


class ServedBench(BenchWithDevices, Protocol):
    """A simulated bench with its world."""

    @property
    def world(self) -> World: ...


def serve_bench(rig: Path | None, seed: int, cartridge: int, write_rig: Path | None = None) -> None:
    """Serve the bench of a rig file (default: the shipped simulated one) until SIGINT or SIGTERM.

    One JSON line per device and mount on stdout. ``write_rig`` is a rig file to be written that points at these ports.
    ``seed`` and ``cartridge`` give the same pour as cartridge number ``cartridge`` of a study with that seed. Raises
    ``ConfigError`` for a bad rig file and ``LinkError`` when a port was lost.
    """
    if seed < 0 or cartridge < 1:
        raise ConfigError(f"--seed must not be negative and --cartridge at least 1, got {seed} and {cartridge}")
    config = load_config(rig if rig is not None else "simulated")
    check_sim(config)
    phantom = str(config.sim.get("phantom", "lumbar_ref"))
    if not is_block(phantom):
        load_phantom(phantom)
    clock = WallClock()
    stop = threading.Event()
    with _stopped_by_signals(stop):
        bench = cast(
            ServedBench,
            simulate(
                config,
                clock,
                cartridge_seed=cartridge_seed(seed, cartridge),
                phantom=phantom,
                needle=config.needle.name,
            ),
        )
        with bench.lock:  # compiled before the first client waits for a picture
            bench.world.render(clock.now_ns(), ImagingSettings())
        settle_heap()  # nor waits for a full garbage collection
        with Served(bench, clock) as served:
            if write_rig is not None:
                write_rig_file(write_rig, config, served.rows)
                say(f"rig file: {write_rig}")
            try:
                for row in served.rows:
                    print(json.dumps(row), flush=True)
            except BrokenPipeError:
                return
            say("serving on this machine only; Ctrl-C ends it")
            while not stop.is_set():
                clock.sleep(TICK_S)
                with bench.lock:
                    bench.world.advance(clock.now_ns())
                served.check()


def cartridge_seed(seed: int, number: int) -> int:
    """Seed of a pour, as a study's plan draws it for its cartridge of that number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint32)[0])


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Both signals are an orderly end; a shell that starts a job in the background hands SIGINT over as ignored."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
