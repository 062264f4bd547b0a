"""Settings that the OpenIGTLink drivers have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class IgtlSettings(BaseModel):
    """Address of the server, and the relation of its stamps to the moment of measuring."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    url: str = "igtl://127.0.0.1:18944"
    timeout_s: float = Field(2.0, gt=0, le=3600)
    """Time limit for connecting, for the first data and for the answer to a command."""
    reconnect_s: float = Field(1.0, gt=0, le=3600)
    """Shortest time between two attempts after the connection was lost."""
    silence_s: float = Field(3.0, gt=0, le=3600)
    """A connection without data for this time is closed and opened again."""
    latency_ms: float = Field(0.0, ge=0, le=5000)
    """Age of a measurement at its stamp, from the temporal calibration."""
    transfer_ms: float = Field(0.0, ge=0, le=5000)
    """Shortest time from stamp to arrival, if it was measured; 0: taken from a stamped answer to a command, and
    contained in the offset (frames seem younger by it) when the server gives none."""

    @field_validator("url")
    @classmethod
    def _scheme(cls, url: str) -> str:
        if not url.startswith(("igtl://", "tcp://", "rigsim://")):
            raise ValueError("must start with igtl://, tcp:// or rigsim://")
        return url
