"""``$$`` and ``$I`` of the simulated controllers: what each firmware prints."""

from __future__ import annotations

from hal.sim.devices.motion_config import Firmware, GrblConfig

RX_BYTES = {Firmware.GRBL: 128, Firmware.GRBLHAL: 1024}
PLANNER_BLOCKS = {Firmware.GRBL: 15, Firmware.GRBLHAL: 100}
LINE_BYTES = {Firmware.GRBL: 80, Firmware.GRBLHAL: 256}
WELCOME = {
    Firmware.GRBL: "\r\nGrbl 1.1h ['$' for help]\r\n",
    Firmware.GRBLHAL: "\r\nGrblHAL 1.1f ['$' or '$HELP' for help]\r\n",
}
UNKNOWN_SETTING = {Firmware.GRBL: 3, Firmware.GRBLHAL: 53}


def initial_settings(config: GrblConfig) -> dict[int, float]:
    """Setting numbers and values at power-up, in printing order (Grbl 1.1 settings table)."""
    hal = config.firmware is Firmware.GRBLHAL
    settings: dict[int, float] = {
        0: 10, 1: 25, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 10: 511 if hal else 1, 11: 0.010, 12: 0.002, 13: 0,
        20: float(config.soft_limits), 21: float(config.hard_limits), 22: float(config.homing), 23: 0,
        24: 25.0, 25: 500.0, 26: 250, 27: 1.0, 30: 1000, 31: 0, 32: 0,
    }  # fmt: skip
    for base, name in ((100, "steps"), (110, "rate_per_min"), (120, "acceleration"), (130, "travel")):
        for index, axis in enumerate(config.axes):
            settings[base + index] = float(getattr(axis, name))
    if hal:
        settings[481] = 0.0  # automatic reports, ms: off
    return settings


_FRACTIONS = {11, 12, 24, 25, 27}


def print_settings(settings: dict[int, float]) -> str:
    """All settings, one line each, as ``$$`` prints them."""
    lines = []
    for number, value in settings.items():
        text = f"{value:.3f}" if number in _FRACTIONS or 100 <= number < 140 else f"{value:.0f}"
        lines.append(f"${number}={text}\r\n")
    return "".join(lines)


def print_identity(config: GrblConfig, note: str) -> str:
    """Answer to ``$I``; ``note``: the user's text after the version, which says that this is a simulation."""
    if config.firmware is Firmware.GRBL:
        return f"[VER:1.1h.20190830:{note}]\r\n[OPT:V,15,128]\r\n"
    count = len(config.axes)
    return (
        f"[VER:1.1f.20260817:{note}]\r\n"
        f"[OPT:VNMGPH,100,1024,{count},0]\r\n"
        f"[AXS:{count}:{config.letters}]\r\n"
        "[FIRMWARE:grblHAL]\r\n"
    )
