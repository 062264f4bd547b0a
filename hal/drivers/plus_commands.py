"""PlusServer commands over OpenIGTLink: the XML texts, and the ultrasound parameters by PLUS name.

Source: PlusServer documentation, commands SetUsParameter, GetUsParameter and Version; parameter names as in
its UsImagingParameters element.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hal.errors import BadReply
from hal.links.igtl.messages import Command
from hal.ranges import IMAGING as POSSIBLE
from hal.types import ImagingSettings

IMAGING = {
    "DepthMm": POSSIBLE["depth_mm"],
    "FrequencyMhz": POSSIBLE["frequency_mhz"],
    "GainPercent": (-100.0, 200.0),
    "DynRangeDb": POSSIBLE["dynamic_range_db"],
    "SoundVelocity": POSSIBLE["sound_speed_m_s"],
}
"""Parameters by PLUS name, and what any scanner can report of them [A]: 1 to 500 mm of depth and so on. A value outside
is a unit that was taken for another, or a disturbed reply."""


@dataclass(frozen=True)
class GainScale:
    """Relation of the scanner's gain knob to decibels; it differs from scanner to scanner."""

    zero_percent: float = 50.0
    db_per_percent: float = 0.6

    def percent(self, gain_db: float) -> float:
        return self.zero_percent + gain_db / self.db_per_percent

    def db(self, percent: float) -> float:
        return (percent - self.zero_percent) * self.db_per_percent


@dataclass(frozen=True)
class CommandReply:
    """Reply to a command; ``values`` only holds parameters that the server reported with a value."""

    done: bool
    message: str
    values: Mapping[str, float]


def command_text(name: str, parameters: Iterable[tuple[str, float | None]] = (), device: str = "") -> str:
    """XML of one command; a parameter without a value is queried."""
    root = ElementTree.Element("Command", {"Name": name})
    if device:
        root.set("UsDeviceId", device)
    for key, value in parameters:
        item = ElementTree.SubElement(root, "Parameter", {"Name": key})
        if value is not None:
            item.set("Value", f"{value:.10g}")
    return ElementTree.tostring(root, encoding="unicode")


def read_reply(command: Command, metadata: Mapping[str, str]) -> CommandReply:
    """Result, message and parameter values of an RTS_COMMAND; raises ``BadReply``."""
    try:
        root = ElementTree.fromstring(command.text)
    except ElementTree.ParseError as problem:
        raise BadReply(f"reply to command {command.command_id} is no XML: {problem}", command=command.name) from None
    result = (root.findtext("Result") or "").strip().lower()
    texts = {item.get("Name", ""): item.get("Value", "") for item in root.iter("Parameter")}
    values = {}
    for key, text in {**metadata, **texts}.items():
        if key in IMAGING:
            try:
                values[key] = float(text)
            except ValueError:
                continue
            low, high = IMAGING[key]
            if not low <= values[key] <= high:
                raise BadReply(
                    f"the scanner reports {key} = {text}, outside {low:g} to {high:g}; is it another unit?",
                    command=command.name,
                )
    message = (root.findtext("Message") or root.findtext("Error") or "").strip()
    return CommandReply(result in ("true", "1", "success"), message or command.name, values)


def parameters_of(settings: ImagingSettings, gain: GainScale) -> dict[str, float]:
    """PLUS parameters of imaging settings."""
    return {
        "DepthMm": settings.depth_mm,
        "FrequencyMhz": settings.frequency_mhz,
        "GainPercent": gain.percent(settings.gain_db),
        "DynRangeDb": settings.dynamic_range_db,
        "SoundVelocity": settings.sound_speed_m_s,
    }


def settings_of(values: Mapping[str, float], base: ImagingSettings, gain: GainScale) -> ImagingSettings:
    """Imaging settings from PLUS parameters; what the server did not report stays as in ``base``."""
    return ImagingSettings(
        depth_mm=values.get("DepthMm", base.depth_mm),
        frequency_mhz=values.get("FrequencyMhz", base.frequency_mhz),
        gain_db=gain.db(values["GainPercent"]) if "GainPercent" in values else base.gain_db,
        dynamic_range_db=values.get("DynRangeDb", base.dynamic_range_db),
        sound_speed_m_s=values.get("SoundVelocity", base.sound_speed_m_s),
    )
