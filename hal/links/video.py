"""Video through OpenCV: files by their container time stamps, frame grabbers and URLs as frames arrive.

The only place that opens ``cv2.VideoCapture``. A file is pulled frame by frame; a live source is grabbed by a task
of its own, so that reading never waits for a device that has stopped.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hal.clock import NS_PER_S, Clock, Task
from hal.errors import ConfigError, LinkError

NS_PER_MS = 1_000_000
_REST_S = 0.002
COUNTED = (".mp4", ".m4v", ".mov", ".avi")
"""Containers that hold the number of their frames."""
_SILENT_STEPS = 1.5
"""So many of the longest steps between two frames may lie between the last frame and the end."""


@dataclass(frozen=True)
class Picture:
    """One decoded picture: (rows, columns, 3) in blue, green, red order, or (rows, columns)."""

    time_ns: int
    """File: since its first frame, by the container. Live: rig time right after the grab."""
    pixels: NDArray[np.uint8]
    number: int
    """Counted from 1 in the order of the source."""


class VideoFile:
    """A recorded video; frames come in order with the times that the container gives them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such video file")
        self._capture = cv2.VideoCapture(str(path))
        self._number = 0
        self._first_ms = 0.0
        self._grabbed_ns: int | None = None
        self._last_ns = self._longest_ns = 0
        self._step()
        if self._grabbed_ns is None:
            self._capture.release()
            raise ConfigError(f"{path}: no video that can be decoded (damaged, or an unknown format)")

    @property
    def next_ns(self) -> int | None:
        """Time of the next frame since the first one; None at the end."""
        return self._grabbed_ns

    @property
    def lost(self) -> str:
        """Frames that the container announces and the file did not give, once it is at its end; '' when it was
        complete.

        The decoder passes over damaged and missing frames without a word. Some containers (``.mkv``) know a length
        and no number of frames, and the number made from it is wrong at an uneven rate: there the end is judged.
        """
        announced = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        if self._grabbed_ns is not None or not self._number < announced or not rate > 0:
            return ""
        silent_ns = announced / rate * NS_PER_S - self._last_ns
        if self.path.suffix.lower() not in COUNTED and silent_ns < _SILENT_STEPS * self._longest_ns:
            return ""
        return f"only {self._number} of {announced:.0f} frames can be decoded; it was cut off or is damaged"

    def take(self) -> Picture:
        """Decode the next frame; raises ``LinkError`` when it is damaged or there is none."""
        time_ns, number = self._grabbed_ns, self._number
        if time_ns is None:
            raise LinkError(f"{self.path}: no frame after number {number}", port=str(self.path))
        ok, pixels = self._capture.retrieve()
        if not ok:
            raise LinkError(f"{self.path}: frame {number} cannot be decoded", port=str(self.path))
        self._step()
        return Picture(time_ns, np.asarray(pixels, dtype=np.uint8), number)

    def _step(self) -> None:
        before_ns = self._grabbed_ns
        if not self._capture.grab():
            self._grabbed_ns = None
            return
        time_ms = float(self._capture.get(cv2.CAP_PROP_POS_MSEC))
        self._number += 1
        if self._number == 1:
            self._first_ms = time_ms
        time_ns = round((time_ms - self._first_ms) * NS_PER_MS)
        if before_ns is not None and time_ns <= before_ns:
            raise ConfigError(f"{self.path}: frame {self._number} has no time stamp after that of the frame before")
        self._longest_ns, self._last_ns = max(self._longest_ns, time_ns - self._last_ns), time_ns
        self._grabbed_ns = time_ns

    def close(self) -> None:
        self._capture.release()


class LiveVideo:
    """A grabber (by number or device path) or a URL; keeps the newest picture."""

    def __init__(self, source: str, clock: Clock, timeout_s: float) -> None:
        if clock.virtual:
            raise ConfigError(f"video source {source!r} runs in real time and cannot be used with simulated time")
        self.source = source
        self._clock = clock
        timeout_ms = int(timeout_s * 1000)
        if source.isdigit():
            self._capture = cv2.VideoCapture(int(source))
        elif source.startswith("/dev/"):
            self._capture = cv2.VideoCapture(source)
        else:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
            self._capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            raise LinkError(
                f"video source {source!r} cannot be opened; is the grabber plugged in and free, is the URL right?",
                port=source,
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._lock = threading.Lock()
        self._newest: Picture | None = None
        self._ended = False
        self._task: Task = clock.spawn(f"video {source}", self._grab_all)

    def _grab_all(self) -> None:
        number = 0
        while self._capture.grab():
            time_ns = self._clock.now_ns()
            number += 1
            ok, pixels = self._capture.retrieve()
            if ok:
                with self._lock:
                    self._newest = Picture(time_ns, np.asarray(pixels, dtype=np.uint8), number)
            self._clock.sleep(_REST_S)
        self._ended = True

    def newest(self, silence_s: float) -> Picture | None:
        """The newest picture, the same one until the next; raises ``LinkError`` when the source went silent."""
        with self._lock:
            picture = self._newest
        if self._ended or self._task.error is not None:
            raise LinkError(f"video source {self.source!r} ended; check cable and scanner", port=self.source)
        if picture is not None and self._clock.now_ns() - picture.time_ns > silence_s * NS_PER_S:
            raise LinkError(
                f"video source {self.source!r} gave no picture for {silence_s:g} s; check cable and scanner",
                port=self.source,
            )
        return picture

    def close(self, timeout_s: float) -> None:
        """Stop grabbing and release the device."""
        self._task.stop()
        if self._task.join(timeout_s):
            self._capture.release()
