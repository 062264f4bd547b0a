"""One entry point for recordings of every format, chosen by the ending of the name."""

from __future__ import annotations

from pathlib import Path

from hal.errors import ConfigError
from hal.links.sequence import Sequence, read_sequence
from rig.formats.igs_mha import write_mha
from rig.formats.igs_nrrd import read_nrrd, write_nrrd
from rig.formats.recording import check_byte_order, check_times

METAFILE = (".mha", ".mhd")
NRRD = (".nrrd", ".nhdr")
"""In one piece, and a header with its data file beside it (read only)."""
ENDINGS = (*METAFILE, *NRRD)


def read_recording(path: Path, *, with_pixels: bool = True, timed: bool = True) -> Sequence:
    """Read ``.igs.mha``, ``.igs.mhd``, ``.igs.nrrd`` or a detached ``.nhdr``.

    ``timed`` demands a time for every frame, each after the one before. Raises ``ConfigError``: not such a file,
    cut off, damaged, wrong byte order, missing or unordered times.
    """
    suffix = path.suffix.lower()
    if suffix not in ENDINGS:
        raise ConfigError(f"{path}: not a sequence by its name; known endings: {', '.join(ENDINGS)}")
    if suffix in NRRD:
        sequence = read_nrrd(path, with_pixels=with_pixels)
    else:
        sequence = read_sequence(path, with_pixels=with_pixels)
    check_byte_order(sequence)
    if timed:
        check_times(sequence)
    return sequence


def write_recording(sequence: Sequence, path: Path, *, compressed: bool = True) -> Path:
    """Write in the format that the ending names; the folder must exist. Raises ``ConfigError``, ``RecordError``."""
    suffix = path.suffix.lower()
    if suffix == ".nrrd":
        return write_nrrd(sequence, path, compressed=compressed)
    if suffix in METAFILE:
        return write_mha(sequence, path, compressed=compressed)
    known = ", ".join((*METAFILE, ".nrrd"))
    raise ConfigError(f"{path}: cannot write a sequence under this name; known endings: {known}")
