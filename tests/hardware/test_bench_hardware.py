"""Tests that touch a real bench: skipped unless ``--hardware --rig FILE`` is given. Nothing here moves anything."""

from __future__ import annotations

import pytest

from hal.clock import WallClock
from rig.config import load_config
from rig.setup.assemble import open_rig


@pytest.mark.hardware
def test_every_device_of_the_bench_opens_identifies_itself_and_reads(request):
    path = request.config.getoption("--rig")
    assert path, "give --rig FILE with the bench's rig.toml"
    clock = WallClock()
    rig = open_rig(load_config(path), clock)
    try:
        clock.sleep(2.0)
        for role, channel in rig.channels.items():
            assert channel.fault is None, f"{role}: {channel.fault}"
            assert channel.period_ns == 0 or channel.reads > 0, f"{role} was never read"
            assert rig.identities[role].model
    finally:
        assert rig.close() == []
