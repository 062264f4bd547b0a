"""Files that people write: one strict reader for all TOML files, and the bounds of every number in them.

It stands in ``hal`` because phantoms, needles and drivers have files too, and nothing here may import upward.
"""

from hal.files.bounds import Coordinate, Degrees, Id, Matrix16, Offset, refusal, within
from hal.files.document import Document, data_file, parse, read
from hal.files.json_text import parse_json
from hal.files.schema import EACH, NAMED, NumberField, number_at, numbers_of, tables_of
from hal.files.validated import faults_of, validated

__all__ = [
    "EACH",
    "NAMED",
    "Coordinate",
    "Degrees",
    "Document",
    "Id",
    "Matrix16",
    "NumberField",
    "Offset",
    "data_file",
    "faults_of",
    "number_at",
    "numbers_of",
    "parse",
    "parse_json",
    "read",
    "refusal",
    "tables_of",
    "validated",
    "within",
]
