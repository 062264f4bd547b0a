import datetime
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hal.errors import ConfigError
from rig.calibration.certificates.certificate import Certificate, read_certificate
from rig.calibration.certificates.folder import CalibrationRegistry
from rig.calibration.result import Value, file_sha256
from rig.geometry.graph import ExpiredCalibration

TODAY = datetime.date(2026, 3, 1)
COVARIANCE = tuple(map(tuple, np.diag([1e-6] * 3 + [0.01] * 3).tolist()))


def certificate(identity: str = "PR-1", at: str = "2026-02-01T10:00:00+01:00", **changes) -> Certificate:
    plain = Certificate(
        identity=identity,
        kind="phantom_registration",
        device="phantom lumbar_ref",
        serial="007",
        performed_by="A. Person",
        performed_at=at,
        due="2026-08-01",
        method="six fiducials, stylus",
        result={"fre_rms_mm": 0.2},
        simulated=False,
        transform="PhantomToReference",
        matrix=tuple(map(tuple, np.eye(4).tolist())),
        covariance=COVARIANCE,
        values={"fle_mm": Value(0.25, 0.05, "mm")},
    )
    return replace(plain, **changes)


def test_a_certificate_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = CalibrationRegistry(tmp_path).add(certificate())
    back = read_certificate(path)
    assert back.sha256 == certificate().sha256
    assert back.values["fle_mm"].value == 0.25
    assert np.allclose(back.step().transform.covariance, COVARIANCE)


def test_a_certificate_of_version_0_2_still_has_the_hash_that_it_states(tmp_path: Path) -> None:
    body = {
        "identity": "PR-1", "kind": "phantom_registration", "device": "phantom", "serial": "007", "performed_by": "AB",
        "performed_at": "2026-02-01T10:00:00+01:00", "due": "2026-08-01", "method": "six fiducials",
        "result": {"ok": True, "rms_mm": 0.2}, "simulated": True, "transform": "PhantomToRig",
        "matrix": np.eye(4).tolist(), "covariance": np.diag([1e-6] * 3 + [0.04] * 3).tolist(),
        "values": {"fle_mm": {"value": 0.25, "standard_uncertainty": 0.05, "unit": "mm"}},
        "inputs": {"r.json": "ab" * 32}, "format": 1,
    }  # fmt: skip
    stated = "be1a263d41992e82b810d31e12d02b07fb229a25932a524ada0fd1b77dddcb73"  # as that version wrote it
    path = tmp_path / "PR-1.json"
    path.write_text(json.dumps({"certificate": body, "sha256": stated}))
    assert read_certificate(path).sha256 == stated


@pytest.mark.parametrize("old, new", [("0.25", "0.15"), ("A. Person", "B. Person"), ("2026-08-01", "2027-08-01")])
def test_an_edited_certificate_is_noticed(tmp_path: Path, old: str, new: str) -> None:
    path = CalibrationRegistry(tmp_path).add(certificate())
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match="changed after it was issued"):
        read_certificate(path)
    (row,) = CalibrationRegistry(tmp_path).standings(TODAY)
    assert row.state == "damaged"
    with pytest.raises(ConfigError, match="changed after"):
        CalibrationRegistry(tmp_path).graph(TODAY)


def test_a_truncated_or_foreign_file_is_one_clear_message(tmp_path: Path) -> None:
    path = CalibrationRegistry(tmp_path).add(certificate())
    text = path.read_text()
    for spoiled in (text[: len(text) // 2], "[]", "{}", '{"certificate": 3, "sha256": "x"}'):
        path.write_text(spoiled)
        with pytest.raises(ConfigError, match="no calibration certificate"):
            read_certificate(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": "../../etc"},
        {"performed_by": " "},
        {"performed_at": "2026-02-01T10:00:00"},
        {"performed_at": "yesterday"},
        {"due": "2025-01-01"},
        {"transform": "Phantom"},
        {"matrix": ((1.0, 2.0),)},
        {"transform": ""},
        {"covariance": tuple(map(tuple, (-np.eye(6)).tolist()))},
        {"values": {"a": Value(float("nan"), 0.1, "mm")}},
        {"values": {"a": Value(1.0, -0.1, "mm")}},
    ],
)
def test_a_certificate_that_says_too_little_is_refused(changes: dict) -> None:
    with pytest.raises((ConfigError, Exception)) as caught:
        certificate(**changes)
    assert type(caught.value).__name__ in ("ConfigError", "FrameError")


def test_the_newest_is_in_force_and_the_older_one_superseded(tmp_path: Path) -> None:
    registry = CalibrationRegistry(tmp_path)
    registry.add(certificate("PR-2", "2026-02-20T10:00:00+00:00"))
    registry.add(certificate("PR-1"))
    assert registry.current("phantom_registration", "PhantomToReference", TODAY).identity == "PR-2"
    assert {r.certificate.identity: r.state for r in registry.standings(TODAY) if r.certificate} == {
        "PR-1": "superseded",
        "PR-2": "valid",
    }
    registry.withdraw("PR-2", reason="phantom was dropped", by="A. Person", at="2026-02-25T00:00:00+00:00")
    assert registry.current("phantom_registration", "PhantomToReference", TODAY).identity == "PR-1"
    json.dumps([r.as_json() for r in registry.standings(TODAY)])


def test_an_expired_certificate_is_not_in_force_and_the_graph_refuses_it(tmp_path: Path) -> None:
    registry = CalibrationRegistry(tmp_path)
    registry.add(certificate())
    late = datetime.date(2026, 8, 11)
    with pytest.raises(ExpiredCalibration, match="10 days ago"):
        registry.current("phantom_registration", "PhantomToReference", late)
    with pytest.raises(ExpiredCalibration, match="PR-1"):
        registry.graph(late).get("Phantom", "Reference")
    assert np.allclose(registry.graph(TODAY).get("Reference", "Phantom"), np.eye(4))
    (row,) = registry.standings(datetime.date(2026, 7, 30))
    assert row.state == "due soon"


def test_two_of_the_same_moment_are_ambiguous(tmp_path: Path) -> None:
    registry = CalibrationRegistry(tmp_path)
    registry.add(certificate("PR-1"))
    registry.add(certificate("PR-2"))
    with pytest.raises(ConfigError, match="withdraw one"):
        registry.standings(TODAY)


def test_nothing_is_overwritten_and_unknown_things_are_named(tmp_path: Path) -> None:
    registry = CalibrationRegistry(tmp_path)
    registry.add(certificate())
    with pytest.raises(ConfigError, match="never overwritten"):
        registry.add(certificate())
    with pytest.raises(ConfigError, match="phantom_registration of PhantomToReference"):
        registry.current("pivot", "StylusTipToStylus", TODAY)
    with pytest.raises(ConfigError, match="no certificate PR-9"):
        registry.withdraw("PR-9", reason="x", by="y", at="z")


def test_inputs_are_named_by_their_hash(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"abc")
    assert file_sha256(file).startswith("ba7816bf8f01cfea")  # SHA-256 of "abc", FIPS 180-2 example B.1
