"""``phantomrig calibrate chain``: any frame to any other, with what stands behind every step."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli.main import app
from hal.errors import ConfigError
from rig.calibration.certificates.graph import rig_graph
from rig.config import RigConfig, load_config

TODAY = datetime.date.today()
YESTERDAY = TODAY - datetime.timedelta(days=1)


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["calibrate", *map(str, words)], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def certify(folder: Path, identity: str, transform: str, data: dict[str, object], due: str = "") -> None:
    path = folder / f"{identity}.result.txt"
    path.write_text(json.dumps({"ok": True} | data) + "\n")
    code, _, printed = run(
        "certify", path, folder / "certificates", "--identity", identity, "--kind", "frame", "--device", "phantom",
        "--by", "AB", "--transform", transform, "--due", due,
    )  # fmt: skip
    assert code == 0, printed


def shifted(x_mm: float) -> list[list[float]]:
    matrix = np.eye(4)
    matrix[0, 3] = x_mm
    return matrix.tolist()


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A rig file with a certificate for the phantom's place, 0.3 mm per axis and 2 mrad about each."""
    spread = np.diag([4e-6] * 3 + [0.09] * 3).tolist()
    certify(tmp_path, "PR-1", "PhantomToRig", {"matrix": shifted(300.0), "covariance": spread}, TODAY.isoformat())
    text = load_config("simulated").path.read_text()  # type: ignore[union-attr]
    path = tmp_path / "rig.toml"
    path.write_text(text.replace("[sim]", '[calibrations]\nfolder = "certificates"\n\n[sim]', 1))
    return path


def test_a_point_goes_through_certificates_and_rig_file_with_its_uncertainty(bench: Path) -> None:
    code, out, printed = run(
        "chain", "Probe", "Phantom", "--rig", bench, "--step", "ProbeToHolder=1,2,3", "--at", "0,0,40", "--json"
    )
    assert code == 0
    assert "PhantomToRig     PR-1, due" in printed and "HolderToRig      rig file" in printed
    answer = json.loads(out)
    assert answer["calibrations"] == ["given", "rig file", "PR-1"]
    assert answer["due"] == TODAY.isoformat()
    in_rig = np.array([301.0, 252.0, 193.0])  # HolderToRig of the rig file, then the step, then the point
    assert answer["point"] == pytest.approx(in_rig - [300.0, 0.0, 0.0])
    lever = in_rig  # a turn about the rig's origin moves the point across its arm
    expected = [0.09 + 0.04 + 4e-6 * (lever @ lever - lever[k] ** 2) for k in range(3)]
    assert np.square(answer["point_sd"]) == pytest.approx(expected)


def test_an_expired_step_is_refused_only_where_it_is_needed(bench: Path) -> None:
    tomorrow = (TODAY + datetime.timedelta(days=1)).isoformat()
    code, _, printed = run("chain", "Holder", "Phantom", "--rig", bench, "--today", tomorrow)
    assert code == 2 and "HolderToPhantom needs PhantomToRig (PR-1)" in printed and "1 days ago" in printed
    assert run("chain", "Holder", "Tracker", "--rig", bench, "--today", tomorrow)[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("Image", "Phantom"), "frame 'Image' is not known; known frames: Carrier, Holder, Phantom, "),
        (("Holder", "Phantom", "--step", "AToB=0,0,0", "--via", "A"), "no chain from Holder to Phantom passes A"),
        (("Holder", "A", "--step", "AToB=0,0,0"), "no transform joins Holder and A"),
        (("Holder", "Phantom", "--step", "HolderToPhantom=0,0,9"), "closes a loop"),
        (("Holder", "Phantom", "--step", "HolderToRig=0,0,0"), "is given twice"),
        (("Holder", "Phantom", "--step", "HolderToPhantom"), "is not AToB=x,y,z"),
        (("Holder", "Phantom", "--step", "XToY=none.tfm"), "none.tfm"),
        (("Holder", "Phantom", "--at", "1,2"), "is not x,y,z"),
        (("Holder", "Phantom", "--today", "soon"), "no date"),
    ],
)
def test_what_has_no_answer_or_two_is_reported_in_one_line(words: tuple[str, ...], message: str) -> None:
    code, out, printed = run("chain", *words, "--json")
    assert code == 2 and message in printed
    assert json.loads(out)["ok"] is False


def test_a_certificate_of_a_simulated_rig_does_not_enter_the_graph_of_a_real_one(tmp_path: Path, bench: Path) -> None:
    certify(tmp_path, "TR-1", "TrackerToRig", {"matrix": shifted(1.0), "simulated": True})
    config: RigConfig = load_config(bench)
    assert rig_graph(config, TODAY).get("Tracker", "Rig")[0, 3] == 1.0
    real = config.model_copy(update={"rig": config.rig.model_copy(update={"simulated": False})})
    with pytest.raises(ConfigError, match="TR-1 was made with a simulated rig"):
        rig_graph(real, TODAY)


def test_a_frame_that_nothing_joins_is_reported_with_what_would_join_it() -> None:
    for frames, printed in (
        (("Probe", "Phantom"), "--step, as ProbeToHolder"),
        (("Image", "Phantom"), "calibrate nwire"),
        (("Holder", "Phantm"), "is the name right?"),
    ):
        code, out, _ = run("chain", *frames, "--json")
        assert (code, printed in json.loads(out)["reason"]) == (2, True)


def test_a_chain_of_a_simulated_rig_is_labelled() -> None:
    assert json.loads(run("chain", "Holder", "Phantom", "--json")[1])["simulated"] is True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--step", "ProbeToHolder=0,0,1e9"), "farther than 10 m"),
        (("--step", "ProbeToHolder=0,0,3", "--at", "0,0,inf"), "must lie between -10000 and 10000"),
        (("--step", "ProbeToHolder=0,0,3", "--at", "nan,0,0"), "must lie between -10000 and 10000"),
    ],
    ids=["a step of a thousand kilometres", "an infinite point", "a point that is no number"],
)
def test_places_that_nothing_on_a_bench_has_are_refused(words: tuple[str, ...], message: str) -> None:
    code, out, printed = run("chain", "Probe", "Phantom", *words)
    assert code == 2 and message in printed and out == ""
