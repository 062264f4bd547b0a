"""Bounds that files share, and the errors of checks across several keys."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pydantic_core import PydanticCustomError

REFUSED = "refused"
"""Type of the error that ``refusal`` makes."""

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$")]
"""A name that becomes part of a path, a column or a link: it cannot leave its folder or hide in it."""

Coordinate = Annotated[float, Field(ge=-2000.0, le=2000.0)]
"""A place on the bench in mm: nothing on a table stands further off than 2 m [A]."""
Offset = Annotated[float, Field(ge=-500.0, le=500.0)]
"""A place on or beside the phantom in mm; the largest block is under half a metre [A]."""
Degrees = Annotated[float, Field(ge=-360.0, le=360.0)]
"""A turn as a person states it."""
Matrix16 = tuple[Annotated[float, Field(ge=-10_000.0, le=10_000.0)], ...]
"""A 4x4 matrix row by row: directions, pitches in mm per pixel and shifts in mm."""


def within(low: float, high: float, default: Any = ...) -> Any:
    """Number of a file with its bounds, both included; without ``default`` the key is required."""
    return Field(default=default, ge=low, le=high)


def refusal(*faults: tuple[str, str]) -> PydanticCustomError:
    """Error of a check across keys: for each fault the key within the table (dotted, may be empty) and what is wrong.

    All faults are reported at once, each with the line of its key.
    """
    text = "; ".join(f"{key}: {text}" if key else text for key, text in faults)
    return PydanticCustomError(REFUSED, "{text}", {"text": text, "faults": list(faults)})
