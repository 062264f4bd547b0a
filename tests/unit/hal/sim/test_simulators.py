"""The simulated bench finds the simulator of each device by its driver's name, third parties' too."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import acme_stage
import pytest

from hal import registry
from hal.clock import VirtualClock
from hal.errors import ConfigError
from hal.sim import simulators
from hal.sim.bench import STANDARD
from hal.sim.simulators import GROUP, simulator_of
from rig.config import RigConfig, load_config
from rig.setup.assemble import open_rig
from rig.setup.simulated import simulate


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The entry points of an installed package; tests may replace them."""
    simulators_of = [EntryPoint("acme_stage", "acme_stage:simulator", GROUP)]
    known = {**registry.drivers(), "acme_stage": acme_stage.ENTRY}
    monkeypatch.setattr(registry, "drivers", lambda: known)
    monkeypatch.setattr(simulators, "entry_points", lambda group: simulators_of if group == GROUP else [])
    acme_stage.PLACES.clear()
    return simulators_of


def _rig(**holder: object) -> RigConfig:
    config = load_config("core")
    return config.model_copy(update={"devices": {**config.devices, "holder": {"url": "rigsim://holder", **holder}}})


def _bench(config: RigConfig, clock: VirtualClock):
    return simulate(config, clock, cartridge_seed=3, phantom="lumbar_ref", needle=config.needle.name)


def test_every_standard_device_has_a_simulator_under_its_drivers_own_file_name() -> None:
    for driver in STANDARD.values():
        build = simulator_of(driver)
        stem = registry.driver(driver).module.removeprefix("hal.drivers.")
        assert build.__module__ == f"hal.sim.devices.{stem}"


def test_a_third_partys_device_is_built_by_its_own_simulator_with_what_the_rig_file_states(
    acme: list[EntryPoint],
) -> None:
    clock = VirtualClock()
    config = _rig(driver="acme_stage", colour="red")
    bench = _bench(config, clock)
    assert [d.driver for d in bench.cores() if d.role == "holder"] == ["acme_stage"]  # type: ignore[attr-defined]
    assert acme_stage.PLACES[0].settings == {"url": "rigsim://holder", "colour": "red"}
    rig = open_rig(config, clock, bench.publish(), provided=bench.provided())
    assert rig.identities["holder"].driver == "acme_stage"
    rig.close()
    bench.close()


def test_a_holder_of_three_axes_with_narrower_limits_is_simulated_as_stated() -> None:
    clock = VirtualClock()
    limits = {c: {"low": -40.0, "high": 30.0, "max_speed": 20.0, "acceleration": 500.0} for c in "XYZ"}
    config = _rig(driver="grblhal_holder", axes="XYZ", set_by_hand={"C": 90.0}, limits=limits)
    bench = _bench(config, clock)
    core = next(d.core for d in bench.cores() if d.role == "holder")  # type: ignore[attr-defined]
    assert core.config.letters == "XYZ" and core.config.axes[2].acceleration == 500.0
    assert bench.world.holder.axes_at(0)[5] == 90.0  # type: ignore[attr-defined]
    rig = open_rig(config, clock, bench.publish(), provided=bench.provided())
    assert rig.identities["holder"].model == "Grbl XYZ"
    assert rig.holder.read().pose.as_tuple() == (0.0, 0.0, -30.0, 0.0, 0.0, 90.0)
    rig.close()
    bench.close()


def test_a_device_is_found_under_the_address_that_the_rig_file_gives_it() -> None:
    clock = VirtualClock()
    config = _rig(driver="grblhal_holder", url="rigsim://left/arm")
    bench = _bench(config, clock)
    rig = open_rig(config, clock, bench.publish(), provided=bench.provided())
    assert rig.identities["holder"].simulated
    rig.close()
    bench.close()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("acme_stage:broken", "gives no axes"),
        ("acme_stage:missing", "cannot be loaded"),
        ("acme_stage:ENTRY", "is no function"),
        ("no_such_module:simulator", "cannot be loaded"),
        ("", "there is no simulator of acme_stage"),
    ],
)
def test_a_simulator_that_is_missing_or_broken_is_one_clear_message(
    acme: list[EntryPoint], value: str, expected: str
) -> None:
    acme[:] = [EntryPoint("acme_stage", value, GROUP)] if value else []
    with pytest.raises(ConfigError, match=expected):
        _bench(_rig(driver="acme_stage"), VirtualClock())


def test_a_driver_without_a_simulator_cannot_be_put_on_a_simulated_bench() -> None:
    with pytest.raises(ConfigError, match="there is no simulator of video_ultrasound"):
        simulator_of("video_ultrasound")


def test_a_plug_in_cannot_take_the_place_of_a_built_in_simulator(acme: list[EntryPoint]) -> None:
    acme[:] = [EntryPoint("grblhal_holder", "acme_stage:broken", GROUP)]
    assert simulator_of("grblhal_holder").__module__ == "hal.sim.devices.holder_grbl"
