"""The golden exchanges of the Modbus devices, played against their simulators and against the drivers' link."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scripted_line import ScriptedLine, on_line

from hal.errors import DeviceError
from hal.links.modbus import open_modbus
from hal.sim.devices.contact_modbus import ContactInputs
from hal.sim.devices.force_modbus import ForceAmplifier
from hal.sim.devices.modbus_slave import ModbusSlave
from hal.sim.devices.pressure_keller import KellerPressure
from hal.sim.devices.sensor_noise import Imperfection

STEMS = ("pressure_keller", "force_modbus", "contact_modbus")
EXCHANGES = [
    pytest.param(stem, exchange, id=f"{stem}-{exchange['name']}")
    for stem in STEMS
    for exchange in tomllib.loads(Path(__file__).with_name(f"{stem}.toml").read_text())["exchange"]
]
IDEAL = Imperfection(noise_sd=0.0, offset_sd=0.0, drift_per_h=0.0, low_pass_hz=1e6)


@dataclass
class _Bench:
    exchange: dict[str, Any]

    def line_pressure_kpa(self, now_ns: int) -> float:
        return float(self.exchange.get("pressure_kpa", 0.0))

    def temperature_c(self, now_ns: int) -> float:
        return float(self.exchange.get("temperature_c", 20.0))

    def needle_force_n(self, now_ns: int) -> float:
        return float(self.exchange.get("force_n", 0.0))

    def probe_force_n(self, now_ns: int) -> float:
        return 0.0

    def touches(self, now_ns: int) -> tuple[bool, bool, bool]:
        nerve, vessel, pedal = self.exchange.get("touches", (False, False, False))
        return nerve, vessel, pedal


def _simulator(stem: str, bench: _Bench, monkeypatch: pytest.MonkeyPatch) -> ModbusSlave:
    if stem == "pressure_keller":
        monkeypatch.setattr("hal.sim.devices.pressure_keller.TEMPERATURE", IDEAL)
        return KellerPressure(bench, imperfection=IDEAL)
    if stem == "force_modbus":
        return ForceAmplifier(bench, "needle", imperfection=IDEAL)
    return ContactInputs(bench)


@pytest.mark.parametrize(("stem", "exchange"), EXCHANGES)
def test_the_simulator_answers_byte_for_byte(
    stem: str, exchange: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = _simulator(stem, _Bench(exchange), monkeypatch)
    device.receive(bytes.fromhex(exchange["to"]), 0)
    assert device.transmit(1_000_000_000).hex(" ").upper() == exchange["from"]


@pytest.mark.parametrize(("stem", "exchange"), [p for p in EXCHANGES if "call" in p.values[1]])
def test_the_link_sends_and_understands_the_golden_bytes(stem: str, exchange: dict[str, Any]) -> None:
    line = ScriptedLine([(bytes.fromhex(exchange["to"]), bytes.fromhex(exchange["from"]))])
    clock = on_line("golden-modbus", line)
    link = open_modbus("rigsim://golden-modbus", 1, 115200, clock)
    name, *arguments = exchange["call"]
    if name == "echo":
        assert link.echo(bytes.fromhex(arguments[0])) == bytes.fromhex(arguments[0])
    elif "exception" in exchange:
        with pytest.raises(DeviceError) as refused:
            getattr(link, name)(*arguments)
        assert refused.value.code == exchange["exception"]
    else:
        value = getattr(link, name)(*arguments)
        if "value" in exchange:
            assert list(value) == pytest.approx(exchange["value"])
    assert not line.unexpected
    assert not line.pairs
