"""The golden exchanges of the balance, played against the simulator and against the driver's reading of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from hal.clock import NS_PER_S
from hal.drivers.balance_mtsics_frame import decode, encode
from hal.errors import BadReply
from hal.sim.devices.balance_mtsics import MtSicsBalance
from hal.sim.devices.weigh_cell import BalanceFigures

TRANSCRIPTS = tomllib.loads(Path(__file__).with_name("balance_mtsics.toml").read_text())["transcript"]
EXCHANGES = [
    pytest.param(exchange, id=f"{transcript['name']}-{i}-{exchange['command']}")
    for transcript in TRANSCRIPTS
    for i, exchange in enumerate(transcript["exchange"])
]
WEIGHTS = [p for p in EXCHANGES if "value" in p.values[0]]


class Pan:
    load_g = 0.0

    def pan(self, now_ns: int) -> tuple[float, float]:
        return self.load_g, 0.0


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda t: t["name"])
def test_the_simulated_balance_answers_byte_for_byte(transcript: dict[str, Any]) -> None:
    pan = Pan()
    pan.load_g = transcript["load_g"]
    stated = {key: transcript[key] for key in ("decimals", "capacity_g", "unit") if key in transcript}
    figures = BalanceFigures(repeatability_mg=0.0, drift_mg_h=0.0, **stated)
    balance = MtSicsBalance(pan, figures=figures, **{k: transcript[k] for k in ("model",) if k in transcript})
    now_ns = 0
    for exchange in transcript["exchange"]:
        now_ns += 10_000_000
        pan.load_g = exchange.get("load_g", pan.load_g)
        if "load_g" in exchange:
            now_ns += 5 * NS_PER_S
            balance.cell.look(now_ns)
        balance.receive(bytes.fromhex(exchange["to"]), now_ns)
        sent, end_ns = b"", now_ns + int(exchange.get("after_s", 0.05) * NS_PER_S)
        while not sent and (due_ns := balance.next_ns(now_ns)) is not None and due_ns <= end_ns:
            now_ns = due_ns
            sent = balance.transmit(now_ns)
        assert sent.hex(" ").upper() == exchange["from"], exchange


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_bytes_are_those_of_the_text(exchange: dict[str, Any]) -> None:
    assert bytes.fromhex(exchange["from"]) == exchange["text"].encode() + b"\r\n"


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_driver_sends_the_golden_bytes(exchange: dict[str, Any]) -> None:
    assert encode(exchange["command"]).hex(" ").upper() == exchange["to"]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_driver_understands_the_golden_answers(exchange: dict[str, Any]) -> None:
    reply = decode(bytes.fromhex(exchange["from"]))
    assert reply is not None
    assert reply.text == exchange["text"]
    assert bool(reply.error) == exchange["text"].startswith("E")
    if "value" in exchange:
        weight = reply.weight()
        assert (weight.value, weight.unit, weight.decimals) == (
            exchange["value"], exchange["unit"], exchange["decimals"],
        )  # fmt: skip


@pytest.mark.parametrize("exchange", WEIGHTS)
def test_a_weight_that_lost_or_doubled_a_character_is_no_weight(exchange: dict[str, Any]) -> None:
    raw = bytes.fromhex(exchange["from"]).rstrip(b"\r\n")
    for place in range(len(raw)):
        for spoilt in (raw[:place] + raw[place + 1 :], raw[:place] + raw[place : place + 1] + raw[place:]):
            if spoilt.endswith(b" g") and raw.endswith(b" mg"):
                continue  # a unit that lost a letter is told by the lines before it
            reply = decode(spoilt)
            if reply is not None and reply.name == exchange["text"].split()[0]:
                with pytest.raises(BadReply):
                    reply.weight()
