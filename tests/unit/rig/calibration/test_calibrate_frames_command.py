import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli import main  # noqa: F401  (it puts the commands of the other files into the group)
from experiments.cli.calibrate_frames import app
from rig.calibration.certificates.certificate import Certificate
from rig.calibration.certificates.folder import CalibrationRegistry

NOMINAL = "name x y z\nF1 -88 -95 0\nF2 88 -95 0\nF3 88 115 0\nF4 -88 115 0\nF5 -95 10 30\nF6 95 -20 45\n"


def run(*words: object) -> tuple[int, dict]:
    result = CliRunner().invoke(app, [str(w) for w in words])
    lines = [line for line in result.output.splitlines() if line.startswith("{")]
    assert "Traceback" not in result.output
    return result.exit_code, json.loads(lines[-1]) if lines else {}


def table(path: Path, change=lambda p: p) -> Path:
    rng = np.random.default_rng(1)
    rows = [line.split() for line in NOMINAL.splitlines()[1:]]
    points = change(np.array([[float(v) for v in r[1:]] for r in rows])) + rng.normal(0, 0.1, (6, 3)) + 50.0
    path.write_text("\n".join(f"{r[0]} {p[0]} {p[1]} {p[2]}" for r, p in zip(rows, points, strict=True)))
    return path


