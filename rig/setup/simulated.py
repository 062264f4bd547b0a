"""Simulated bench with a world behind it, from a rig file: the only bridge from the controller to ``hal.sim``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hal.clock import Clock
from hal.errors import ConfigError
from hal.interfaces import Device
from rig.config import RigConfig
from rig.setup.witness import Witness

SCHEME = "rigsim://"


class SimulatedBench(Protocol):
    """Parts of a simulated bench that a study needs."""

    @property
    def witness(self) -> Witness: ...

    def publish(self) -> str: ...

    def provided(self) -> Mapping[str, Device]: ...

    def hand_over(self, by_hand: bool) -> None: ...

    def close(self) -> None: ...


def needs_bench(config: RigConfig) -> bool:
    """True when a device of the rig file lives in this process (``rigsim://``)."""
    return config.rig.simulated and any(
        str(value).startswith(SCHEME) for table in config.devices.values() for value in table.values()
    )


def check_sim(config: RigConfig) -> None:
    """Check the ``[sim]`` table, which only the simulated bench understands; raises ``ConfigError`` with all its
    faults."""
    from hal.sim.operator import profile
    from hal.sim.settings import sim_settings

    settings = sim_settings(config.sim, config.document)
    try:
        profile(settings.operator)
    except ConfigError as error:
        raise ConfigError(f"{config.document.place(('sim', 'operator'))}: {error}") from None


def simulate(
    config: RigConfig, clock: Clock, *, cartridge_seed: int, phantom: str, needle: str, age_h: float | None = None,
    bench_seed: int | None = None, level_shift: bool = False,
) -> SimulatedBench:  # fmt: skip
    """Pour one cartridge and put a simulated bench around it; raises ``ConfigError`` for a bad ``[sim]`` table.

    ``age_h``: of the cartridge when the bench is switched on (default: that of ``[sim.build]``). ``bench_seed``: of the
    bench where ``[sim]`` names none. ``level_shift``: the cartridge may stand one level off, unknown to all.
    """
    from hal.sim.bench import Bench, BenchSpec, StatedDevice
    from hal.sim.settings import sim_settings

    graph = config.frames.graph()
    names = ("PhantomToRig", "HolderToRig", "CarrierToRig", "TrackerToRig")
    frames = {name: graph.get(name.removesuffix("ToRig"), "Rig") for name in names}
    settings = (
        sim_settings({**config.sim, "phantom": phantom}, config.document)
        .at_age(age_h)
        .on_bench(bench_seed)
        .shifted(level_shift)
    )
    devices = {}
    for role, (driver, address, stated) in _in_process(config).items():
        devices[role] = StatedDevice(driver, address, stated)
    spec = BenchSpec(settings, frames, config.probe, needle, config.line.compliance_ul_kpa, devices)
    return Bench(spec, clock, cartridge_seed)


def _in_process(config: RigConfig) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Devices of the rig file that live in this process, by role: driver, address, and stated properties.

    Raises ``ConfigError`` for settings that the driver does not take.
    """
    found = {}
    for role, table in config.devices.items():
        url = next((str(v) for v in table.values() if str(v).startswith(SCHEME)), None)
        model = None if url is None else config.driver_settings(role)
        if url is not None and model is not None:
            stated = model.model_dump(exclude_unset=True)
            found[role] = (str(table["driver"]), url.removeprefix(SCHEME).rstrip("/"), stated)
    return found
