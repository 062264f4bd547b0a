"""``phantomrig calibrate surface``: a phantom by points of its bone, from files."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from experiments.cli.main import app
from hal.phantom.nominal import load_phantom
from rig.geometry.transforms import apply, invert

START = "PhantomToRig=300,250,150"


def run(*words: object) -> tuple[int, dict[str, object], str]:
    result = CliRunner().invoke(app, ["calibrate", "surface", *map(str, words), "--json"], catch_exceptions=False)
    return result.exit_code, json.loads(result.stdout), result.stderr


@cache
def pose() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [1, -1, 2], degrees=True).as_matrix()
    matrix[:3, 3] = 301.5, 249.0, 150.7
    return matrix


@cache
def bone() -> np.ndarray:
    """Points of the dorsal bone from the sacrum to L4, as a bench would measure them, mm."""
    designed, _ = load_phantom("lumbar_ref").dorsal_bone_points(1.0)
    near = designed[(np.abs(designed[:, 0]) < 35) & (designed[:, 1] > -50) & (designed[:, 1] < 45)]
    rng = np.random.default_rng(5)
    return np.asarray(apply(pose(), near[rng.choice(len(near), 900, replace=False)]) + rng.normal(0, 0.5, (900, 3)))


def table(folder: Path, points: np.ndarray, head: str = "x,y,z") -> Path:
    path = folder / "bone.csv"
    np.savetxt(path, points, delimiter=",", header=head, comments="")
    return path


def test_the_phantom_is_found_where_it_stands_within_what_is_claimed(tmp_path: Path) -> None:
    picture = tmp_path / "bone.png"
    code, found, printed = run(table(tmp_path, bone()), "lumbar_ref", "--start", START, "--picture", picture)
    assert code == 0 and picture.stat().st_size > 10_000
    assert found["transform"] == "PhantomToRig" and np.shape(found["covariance"]) == (6, 6)
    assert "not accuracy" in printed and "does not tell whether x is reversed" in printed
    phantom = load_phantom("lumbar_ref")
    for level in ("L4", "L5", "S1"):
        target = phantom.target(level, "left").nerve_centre_mm
        off = apply(np.array(found["matrix"]), target) - apply(pose(), target)
        assert np.linalg.norm(off) < 3.0 * found["predicted_target_sd_mm"][f"{level}_left"]  # type: ignore[index]


def test_the_result_can_be_certified_under_the_name_of_its_start(tmp_path: Path) -> None:
    _, found, _ = run(table(tmp_path, bone()), "lumbar_ref", "--start", START)
    (tmp_path / "pr.json").write_text(json.dumps(found) + "\n")
    words = ["certify", tmp_path / "pr.json", tmp_path / "c", "--identity", "PR-1", "--kind", "phantom_registration",
             "--device", "phantom", "--by", "AB", "--transform", "PhantomToRig"]  # fmt: skip
    assert CliRunner().invoke(app, ["calibrate", *map(str, words)], catch_exceptions=False).exit_code == 0


@pytest.mark.parametrize(
    ("spoil", "code", "expected"),
    [
        (lambda p: (p - p.mean(axis=0)) * [1, 1, 1.06] + p.mean(axis=0), "axis scale", "axis z is out of scale"),
        (lambda p: p * [1, 1, -1], "mirrored", "axis z reversed"),
        (lambda p: p[:30], "fit", "bone points"),
        (lambda p: np.add(p, [0, 34, 0]), "residual", "from the surface"),
        (lambda p: np.full_like(p, 7.0), "fit", "bone points"),
        (lambda p: p / 1000.0, "fit", "lie near the surface"),
    ],
)
def test_spoiled_points_are_refused_with_the_reason_and_a_picture(tmp_path, spoil, code, expected) -> None:
    picture = tmp_path / "refused.png"
    exit_code, answer, printed = run(
        table(tmp_path, spoil(bone())), "lumbar_ref", "--start", START, "--picture", picture
    )
    assert (exit_code, answer["ok"], answer["code"]) == (2, False, code)
    assert expected in printed and picture.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no points"),
        ("x y z\n1 2 3\n1 2\n", "line 3"),
        ("1 2 3\nx y z\n", "line 2"),
        ("P1 1 2 3 4\n", "line 1"),
    ],
)
def test_a_table_that_cannot_be_read_is_reported_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "bone.txt"
    path.write_text(text)
    code, answer, printed = run(path, "lumbar_ref")
    assert code == 2 and expected in printed and answer["code"] == "bad input"


def test_points_of_a_mesh_file_and_named_points_of_slicer_are_taken_too(tmp_path: Path) -> None:
    """A bumpy sheet as OBJ, in metres; points as fcsv in RAS."""
    x, y = np.meshgrid(np.arange(-30.0, 31.0, 3.0), np.arange(-30.0, 31.0, 3.0), indexing="ij")
    z = 6 * np.sin(x / 7) * np.cos(y / 9) + 4 * np.cos(x / 11 + y / 6)
    corners = np.column_stack([x.ravel(), y.ravel(), z.ravel()])
    n = len(x)
    faces = [
        f"f {i * n + j + 1} {i * n + j + 2} {(i + 1) * n + j + 2} {(i + 1) * n + j + 1}"
        for i in range(n - 1)
        for j in range(n - 1)
    ]
    (tmp_path / "sheet.obj").write_text(
        "\n".join([*(f"v {a / 1e3} {b / 1e3} {c / 1e3}" for a, b, c in corners), *faces])
    )
    inner = corners[(np.abs(corners[:, 0]) < 25) & (np.abs(corners[:, 1]) < 25)]
    moved = apply(invert(pose()), np.add(inner, [301.5, 249.0, 150.7])) + np.random.default_rng(2).normal(
        0, 0.1, inner.shape
    )
    rows = [f"{k},{p[0]:.4f},{p[1]:.4f},{p[2]:.4f},0,0,0,1,1,1,0,B{k},,\n" for k, p in enumerate(moved)]
    (tmp_path / "bone.fcsv").write_text("# CoordinateSystem = RAS\n" + "".join(rows))
    code, found, printed = run(
        tmp_path / "bone.fcsv", tmp_path / "sheet.obj", "--unit", 1000, "--point-sd", 0.3, "--correlated", 1
    )
    assert code == 0, printed
    shift = np.eye(4)
    shift[:3, 3] = 301.5, 249.0, 150.7
    assert np.array(found["matrix"]) == pytest.approx(invert(pose()) @ shift, abs=0.3)


def test_a_mesh_in_metres_is_reported_before_anything_is_fitted(tmp_path: Path) -> None:
    mesh = tmp_path / "bone.obj"
    mesh.write_text("v 0 0 0\nv 0.05 0 0\nv 0 0.05 0\nv 0 0 0.05\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    code, answer, _ = run(table(tmp_path, np.eye(3)), mesh, "--start", "PhantomToRig=0,0,0")
    assert (code, "--unit" in str(answer["reason"]), "mm long" in str(answer["reason"])) == (2, True, True)
