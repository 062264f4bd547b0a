"""The report names every calibration in force, of devices and of what is no device."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_run

from analysis.report.certificates import figures, table
from hal.errors import ConfigError
from rig.calibration.certificates.certificate import Certificate
from rig.calibration.result import Value
from rig.record import RunFolder

PHANTOM = Certificate(
    identity="PR-1",
    kind="phantom_registration",
    device="phantom",
    serial="",
    performed_by="AB",
    performed_at="2026-05-04T10:00:00+00:00",
    due="2026-12-31",
    method="by hand",
    result={},
    simulated=True,
    transform="PhantomToRig",
    matrix=((1.0, 0.0, 0.0, 300.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
    covariance=tuple(tuple(row) for row in np.diag([0, 0, 0, 0.25, 0.04, 0.04]).tolist()),
)
GEL = replace(
    PHANTOM, identity="SS-1", kind="sound_speed", transform="", matrix=(), covariance=(), due="",
    values={"sound_speed_m_s": Value(1480.8, 7.4, "m/s")},
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = synthetic_run.make(tmp_path / "run", repeats=1, frames=False)
    (path / "calibrations").mkdir()
    for certificate in (PHANTOM, GEL):
        certificate.write(path / "calibrations" / f"{certificate.identity}.json")
    return path


def test_a_phantom_and_a_gel_stand_with_their_dates_and_figures(run: Path) -> None:
    found = table(RunFolder.open(run))
    assert found is not None
    phantom, gel = found.rows
    assert phantom[:6] == ("PR-1", "phantom registration", "PhantomToRig", "2026-05-04, AB", "2026-12-31", "simulated")
    assert phantom[6] == "place u = 0.5 mm (worst axis), turn u = 0 deg"
    assert gel[4:] == ("until replaced", "simulated", "sound_speed_m_s 1481 m/s, u = 7.4")


def test_a_turn_moves_the_origin_that_lies_far_from_the_axes() -> None:
    turn = np.diag([0, 0, 0.001**2, 0, 0, 0]).tolist()
    certificate = {"transform": "PhantomToRig", "matrix": PHANTOM.matrix, "covariance": turn}
    assert figures(certificate) == ["place u = 0.3 mm (worst axis), turn u = 0.057 deg"]


def test_a_run_without_certificates_has_no_such_table(tmp_path: Path) -> None:
    assert table(RunFolder.open(synthetic_run.make(tmp_path / "run", repeats=1, frames=False))) is None


def test_a_damaged_copy_is_reported(run: Path) -> None:
    (run / "calibrations" / "SS-1.json").write_text(json.dumps([1]))
    with pytest.raises(ConfigError, match=r"calibrations/SS-1\.json"):
        table(RunFolder.open(run))
