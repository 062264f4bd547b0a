"""The golden exchanges of the New Era pump, played against the simulator and against the driver's reading of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from scripted_line import ScriptedLine, on_line

from hal.drivers.pump_new_era_frame import encode, receive
from hal.links.serial import open_serial
from hal.sim.devices.pump_new_era import NewEraPump

TRANSCRIPTS = tomllib.loads(Path(__file__).with_name("pump_new_era.toml").read_text())["transcript"]
EXCHANGES = [
    pytest.param(exchange, id=f"{n}-{i}-{exchange['command'].strip()}")
    for n, transcript in enumerate(TRANSCRIPTS)
    for i, exchange in enumerate(transcript["exchange"])
]


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda t: t["name"])
def test_the_simulated_pump_answers_byte_for_byte(transcript: dict[str, Any]) -> None:
    pump = NewEraPump()
    now_ns = 0
    for exchange in transcript["exchange"]:
        now_ns += int(exchange.get("after_s", 0.02) * 1e9)
        pump.receive(bytes.fromhex(exchange["to"]), now_ns)
        now_ns += 5_000_000
        assert pump.transmit(now_ns).hex(" ").upper() == exchange["from"], exchange


# The driver always gives an address, never spoils a check sum and writes no blanks.
SENT = [p for p in EXCHANGES if p.values[0]["mode"] in ("basic", "safe") and " " not in p.values[0]["command"]]


@pytest.mark.parametrize("exchange", SENT)
def test_the_driver_sends_the_golden_bytes(exchange: dict[str, Any]) -> None:
    sent = encode(exchange.get("address", 0), exchange["command"], safe=exchange["mode"] == "safe")
    assert sent.hex(" ").upper() == exchange["to"]


@pytest.mark.parametrize("exchange", [p for p in EXCHANGES if p.values[0]["from"]])
def test_the_driver_understands_the_golden_answers(exchange: dict[str, Any]) -> None:
    clock = on_line("golden-pump", ScriptedLine([(b"?", bytes.fromhex(exchange["from"]))]))
    link = open_serial("rigsim://golden-pump", 19200, clock, timeout_s=0.2)
    link.write(b"?")
    reply = receive(link, link.deadline())
    assert (reply.status, reply.alarm, reply.data) == (exchange["status"], exchange["alarm"], exchange["data"])
