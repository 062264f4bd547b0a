import pytest
from tiny_devices import Bench, Tiny

from hal.clock import VirtualClock
from hal.errors import ConfigError, LinkError
from rig.setup.assemble import RigNotOpened, _at_bench, open_rig


class Broken(Tiny):
    def open(self):
        self.clock.sleep(0.5)
        raise LinkError(f"no such port for {self.role}", port="memory")


class Hanging(Tiny):
    def open(self):
        self.clock.sleep(1e6)


def test_all_failures_are_reported_together_and_what_opened_is_closed():
    clock = VirtualClock()
    bench = Bench(clock)
    devices = bench.devices()
    devices["pump"], devices["contact"] = Broken("pump", clock, []), Broken("contact", clock, [])
    with pytest.raises(RigNotOpened) as error:
        open_rig(bench.config, clock, provided=devices)
    assert list(error.value.failures) == ["pump", "contact"]
    assert "no such port for pump" in str(error.value) and "no such port for contact" in str(error.value)
    assert bench.holder.opened and bench.holder.closed
    assert clock.now_ns() < 1_000_000_000  # opened beside each other


def test_a_device_that_never_answers_is_a_failure_with_advice():
    clock = VirtualClock()
    bench = Bench(clock)
    devices = bench.devices() | {"pump": Hanging("pump", clock, [])}
    with pytest.raises(RigNotOpened, match=r"pump did not answer within 20 s.*check its power"):
        open_rig(bench.config, clock, provided=devices)


def test_missing_roles_are_none_and_capabilities_say_so():
    clock = VirtualClock()
    bench = Bench(clock, without=("carrier", "needle_force"))
    rig = open_rig(bench.config, clock, provided=bench.devices())
    assert rig.carrier is None and "carrier" not in rig.capabilities
    assert {"ultrasound", "operator"} == rig.unmonitored
    assert rig.simulated
    with pytest.raises(ConfigError, match="has no carrier"):
        rig.device("carrier")
    assert rig.close() == []
    assert bench.pump.closed


def test_simulated_addresses_move_to_their_bench():
    table = {"url": "rigsim://pump", "more": ["rigsim://x", 3], "other": "/dev/pts/1"}
    assert _at_bench(table, "b7") == {"url": "rigsim://b7/pump", "more": ["rigsim://b7/x", 3], "other": "/dev/pts/1"}


def test_a_simulated_device_that_nobody_publishes_is_a_failure_of_that_role():
    from rig.config import parse_config

    config = parse_config(
        '[rig]\nname = "t"\nsimulated = true\n'
        '[devices.holder]\ndriver = "grblhal_holder"\nurl = "rigsim://holder"\n'
        '[devices.pump]\ndriver = "new_era_pump"\nurl = "rigsim://pump"\ndiameter_mm = 12.0\n'
    )
    with pytest.raises(RigNotOpened) as error:
        open_rig(config, VirtualClock(), "nowhere")
    assert set(error.value.failures) == {"holder", "pump"}
    assert "rigsim://nowhere/pump" in str(error.value)
