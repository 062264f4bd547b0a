"""The simulated bench's own instruments, qualified in its gel: the sensor in the tip, and reckoning from the carrier.

The known tips come from the world itself, as those of a real qualification come from a coordinate machine.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_calibrate_needle_tip import rig_file, standing
from typer.testing import CliRunner

from experiments.cli.main import app
from experiments.trial.reference import PERIOD_S, READINGS_N, TIP
from hal.types import NeedlePose
from rig.calibration.instrument.readings import COLUMNS, MARK
from rig.geometry.transforms import apply, compose, from_needle_pose, invert
from rig.guidance.needle_line import NeedleLine
from rig.instruments.jogs import move_needle, rotate_bevel

KNOWN_U_MM = 0.05
DEPTH_MM = 56.0
SIDE_MM = 62.0
"""Beside the spine: muscle alone down to the depth of the targets."""


def readings(folder: Path, needle: str, n: int, turns: int) -> list[tuple[np.ndarray, ...]]:
    """True tip, tip of the sensor, tip by the carrier, deflection; Phantom frame, mm.

    ``turns``: half turns of the bevel on
    the way in, which keep a needle straight."""
    rig = rig_file(folder)
    rig.write_text(rig.read_text().replace("22G_quincke_120", needle))
    found = []
    with standing(rig, certified=False, folder=folder) as (controller, bench, config):
        world, frames = bench.world, config.frames.graph()
        truly = compose(invert(world.placement.PhantomToRig), world.placement.CarrierToRig)
        stated = frames.get("Carrier", "Rig")
        PhantomToTracker = compose(invert(world.placement.TrackerToRig), world.placement.PhantomToRig)
        noise = np.random.default_rng(4)
        for k in range(n):
            side = 1.0 if k % 2 else -1.0
            pose = NeedlePose(side * SIDE_MM, 6.0 * (k // 2) - 30.0, 0.0, 0.0, -12.0, 73.0 * k % 180.0)
            move_needle(controller, pose, 10.0)
            deep = NeedlePose(*pose.as_tuple()[:4], DEPTH_MM + 0.4 * k, pose.bevel_deg)
            controller.travel.declare_clear(deep.feed_mm)
            for step in range(1, turns + 1):
                part = replace(deep, feed_mm=deep.feed_mm * step / turns)
                move_needle(controller, part, 5.0, blind=True)
                if step < turns:
                    rotate_bevel(controller, pose.bevel_deg + 180.0 * (step % 2), 20.0)
                    deep = replace(deep, bevel_deg=pose.bevel_deg + 180.0 * (step % 2))
            controller.wait(0.4)
            seen = []
            for _ in range(READINGS_N):
                tracked = {one.name: one for one in controller.read("tracker")}
                seen.append(apply(invert(PhantomToTracker), tracked[TIP].matrix[:3, 3]))
                controller.wait(PERIOD_S)
            reached = controller.read("carrier").pose
            world.advance(controller.clock.now_ns())
            true = world.needle.tip_mm + noise.normal(0.0, KNOWN_U_MM, 3)
            straight = (truly @ from_needle_pose(reached))[:3, 3]
            reckoned = NeedleLine.from_pose(reached, stated).at(reached.feed_mm)
            by_carrier = apply(invert(world.placement.PhantomToRig), reckoned)
            found.append((true, np.mean(seen, axis=0), by_carrier, world.needle.tip_mm - straight))
            move_needle(controller, pose, 10.0)
    return found


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[np.ndarray, ...]]:
    """A pencil point that hardly bends, and a bevel that does."""
    straight = readings(tmp_path_factory.mktemp("pencil"), "22G_whitacre_119", 12, 4)
    return straight + readings(tmp_path_factory.mktemp("bevel"), "22G_quincke_120", 8, 1)


def qualified(folder: Path, taken: list[tuple[np.ndarray, ...]], which: int, declares: str) -> tuple[int, dict]:
    lines = [MARK, ",".join(COLUMNS)]
    for row in taken:
        true, read, bend = row[0], row[which], row[3]
        if np.linalg.norm(bend) < 0.2:
            bend = np.zeros(3)
        lines.append(",".join([*(f"{v:.4f}" for v in (*true, *read, true[2], *bend)), "yes"]))
    (folder / "r.csv").write_text("\n".join(lines))
    words = ["calibrate", "instrument", str(folder / "r.csv"), "--known-u", str(KNOWN_U_MM), "--json"]
    result = CliRunner().invoke(app, [*words, "--declares-bending", declares], catch_exceptions=False)
    return result.exit_code, json.loads(result.stdout.splitlines()[-1])


def test_the_sensor_in_the_tip_sees_bending_and_decides_the_study(tmp_path, taken):
    code, found = qualified(tmp_path, taken, 1, "yes")
    assert code == 0 and found["sees_bending"] is True and found["simulated"] is True
    assert found["bending_slope"] == pytest.approx(0.0, abs=0.05)
    assert found["tip_uncertainty_mm"] < 0.3, "what the simulated rig file declares of it"
    assert all(decision["can_decide"] for decision in found["decisions"].values())


def test_reckoning_from_the_carrier_misses_the_bend_and_is_refused_when_it_claims_to_see_it(tmp_path, taken):
    code, found = qualified(tmp_path, taken, 2, "no")
    assert code == 0 and found["sees_bending"] is False
    assert found["bending_slope"] == pytest.approx(-1.0, abs=0.15)
    assert not any(decision["can_decide"] for decision in found["decisions"].values())
    code, found = qualified(tmp_path, taken, 2, "yes")
    assert code == 2 and found["code"] == "declaration"
