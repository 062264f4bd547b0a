import pytest

from experiments.cli.sim_command import cartridge_seed
from experiments.protocol.plan import plan
from experiments.protocol.study import load_study
from hal.errors import ConfigError
from rig.config import load_config
from rig.setup.rig_of_ports import write_rig_file
from rig.setup.simulated import needs_bench

SERIAL = ("holder", "carrier", "pump", "pressure", "needle_force", "probe_force", "contact")
DRIVERS = {
    "holder": "grblhal_holder", "carrier": "grblhal_carrier", "pump": "new_era_pump", "pressure": "keller_pressure",
    "needle_force": "modbus_needle_force", "probe_force": "modbus_probe_force", "contact": "modbus_contact",
    "ultrasound": "igtl_ultrasound", "tracker": "igtl_tracker",
}  # fmt: skip


def rows():
    found = []
    for number, (role, driver) in enumerate(DRIVERS.items()):
        if role in SERIAL:
            found.append({"device": role, "driver": driver, "mount": "pty", "url": f"/dev/pts/{number}"})
        scheme = "igtl" if role not in SERIAL else "socket"
        found.append({"device": role, "driver": driver, "mount": "tcp", "url": f"{scheme}://127.0.0.1:{9000 + number}"})
    return found


def test_serial_devices_are_reached_on_ptys_and_streams_on_tcp(tmp_path):
    write_rig_file(tmp_path / "rig.toml", load_config("simulated"), rows())
    config = load_config(tmp_path / "rig.toml")
    assert all(config.devices[role]["url"].startswith("/dev/pts/") for role in SERIAL)
    assert config.devices["ultrasound"]["url"] == "igtl://127.0.0.1:9007"
    assert config.rig.simulated and not needs_bench(config)


def test_everything_but_the_addresses_stays(tmp_path):
    before = load_config("simulated")
    write_rig_file(tmp_path / "rig.toml", before, rows())
    after = load_config(tmp_path / "rig.toml")
    assert (after.frames, after.probe, after.line, after.safety) == (
        before.frames,
        before.probe,
        before.line,
        before.safety,
    )
    assert after.devices["pump"]["diameter_mm"] == before.devices["pump"]["diameter_mm"]


def test_nobody_sits_at_a_served_bench(tmp_path):
    write_rig_file(tmp_path / "rig.toml", load_config("simulated"), rows())
    assert load_config(tmp_path / "rig.toml").devices["operator"] == {"driver": "auto_operator"}


def test_a_device_that_is_not_in_the_rig_file_is_not_added(tmp_path):
    write_rig_file(tmp_path / "rig.toml", load_config("core"), rows())
    assert set(load_config(tmp_path / "rig.toml").devices) == set(load_config("core").devices)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_rig_file(tmp_path / "file" / "rig.toml", load_config("simulated"), rows())


def test_the_served_cartridge_is_the_studys_cartridge_of_that_number():
    study = load_study("lumbar")
    cartridges = plan(study, study.loaded())
    assert [c.seed for c in cartridges] == [cartridge_seed(study.study.seed, n) for n in range(1, len(cartridges) + 1)]
