"""Each calibration is one call that returns a result, and the command makes the same call."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import experiments.calibrations
from experiments.calibrations import fiducials_from, pivot_from, sound_speed_from
from experiments.cli.main import app
from hal.errors import CalibrationRefused
from rig.calibration.certificates.issue import issue
from rig.calibration.result import Result, file_sha256

NOMINAL = {"F1": (-88, -95, 0), "F2": (88, -95, 0), "F3": (88, 115, 0), "F4": (-88, 115, 0), "F5": (-95, 10, 30)}


def table(path: Path, stretch: float = 1.0) -> Path:
    rng = np.random.default_rng(2)
    moved = {name: np.array(at) * [1.0, stretch, 1.0] + rng.normal(0, 0.1, 3) for name, at in NOMINAL.items()}
    path.write_text("\n".join(f"{name} {x} {y} {z}" for name, (x, y, z) in moved.items()))
    return path


def swivel(path: Path) -> Path:
    """A stylus whose tip, 150 mm away, rests at (10, 20, 30) while its shaft is swivelled; labelled as simulated."""
    lines = ["ObjectType = Image", "NDims = 3", "DimSize = 0 0 80", "ElementType = MET_OTHER", "Simulated = True"]
    for k in range(80):
        a, b = 0.5 * np.sin(0.3 * k), 0.5 * np.cos(0.23 * k)
        x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        turn = x @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, np.array([10.0, 20.0, 30.0]) - turn @ [0.0, 0.0, 150.0]
        at = f"Seq_Frame{k:04d}_"
        lines += [f"{at}StylusToTrackerTransform = {' '.join(repr(float(v)) for v in pose.ravel())}"]
        lines += [f"{at}StylusToTrackerTransformStatus = OK", f"{at}Timestamp = {0.05 * k:.6f}"]
    path.write_text("\n".join([*lines, "ElementDataFile = LOCAL", ""]))
    return path


@pytest.mark.parametrize("name", experiments.calibrations.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert callable(getattr(experiments.calibrations, name))


def test_a_call_and_its_command_give_one_result(tmp_path: Path) -> None:
    recording = swivel(tmp_path / "swivel.igs.mha")
    result = pivot_from(recording)
    assert isinstance(result, Result) and result.simulated
    assert result.values["tip_z_mm"].value == pytest.approx(150.0, abs=1e-6)
    assert result.origin.inputs == {"swivel.igs.mha": file_sha256(recording)}
    answer = CliRunner().invoke(app, ["calibrate", "pivot", str(recording), "--json"], catch_exceptions=False)
    told, own = json.loads(answer.stdout.splitlines()[-1]), json.loads(json.dumps(result.as_json()))
    for data in (told, own):
        assert data["result"].pop("performed_at").endswith("Z")
    assert told == own
    assert result.lines[0] in answer.stderr and "SIMULATED data" in answer.stderr


def test_a_result_goes_to_its_certificate_without_a_file() -> None:
    made = issue(sound_speed_from(22.0, ["20:20.8", "60:62.4"]), "SS-1", "AB", "2099-01-01")
    assert (made.kind, made.device, set(made.values)) == (
        "sound_speed", "phantom", {"sound_speed_m_s", "temperature_c"},
    )  # fmt: skip


def test_a_registration_takes_the_name_of_its_transform_once(tmp_path: Path) -> None:
    nominal, measured = table(tmp_path / "n.txt"), table(tmp_path / "m.txt")
    named = fiducials_from(nominal, measured, 0.25, transform="PhantomToReference")
    assert issue(named, "PR-1", "AB").transform == "PhantomToReference"


def test_a_refusal_draws_what_was_seen_after_it_was_raised(tmp_path: Path) -> None:
    with pytest.raises(CalibrationRefused) as caught:
        fiducials_from(table(tmp_path / "n.txt"), table(tmp_path / "m.txt", 1.05), 0.25)
    assert caught.value.picture is not None
    caught.value.picture(tmp_path / "refused.png")
    assert (tmp_path / "refused.png").stat().st_size > 10_000
