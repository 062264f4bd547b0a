"""One type for what every calibration found: stored, read back, drawn and certified without typing it again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_pivot_and_spin import swing

from hal.errors import ConfigError
from hal.phantom.sound_speed import water
from rig.calibration import results
from rig.calibration.certificates.certificate import read_certificate
from rig.calibration.certificates.folder import CalibrationRegistry
from rig.calibration.certificates.issue import issue, issue_file
from rig.calibration.result import Limit, Origin, Result, Value, hashes_of
from rig.calibration.stored import read_result
from rig.calibration.tool.pivot import calibrate_pivot
from rig.geometry.graph import Step
from rig.geometry.uncertain import UncertainTransform

ORIGIN = Origin(True, "2026-02-01T10:00:00Z", "bench 3", {"tracker": "NDI 7"}, {"swing.igs.mha": "ab" * 32})
SPREAD = np.diag([1e-6] * 3 + [0.04] * 3)


def placed(**changes) -> Result:
    step = Step("PhantomToRig", UncertainTransform.rigid(np.eye(4), SPREAD))
    values = {"fle_mm": Value(0.25, 0.05, "mm", Limit(high=0.5, source="site"))}
    plain = Result("phantom_registration", "phantom", "fiducials", ORIGIN, {"rms_mm": 0.2}, step, values)
    return replace(plain, **changes)


def test_a_result_is_read_back_as_it_was_stored(tmp_path: Path) -> None:
    made = placed(reference="stylus 4", departures=("five divots instead of six",))
    back = read_result(made.write(tmp_path / "r.json"))
    assert back.transform is not None
    assert (back.origin.serials, back.origin.performed_at) == (ORIGIN.serials, ORIGIN.performed_at)
    assert (back.origin.rig, back.simulated, back.origin.inputs) == ("bench 3", True, ORIGIN.inputs)
    assert (back.kind, back.device, back.method) == (made.kind, made.device, made.method)
    assert (back.reference, back.departures) == (made.reference, made.departures)
    assert back.values == made.values
    assert np.allclose(back.transform.transform.covariance, SPREAD)
    assert back.details["rms_mm"] == 0.2


def test_the_details_stay_at_the_top_of_the_json(tmp_path: Path) -> None:
    data = json.loads(placed().write(tmp_path / "r.json").read_text())
    assert (data["ok"], data["kind"], data["rms_mm"], data["simulated"], data["rig"]) == (
        True, "phantom_registration", 0.2, True, "bench 3",
    )  # fmt: skip


def test_a_certificate_takes_all_that_the_result_knows(tmp_path: Path) -> None:
    made = issue_file(placed().write(tmp_path / "r.json"), "PR-1", "AB", "2026-12-31")
    assert (made.kind, made.device, made.method) == ("phantom_registration", "phantom", "fiducials")
    assert (made.transform, made.simulated, made.performed_at) == ("PhantomToRig", True, "2026-02-01T10:00:00Z")
    assert np.allclose(made.covariance, SPREAD)
    assert set(made.inputs) == {"swing.igs.mha", "r.json"}
    back = read_certificate(CalibrationRegistry(tmp_path / "c").add(made))
    assert back.values["fle_mm"].limit == Limit(high=0.5, source="site")
    assert back.sha256 == made.sha256


def test_the_serial_number_is_the_devices_own_and_another_one_is_refused() -> None:
    of = results.pivot(calibrate_pivot(swing(120)), ORIGIN)
    assert issue(of, "PV-1", "AB").serial == "NDI 7"
    assert issue(of, "PV-1", "AB", serial="NDI 7").serial == "NDI 7"
    assert issue(placed(), "PR-1", "AB", serial="block 2").serial == "block 2", "no device reports it"
    with pytest.raises(ConfigError, match="NDI 7"):
        issue(of, "PV-1", "AB", serial="NDI 8")


def test_a_transform_that_nobody_named_is_not_certified_until_somebody_does(tmp_path: Path) -> None:
    unnamed = placed(transform=Step("", UncertainTransform.rigid(np.eye(4), SPREAD)))
    path = unnamed.write(tmp_path / "r.json")
    with pytest.raises(ConfigError, match="without a name"):
        issue_file(path, "PR-1", "AB")
    assert issue_file(path, "PR-1", "AB", transform="PhantomToRig").transform == "PhantomToRig"
    assert issue_file(path, "PR-1", "AB", transform="none").transform == ""


def test_a_certified_value_keeps_its_place_with_or_without_the_transform(tmp_path: Path) -> None:
    path = placed().write(tmp_path / "r.json")
    alone = issue_file(path, "PR-1", "AB", transform="none")
    assert (alone.transform, alone.matrix, alone.values["fle_mm"].value) == ("", (), 0.25)
    with pytest.raises(ConfigError, match="is about PhantomToRig, not about PhantomToReference"):
        issue_file(path, "PR-1", "AB", transform="PhantomToReference")


def test_a_spread_of_scales_survives_and_a_rigid_one_stays_six_by_six() -> None:
    scales = np.zeros((12, 12))
    scales[0, 0] = 1e-4
    assert UncertainTransform.stated(np.eye(4), scales).statement.shape == (12, 12)
    assert UncertainTransform.rigid(np.eye(4), SPREAD).statement.shape == (6, 6)
    assert UncertainTransform.exact(np.eye(4)).statement.size == 0


def test_a_limit_is_judged_on_the_value_and_a_result_by_all_of_them() -> None:
    good, bad = Value(0.4, 0.2, "mm", Limit(high=0.4)), Value(-1.1, 0.1, "%", Limit(-1.0, 1.0))
    assert (good.within, bad.within, Value(1.0, 0.0, "s").within) == (True, False, None)
    assert placed(values={"a": good}).within is True
    assert placed(values={"a": good, "b": bad}).within is False
    assert placed(values={}).within is None


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "../x"},
        {"device": " "},
        {"transform": Step("Phantom", UncertainTransform.exact(np.eye(4)))},
        {"values": {"a": Value(float("nan"), 0.1, "mm")}},
        {"values": {"a": Value(1.0, -0.1, "mm")}},
        {"origin": Origin(False, "2026-02-01T10:00:00")},
    ],
)
def test_a_result_that_says_too_little_is_refused(changes: dict) -> None:
    with pytest.raises(ConfigError) if "transform" not in changes else pytest.raises(Exception, match="must read AToB"):
        placed(**changes)


def test_a_picture_is_labelled_and_a_result_from_a_file_has_none(tmp_path: Path) -> None:
    notes: list[str] = []
    made = placed(picture=lambda path, note: notes.append(note))
    assert made.draw(tmp_path / "p.png") == tmp_path / "p.png"
    replace(made, origin=Origin(False)).draw(tmp_path / "p.png")
    assert notes == ["SIMULATED", ""]
    with pytest.raises(ConfigError, match="no picture"):
        read_result(made.write(tmp_path / "r.json")).draw(tmp_path / "p.png")


def test_a_stored_result_is_never_overwritten(tmp_path: Path) -> None:
    placed().write(tmp_path / "r.json")
    with pytest.raises(ConfigError, match="never overwritten"):
        placed().write(tmp_path / "r.json")


def test_files_of_one_name_are_both_among_the_inputs(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_text(folder)
    found = hashes_of(tmp_path / "a" / "x.txt", tmp_path / "b" / "x.txt", tmp_path / "none")
    assert set(found) == {"x.txt", "b/x.txt"} and len(set(found.values())) == 2


@pytest.mark.parametrize(
    ("data", "kind", "device", "values"),
    [
        ({"kind": "temporal", "lag_s": 0.02, "standard_uncertainty_s": 0.001}, "temporal", "ultrasound", {"lag_s"}),
        ({"kind": "nwire", "ImageToProbe": np.eye(4).tolist()}, "probe", "ultrasound", set()),
        (
            {"kind": "pivot", "tip_mm": [1.0, 2.0, 150.0], "covariance_mm2": np.diag([0.01, 0.04, 0.09]).tolist()},
            "pivot", "tracker", {"tip_x_mm", "tip_y_mm", "tip_z_mm"},
        ),
        (
            {
                "kind": "needle_tip", "offset_mm": [1.0, 0.0, 2.0], "offset_u_mm": [0.1, 0.1, 0.1],
                "run_out_mm": [None, None], "run_out_u_mm": [None, None], "CarrierToRig": np.eye(4).tolist(),
            },
            "needle_tip", "carrier", {"tip_offset_x_mm", "tip_offset_y_mm", "tip_offset_z_mm"},
        ),
        (
            {"kind": "reference_instrument", "tip_uncertainty_mm": 0.2, "u_tip_uncertainty_mm": 0.02},
            "reference_instrument", "tracker", {"tip_uncertainty_mm"},
        ),
        (water(22.0).as_json(), "sound_speed", "phantom", {"sound_speed_m_s", "temperature_c"}),
    ],
)  # fmt: skip
def test_a_result_of_before_becomes_the_same_certificate(tmp_path: Path, data, kind, device, values) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"ok": True, "simulated": True} | data))
    made = issue_file(path, "X-1", "AB", transform="ImageToProbe" if "ImageToProbe" in data else "")
    assert (made.kind, made.device, set(made.values), made.simulated) == (kind, device, values, True)


def test_a_sound_speed_keeps_its_method_and_its_values() -> None:
    speed = water(22.0)
    made = results.sound_speed(speed, speed.correction(), Origin(False))
    assert made.values["sound_speed_m_s"].value == speed.c_m_s
    assert (made.method, made.as_json()["method"]) == ("water, Marczak 1997", "water, Marczak 1997")
    assert "sound_speed of phantom" in str(made)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("simulated",), []), (("simulated",), ""), (("simulated",), None), (("simulated",), "false"),
        (("result", "method"), ["x"]), (("result", "method"), ""), (("result", "departures"), "none"),
        (("result", "reference"), None), (("result", "serials"), {"tracker": 7}), (("result", "inputs"), []),
        (("result", "values", "fle_mm", "standard_uncertainty"), "inf"),
        (("result", "values", "fle_mm", "value"), True), (("result", "values", "fle_mm", "unit"), None),
        (("result", "values", "fle_mm", "limit", "high"), "0.5"), (("result", "values", "fle_mm", "limit"), []),
        (("result", "transform", "name"), []), (("result", "transform", "matrix"), [[True] * 4] * 4),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_and_not_taken_for_a_real_result(tmp_path: Path, place, wrong) -> None:
    path = placed().write(tmp_path / "r.json")
    data = json.loads(path.read_text())
    at = data
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = wrong
    path.write_text(json.dumps(data, indent=1))
    with pytest.raises(ConfigError, match=r"r\.json"):
        issue_file(path, "C-1", "AB")


def test_an_uncertainty_without_end_is_no_uncertainty() -> None:
    with pytest.raises(ConfigError, match="finite uncertainty"):
        placed(values={"fle_mm": Value(0.2, float("inf"), "mm")})


def test_a_value_at_either_bound_is_within() -> None:
    both = Limit(0.1, 0.5)
    assert both.holds(0.1) and both.holds(0.5) and not both.holds(0.0999) and not both.holds(0.5001)


@pytest.mark.parametrize("ok", [False, None, 1, "true"])
def test_a_result_that_was_not_accepted_is_not_read(tmp_path: Path, ok: object) -> None:
    path = placed().write(tmp_path / "r.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ok": ok}, indent=1))
    with pytest.raises(ConfigError, match="ok is not true"):
        read_result(path)


def test_a_result_of_a_later_format_is_not_guessed(tmp_path: Path) -> None:
    path = placed().write(tmp_path / "r.json")
    data = json.loads(path.read_text())
    data["result"]["format"] = 2
    path.write_text(json.dumps(data, indent=1))
    with pytest.raises(ConfigError, match="is of format 2"):
        read_result(path)


def test_the_serial_number_is_that_of_the_device_itself() -> None:
    assert placed(device="tracker").serial == "NDI 7" and placed().serial == ""


def test_a_result_is_not_certified_as_one_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a result of kind phantom_registration, not probe"):
        issue_file(placed().write(tmp_path / "r.json"), "C-1", "AB", kind="probe")
