"""The phantom is registered on the rig: by its bone, and by its fiducials. All on simulated benches."""

from __future__ import annotations

import datetime
import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from experiments.calibrations.phantom_surface import check_plan, scan_plan
from experiments.cli.main import app
from experiments.trial.reference import read_reference
from hal.clock import VirtualClock
from hal.errors import ConfigError
from hal.files.toml_text import toml_text
from hal.phantom.nominal import load_phantom
from hal.sim.stylus import Stylus
from hal.types import NeedlePose
from rig.calibration.certificates.in_force import in_force
from rig.config import load_config
from rig.geometry.transforms import apply
from rig.record import read_chain
from rig.safety.limits import Limits
from rig.setup.opened import opened
from rig.setup.simulated import simulate

BODY = {"translation_mm": [-70.0, 120.0, -25.0], "rotation_deg": [10.0, -20.0, 35.0]}
FAST = {"frame_quality": "fast"}


def rig_file(folder, *, frames=None, calibrations=None, **sim):
    config = load_config("simulated")
    data = config.model_dump(mode="json", exclude_none=True)
    text = {key: data[key] for key in ("rig", "devices", "frames")}
    text["frames"] |= frames or {}
    if calibrations:
        text["calibrations"] = {"folder": str(calibrations)}
    path = folder / "rig.toml"
    path.write_text(toml_text({**text, "sim": sim, "safety": {"estop_inputs": ["holder", "carrier"]}}))
    return path


def run(*arguments):
    result = CliRunner().invoke(app, ["calibrate", *map(str, arguments)], catch_exceptions=False)
    return result, (json.loads(result.stdout.splitlines()[-1]) if result.stdout.strip() else {})


def kinds(out):
    return [entry.kind for entry in read_chain(out / "journal.jsonl").entries]


