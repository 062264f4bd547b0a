"""Orientation of the image on the probe, as a person sees it.

Besides an earlier calibration only this detects a mirrored image: wires in water fit their mirror image as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hal.errors import CalibrationRefused, ConfigError
from hal.types import Matrix

_AXES = {f"{sign}{axis}": (k, 1.0 if sign == "+" else -1.0) for k, axis in enumerate("xyz") for sign in "+-"}
_AGREES = 0.5
"""Cosine: an axis that is named by eye is the nearest one, at most 60 deg off [A]."""


@dataclass(frozen=True)
class PictureSides:
    """Axes of the probe marker's frame (``+x`` ... ``-z``), empty where nobody looked.

    ``marked``: points from the middle of the probe to its marked side, where the picture's first column is in MF order.
    ``away``: points away from the probe's face, down the picture.
    """

    marked: str = ""
    away: str = ""

    def __post_init__(self) -> None:
        for name in filter(None, (self.marked, self.away)):
            if name not in _AXES:
                raise ConfigError(f"side {name!r}: an axis of the probe's marker is one of {', '.join(_AXES)}")

    @property
    def complete(self) -> bool:
        return bool(self.marked and self.away)

    def check(self, ImageToProbe: Matrix) -> None:
        """Raise ``CalibrationRefused`` (``image_flipped``, ``image_turned``) when the image has another orientation."""
        for what, name, direction in (
            ("columns (marked side)", self.marked, -ImageToProbe[:3, 0]),
            ("rows (away from the face)", self.away, ImageToProbe[:3, 1]),
        ):
            if not name:
                continue
            axis, sign = _AXES[name]
            cosine = sign * float(direction[axis]) / float(np.linalg.norm(direction))
            if cosine >= _AGREES:
                continue
            flipped = cosine <= -_AGREES
            angle = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
            raise CalibrationRefused(
                "image_flipped" if flipped else "image_turned",
                f"the picture's {what} should run along {name} of the probe's marker and lie {angle:.0f} deg from it"
                + (": the picture is flipped" if flipped else ""),
                advice="Check the stated image orientation, or look again which side of the probe is marked",
                figures={"axis": name, "angle_deg": angle},
            )
