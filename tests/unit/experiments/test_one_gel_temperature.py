"""Trials and the registration by bone take the gel's temperature, and with it its speed of sound, from one answer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tiny_devices import Bench

from experiments import cartridge
from experiments.calibrations import phantom_surface
from hal.clock import VirtualClock
from hal.types import ImagingSettings
from rig.instruments.thermometer import GelTemperature, gel_temperature


class Asked(Exception):
    """The gel's speed of sound was asked for at a temperature."""


def speed(celsius):
    raise Asked(celsius)


def test_the_registration_takes_the_temperature_that_a_trial_takes(monkeypatch):
    bench = Bench(VirtualClock())
    controller = bench.controller()
    controller.start()
    trial = gel_temperature(controller)
    assert trial == GelTemperature(21.0, "pressure"), "no thermometer: the pressure cell's"
    monkeypatch.setattr(phantom_surface, "check_plan", lambda controller, plan: ())
    monkeypatch.setattr(phantom_surface, "require_clear", lambda controller, doing: None)
    config = SimpleNamespace(gel=SimpleNamespace(speed=speed))
    scanner = SimpleNamespace(settings=ImagingSettings)
    rig = SimpleNamespace(config=config, ultrasound=scanner, channels=controller.rig.channels)
    standing = SimpleNamespace(
        rig=rig, clock=controller.clock, read=controller.read, wait_out_pause=controller.wait_out_pause
    )
    with pytest.raises(Asked) as asked:
        phantom_surface.scan(standing, ())
    assert asked.value.args == (trial.celsius,)
    assert cartridge.gel_temperature is gel_temperature
