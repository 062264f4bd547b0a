"""A role is the word of rig files and records, with the type of what its device reads."""

from __future__ import annotations

import json
from typing import get_type_hints

import hal.interfaces as interfaces
from rig import roles
from rig.config import ROLES
from rig.devices import Rig
from rig.roles import Role

NAMED = {name: value for name, value in vars(roles).items() if isinstance(value, Role)}


def test_a_role_is_its_word_in_files_records_and_messages() -> None:
    assert {name.lower() for name in NAMED} == {*NAMED.values()} <= {*ROLES}
    assert json.dumps({roles.PUMP: roles.PUMP}) == '{"pump": "pump"}'
    assert f"{roles.PUMP}_stale" == "pump_stale" and type(str(roles.PUMP)) is str


def test_a_role_reads_what_the_interface_of_its_device_promises() -> None:
    devices, typed = get_type_hints(Rig), get_type_hints(roles)
    for name, role in NAMED.items():
        (device, _) = devices[role].__args__
        assert vars(interfaces)[device.__name__] is device
        (reads,) = typed[name].__args__
        assert get_type_hints(device.read)["return"] == reads, role
