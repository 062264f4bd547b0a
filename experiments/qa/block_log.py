"""Pictures of a QA block into the tables of ``ultrasound_block``, wherever the pictures come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hal.phantom.qa_block import QaBlock
from rig.calibration.scanner import BlockPicture, read_block, read_noise
from rig.calibration.scanner.block_match import Match, shifted

Sample = Callable[[str, int, Sequence[float]], None]


@dataclass
class BlockLog:
    """Takes pictures one after the other and keeps their rows."""

    block: QaBlock
    sample: Sample = field(repr=False)
    """Keeps one row: table, stamp (ns), values."""
    pictures_n: int = 0
    _first: tuple[Match, float] | None = field(default=None, repr=False)

    def begin(self, time_ns: int, temperature_c: float, assumed_m_s: float) -> None:
        """Row of the block itself, at its temperature, and the speed that the scanner says it assumes."""
        gel = self.block.gel
        self.sample("block", time_ns, (
            self.block.position_tolerance_mm / math.sqrt(3.0), gel.speed_at(temperature_c),
            gel.sound_speed_tolerance_m_s / math.sqrt(3.0), assumed_m_s, float(len(tuple(self.block.unverified()))),
        ))  # fmt: skip

    def add(self, picture: BlockPicture, time_ns: int) -> None:
        """Rows of one picture; the first one fixes scale and turn for views that show few wires.

        Raises ``CalibrationRefused`` when it does not show the block, or shows it turned round.
        """
        known = None
        if self._first is not None:
            match, at_mm = self._first
            known = shifted(match, picture.view_x_mm - at_mm)
        readings = read_block(picture, self.block, self.pictures_n + 1, known)
        self.pictures_n += 1
        if self._first is None:
            self._first = readings.match, picture.view_x_mm
        for table, rows in readings.rows.items():
            for row in rows:
                self.sample(table, time_ns, row)

    def add_air(self, picture: BlockPicture, time_ns: int) -> None:
        """Rows of a picture in air, with the settings of the others."""
        for row in read_noise(picture, 0):
            self.sample("depths", time_ns, row)
