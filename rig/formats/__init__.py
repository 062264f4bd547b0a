"""File formats of the field: sequences, transforms, points, DICOM, Perk Tutor logs.

Reading never changes anything; writing appears whole or not at all. A file that cannot be used raises one
``ConfigError`` that says what is wrong with it.
"""

from rig.formats.formats import read_recording, write_recording
from rig.formats.perk_tutor import PerkLog, read_perk_log, write_perk_log
from rig.formats.points import Fiducial, read_fiducials, write_fiducials
from rig.formats.recording import FrameEntry, make_recording
from rig.formats.tfm import read_tfm, write_tfm
from rig.formats.trial import export_trial, trial_recordings

__all__ = [
    "Fiducial",
    "FrameEntry",
    "PerkLog",
    "export_trial",
    "make_recording",
    "read_fiducials",
    "read_perk_log",
    "read_recording",
    "read_tfm",
    "trial_recordings",
    "write_fiducials",
    "write_perk_log",
    "write_recording",
    "write_tfm",
]
