"""A study that its reference instrument cannot decide does not begin."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.decidable import undecided
from experiments.protocol.study import load_study
from experiments.run import check_rig
from hal.errors import ConfigError
from rig.config import Placement, RigConfig, load_config


def rig_with(**tracker: Any) -> RigConfig:
    config = load_config("simulated")
    devices = dict(config.devices)
    devices["tracker"] = {**devices["tracker"], **tracker}
    return config.model_copy(update={"devices": devices})


def complaints(config: RigConfig) -> tuple[str, ...]:
    study = load_study("lumbar")
    return undecided(study, study.loaded(), config)


@pytest.mark.parametrize("name", ["simulated", "freehand", "core"])
def test_the_shipped_study_can_be_decided_on_the_shipped_rigs(name: str) -> None:
    assert complaints(load_config(name)) == ()


@pytest.mark.parametrize(("u_mm", "n"), [(0.82, 0), (0.84, 2)])
def test_a_third_of_the_limit_is_the_border(u_mm: float, n: int) -> None:
    """0.833 mm, 0.11 mm of it from the phantom in its tracked body."""
    found = complaints(rig_with(tip_uncertainty_mm=u_mm))
    assert len(found) == n
    assert all("limit 5 mm" in text or "<= 5 mm" in text for text in found)


def test_an_instrument_at_the_hub_is_charged_with_the_bend_that_it_does_not_see() -> None:
    (first, _second) = complaints(rig_with(sees_bending=False, tip_uncertainty_mm=0.1))
    assert "because it does not see the needle bend" in first


def test_the_phantoms_place_in_its_tracked_body_counts_at_the_target() -> None:
    """0.8 deg on a lever of some 60 mm takes a study over the border that the tip alone leaves."""
    known = rig_with(tip_uncertainty_mm=0.7)
    assert complaints(known) == ()
    loose = Placement(uncertainty_deg=0.8)
    frames = known.frames.model_copy(update={"PhantomToReference": loose})
    (first, _second) = complaints(known.model_copy(update={"frames": frames}))
    assert "from the phantom's place in its tracked body" in first


def test_the_study_is_refused_before_anything_is_made() -> None:
    study = load_study("lumbar")
    with pytest.raises(ConfigError, match=r"cannot decide the study.*IP-TTE.*better instrument"):
        check_rig(study, rig_with(sees_bending=False), study.loaded())
