"""The golden exchanges of the Harvard pump, played against the simulator and against the driver's reading of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from hal.drivers.pump_harvard_frame import decode, encode
from hal.errors import BadReply
from hal.sim.devices.pump_harvard import HarvardPump

TRANSCRIPTS = tomllib.loads(Path(__file__).with_name("pump_harvard.toml").read_text())["transcript"]
OURS = [
    pytest.param(exchange, id=f"{i}-{exchange['command']}")
    for transcript in TRANSCRIPTS
    for i, exchange in enumerate(transcript["exchange"])
    if exchange.get("mode") == "driver"
]


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda t: t["name"])
def test_the_simulated_pump_answers_byte_for_byte(transcript: dict[str, Any]) -> None:
    pump = HarvardPump()
    now_ns = 0
    for exchange in transcript["exchange"]:
        now_ns += int(exchange.get("after_s", 0.001) * 1e9)
        pump.receive(bytes.fromhex(exchange["to"]), now_ns)
        now_ns += 5_000_000
        assert pump.transmit(now_ns).hex(" ").upper() == exchange["from"], exchange


@pytest.mark.parametrize("exchange", OURS)
def test_the_driver_sends_the_golden_bytes(exchange: dict[str, Any]) -> None:
    assert encode(0, exchange["command"]).hex(" ").upper() == exchange["to"]


@pytest.mark.parametrize("exchange", OURS)
def test_the_driver_understands_the_golden_answers(exchange: dict[str, Any]) -> None:
    reply = decode(bytes.fromhex(exchange["from"]), "golden")
    assert (reply.address, reply.prompt, list(reply.lines)) == (0, exchange["prompt"], exchange["lines"])
    assert reply.fits(exchange["command"])
    assert bool(reply.refusal) == ("rror" in str(exchange["lines"]) or "Unknown" in str(exchange["lines"]))
    if "value" in exchange:
        assert reply.value(exchange["command"]) == pytest.approx(exchange["value"])


@pytest.mark.parametrize("exchange", [p for p in OURS if p.values[0]["lines"]])
def test_an_answer_with_data_survives_no_change_of_its_prompt(exchange: dict[str, Any]) -> None:
    """A single changed bit never makes an accepted prompt of one that comes twice."""
    raw = bytes.fromhex(exchange["from"])
    for bit in range(8):
        changed = bytearray(raw)
        changed[3] ^= 1 << bit
        with pytest.raises(BadReply):
            decode(bytes(changed), "golden")
