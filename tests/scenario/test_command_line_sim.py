"""``phantomrig sim`` as a foreign program sees it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rig.config import load_config

ROOT = Path(__file__).parents[2]
BOTH = {"holder", "carrier", "pump", "pressure", "needle_force", "probe_force", "contact"}
MOUNTS_N = 2 * len(BOTH) + 2


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Rows of a running simulation, its rig file, and how it ended."""
    rig = tmp_path_factory.mktemp("sim") / "rig.toml"
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", "sim", "--write-rig", str(rig)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process, [json.loads(process.stdout.readline()) for _ in range(MOUNTS_N)], rig
    finally:
        process.kill()
        process.communicate()


def test_every_serial_device_is_on_both_mounts_and_streams_are_on_tcp(served):
    _, rows, _ = served
    assert all(set(row) == {"device", "driver", "mount", "url"} for row in rows)
    mounts = {role: {row["mount"] for row in rows if row["device"] == role} for role in BOTH}
    assert all(found == {"pty", "tcp"} for found in mounts.values())
    assert {row["device"] for row in rows if row["mount"] == "tcp"} == BOTH | {"ultrasound", "tracker"}
    assert all("//127.0.0.1:" in row["url"] for row in rows if row["mount"] == "tcp")
    assert all(row["url"].startswith("/dev/") for row in rows if row["mount"] == "pty")


def test_a_foreign_client_gets_an_answer_from_the_pump(served):
    _, rows, _ = served
    url = next(row["url"] for row in rows if (row["device"], row["mount"]) == ("pump", "tcp"))
    host, port = url.removeprefix("socket://").split(":")
    with socket.create_connection((host, int(port)), timeout=60.0) as client:
        client.settimeout(60.0)
        assert _asked(client, b"VER\r") == b"\x0200A?R\x03", "a pump that was just switched on says so first"
        assert _asked(client, b"VER\r").startswith(b"\x0200SNE")


def _asked(client: socket.socket, command: bytes) -> bytes:
    client.sendall(command)
    reply = b""
    while not reply.endswith(b"\x03"):
        reply += client.recv(64)
    return reply


def test_the_written_rig_file_is_a_rig_file(served):
    _, rows, path = served
    config = load_config(path)
    assert config.rig.simulated
    assert config.devices["pump"]["url"] in {row["url"] for row in rows}


def test_a_signal_ends_it_in_good_order(served):
    process, _, _ = served
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0
    assert "Traceback" not in process.stderr.read()