def test_register_on_files_answers_as_json_and_draws(tmp_path: Path) -> None:
    nominal = tmp_path / "nominal.txt"
    nominal.write_text(NOMINAL)
    targets = tmp_path / "targets.txt"
    targets.write_text("L4 25 25 40\n")
    picture = tmp_path / "good.png"
    code, answer = run(
        "register",
        nominal,
        table(tmp_path / "m.txt"),
        "--fle",
        0.2,
        "--check",
        "F6",
        "--targets",
        targets,
        "--picture",
        picture,
        "--json",
    )
    assert code == 0
    assert answer["ok"]
    assert "L4" in answer["predicted_tre_mm"]
    assert answer["accuracy"]["rms_mm"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_refusal_is_json_exit_code_two_and_a_picture(tmp_path: Path) -> None:
    nominal = tmp_path / "nominal.txt"
    nominal.write_text(NOMINAL)
    picture = tmp_path / "bad.png"
    spoiled = table(tmp_path / "m.txt", lambda p: p * [1.0, 1.03, 1.0])
    code, answer = run("register", nominal, spoiled, "--fle", 0.2, "--picture", picture, "--json")
    assert code == 2
    assert answer["code"] == "axis scale"
    assert "axis y" in answer["reason"]
    assert picture.exists()


def test_measured_points_that_are_one_place_are_constant_input(tmp_path: Path) -> None:
    nominal = tmp_path / "nominal.txt"
    nominal.write_text(NOMINAL)
    code, answer = run("register", nominal, table(tmp_path / "m.txt", lambda p: 0 * p), "--fle", 0.2, "--json")
    assert (code, answer["code"]) == (2, "constant input")


def test_a_flipped_or_scaled_pose_is_refused_with_frame_and_axis(tmp_path: Path) -> None:
    from test_pivot_and_spin import swing

    for change, printed in (([1, 1, -1, 1], "frame 0: StylusToTracker is mirrored"), ([1, 1.1, 1, 1], "axis y of its")):
        poses = swing(n=60) * np.array(change)[:, None]
        file = write_sequence(tmp_path / "pivot.igs.mha", np.arange(60) / 20, poses, "StylusToTracker")
        for words in (("pivot", file), ("temporal", file, file, "--first-transform", "StylusToTracker")):
            extra = ("--second-transform", "StylusToTracker") if words[0] == "temporal" else ()
            code, answer = run(*words, *extra, "--json")
            assert (code, answer["code"]) == (2, "no rotation")
            assert printed in answer["reason"]


def test_a_lag_that_grows_is_reported(tmp_path: Path) -> None:
    from test_temporal_lag import uneven

    def poses(t):
        m = np.tile(np.eye(4), (len(t), 1, 1))
        m[:, 2, 3] = uneven(t)
        return m

    slow, fast = np.arange(1, 20, 0.05), np.arange(0, 23, 0.02)
    first = write_sequence(tmp_path / "a.igs.mha", slow, poses(1.01 * slow), "HolderToRig")
    second = write_sequence(tmp_path / "b.igs.mha", fast, poses(fast), "ProbeToTracker")
    result = CliRunner().invoke(app, ["temporal", str(first), str(second), "--first-transform", "HolderToRig"])
    assert result.exit_code == 0
    assert "THE LAG IS NOT STEADY: it changes by +59" in result.output


def test_bad_input_is_json_too(tmp_path: Path) -> None:
    code, answer = run("pivot", tmp_path / "none.mha", "--json")
    assert (code, answer["ok"], answer["code"]) == (2, False, "bad input")


@pytest.mark.parametrize("command", ["pivot", "temporal", "register"])
def test_files_that_are_not_there_are_bad_input(tmp_path: Path, command: str) -> None:
    missing = tmp_path / "none.mha"
    words = {"pivot": [missing], "temporal": [missing, missing], "register": [missing, missing, "--fle", 0.2]}
    code, _ = run(command, *words[command])
    assert code == 2


def write_sequence(path: Path, times, poses, tool: str) -> Path:
    lines = ["ObjectType = Image", "NDims = 3", f"DimSize = 0 0 {len(times)}", "ElementType = MET_OTHER"]
    for k, (t, m) in enumerate(zip(times, poses, strict=True)):
        lines.append(f"Seq_Frame{k:04d}_{tool}Transform = " + " ".join(f"{v:.9g}" for v in m.ravel()))
        lines.append(f"Seq_Frame{k:04d}_{tool}TransformStatus = OK")
        lines.append(f"Seq_Frame{k:04d}_Timestamp = {t:.6f}")
    path.write_text("\n".join([*lines, "ElementDataFile = LOCAL", ""]))
    return path


def test_pivot_and_landmarks_work_on_recordings(tmp_path: Path) -> None:
    from test_dwells import TIP, recording
    from test_pivot_and_spin import swing

    poses = swing(n=200)
    file = write_sequence(tmp_path / "pivot.igs.mha", np.arange(200) / 20, poses, "StylusToTracker")
    code, answer = run("pivot", file, "--picture", tmp_path / "pivot.png", "--json")
    assert code == 0
    assert np.allclose(answer["tip_mm"], [210.0, -0.17, 0.05], atol=0.2)
    times, touches = recording([0, 1, 2, 3, 4, 5])
    file = write_sequence(tmp_path / "touch.igs.mha", times / 1e9, touches, "StylusToTracker")
    nominal = tmp_path / "nominal.txt"
    nominal.write_text(NOMINAL)
    out = tmp_path / "named.txt"
    code, answer = run("landmarks", file, nominal, "--tip", *TIP, "--out", out, "--json")
    assert code == 0
    assert list(answer["points"]) == ["F1", "F2", "F3", "F4", "F5", "F6"]
    assert run("register", nominal, out, "--fle", 0.2, "--json")[0] == 0
    lines = file.read_text().splitlines()
    file.write_text("\n".join(x for x in lines if "Timestamp" not in x) + "\n")
    code, answer = run("landmarks", file, nominal, "--tip", *TIP, "--json")
    assert (code, answer["code"]) == (2, "missing time stamps")


def test_temporal_works_on_two_tracker_recordings(tmp_path: Path) -> None:
    from test_temporal_lag import uneven

    def poses(t):
        m = np.tile(np.eye(4), (len(t), 1, 1))
        m[:, 2, 3] = uneven(t)
        return m

    slow, fast = np.arange(1, 20, 0.05), np.arange(0, 21, 0.02)
    first = write_sequence(tmp_path / "a.igs.mha", slow, poses(slow + 0.08), "HolderToRig")
    second = write_sequence(tmp_path / "b.igs.mha", fast, poses(fast), "ProbeToTracker")
    words = ("temporal", first, second, "--first-transform", "HolderToRig")
    code, answer = run(*words, "--picture", tmp_path / "lag.png", "--json")
    assert code == 0
    assert answer["lag_s"] == pytest.approx(0.08, abs=0.002)
    assert answer["cost_at_speed"]["uncorrected_mm"] == pytest.approx(0.8, abs=0.02)
    first.write_text(first.read_text()[:3000])
    assert run(*words)[0] == 2


def test_status_lists_what_is_in_force(tmp_path: Path) -> None:
    CalibrationRegistry(tmp_path).add(
        Certificate(
            "T-1",
            "temporal",
            "scanner",
            "1",
            "A. Person",
            "2026-01-01T00:00:00+00:00",
            "2026-02-01",
            "water bath",
            {},
            False,
        )
    )
    code, answer = run("status", tmp_path, "--today", "2026-03-01", "--json")
    assert code == 0
    assert answer["certificates"][0]["state"] == "expired"
    assert run("status", tmp_path, "--today", "soon")[0] == 2


def pivot_recording(path: Path, header: dict[str, str]) -> Path:
    from test_pivot_and_spin import swing

    poses = swing(120)
    lines = ["ObjectType = Image", "NDims = 3", f"DimSize = 0 0 {len(poses)}", "ElementType = MET_UCHAR"]
    lines += [f"{key} = {value}" for key, value in header.items()]
    for k, pose in enumerate(poses):
        at = f"Seq_Frame{k:04d}_"
        lines += [f"{at}StylusToTrackerTransform = {' '.join(repr(float(v)) for v in pose.ravel())}"]
        lines += [f"{at}StylusToTrackerTransformStatus = OK", f"{at}Timestamp = {0.025 * k:.9f}"]
    path.write_bytes(("\n".join(lines) + "\nElementDataFile = LOCAL\n").encode())
    return path


@pytest.mark.parametrize(
    ("header", "simulated"), [({"PhantomrigSimulated": "True"}, True), ({"Simulated": "True"}, True), ({}, False)]
)
def test_what_is_made_of_a_simulated_recording_is_simulated_up_to_its_certificate(
    tmp_path: Path, header: dict[str, str], simulated: bool
) -> None:
    code, answer = run("pivot", pivot_recording(tmp_path / "p.igs.mha", header), "--json")
    assert (code, answer["kind"], answer["simulated"]) == (0, "pivot", simulated)
    (tmp_path / "tip.json").write_text(json.dumps(answer))
    words = ["--identity", "PV-1", "--kind", "pivot", "--device", "tracker", "--by", "AB"]
    assert run("certify", tmp_path / "tip.json", tmp_path / "c", *words)[0] == 0
    code, printed = run("status", tmp_path / "c", "--json")
    assert [row["simulated"] for row in printed["certificates"]] == [simulated]


def test_points_with_the_remark_simulated_make_a_simulated_registration(tmp_path: Path) -> None:
    nominal, measured = tmp_path / "nominal.txt", table(tmp_path / "m.txt")
    nominal.write_text(NOMINAL)
    assert run("register", nominal, measured, "--fle", 0.2, "--json")[1]["simulated"] is False
    measured.write_text("# simulated\n" + measured.read_text())
    assert run("register", nominal, measured, "--fle", 0.2, "--json")[1]["simulated"] is True


def test_a_result_is_certified_as_what_it_is(tmp_path: Path) -> None:
    result = tmp_path / "ss.json"
    result.write_text(json.dumps({"ok": True, "kind": "sound_speed"}))
    words = ["--identity", "SS-1", "--device", "phantom", "--by", "AB", "--json"]
    code, answer = run("certify", result, tmp_path / "c", "--kind", "soundspeed", *words)
    assert (code, "--kind sound_speed" in answer["reason"]) == (2, True)
    assert not (tmp_path / "c").exists()


def test_what_cannot_be_certified_is_reported_in_words(tmp_path: Path) -> None:
    result = tmp_path / "ss.json"
    result.write_text(json.dumps({"ok": True, "kind": "other"}))
    words = ["--identity", "SS-1", "--kind", "other", "--device", "phantom", "--by", "AB", "--json"]
    for place, more, printed in (
        (result, [], "is a file, not a folder"),
        (tmp_path / "c", ["--due", "31.12.2026"], "--due '31.12.2026' is no date like"),
    ):
        code, answer = run("certify", result, place, *words, *more)
        assert (code, printed in answer["reason"]) == (2, True)
    code, answer = run("certify", tmp_path / "none.json", tmp_path / "c", *words)
    assert (code, "there is no such file" in answer["reason"]) == (2, True)


def test_a_picture_that_cannot_be_written_is_reported_before_anything_is_computed(tmp_path: Path) -> None:
    recording = pivot_recording(tmp_path / "p.igs.mha", {})
    for picture in (tmp_path / "pivot.txt", tmp_path / "none" / "pivot.png"):
        result = CliRunner().invoke(app, ["pivot", str(recording), "--picture", str(picture), "--json"])
        assert (result.exit_code, "tip_mm" in result.output) == (2, False)


def test_a_recording_converted_to_nrrd_gives_the_same_tip(tmp_path: Path) -> None:
    from rig.formats.convert import convert

    recording = pivot_recording(tmp_path / "p.igs.mha", {"PhantomrigSimulated": "True"})
    convert(recording, tmp_path / "p.igs.nrrd")
    (code, one), (again, other) = run("pivot", recording, "--json"), run("pivot", tmp_path / "p.igs.nrrd", "--json")
    assert (code, again) == (0, 0)
    assert one.pop("result")["inputs"].keys() == {"p.igs.mha"}
    assert other.pop("result")["inputs"].keys() == {"p.igs.nrrd"}
    assert one == other


def test_a_check_point_that_is_not_there_is_reported_with_those_that_are(tmp_path: Path) -> None:
    nominal = tmp_path / "nominal.txt"
    nominal.write_text(NOMINAL)
    words = ["register", nominal, table(tmp_path / "m.txt"), "--fle", 0.2, "--check", "P7", "--json"]
    code, answer = run(*words)
    assert (code, "P7 are not in both sets, which share F1, F2" in answer["reason"]) == (2, True)


def test_a_matrix_without_a_name_is_not_certified_because_no_rig_would_use_it(tmp_path: Path) -> None:
    result = tmp_path / "pr.json"
    result.write_text(json.dumps({"ok": True, "kind": "phantom_registration", "matrix": np.eye(4).tolist()}))
    words = ["--identity", "PR-1", "--kind", "phantom_registration", "--device", "phantom", "--by", "AB", "--json"]
    code, answer = run("certify", result, tmp_path / "c", *words)
    assert (code, "--transform" in answer["reason"]) == (2, True)
    assert run("certify", result, tmp_path / "c", *words, "--transform", "PhantomToRig")[0] == 0
