"""Identification of a Harvard pump, and the settings that it needs before it may infuse.

Established at opening, looked at again before every infusion.
"""

from __future__ import annotations

import contextlib

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hal.drivers.pump_harvard_line import HarvardLine
from hal.errors import BadReply, DeviceError, LinkError, NoReply

IDENTIFY_ATTEMPTS = 4
SWITCHES = (("nvram none", "nvram off"), ("cttime",), ("ctvolume",))
"""Settings without a value to read, each in the forms that models know: settings go to RAM only, since the memory wears
out; no target time, which would end an infusion early and also ends a ramp; no target volume of somebody else."""


class Settings(BaseModel):
    """Connection of the pump, and limits of what may be asked of it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    url: str
    baudrate: int = Field(default=115200, ge=9600, le=921600)
    address: int = Field(default=0, ge=0, le=99)
    diameter_mm: float = Field(ge=0.1, le=50.0)
    """Inner diameter of the syringe."""
    syringe_ml: float = Field(default=5.0, gt=0, le=100)
    """Volume of the syringe: the pump accepts no larger target."""
    force_percent: int = Field(default=50, ge=1, le=100)
    """Share of the pump's force: 30 for glass, 50 for plastic up to 5 mL, 100 for larger plastic (manufacturer)."""
    portion_s: float = Field(default=1.0, ge=0.0, le=255.0)
    """Seconds of an infusion that are sent at a time, since the pump has no watchdog; the next portion is sent while
    the program reads the pump's state. 1 is what a line of 0.5 uL/kPa can bear at 3 mL/min when nobody stops the pump.
    0 = all at once, an even flow, for a rig file whose largest infusion may go in after the host has died."""
    max_rate_ml_min: float = Field(default=15.0, gt=0, le=100)
    max_volume_ml: float = Field(default=5.0, gt=0, le=100)
    """Largest volume of one infusion."""
    timeout_s: float = Field(default=0.3, gt=0, le=5)

    @model_validator(mode="after")
    def _portion_is_seen_to(self) -> Settings:
        if 0.0 < self.portion_s < 0.5:
            raise ValueError("portion_s: a portion under 0.5 s is over before somebody reads the pump; 0 = all at once")
        return self


def identify(line: HarvardLine, settings: Settings) -> tuple[str, str]:
    """Model and firmware. Whatever the pump's state, it is set to end its answers with XON and to echo nothing."""
    last: LinkError | None = None
    for _ in range(IDENTIFY_ATTEMPTS):
        for first in ("poll on", "echo off"):  # one that echoes, or has no such switch, answers as it likes
            with contextlib.suppress(NoReply, BadReply):
                line.exchange(first)
        try:
            reply = line.exchange("ver")
            if not reply.refusal:
                return reply.version()
            last = BadReply(f"ver was answered with {reply.refusal!r}", port=settings.url)
        except (NoReply, BadReply) as error:
            # An answer says more than the silence after it.
            last = last if isinstance(error, NoReply) and last is not None else error
    raw = last.raw if isinstance(last, BadReply) else b""
    raise LinkError(
        f"the device on {settings.url} does not answer like a Harvard or KD Scientific pump: "
        + (f"got {raw[:40]!r}" if raw else f"{last}")
        + f"; check port, pump address {settings.address} and {settings.baudrate} baud",
        port=settings.url,
        command="ver",
    ) from last


def establish(line: HarvardLine, settings: Settings) -> None:
    """Set everything that an earlier user may have left and an infusion relies on; read it back where possible.

    The program "infuse only" cannot be (the words of the answer to ``load`` are not known): the direction is seen in
    every prompt and in the withdrawn volume.
    """
    refused = ""
    try:
        line.attempt("load qs i")
    except DeviceError as error:  # a pump that infuses only may have nothing to choose
        refused = str(error)
    if refused and "I/W" in line.ask("ver").version()[0]:
        raise line.refused("load qs i", f"the pump cannot be kept from withdrawing ({refused})")
    for forms in SWITCHES:
        for form in forms:
            with contextlib.suppress(DeviceError):
                line.attempt(form)
                break
    line.put("diameter", f"{settings.diameter_mm:g}", float(f"{settings.diameter_mm:g}"))
    line.put("svolume", f"{settings.syringe_ml:g} ml", float(f"{settings.syringe_ml:g}"))
    line.put("force", f"{settings.force_percent}", settings.force_percent)
    line.expect("tvolume", None)
    verify(line, settings)


def verify(line: HarvardLine, settings: Settings) -> None:
    """Verify that the settings made at opening still hold; raises ``DeviceError`` (code ``changed``) otherwise."""
    try:
        line.expect("diameter", float(f"{settings.diameter_mm:g}"))
        line.expect("svolume", float(f"{settings.syringe_ml:g}"))
        line.expect("force", settings.force_percent)
        for query, clear in (("ttime", "Target time not set"), ("iramp", "Ramp not set up")):
            if not line.ask(query).refusal:  # it has such a thing
                line.expect_answer(query, clear, lambda reply, c=clear: reply.lines[0].strip().startswith(c))  # type: ignore[misc]
    except DeviceError as error:
        raise line.refused(
            "settings", f"{error}; it was changed since the rig was opened, at its keys or by another program; nothing"
            " was infused; find out by whom, then open the rig again", "changed",
        ) from error  # fmt: skip
