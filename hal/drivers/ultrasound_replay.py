"""A recorded sequence played as an ultrasound device: frames at their recorded times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from hal.clock import Clock, Deadline
from hal.errors import ConfigError, LinkError
from hal.files import Matrix16
from hal.links.grey import luminance
from hal.links.sequence import Sequence, read_sequence
from hal.poses import image_matrix
from hal.ranges import possible_imaging
from hal.types import Frame, Identity, ImagingSettings, Matrix, SafeReport


class Settings(BaseModel):
    """The recording, and the size of its pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    file: Path
    ImageToProbe: Matrix16
    """16 numbers, row by row, mm per pixel: the recording does not hold the calibration."""
    repeat: bool = False
    """Start again after the last frame, one mean frame time later."""
    imaging: ImagingSettings = ImagingSettings()
    """Settings of the scanner, for the record."""
    speed: float = Field(1.0, gt=0, le=1000)
    """1 plays at the recorded pace."""

    _imaging = field_validator("imaging")(possible_imaging)

    @field_validator("ImageToProbe")
    @classmethod
    def _sixteen(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        image_matrix(value)
        return value


class Driver:
    """Plays from the moment of ``open``; frames marked INVALID are left out and counted as dropped."""

    role = "ultrasound"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._matrix: Matrix = image_matrix(settings.ImageToProbe)
        self._sequence: Sequence | None = None
        self._offsets_ns: list[int] = []
        self._start_ns = 0
        self._last = -1

    def open(self) -> Identity:
        """Read the recording; raises ``ConfigError`` when it cannot be played."""
        sequence = read_sequence(self._settings.file)
        if sequence.pixels is None or not sequence.frames:
            raise ConfigError(f"{self._settings.file}: a recording without images cannot be played as ultrasound")
        self._offsets_ns = self._offsets(sequence)
        self._sequence = sequence
        self._start_ns = self._clock.now_ns()
        self._last = -1
        name = f"recording {self._settings.file.name}"
        return Identity(self.role, "replay_ultrasound", name, simulated=sequence.simulated)

    def _offsets(self, sequence: Sequence) -> list[int]:
        times = [frame.time_ns for frame in sequence.frames]
        for index, time_ns in enumerate(times):
            before = times[index - 1] if index else None
            if time_ns is None:
                raise ConfigError(f"{sequence.path}: frame {index} has no Timestamp, so its time is unknown")
            if before is not None and time_ns <= before:
                raise ConfigError(f"{sequence.path}: the time of frame {index} is not after that of the frame before")
        first = times[0] or 0
        return [round(((time_ns or 0) - first) / self._settings.speed) for time_ns in times]

    def close(self) -> None:
        self._sequence = None

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Report a safe state: a recording moves nothing."""
        return SafeReport(self.role, True, "plays a recording; nothing to stop")

    def read(self) -> Frame | None:
        """Newest frame that is due and was not read, or None."""
        sequence = self._sequence
        if sequence is None:
            raise LinkError(f"the recording {self._settings.file} is not open", port=str(self._settings.file))
        newest = self._newest_due(self._clock.now_ns() - self._start_ns)
        count = len(sequence.frames)
        while newest > self._last and not sequence.frames[newest % count].image_valid:
            newest -= 1
        if newest <= self._last:
            return None
        dropped_n, self._last = newest - self._last - 1, newest
        time_ns = self._start_ns + newest // count * self._lap_ns + self._offsets_ns[newest % count]
        image = luminance(sequence.image(newest % count))
        return Frame(time_ns, image, self._matrix, newest + 1, dropped_n)

    @property
    def _lap_ns(self) -> int:
        """Length of the recording with one mean frame time after the last frame."""
        steps = max(1, len(self._offsets_ns) - 1)
        return max(1, self._offsets_ns[-1] + self._offsets_ns[-1] // steps)

    def _newest_due(self, elapsed_ns: int) -> int:
        laps, rest_ns = divmod(elapsed_ns, self._lap_ns) if self._settings.repeat else (0, elapsed_ns)
        return laps * len(self._offsets_ns) + int(np.searchsorted(self._offsets_ns, rest_ns, side="right")) - 1

    def settings(self) -> ImagingSettings:
        return self._settings.imaging

    def apply(self, settings: ImagingSettings) -> ImagingSettings:
        """Report the settings of the recording, which cannot be changed."""
        return self._settings.imaging
