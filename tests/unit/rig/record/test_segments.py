from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hal.errors import RecordError
from hal.types import Frame
from rig.record.frames import FrameReader, FrameWriter
from rig.record.segments import MAGIC, SegmentWriter, read_segment
from rig.record.streams import Field, StreamWriter, read_stream_segment, read_streams


def _frame(n: int, rows: int = 12, columns: int = 9) -> Frame:
    pixels = np.random.default_rng(n).integers(0, 255, (rows, columns)).astype(np.uint8)
    matrix = np.diag([0.2, 0.3, 1.0, 1.0])
    matrix[0, 3] = -n
    return Frame(n * 40_000_000, pixels, matrix, sequence_n=n, dropped_n=n % 2)


def test_a_segment_cut_at_any_byte_gives_all_blocks_before_the_cut(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "a.seg")
    payloads = [b"", b"x", b"hello" * 3, bytes(range(40))]
    ends = [len(MAGIC)]
    for k, payload in enumerate(payloads):
        writer.block(k, payload)
        ends.append(writer.path.stat().st_size)
    writer.close()
    raw = (tmp_path / "a.seg").read_bytes()
    for size in range(len(raw) + 1):
        (tmp_path / "cut.seg").write_bytes(raw[:size])
        whole = max(0, sum(end <= size for end in ends) - 1)
        assert list(read_segment(tmp_path / "cut.seg")) == list(enumerate(payloads))[:whole]


def test_a_flipped_bit_anywhere_in_a_block_is_never_read_as_data(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "a.seg")
    writer.block(1, b"first")
    start = writer.path.stat().st_size
    writer.block(2, b"second")
    writer.close()
    raw = bytearray((tmp_path / "a.seg").read_bytes())
    for at in range(start, len(raw)):
        damaged = raw.copy()
        damaged[at] ^= 0x10
        (tmp_path / "bad.seg").write_bytes(damaged)
        assert list(read_segment(tmp_path / "bad.seg")) == [(1, b"first")]


def test_streams_cut_at_any_byte_lose_at_most_the_sample_being_written(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path)
    writer.declare("pressure", (Field("pressure_kpa", "kPa"), Field("temperature_c", "degC")))
    declared = (tmp_path / "streams.seg").stat().st_size
    size_of_sample = 0
    for k in range(5):
        before = (tmp_path / "streams.seg").stat().st_size
        writer.sample("pressure", 10 * k, (float(k), 21.5))
        size_of_sample = (tmp_path / "streams.seg").stat().st_size - before
    raw = (tmp_path / "streams.seg").read_bytes()
    for size in range(len(raw) + 1):
        (tmp_path / "cut.seg").write_bytes(raw[:size])
        streams = read_stream_segment(tmp_path / "cut.seg")
        if size < declared:
            assert streams == {}
        else:
            whole = (size - declared) // size_of_sample
            assert streams["pressure"].values["pressure_kpa"].tolist() == [float(k) for k in range(whole)]


def test_streams_become_hdf5_with_units_and_the_segment_goes(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path)
    writer.declare("pressure", (Field("pressure_kpa", "kPa"), Field("temperature_c", "degC")))
    writer.declare("force", (Field("force_n", "N"),))
    writer.sample("pressure", 1, (3.25, float("nan")))
    writer.sample("force", 2, (0.5,))
    writer.sample("pressure", 3, (4.5, 22.0))
    assert writer.close() == tmp_path / "streams.h5"
    assert [path.name for path in tmp_path.iterdir()] == ["streams.h5"]
    streams = read_streams(tmp_path)
    assert streams["pressure"].time_ns.tolist() == [1, 3]
    assert streams["pressure"].values["pressure_kpa"].tolist() == [3.25, 4.5]
    assert np.isnan(streams["pressure"].values["temperature_c"][0])
    assert streams["pressure"].units == {"pressure_kpa": "kPa", "temperature_c": "degC"}
    assert streams["force"].values["force_n"].tolist() == [0.5]


def test_streams_of_a_killed_trial_are_read_from_the_segment(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path)
    writer.declare("force", (Field("force_n", "N"),))
    writer.sample("force", 2, (0.5,))
    assert read_streams(tmp_path)["force"].values["force_n"].tolist() == [0.5]


def test_a_sample_that_does_not_fit_its_stream_is_refused(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path)
    with pytest.raises(RecordError, match="before it was declared"):
        writer.sample("force", 0, (1.0,))
    writer.declare("force", (Field("force_n", "N"),))
    with pytest.raises(RecordError, match="does not fit"):
        writer.sample("force", 0, (1.0, 2.0))
    with pytest.raises(RecordError, match="declared twice"):
        writer.declare("force", (Field("force_n", "N"),))


def test_frames_come_back_pixel_for_pixel_with_pose_and_detections(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path)
    pose = np.eye(4)
    pose[2, 3] = 44.0
    writer.frame(_frame(0), np.eye(4))
    writer.frame(_frame(1), pose, {"tip_px": [4.5, 6.25], "found": True}, label="at_injection")
    writer.frame(_frame(2), np.eye(4), keep=False)
    writer.frame(_frame(3, rows=20, columns=5), np.eye(4))
    for reader in (FrameReader(tmp_path), (writer.close(), FrameReader(tmp_path))[1]):
        assert len(reader) == 4
        assert reader.heads[1].detections == {"tip_px": [4.5, 6.25], "found": True}
        assert reader.heads[1].label == "at_injection"
        assert reader.heads[1].ProbeToRig[2, 3] == 44.0
        assert reader.heads[1].ImageToProbe[0, 3] == -1.0
        assert (reader.heads[3].time_ns, reader.heads[3].sequence_n, reader.heads[3].dropped_n) == (120_000_000, 3, 1)
        for n, size in ((0, (12, 9)), (1, (12, 9)), (3, (20, 5))):
            found = reader.pixels(n)
            assert found is not None and np.array_equal(found, _frame(n, *size).pixels)
        assert reader.pixels(2) is None
    assert [path.name for path in tmp_path.iterdir()] == ["frames.h5"]


def test_frames_cut_at_any_byte_keep_every_whole_frame(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path)
    ends = [len(MAGIC)]
    for k in range(3):
        writer.frame(_frame(k, 4, 4), np.eye(4))
        ends.append((tmp_path / "frames.seg").stat().st_size)
    raw = (tmp_path / "frames.seg").read_bytes()
    for size in range(len(raw) + 1):
        (tmp_path / "frames.seg").write_bytes(raw[:size])
        assert len(FrameReader(tmp_path)) == max(0, sum(end <= size for end in ends) - 1)


def test_equal_frames_give_equal_files(tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        writer = FrameWriter(tmp_path / name)
        for k in range(3):
            writer.frame(_frame(k), np.eye(4), {"tip_px": [k, k]})
        path = writer.close()
        assert path is not None
        files.append(path.read_bytes())
    assert files[0] == files[1]
