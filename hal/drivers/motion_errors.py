"""Error and alarm numbers of Grbl 1.1 and grblHAL in words (``$EE`` and ``$EA`` of the firmware list them)."""

from __future__ import annotations

ERRORS = {
    1: "a word is no letter with a number",
    2: "a number cannot be read",
    3: "the $ command is unknown",
    5: "homing is not enabled ($22)",
    8: "the controller is not idle",
    9: "locked out by an alarm or a jog",
    10: "soft limits need homing",
    11: "the line is too long",
    15: "the jog leaves the travel of the machine",
    16: "not allowed in a jog",
    20: "the command is not supported",
    22: "the feed rate is missing",
    25: "a word stands twice",
    26: "no axis is named",
    53: "the $ command is unknown",
    79: "the emergency stop is active",
}
ALARMS = {
    1: "a limit switch was hit, position is lost",
    2: "a move would have left the travel",
    3: "reset while moving, position is lost",
    4: "the probe was already triggered",
    5: "the probe found no contact",
    6: "homing was reset",
    7: "a door opened while homing",
    8: "homing could not leave the switch",
    9: "homing did not find the switch",
    10: "the emergency stop was pressed",
    11: "homing is required",
    13: "probe protection was triggered",
    17: "a motor driver reports a fault",
}
