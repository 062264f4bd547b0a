"""Past poses of a carrier: frames carry times, poses are interpolated to them."""

from __future__ import annotations

from bisect import bisect_right

from hal.errors import DeviceError
from hal.types import CarrierState, HolderState, NeedlePose, Pose6
from rig.lanes import Sample

KEPT = 4096
"""Readings kept: 400 s at 10 Hz, longer than any frame waits."""


class PoseHistory:
    """Readings of one carrier in order of time; linear between them, held beyond the newest."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._times_ns: list[int] = []
        self._poses: list[tuple[float, ...]] = []

    def __len__(self) -> int:
        return len(self._times_ns)

    def add(self, sample: Sample[HolderState] | Sample[CarrierState]) -> None:
        """Take a reading, as listener of the carrier's channel."""
        state = sample.value
        if self._times_ns and state.time_ns <= self._times_ns[-1]:
            return
        self._times_ns.append(state.time_ns)
        self._poses.append(state.pose.as_tuple())
        if len(self._times_ns) > 2 * KEPT:
            del self._times_ns[:KEPT], self._poses[:KEPT]

    def at(self, time_ns: int) -> tuple[float, ...]:
        """Interpolated axes; raises ``DeviceError`` when nothing was read yet."""
        times, poses = self._times_ns, self._poses
        if not times:
            raise DeviceError(f"the {self._device} has not reported a position yet", device=self._device)
        i = bisect_right(times, time_ns)
        if i == 0:
            return poses[0]
        if i >= len(times):
            return poses[min(len(poses), len(times)) - 1]
        share = (time_ns - times[i - 1]) / (times[i] - times[i - 1])
        return tuple(a + share * (b - a) for a, b in zip(poses[i - 1], poses[i], strict=True))

    def probe_at(self, time_ns: int) -> Pose6:
        return Pose6(*self.at(time_ns))

    def needle_at(self, time_ns: int) -> NeedlePose:
        return NeedlePose(*self.at(time_ns))
