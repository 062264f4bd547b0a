from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest

from hal.clock import VirtualClock
from hal.errors import RecordError
from rig.record.canonical import canonical_json
from rig.record.journal import GENESIS, Journal, chain_hash, read_chain


def _journal(path: Path, n: int = 6) -> list[bytes]:
    clock = VirtualClock()
    journal = Journal(path, clock)
    for k in range(n):
        clock.sleep(0.5)
        journal.append("step", {"k": k, "depth_mm": 1.5 * k, "missing": float("nan")})
    journal.close()
    return path.read_bytes().splitlines(keepends=True)


def test_entries_come_back_as_written_with_clock_time_and_null_for_nan(tmp_path: Path) -> None:
    _journal(tmp_path / "j")
    chain = read_chain(tmp_path / "j")
    assert chain.fault == "" and not chain.cut_tail
    assert [entry.time_ns for entry in chain.entries] == [500_000_000 * (k + 1) for k in range(6)]
    assert chain.entries[3].data == {"k": 3, "depth_mm": 4.5, "missing": None}
    assert chain.entries[3].actor == "phantomrig"


def test_the_hash_of_the_first_entry_can_be_repeated_by_hand(tmp_path: Path) -> None:
    line = json.loads(_journal(tmp_path / "j", 1)[0])
    body = (
        b'{"actor":"phantomrig","data":{"depth_mm":0,"k":0,"missing":null},"kind":"step","seq":0,"time_ns":500000000}'
    )
    assert canonical_json(line["body"]) == body
    import hashlib

    assert line["prev"] == GENESIS
    assert line["hash"] == hashlib.sha256(bytes(32) + body).hexdigest() == chain_hash(GENESIS, line["body"])


def _edited(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b'"k":2', b'"k":7'), *lines[3:]]


def _other_actor(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b"phantomrig", b"somebody"), *lines[3:]]


def _deleted(lines: list[bytes]) -> list[bytes]:
    return lines[:2] + lines[3:]


def _swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def _duplicated(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[2], *lines[3:]]


def _not_json(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], b"hello\n", *lines[3:]]


@pytest.mark.parametrize("tamper", [_edited, _other_actor, _deleted, _swapped, _duplicated, _not_json])
def test_a_tampered_chain_names_the_place_and_keeps_the_entries_before_it(tmp_path: Path, tamper) -> None:
    lines = _journal(tmp_path / "j")
    (tmp_path / "j").write_bytes(b"".join(tamper(lines)))
    chain = read_chain(tmp_path / "j")
    assert "entry" in chain.fault
    assert len(chain.entries) in (2, 3)


def test_a_clock_that_went_back_is_a_fault_even_in_a_well_made_chain(tmp_path: Path) -> None:
    prev, lines = GENESIS, []
    for seq, time_ns in enumerate((5, 3)):
        body = {"actor": "a", "data": {}, "kind": "k", "seq": seq, "time_ns": time_ns}
        hashed = chain_hash(prev, body)
        lines.append(canonical_json({"body": body, "hash": hashed, "prev": prev}) + b"\n")
        prev = hashed
    (tmp_path / "j").write_bytes(b"".join(lines))
    assert "clock went back" in read_chain(tmp_path / "j").fault


def test_a_cut_at_any_byte_loses_only_the_entry_being_written(tmp_path: Path) -> None:
    raw = b"".join(_journal(tmp_path / "j", 4))
    for size in range(len(raw) + 1):
        (tmp_path / "cut").write_bytes(raw[:size])
        chain = read_chain(tmp_path / "cut")
        assert chain.fault == ""
        assert len(chain.entries) == raw[:size].count(b"\n")
        assert chain.cut_tail == (size > 0 and raw[size - 1 : size] != b"\n")


def test_an_activity_is_started_then_completed_or_failed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", VirtualClock())
    with journal.activity("scan", {"depth_mm": 90}) as outcome:
        outcome["levels"] = 3
    with pytest.raises(ValueError), journal.activity("plan"):
        raise ValueError("no path")
    entries = read_chain(tmp_path / "j").entries
    assert [e.kind for e in entries] == ["scan.started", "scan.completed", "plan.started", "plan.failed"]
    assert entries[1].data == {"levels": 3}
    assert entries[3].data == {"error": "ValueError", "message": "no path"}


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    _journal(tmp_path / "j")
    with pytest.raises(RecordError, match="exists already"):
        Journal(tmp_path / "j", VirtualClock())


def test_a_full_disk_gives_one_clear_error_and_leaves_a_valid_chain(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", VirtualClock())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # the kernel refuses bytes past this size
    try:
        with pytest.raises(RecordError, match=r"could not be written.*stays valid"):
            for k in range(100):
                journal.append("step", {"k": k})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    journal.close()
    chain = read_chain(tmp_path / "j")
    assert chain.fault == "" and not chain.cut_tail
    assert len(chain.entries) == journal.count > 3
