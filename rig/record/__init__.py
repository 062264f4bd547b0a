"""The record of a run: journal, streams, frames, trial rows, run folder, integrity.

Writing: ``RunFolder.create`` -> ``plan``, ``devices``, ``cartridge`` (or ``CartridgeRecord`` in a worker) ->
``trial`` -> ``streams``, ``frames``, ``event``, ``truth``, ``close`` -> ``adopt`` -> ``seal``.
Reading: ``RunFolder.open`` -> ``RecordedRun``. Checking: ``verify_run``; ``anomalies_of`` says which known faults of
earlier versions a folder may have.
"""

from rig.record.anomalies import Anomaly, Finding, anomalies_of, known_anomalies
from rig.record.columns import COLUMNS, LARGEST, NAMES, Column, columns_in, columns_of, unit_of
from rig.record.folder import RunFolder, utc_text
from rig.record.frames import FrameReader, FrameWriter, RecordedFrame
from rig.record.integrity import verify_run
from rig.record.journal import Chain, Entry, Journal, read_chain
from rig.record.manifest import Manifest
from rig.record.plan import Calibration, DeviceRecord, RecordedPlan
from rig.record.reading import RecordedRun, RecordedTrial
from rig.record.rows import Row
from rig.record.streams import Field, Stream, StreamWriter, read_streams
from rig.record.trial import CartridgeRecord, TrialRecord

__all__ = [
    "COLUMNS",
    "LARGEST",
    "NAMES",
    "Anomaly",
    "Calibration",
    "CartridgeRecord",
    "Chain",
    "Column",
    "DeviceRecord",
    "Entry",
    "Field",
    "Finding",
    "FrameReader",
    "FrameWriter",
    "Journal",
    "Manifest",
    "RecordedFrame",
    "RecordedPlan",
    "RecordedRun",
    "RecordedTrial",
    "Row",
    "RunFolder",
    "Stream",
    "StreamWriter",
    "TrialRecord",
    "anomalies_of",
    "columns_in",
    "columns_of",
    "known_anomalies",
    "read_chain",
    "read_streams",
    "unit_of",
    "utc_text",
    "verify_run",
]
