"""Plug-ins add drivers; a broken one, or one named like ours, is left out and named, and everything else works."""

import sys

import pytest

from experiments import doctor
from experiments.cli import devices
from hal import registry
from hal.driver_table import driver_rows
from hal.errors import ConfigError

GOOD = "from hal.registry import DriverEntry\nENTRY = DriverEntry({name!r}, 'pump', {module!r}, 'somebody\\'s pump')\n"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a distribution with one driver entry point where Python finds it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(distribution: str, code: str) -> None:
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code)
        sys.modules.pop(module, None)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{distribution} = {module}:ENTRY\n")
        registry._plugins.cache_clear()

    yield put
    registry._plugins.cache_clear()


def test_a_plugin_adds_its_driver(install):
    install("good-pump", GOOD.format(name="good_pump", module="hal.drivers.pump_new_era"))
    assert registry.driver("good_pump").role == "pump"
    assert registry.bad_plugins() == ()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise RuntimeError('no licence\\nfound')", "RuntimeError: no licence found"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError"),
        ("import not_installed_anywhere", "ModuleNotFoundError"),
        ("x = 1", "AttributeError"),
        ("ENTRY = 7", "is no DriverEntry but a int"),
    ],
)
def test_a_broken_plugin_is_left_out_and_named_and_all_else_works(install, capsys, code, says):
    install("bad-pump", code)
    assert set(registry.drivers()) == {entry.name for entry in registry.BUILT_IN}
    devices.show(driver_rows())
    assert "plug-in 'bad-pump' of bad-pump is left out" in capsys.readouterr().err
    (finding,) = [f for f in doctor.examine(None) if f.what == "plug-in"]
    assert finding.level == "warning" and says in finding.text
    with pytest.raises(ConfigError, match="unknown driver 'bad-pump'; plug-in 'bad-pump' of bad-pump is left out"):
        registry.driver("bad-pump")


def test_a_name_of_ours_means_ours(install):
    install("thief", GOOD.format(name="new_era_pump", module="thief"))
    assert registry.driver("new_era_pump").module == "hal.drivers.pump_new_era"
    (bad,) = registry.bad_plugins()
    assert "named 'new_era_pump', like a built-in driver" in bad.reason


def test_of_two_plugins_with_one_name_one_is_left_out(install):
    install("a-pump", GOOD.format(name="same", module="hal.drivers.pump_new_era"))
    install("b-pump", GOOD.format(name="same", module="elsewhere"))
    assert registry.driver("same").module == "hal.drivers.pump_new_era"
    assert [bad.distribution for bad in registry.bad_plugins()] == ["b-pump"]


def test_a_driver_whose_code_is_broken_is_refused_in_one_line(install, capsys):
    install("late", GOOD.format(name="late", module="late_code"))
    with pytest.raises(ConfigError, match="driver 'late' cannot be loaded: ModuleNotFoundError: No module named"):
        registry.driver("late").settings_model()
    rows = driver_rows()
    devices.show(rows)
    assert "driver 'late' cannot be loaded" in capsys.readouterr().err
    assert any(f.level == "error" and "late" in f.text for f in doctor.examine(None))
