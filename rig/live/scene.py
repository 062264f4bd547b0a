"""A running rig as a live scene: frames, poses, readings and what guidance decides, for 3D Slicer over OpenIGTLink.

Offering is quick and never waits (``hal.links.igtl.publisher``), so that nobody who looks on can hold up the rig.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hal.clock import utc_offset_ns
from hal.links.igtl.publisher import Publisher
from hal.types import Frame, HolderState, Matrix, NeedlePose, Pose6, PressureReading
from rig.devices import Rig
from rig.geometry.transforms import from_pose6

SAID = ("state.entered", "hold", "trip", "redirection", "reference")
"""Events that go out as texts."""
SHOWN = ("trial_id", "state", "source", "reason", "moment")
"""Values of an entry that are shown, in this order."""


class LiveScene:
    """Feeds one publisher from a rig and from the trials on it. Coordinates: Rig frame, mm."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def attach(self, rig: Rig) -> None:
        """Publish poses of both carriers, pressure and forces, each with every reading of the rig's own lanes."""
        publisher = self._publisher
        publisher.simulated = rig.simulated
        publisher.utc_offset_ns = utc_offset_ns(rig.clock)
        HolderToRig, CarrierToRig = _base(rig, "Holder"), _base(rig, "Carrier")
        mount = rig.config.needle.mount

        def holder(sample: Any) -> None:
            state: HolderState = sample.value
            pose: Pose6 = state.pose
            publisher.transform("ProbeToHolder", from_pose6(pose), state.time_ns)
            if HolderToRig is not None:
                publisher.transform("ProbeToRig", HolderToRig @ from_pose6(pose), state.time_ns)

        def carrier(sample: Any) -> None:
            pose: NeedlePose = sample.value.pose
            NeedleToCarrier = mount.frame(pose)
            publisher.transform("NeedleToCarrier", NeedleToCarrier, sample.value.time_ns)
            if CarrierToRig is not None:
                publisher.transform("NeedleToRig", CarrierToRig @ NeedleToCarrier, sample.value.time_ns)

        def pressure(sample: Any) -> None:
            reading: PressureReading = sample.value
            publisher.sensor("pressure", (reading.pressure_kpa,), "kPa", reading.time_ns)

        def force(role: str) -> Callable[[Any], None]:
            return lambda sample: publisher.sensor(role, (sample.value.force_n,), "N", sample.value.time_ns)

        wanted: dict[str, Callable[[Any], None]] = {
            "holder": holder,
            "carrier": carrier,
            "pressure": pressure,
            "needle_force": force("needle_force"),
            "probe_force": force("probe_force"),
        }
        for role, listener in wanted.items():
            if role in rig.channels:
                rig.channels[role].listeners.append(listener)

    def frame(self, frame: Frame, ProbeToRig: Matrix) -> None:
        """Publish a frame at the place where it was taken."""
        self._publisher.frame(frame, ProbeToRig)

    def event(self, kind: str, data: Mapping[str, Any], time_ns: int) -> None:
        """Publish an entry of a trial's journal: the plan as a path, a confirmed tip as a point, states and stops as
        texts."""
        if kind == "plan.chosen":
            entry, aim = _point(data["entry_rig_mm"]), _point(data["aim_rig_mm"])
            self._publisher.path("Plan", entry, aim, time_ns)
            self._publisher.points("Aim", {"aim": aim}, time_ns)
        elif kind == "tip" and data["confirmed"]:
            self._publisher.points("Tip", {"tip by the image": _point(data["tip_rig_mm"])}, time_ns)
        elif kind in SAID:
            shown = [str(data[key]) for key in SHOWN if key in data]
            self._publisher.text(f"{kind}: {', '.join(shown)}", time_ns)


def _base(rig: Rig, name: str) -> Matrix | None:
    return rig.frames.get(name, "Rig") if {name, "Rig"} <= rig.frames.frames else None


def _point(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in np.asarray(values))
    return x, y, z
