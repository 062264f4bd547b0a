"""A scanner judged by recordings of a QA block, by the same lines as a live one.

A recording needs the geometry of its pictures (``ImageToProbe`` in its frames, or given) and, for the figures in
decibels, the dynamic range of the display; the rest is found in the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.qa.evaluation import Value
from analysis.qa.kinds.registry import evaluation_of
from analysis.qa.recorded import ACCEPTANCE, FINISHED, READINGS
from analysis.qa.report import make_qa_report
from analysis.qa.verdict import reference_faults
from experiments.qa.block_log import BlockLog
from experiments.qa.conduct import QaRun
from experiments.qa.shipped_files import acceptance_file, acceptance_of
from hal.clock import WallClock
from hal.errors import ConfigError
from hal.links.sequence import Sequence as Recording
from hal.phantom.qa_block import load_block
from hal.phantom.sound_speed import ASSUMED_M_S
from hal.types import FLAT_MM, Matrix
from rig.calibration.scanner import BlockPicture
from rig.formats import read_recording
from rig.record import RunFolder, StreamWriter

TEST = "ultrasound_block"


def run_on_recordings(
    views: Mapping[float, str | Path],
    *,
    test: str = TEST,
    in_air: str | Path | None = None,
    ImageToProbe: Matrix | None = None,
    face_radius_mm: float = FLAT_MM,
    assumed_m_s: float = ASSUMED_M_S,
    most: int = 4,
    out: str | Path = "runs",
) -> QaRun:
    """Judge a scanner by recordings of a block (``.igs.mha``, ``.igs.nrrd``, DICOM, video), as on a live scanner.

    Args:
        views: recording by the place of the probe along the window, mm from the column of wires; that of the column
            first.
        test: acceptance file, by name or path.
        in_air: recording with the probe in air, same settings; without it there is no depth of penetration.
        ImageToProbe: of recordings whose frames do not say it.
        face_radius_mm: of a curved array.
        assumed_m_s: speed of sound that the scanner assumes.
        most: pictures of each view, evenly over the recording.
        out: folder in which the run gets a folder of its own.

    Raises:
        ConfigError: a file cannot be used, or the reference may not decide a limit.
        CalibrationRefused: the pictures do not show the block, or show it turned round; the record is sealed.
    """
    acceptance = acceptance_of(test)
    faults = reference_faults(acceptance.reference, acceptance.criteria)
    if acceptance.test != TEST or faults:
        raise ConfigError(f"{acceptance.id}: " + ("; ".join(faults) or f"a test of {acceptance.test}, not of pictures"))
    shown = _Shown(evaluation_of(TEST).settings(acceptance.parameters), ImageToProbe, face_radius_mm)
    recordings = {x: read_recording(Path(path)) for x, path in views.items()}
    air = None if in_air is None else read_recording(Path(in_air))
    sources = [*recordings.values(), *([air] if air is not None else [])]
    clock = WallClock()
    run = RunFolder.create(
        Path(out), f"qa-{acceptance.id}", clock, seed=0, simulated=any(s.simulated for s in sources), rooms=(READINGS,),
        files={ACCEPTANCE: acceptance_file(test).read_bytes()},
    )  # fmt: skip
    streams, reason = StreamWriter(run.path / READINGS), "interrupted"
    for name, fields in evaluation_of(TEST).tables.items():
        streams.declare(name, fields)
    log = BlockLog(load_block(str(shown.settings["block"])), streams.sample)
    try:
        log.begin(0, shown.number("temperature_c"), assumed_m_s)
        if air is not None:
            for time_ns, picture in shown.pictures(air, 0.0, 1):
                log.add_air(picture, time_ns)
        for x_mm, sequence in recordings.items():
            for time_ns, picture in shown.pictures(sequence, x_mm, most):
                log.add(picture, time_ns)
        reason = FINISHED
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        raise
    finally:
        streams.close()
        run.seal(reason)
    return QaRun(run.path, make_qa_report(run.path))


@dataclass(frozen=True)
class _Shown:
    """What must be known of recorded pictures."""

    settings: Mapping[str, Value]
    ImageToProbe: Matrix | None = field(repr=False)
    face_radius_mm: float

    def number(self, name: str) -> float:
        value = self.settings[name]
        assert isinstance(value, float)
        return value

    def pictures(self, recording: Recording, x_mm: float, most: int) -> Iterator[tuple[int, BlockPicture]]:
        """Evenly chosen pictures with their stamps (ns)."""
        for k in np.unique(np.linspace(0, len(recording.frames) - 1, most).round().astype(int)):
            frame = recording.frames[k]
            place = frame.transforms.get("ImageToProbe") if self.ImageToProbe is None else self.ImageToProbe
            if place is None:
                raise ConfigError(f"{recording.path}: no frame has ImageToProbe; give the geometry of the pictures")
            grey = np.ascontiguousarray(np.squeeze(recording.image(int(k))))
            picture = BlockPicture(grey, place, self.number("dynamic_range_db"), self.face_radius_mm, x_mm)
            yield frame.time_ns or 0, picture
