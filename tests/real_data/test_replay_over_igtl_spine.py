"""The spine sweep played over OpenIGTLink into the drivers of a bench: its own poses, pixels and metrics."""

from __future__ import annotations

import numpy as np
import pytest
from recordings import FOLDER, needs
from replayed_wire import through_the_drivers

from analysis.motion.metrics import Motion, corrected, perk_tutor
from hal.clock import VirtualClock
from rig.calibration.probe.plus_config import read_plus_config
from rig.live import open_source

SWEEP = FOLDER / "plus/SpinePhantomFreehand.igs.mha"
CONFIG = FOLDER / "plus_config/PlusDeviceSet_SpinePhantomFreehandReconstructionOnly.xml"

pytestmark = needs(*(str(p.relative_to(FOLDER)) for p in (SWEEP, CONFIG)))


def test_sweep_read_by_the_drivers_has_the_metrics_of_the_file() -> None:
    source = open_source(SWEEP, read_plus_config(CONFIG).transforms["ImageToProbe"].matrix)
    tracks, frames, core = through_the_drivers(source, VirtualClock(10**9))
    assert core.publisher.refused == {}
    assert set(tracks) == {"ProbeToTracker", "ReferenceToTracker", "StylusToTracker"}
    for tool, original in source.tracks.items():
        again = tracks[tool]
        assert np.array_equal(np.diff(again.time_ns), np.diff(original.time_ns))  # to the nanosecond
        exact, live = (Motion(tool, original.time_ns, t.matrices) for t in (original, again))
        assert corrected(live) == pytest.approx(corrected(exact), rel=1e-3, abs=1e-3)
        assert perk_tutor(live) == pytest.approx(perk_tutor(exact), rel=1e-3, abs=1e-3)
    assert source.images is not None
    assert len(frames) == 21
    assert all(np.array_equal(frame.pixels, source.images.pixels(n)) for n, frame in enumerate(frames))
