"""Somebody looks on over OpenIGTLink while a trial runs."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli.main import app
from hal.links.igtl.data import PointList, Sensor
from hal.links.igtl.decode import decode
from hal.links.igtl.framing import Parser
from hal.links.igtl.messages import Image, String, Transform
from hal.links.igtl.publisher import Publisher
from hal.links.igtl.tracks import TrajectoryList
from rig.live.scene import LiveScene
from tests.fakes.short_trial import run_short, usual


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A trial, and what a client that read nothing until its end then finds waiting."""
    publisher = Publisher(simulated=False)
    listener = publisher.join(0)
    trial = run_short(tmp_path_factory.mktemp("watched"), "L4_IP_T", scene=LiveScene(publisher))
    parser = Parser()
    parser.feed(publisher.take(listener))
    waiting = []
    while (packet := parser.next_packet()) is not None:
        waiting.append((packet.device, decode(packet)))
    return trial, publisher, waiting


def newest(waiting, name, kind):
    (found,) = [message for device, message in waiting if device == name and isinstance(message, kind)]
    return found


def test_frames_poses_readings_plan_and_tip_reach_a_client(watched):
    trial, publisher, waiting = watched
    assert publisher.refused == {}
    assert publisher.offered["IMAGE"] == trial.row["frames_read"]
    assert newest(waiting, "Image_Rig", Image).pixels.max() > 100
    for name in ("ProbeToRig", "NeedleToRig"):
        assert np.isfinite(newest(waiting, name, Transform).matrix).all()
    assert newest(waiting, "pressure", Sensor).values
    plan = trial.of("plan.chosen")[-1]
    (path,) = newest(waiting, "Plan", TrajectoryList).paths
    assert path.entry == pytest.approx(plan["entry_rig_mm"], abs=1e-3)
    tip = [e for e in trial.of("tip") if e["confirmed"]][-1]
    (point,) = newest(waiting, "Tip", PointList).points
    assert point.position == pytest.approx(tip["tip_rig_mm"], abs=1e-3)
    texts = [message.text for _, message in waiting if isinstance(message, String)]
    assert any("ST7 advance" in text for text in texts)


def test_the_scene_says_that_the_data_are_simulated_whatever_it_published_before(watched):
    assert watched[1].simulated


def test_looking_on_changes_nothing(watched):
    assert watched[0].events == usual("L4_IP_T").events


def test_a_port_that_is_taken_is_refused_before_anything_is_made(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["run", "lumbar", "--technique", "L4_LM", "--out", str(tmp_path / "o"), "--publish", port]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 2
    assert f"--publish {port}" in result.stderr and "another server" in result.stderr
    assert not (tmp_path / "o").exists()
