"""Recorded data as devices: an ultrasound scanner, a tracker and a pressure sensor that read from a ``Source``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hal.clock import Clock, Deadline
from hal.errors import ConfigError, DeviceError, LinkError
from hal.files import Matrix16
from hal.poses import TIP_UNCERTAINTY_MAX_MM, image_matrix
from hal.types import Frame, Identity, ImagingSettings, PressureReading, SafeReport, TrackedPose
from rig.live.source import Source, open_source


class Settings(BaseModel):
    """The recording, and its pace."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    file: Path
    """A trial's folder, ``.igs.mha|mhd|nrrd``, ``.xml``, ``.dcm`` or a video."""
    speed: float = Field(default=1.0, gt=0, le=1000)
    ImageToProbe: Matrix16 = ()
    """16 numbers, row by row, for recordings whose frames do not carry it."""
    tip_uncertainty_mm: float = Field(default=0.3, gt=0, le=TIP_UNCERTAINTY_MAX_MM)
    sees_bending: bool = False


class _Player(ABC):
    """Part common to the devices: opening, the timeline, closing."""

    role = ""

    def __init__(self, settings: Settings, clock: Clock, source: Source | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._given = source
        self._source: Source | None = None
        self._origin_ns = 0
        self._start_ns = 0

    def open(self) -> Identity:
        """Read the recording and start its clock; raises ``ConfigError`` when it cannot play this role."""
        numbers = self._settings.ImageToProbe
        try:
            given = image_matrix(numbers) if numbers else None
        except ValueError as error:
            raise ConfigError(f"replay of {self._settings.file}: ImageToProbe {error}") from None
        source = self._given or open_source(self._settings.file, given)
        self._prepare(source)
        self._source = source
        self._origin_ns = source.origin_ns
        self._start_ns = self._clock.now_ns()
        return Identity(self.role, f"replay_{self.role}", f"recording {source.name}", simulated=source.simulated)

    @abstractmethod
    def _prepare(self, source: Source) -> None:
        """Take the role's part of the recording; raises ``ConfigError`` when it is missing."""

    def close(self) -> None:
        self._source = None

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Report a safe state: a recording moves nothing."""
        return SafeReport(self.role, True, "plays a recording; nothing to stop")

    def _playing(self) -> Source:
        if self._source is None:
            raise LinkError(f"the recording {self._settings.file} is not open", port=str(self._settings.file))
        return self._source

    def played_ns(self, recorded_ns: int) -> int:
        """Moment at which a moment of the recording is played."""
        since_ns = recorded_ns - self._origin_ns
        return self._start_ns + (since_ns if self._settings.speed == 1.0 else round(since_ns / self._settings.speed))

    def _due(self, times_ns: NDArray[np.int64]) -> int:
        """Index of the newest sample that is due; -1 before the first."""
        now_ns = self._clock.now_ns()
        index = int(np.searchsorted(times_ns, self._recorded_ns(now_ns), side="right")) - 1
        # other speeds round: settle by the same times that ``next_ns`` gives
        while index + 1 < len(times_ns) and self.played_ns(int(times_ns[index + 1])) <= now_ns:
            index += 1
        while index >= 0 and self.played_ns(int(times_ns[index])) > now_ns:
            index -= 1
        return index

    def _recorded_ns(self, played_ns: int) -> int:
        """Moment of the recording that is played at a time (exact at speed 1)."""
        return self._origin_ns + round((played_ns - self._start_ns) * self._settings.speed)

    def _following(self, times_ns: NDArray[np.int64]) -> int | None:
        after = self._due(times_ns) + 1
        return self.played_ns(int(times_ns[after])) if after < len(times_ns) else None


class ReplayUltrasound(_Player):
    """Frames at their recorded times."""

    role = "ultrasound"

    def _prepare(self, source: Source) -> None:
        if source.images is None:
            raise ConfigError(
                f"replay of {source.name}: no image with a known pixel size (give ImageToProbe if there are images)"
            )
        self._images = source.images
        self._last = -1

    def read(self) -> Frame | None:
        """The newest frame that is due and was not read, or None; passed-over ones are counted in ``dropped_n``."""
        self._playing()
        newest = self._due(self._images.time_ns)
        if newest <= self._last:
            return None
        dropped_n, self._last = newest - self._last - 1, newest
        time_ns = self.played_ns(int(self._images.time_ns[newest]))
        pixels, matrix = self._images.pixels(newest), self._images.ImageToProbe[newest]
        return Frame(time_ns, pixels, matrix, self._images.sequence_n[newest], dropped_n)

    def next_ns(self) -> int | None:
        """When the next frame is due; None at the end."""
        self._playing()
        return self._following(self._images.time_ns)

    def recorded_time_ns(self) -> int:
        """The recording's own time of the frame that was read last."""
        self._playing()
        return int(self._images.time_ns[self._last])

    def settings(self) -> ImagingSettings:
        return ImagingSettings()

    def apply(self, settings: ImagingSettings) -> ImagingSettings:
        """A recording cannot be changed: reports the nominal settings."""
        return ImagingSettings()


class ReplayTracker(_Player):
    """Poses at their recorded times."""

    role = "tracker"

    def __init__(self, settings: Settings, clock: Clock, source: Source | None = None) -> None:
        super().__init__(settings, clock, source)
        self.sees_bending = settings.sees_bending
        self.tip_uncertainty_mm = settings.tip_uncertainty_mm
        self.missed: dict[str, int] = {}
        """Poses per tool that nobody read in time."""

    def _prepare(self, source: Source) -> None:
        if not source.tracks:
            raise ConfigError(f"replay of {source.name}: no valid, timed pose of any tool")
        self._last = dict.fromkeys(source.tracks, -1)
        self.missed = dict.fromkeys(source.tracks, 0)

    def read(self) -> tuple[TrackedPose, ...]:
        """The newest due pose of every tool that has one."""
        poses = []
        for name, track in self._playing().tracks.items():
            newest = self._due(track.time_ns)
            if newest < 0:
                continue
            self.missed[name] += max(0, newest - self._last[name] - 1)
            self._last[name] = max(newest, self._last[name])
            time_ns = self.played_ns(int(track.time_ns[newest]))
            poses.append(TrackedPose(time_ns, name, track.matrices[newest]))
        return tuple(poses)

    def recorded_time_ns(self, name: str) -> int:
        """The recording's own time of the newest pose of a tool that was read."""
        return int(self._playing().tracks[name].time_ns[self._last[name]])

    def next_ns(self) -> int | None:
        """When the next pose of any tool is due; None at the end."""
        due = [self._following(track.time_ns) for track in self._playing().tracks.values()]
        return min((at_ns for at_ns in due if at_ns is not None), default=None)


class ReplayPressure(_Player):
    """The line pressure as it was recorded (stream ``pressure``)."""

    role = "pressure"
    FIELDS = ("sensor_kpa", "pressure_kpa")

    def _prepare(self, source: Source) -> None:
        stream = source.streams.get("pressure")
        names = [name for name in self.FIELDS if stream is not None and name in stream.values]
        if stream is None or not names or not len(stream.time_ns):
            raise ConfigError(f"replay of {source.name}: no stream of the line pressure")
        self._stream, self._field = stream, names[0]

    def read(self) -> PressureReading:
        """The newest due reading; raises ``DeviceError`` before the first one."""
        self._playing()
        newest = self._due(self._stream.time_ns)
        if newest < 0:
            raise DeviceError("the recording has no pressure before this moment", device=self.role)
        time_ns = self.played_ns(int(self._stream.time_ns[newest]))
        return PressureReading(time_ns, float(self._stream.values[self._field][newest]), float("nan"))

    def zero(self) -> None:
        """A recording cannot be zeroed."""
        raise DeviceError("a recorded pressure cannot be zeroed", device=self.role)

    def next_ns(self) -> int | None:
        self._playing()
        return self._following(self._stream.time_ns)
