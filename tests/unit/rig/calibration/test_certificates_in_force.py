"""From a calibration's result to a certificate to the rig that uses it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli.main import app
from hal.errors import ConfigError
from rig.calibration.certificates.in_force import in_force
from rig.config import load_config

TODAY = datetime.date.today()
MATRIX = [[1, 0, 0, 301.5], [0, 1, 0, 249.0], [0, 0, 1, 150.5], [0, 0, 0, 1]]


def run(*words):
    result = CliRunner().invoke(app, ["calibrate", *map(str, words)], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def certify(folder, data, identity="PR-1", kind="phantom_registration", device="phantom", *more):
    path = folder / f"{identity}.result.txt"
    path.write_text(json.dumps(data) + "\n")
    if "matrix" in data and "transform" not in data and "--transform" not in more:
        more = (*more, "--transform", "PhantomToRig")
    return run(
        "certify", path, folder / "certificates", "--identity", identity, "--kind", kind, "--device", device,
        "--by", "AB", *more,
    )  # fmt: skip


def rig_pointing_at(folder: Path, simulated=True):
    config = load_config("simulated")
    text = config.path.read_text().replace("[sim]", '[calibrations]\nfolder = "certificates"\n\n[sim]', 1)
    path = folder / "rig.toml"
    path.write_text(text)
    return load_config(path)


def registration(**changes):
    return {"ok": True, "matrix": MATRIX, "covariance": np.diag([1e-6] * 3 + [0.04] * 3).tolist()} | changes


def test_a_certified_registration_takes_the_place_of_the_rig_files_frame(tmp_path):
    done = certify(tmp_path, registration(), "PR-1", "phantom_registration", "phantom", "--transform", "PhantomToRig")
    assert done[0] == 0
    config = rig_pointing_at(tmp_path)
    applied = in_force(config, TODAY).applied_to(config)
    assert applied.frames.graph().get("Phantom", "Rig") == pytest.approx(np.array(MATRIX))
    lever_mm2 = 301.5**2 + 249.0**2  # of the turn by 1 mrad about the rig's origin, largest along z
    assert applied.frames.PhantomToRig.uncertainty_mm == pytest.approx((0.04 + 1e-6 * lever_mm2) ** 0.5)
    assert applied.frames.PhantomToRig.uncertainty_deg == pytest.approx(np.degrees(1e-3))
    assert config.frames.graph().get("Phantom", "Rig")[0, 3] == 300.0, "the file itself says what it said"


def test_a_probe_calibration_keeps_the_spread_of_its_pixel_pitch(tmp_path):
    pitch = np.diag([0.1, 0.1, 0.1, 1.0])
    spread = np.zeros((12, 12))
    spread[0, 0] = 1e-4  # 1 % of the pitch of a column
    data = {"ok": True, "kind": "nwire", "ImageToProbe": pitch.tolist(), "covariance12": spread.tolist()}
    assert certify(tmp_path, data, "IP-1", "probe", "ultrasound", "--transform", "ImageToProbe")[0] == 0
    (standing,) = in_force(rig_pointing_at(tmp_path), TODAY).certificates
    found = standing.step().transform
    assert found.point_sd_mm([400.0, 0.0, 0.0]) == pytest.approx(0.4), "1 % of 40 mm"
    assert found.point_sd_mm([0.0, 400.0, 0.0]) == 0.0


def test_a_result_that_names_its_transform_needs_no_option_and_each_matrix_keeps_its_own_spread(tmp_path):
    two = {"AToB": np.eye(4).tolist(), "AToB_covariance": np.diag([0.0] * 5 + [9.0]).tolist()}
    data = registration(transform="PhantomToRig") | two
    assert certify(tmp_path, data, "PR-1")[0] == 0
    assert certify(tmp_path, data, "PR-2", "other", "phantom", "--transform", "AToB")[0] == 0
    first, second = in_force(rig_pointing_at(tmp_path), TODAY).certificates
    assert first.transform == "PhantomToRig" and first.covariance[5][5] == 0.04
    assert second.transform == "AToB" and second.covariance[5][5] == 9.0


def test_a_device_that_now_tells_its_serial_number_does_not_leave_its_older_certificate_in_force(tmp_path):
    lag = {"ok": True, "kind": "temporal", "lag_s": 0.02, "standard_uncertainty_s": 0.001}
    assert certify(tmp_path, lag, "T-1", "temporal", "ultrasound")[0] == 0
    assert certify(tmp_path, lag, "T-2", "temporal", "ultrasound", "--serial", "7")[0] == 0
    with pytest.raises(ConfigError, match="T-1 names no serial number, T-2 does"):
        in_force(rig_pointing_at(tmp_path), TODAY)
    assert run("withdraw", tmp_path / "certificates", "T-1", "--reason", "superseded", "--by", "AB")[0] == 0
    assert [c.identity for c in in_force(rig_pointing_at(tmp_path), TODAY).certificates] == ["T-2"]


def test_a_certified_speed_of_sound_corrects_the_images(tmp_path):
    data = {"ok": True, "kind": "sound_speed", "c_m_s": 1452.0, "u_m_s": 2.0, "temperature_c": 24.0}
    assert certify(tmp_path, data, "SS-1", "sound_speed", "ultrasound")[0] == 0
    config = rig_pointing_at(tmp_path)
    standing = in_force(config, TODAY)
    gel = standing.applied_to(config).gel
    assert gel.speed(None).c_m_s == 1452.0
    assert gel.speed(26.0).c_m_s == pytest.approx(1457.0)
    assert gel.speed(26.0).u_m_s > 2.0
    record = standing.of("ultrasound")
    assert record is not None and record.identity == "SS-1" and "1452 m/s, u = 2" in record.uncertainty
    assert standing.of("pump") is None


def test_an_expired_certificate_stops_a_run_before_anything_is_made(tmp_path):
    yesterday = (TODAY - datetime.timedelta(days=1)).isoformat()
    code, _, printed = certify(tmp_path, registration(), "PR-1", "phantom_registration", "phantom", "--due", yesterday)
    assert code == 2 and "lies before" in printed
    certify(tmp_path, registration(), "PR-2", "phantom_registration", "phantom", "--due", TODAY.isoformat())
    config = rig_pointing_at(tmp_path)
    assert in_force(config, TODAY).certificates
    with pytest.raises(ConfigError, match=r"PR-2 .* was due .* calibrate again"):
        in_force(config, TODAY + datetime.timedelta(days=1))


def test_a_changed_certificate_is_named(tmp_path):
    certify(tmp_path, registration(), "PR-1", "phantom_registration", "phantom", "--transform", "PhantomToRig")
    file = tmp_path / "certificates" / "PR-1.json"
    file.write_text(file.read_text().replace("301.5", "302.5"))
    with pytest.raises(ConfigError, match="was changed after it was issued"):
        in_force(rig_pointing_at(tmp_path), TODAY)


def test_a_withdrawn_certificate_is_not_used(tmp_path):
    certify(tmp_path, registration(), "PR-1", "phantom_registration", "phantom", "--transform", "PhantomToRig")
    assert run("withdraw", tmp_path / "certificates", "PR-1", "--reason", "fixture was hit", "--by", "AB")[0] == 0
    assert in_force(rig_pointing_at(tmp_path), TODAY).certificates == ()


def test_what_a_simulated_rig_calibrated_says_nothing_about_a_real_one(tmp_path):
    certify(tmp_path, registration(simulated=True), "PR-1", "phantom_registration", "phantom")
    config = rig_pointing_at(tmp_path)
    assert in_force(config, TODAY).certificates[0].simulated
    real = config.model_copy(update={"rig": config.rig.model_copy(update={"simulated": False})})
    with pytest.raises(ConfigError, match="simulated rig"):
        in_force(real, TODAY)


@pytest.mark.parametrize(
    ("data", "more", "words"),
    [
        ({"ok": False, "reason": "residual"}, (), "not an accepted result"),
        ({"ok": True}, ("--transform", "PhantomToRig"), "holds no matrix PhantomToRig"),
        ({"ok": True}, ("--value", "tip=1"), "NAME=VALUE:U:UNIT"),
        (
            {"ok": True, "matrix": MATRIX, "transform": "PhantomToReference"},
            ("--transform", "PhantomToRig"),
            "is about PhantomToReference, not about PhantomToRig",
        ),
        ({"ok": True, "matrix": [[1, 0], [0, 1]]}, ("--transform", "PhantomToRig"), "finite 4x4 matrix"),
    ],
)
def test_what_is_no_accepted_result_is_not_certified(tmp_path, data, more, words):
    code, _, printed = certify(tmp_path, data, "X-1", "other", "phantom", *more)
    assert code == 2 and words in printed
    assert not (tmp_path / "certificates" / "X-1.json").exists()


def turned(lateral_mm=0.0, turn=None, last=(0, 0, 0, 1)):
    matrix = np.array(MATRIX, dtype=float)
    matrix[0, 3] += lateral_mm
    matrix[:3, :3] = np.eye(3) if turn is None else turn
    matrix[3] = last
    return registration(matrix=matrix.tolist())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (turned(turn=np.diag([-1.0, 1.0, 1.0])), "mirrored"),
        (turned(turn=1.1 * np.eye(3)), "no place of a rigid body"),
        (turned(last=(0, 0, 0, 2)), "last row is not 0 0 0 1"),
        (turned(lateral_mm=40.0), "42 mm and 0 deg from what .frames. states"),
        (turned(turn=np.diag([-1.0, -1.0, 1.0])), "180 deg from what .frames. states"),
    ],
)
@pytest.mark.parametrize("frame", ["PhantomToRig", "HolderToRig", "CarrierToRig"])
def test_a_certificate_that_would_send_the_rig_elsewhere_is_refused(tmp_path, data, words, frame):
    assert certify(tmp_path, data, "PR-1", "other", "phantom", "--transform", frame)[0] == 0
    with pytest.raises(ConfigError, match=words):
        in_force(rig_pointing_at(tmp_path), TODAY)


def test_two_calibrations_of_different_kinds_that_give_one_frame_are_not_chosen_from_in_silence(tmp_path):
    certify(tmp_path, registration(), "PR-1", "phantom_registration", "phantom", "--transform", "PhantomToRig")
    certify(tmp_path, registration(), "PS-1", "phantom_surface", "phantom", "--transform", "PhantomToRig")
    with pytest.raises(ConfigError, match="PR-1 and PS-1 both give PhantomToRig: withdraw one"):
        in_force(rig_pointing_at(tmp_path), TODAY)


def test_a_certificate_of_a_day_to_come_stops_a_run(tmp_path):
    certify(tmp_path, registration(), "PR-1", "phantom_registration", "phantom", "--transform", "PhantomToRig")
    with pytest.raises(ConfigError, match=r"PR-1 was made on .* is a clock wrong"):
        in_force(rig_pointing_at(tmp_path), TODAY - datetime.timedelta(days=30))


def test_what_was_calibrated_on_another_rig_says_nothing_about_this_one(tmp_path):
    certify(tmp_path, registration(rig="bench B"), "PR-1", "phantom_registration", "phantom")
    with pytest.raises(ConfigError, match="PR-1 was made on the rig 'bench B'"):
        in_force(rig_pointing_at(tmp_path), TODAY)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="there is no folder"):
        in_force(rig_pointing_at(tmp_path), TODAY)