# ---- by bone ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("surface")
    out = folder / "phantom"
    result, found = run("phantom", "--rig", rig_file(folder, **FAST), "--seed", 2001, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    return out, found, result.stderr


def test_the_scan_registers_the_phantom_and_says_what_that_is_worth(scanned):
    _, found, printed = scanned
    assert found["frames_n"] >= 60 and found["transform"] == "PhantomToRig"
    assert {t["name"] for t in found["targets"]} == {
        f"{lv}.{s}" for lv in ("L4", "L5", "S1") for s in ("left", "right")
    }
    assert all(0.8 < t["sd_mm"] < 2.0 and "speed of sound" in t["by_cause_mm"] for t in found["targets"])
    assert "SIMULATED rig" in printed and "not accuracy" in printed


def test_the_scan_leaves_a_record_its_frames_and_a_picture(scanned):
    out, found, _ = scanned
    assert {"phantom_scan.completed", "phantom_registration.completed", "make_safe"} <= set(kinds(out))
    assert json.loads((out / "phantom.json").read_text())["matrix"] == found["matrix"]
    assert (out / "phantom.png").stat().st_size > 30_000 and (out / "scan.igs.mha").stat().st_size > 100_000


def test_its_certificate_takes_the_place_of_the_rig_files_frame_and_moves_no_bench(scanned, tmp_path):
    out, found, _ = scanned
    certificates = tmp_path / "certificates"
    made, _ = run(
        "certify", out / "phantom.json", certificates, "--identity", "PR-1", "--kind", "phantom_registration",
        "--device", "phantom", "--transform", "PhantomToRig", "--by", "AB",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    again = tmp_path / "again"
    rig = rig_file(tmp_path, calibrations=certificates, **FAST)
    result, second = run("phantom", "--rig", rig, "--seed", 2001, "--out", again, "--json")
    assert result.exit_code == 0, result.stderr
    assert second["from_nominal_mm"] < 0.7 < found["from_nominal_mm"], "it starts where the certificate says"
    assert np.array(second["matrix"]) == pytest.approx(np.array(found["matrix"]), abs=0.7)


@pytest.mark.parametrize(("shift", "code"), [([0.0, 34.0, 0.0], "placement"), ([0.0, 0.0, 30.0], "no bone")])
def test_a_phantom_that_lies_elsewhere_is_refused_with_record_and_picture(tmp_path, shift, code):
    out = tmp_path / "out"
    rig = rig_file(tmp_path, **FAST, placement={"phantom_shift_mm": shift})
    result, found = run("phantom", "--rig", rig, "--out", out, "--json")
    assert result.exit_code == 2 and found["code"] == code and not found["ok"]
    assert (out / "phantom.png").exists() and json.loads((out / "phantom.json").read_text())["code"] == code
    refused, _ = run(
        "certify", out / "phantom.json", tmp_path / "c", "--identity", "PR-2", "--kind", "phantom_registration",
        "--device", "phantom", "--transform", "PhantomToRig", "--by", "AB",
    )  # fmt: skip
    assert refused.exit_code == 2 and "not an accepted result" in refused.stderr


def test_a_scan_outside_the_workspace_is_refused_before_anything_moves(tmp_path):
    config = load_config("simulated")
    rig = rig_file(tmp_path, frames={"PhantomToRig": {"translation_mm": [500.0, 250.0, 150.0]}}, **FAST)
    result, _ = run("phantom", "--rig", rig, "--out", tmp_path / "out")
    assert result.exit_code == 2 and "does not fit the rig" in result.stderr and "workspace" in result.stderr
    assert "phantom_scan.completed" not in kinds(tmp_path / "out")
    assert config.frames.PhantomToRig.translation_mm[0] == 300.0


def test_no_probe_is_moved_over_a_needle_in_the_gel():
    frames = load_config("simulated").frames.graph()
    rig = SimpleNamespace(frames=frames, carrier=object(), config=load_config("simulated"))
    state = SimpleNamespace(pose=NeedlePose(0.0, 0.0, 0.0, 0.0, 12.0))
    controller = SimpleNamespace(rig=rig, limits=Limits(), read=lambda role: state)
    with pytest.raises(ConfigError, match=r"12\.0 mm in the gel: withdraw"):
        check_plan(controller, scan_plan(frames.get("Phantom", "Rig")))


# ---- by fiducials -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tip(tmp_path_factory):
    """JSON of a pivot calibration of the simulated bench's stylus."""
    folder = tmp_path_factory.mktemp("tip")
    assert run("record", "--out", folder / "stylus.igs.mha")[0].exit_code == 0
    result, found = run("pivot", folder / "stylus.igs.mha", "--json")
    assert result.exit_code == 0, result.stderr
    path = folder / "tip.json"
    path.write_text(json.dumps(found) + "\n")
    return path


def true_pose():
    """``PhantomToReference`` of ``BODY``."""
    back = np.eye(4)
    back[:3, :3] = Rotation.from_euler("ZYX", BODY["rotation_deg"][::-1], degrees=True).as_matrix()
    back[:3, 3] = BODY["translation_mm"]
    return np.linalg.inv(back)


@pytest.fixture(scope="module")
def touched(tmp_path_factory, tip):
    folder = tmp_path_factory.mktemp("fiducials")
    rig = rig_file(folder, reference_body=BODY)
    out = folder / "out"
    result, found = run("phantom", "--rig", rig, "--method", "fiducials", "--tip", tip, "--check", "F5", "--out", out,
                        "--json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return out, found, result.stderr


def test_the_touches_find_the_body_that_nobody_stated(touched):
    _, found, printed = touched
    measured = np.array(found["matrix"])
    for name, predicted in found["predicted_tre_mm"].items():
        at = load_phantom("lumbar_ref").target(*name.split(".")).nerve_centre_mm
        away = np.linalg.norm(apply(measured, at) - apply(true_pose(), at))
        assert away < 2.5 * predicted["closed"] < 1.0, name
    assert "SIMULATED rig" in printed and found["accuracy"]["max_mm"] < 1.0 and len(found["landmarks"]) == 5


def test_the_touches_leave_a_record_their_poses_and_a_picture(touched):
    out, _, _ = touched
    assert {"phantom_touches.completed", "phantom_registration.completed"} <= set(kinds(out))
    assert (out / "phantom.png").stat().st_size > 20_000 and (out / "touches.igs.mha").stat().st_size > 50_000


def test_the_reference_instrument_uses_the_certified_body(touched, tmp_path):
    out, _, _ = touched
    certificates = tmp_path / "certificates"
    made, _ = run(
        "certify", out / "phantom.json", certificates, "--identity", "PR-3", "--kind", "phantom_registration",
        "--device", "phantom", "--transform", "PhantomToReference", "--by", "AB",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    stated = load_config(rig_file(tmp_path, reference_body=BODY, calibrations=certificates))
    standing = in_force(stated, datetime.date.today())
    readings = []
    for config in (stated, standing.applied_to(stated)):
        clock = VirtualClock()
        bench = simulate(stated, clock, cartridge_seed=3, phantom="lumbar_ref", needle=stated.needle.name)
        with opened(config, clock, bench, SimpleNamespace(append=lambda kind, data: None)) as controller:
            log = SimpleNamespace(reference_mm={}, reference_axis=None)
            trial = SimpleNamespace(controller=controller, witness=None, log=log, event=lambda *a, **k: None)
            read_reference(trial, "at_target")
            true = bench.world.needle.tip_mm.copy()
        readings.append(float(np.linalg.norm(log.reference_mm["at_target"] - true)))
        bench.close()
    assert readings[0] > 20.0, "a body that is taken for the phantom"
    assert readings[1] < 0.6


REFUSED = {
    "too few": ("--touch", "F1", "--touch", "F2", "--touch", "F3"),
    "mirrored": ("--nominal", "mirrored.txt"),
    "placement": ("--nominal", "over.txt"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_touches_that_hold_no_registration_are_refused(tmp_path, tip, code, monkeypatch):
    monkeypatch.chdir(tmp_path)
    designed = load_phantom("lumbar_ref").fiducials
    for name, flip in (("mirrored.txt", (-1, 1, 1)), ("over.txt", (1, -1, -1))):
        rows = "\n".join(f"{n} {' '.join(str(v) for v in np.array(p) * flip)}" for n, p in designed.items())
        (tmp_path / name).write_text(rows + "\n")
    result, found = run("phantom", "--method", "fiducials", "--tip", tip, *REFUSED[code], "--out", "out", "--json")
    assert result.exit_code == 2 and found["code"] == code, result.stderr


def test_a_tip_some_mm_off_is_refused_by_the_touches_themselves(tmp_path, tip):
    data = json.loads(tip.read_text())
    data["tip_mm"][2] += 5.0
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(data) + "\n")
    result, found = run("phantom", "--method", "fiducials", "--tip", wrong, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 2 and found["code"] == "stylus tip"
    true = Stylus.of(bench_seed=1, hand_seed=1, tremor_mm=0.08).tip_mm
    assert np.array(data["tip_mm"]) + found["figures"]["off_mm"] == pytest.approx(true, abs=0.8)


def test_a_tracker_that_loses_the_stylus_is_refused_and_the_poses_are_kept(tmp_path, tip):
    hidden = {"device": "tracker", "kind": "hidden", "from_s": 10.0, "to_s": 30.0}
    rig = rig_file(tmp_path, faults=[hidden])
    out = tmp_path / "out"
    result, found = run("phantom", "--rig", rig, "--method", "fiducials", "--tip", tip, "--out", out, "--json")
    assert result.exit_code == 2 and found["code"] == "not seen" and found["figures"]["seen_share"] < 0.7
    assert (out / "touches.igs.mha").exists()


def test_a_stylus_without_a_calibrated_tip_is_refused_with_how_to_get_one(tmp_path):
    result, _ = run("phantom", "--method", "fiducials", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "calibrate pivot" in result.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (("--method", "magic"), "surface and fiducials"),
        (("--method", "fiducials", "--touch", "F9"), "no fiducial F9"),
        (("--rig", "core", "--method", "fiducials"), "no tracker"),
    ],
)
def test_options_that_make_no_sense_are_one_clear_error(tmp_path, arguments, printed):
    result, _ = run("phantom", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2 and printed in result.stderr


def test_a_tip_of_a_simulated_stylus_registers_no_real_phantom(tmp_path, tip):
    assert json.loads(tip.read_text().splitlines()[-1])["simulated"] is True
    result, _ = run(
        "phantom", "--rig", "bench_example", "--method", "fiducials", "--tip", tip, "--out", tmp_path / "out"
    )
    assert result.exit_code == 2 and "calibrated on a simulated rig" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists(), "no device was opened"
