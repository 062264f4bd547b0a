"""Ultrasound from a video signal: frame grabber, network stream, or a recorded video file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hal.clock import NS_PER_S, Clock, Deadline
from hal.errors import ConfigError, LinkError, NoReply
from hal.files import Matrix16
from hal.links.grey import luminance
from hal.links.video import LiveVideo, Picture, VideoFile
from hal.poses import image_matrix, why_no_pitch
from hal.ranges import possible_imaging
from hal.types import Frame, Identity, ImagingSettings, Matrix, SafeReport

Pixel = Annotated[int, Field(ge=0, le=20_000)]
Place = Annotated[float, Field(ge=-20_000, le=20_000)]
"""Position of the face in an image, pixels; it may lie outside."""
Pitch = Annotated[float, Field(ge=0.001, le=10.0)]
"""mm per pixel."""


class Settings(BaseModel):
    """Source, image area and size of a pixel. Give ``ImageToProbe``, or ``pixel_mm`` with ``face_px``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: str
    """Number or path of a grabber (``0``, ``/dev/video0``), URL (``http://``, ``rtsp://``), or a file."""
    crop: tuple[Pixel, Pixel, Pixel, Pixel] | None = None
    """Left, top, width, height of the ultrasound area in the picture (pixels)."""
    pixel_mm: tuple[Pitch, Pitch] | None = None
    """Pitch of columns and rows."""
    face_px: tuple[Place, Place] | None = None
    """Column and row of the centre of the transducer face, in the uncropped picture."""
    ImageToProbe: Matrix16 | None = None
    """16 numbers, row by row, for the cropped image."""
    latency_ms: float = Field(0.0, ge=0, le=5000)
    """Age of an image when it is grabbed, from the temporal calibration (grabbers: 50-150 ms)."""
    timeout_s: float = Field(3.0, gt=0, le=60)
    silence_s: float = Field(1.0, gt=0, le=60)
    """A live source without a new image for this time is an error."""
    imaging: ImagingSettings = ImagingSettings()
    """Settings of the scanner, made by hand, for the record."""

    _imaging = field_validator("imaging")(possible_imaging)

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if self.ImageToProbe is None and (self.pixel_mm is None or self.face_px is None):
            raise ValueError("give ImageToProbe (16 numbers), or pixel_mm together with face_px")
        if self.ImageToProbe is not None:
            image_matrix(self.ImageToProbe)
        if self.pixel_mm is not None and (why := why_no_pitch(self.pixel_mm)):
            raise ValueError(f"pixel_mm {why}")
        if self.crop is not None and (min(self.crop) < 0 or min(self.crop[2:]) == 0):
            raise ValueError("crop must be left, top, width, height with a width and height above 0")
        return self


class Driver:
    """One video source. A file plays from ``open`` at its own time stamps and then ends."""

    role = "ultrasound"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._matrix = _image_to_probe(settings)
        self._file: VideoFile | None = None
        self._live: LiveVideo | None = None
        self._start_ns = 0
        self._last = 0

    def open(self) -> Identity:
        source = self._settings.source
        self._last = 0
        if source.isdigit() or source.startswith("/dev/") or "://" in source:
            self._live = LiveVideo(source, self._clock, self._settings.timeout_s)
            deadline = self._clock.deadline(self._settings.timeout_s)
            while self._live.newest(self._settings.silence_s) is None:
                if deadline.expired:
                    self.close()
                    raise NoReply(f"video source {source!r} gave no picture; is there a signal?", port=source)
                self._clock.sleep(0.02)
        else:
            self._file = VideoFile(Path(source))
            self._start_ns = self._clock.now_ns()
        return Identity(self.role, "video_ultrasound", f"video {source}")

    def close(self) -> None:
        if self._live is not None:
            self._live.close(self._settings.timeout_s)
        if self._file is not None:
            self._file.close()
        self._live = self._file = None

    def make_safe(self, deadline: Deadline) -> SafeReport:
        """Report a safe state: receiving images moves nothing."""
        return SafeReport(self.role, True, "receives pictures only; nothing to stop")

    def read(self) -> Frame | None:
        """Newest image that was not read, or None; raises ``LinkError`` when the source went silent."""
        if self._live is not None:
            picture = self._live.newest(self._settings.silence_s)
            return None if picture is None or picture.number == self._last else self._frame(picture, 0)
        if self._file is None:
            raise LinkError(f"video source {self._settings.source!r} is not open", port=self._settings.source)
        elapsed_ns = self._clock.now_ns() - self._start_ns
        picture = None
        while self._file.next_ns is not None and self._file.next_ns <= elapsed_ns:
            picture = self._file.take()
        return None if picture is None else self._frame(picture, self._start_ns)

    def _frame(self, picture: Picture, start_ns: int) -> Frame:
        dropped_n, self._last = picture.number - self._last - 1, picture.number
        pixels = picture.pixels
        if self._settings.crop is not None:
            left, top, width, height = self._settings.crop
            if left + width > pixels.shape[1] or top + height > pixels.shape[0]:
                size = f"{pixels.shape[1]} x {pixels.shape[0]}"
                raise ConfigError(f"crop {self._settings.crop} lies outside the picture of {size} pixels")
            pixels = pixels[top : top + height, left : left + width]
        time_ns = start_ns + picture.time_ns - round(self._settings.latency_ms * NS_PER_S / 1000)
        return Frame(time_ns, luminance(pixels, blue_first=True), self._matrix, picture.number, dropped_n)

    def settings(self) -> ImagingSettings:
        return self._settings.imaging

    def apply(self, settings: ImagingSettings) -> ImagingSettings:
        """Report the settings made by hand: a video signal carries no commands."""
        return self._settings.imaging


def _image_to_probe(settings: Settings) -> Matrix:
    if settings.ImageToProbe is not None:
        return image_matrix(settings.ImageToProbe)
    if settings.pixel_mm is None or settings.face_px is None:
        raise ConfigError("give ImageToProbe, or pixel_mm together with face_px")
    left, top = settings.crop[:2] if settings.crop is not None else (0, 0)
    matrix = np.diag([settings.pixel_mm[0], 1.0, 1.0, 1.0])
    # Columns run along the probe's x, rows away from the face along its z; the third axis makes it right-handed.
    matrix[:3, 1] = [0.0, 0.0, settings.pixel_mm[1]]
    matrix[:3, 2] = [0.0, -1.0, 0.0]
    matrix[0, 3] = (left - settings.face_px[0]) * settings.pixel_mm[0]
    matrix[2, 3] = (top - settings.face_px[1]) * settings.pixel_mm[1]
    return matrix
