"""A foreign OpenIGTLink client (pyigtl) talks to the mounted simulators."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from waiting import ended_patiently

from hal.clock import WallClock
from hal.sim.devices.tracker_igtl import TrackerCore
from hal.sim.devices.ultrasound_igtl import UltrasoundCore
from hal.sim.mounts import mount_tcp
from hal.types import ImagingSettings, Matrix, Pixels

pyigtl = pytest.importorskip("pyigtl")


class Scene:
    def render(self, now_ns: int, settings: ImagingSettings) -> Pixels:
        return np.arange(480 * 640, dtype=np.uint32).reshape(480, 640).astype(np.uint8)

    def tracked(self, now_ns: int) -> dict[str, Matrix | None]:
        matrix = np.eye(4)
        matrix[:3, 3] = [1.0, -2.0, 3.5]
        return {"NeedleTipToTracker": matrix}


PLACE = np.array([[0.2, 0, 0, -40.0], [0, 0, -1.0, 5.0], [0, 0.1, 0, 7.0], [0, 0, 0, 1.0]])


def geometry(settings: ImagingSettings) -> Matrix:
    return PLACE


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


def test_pyigtl_sees_the_same_pixels_and_poses() -> None:
    clock, lock, scene = WallClock(), threading.RLock(), Scene()
    with (
        ended_patiently(
            mount_tcp(UltrasoundCore(scene, geometry), clock, lock, scheme="igtl", clients="all")
        ) as images,
        ended_patiently(mount_tcp(TrackerCore(scene), clock, lock, scheme="igtl", clients="all")) as poses,
    ):
        client = pyigtl.OpenIGTLinkClient("127.0.0.1", port_of(images.url))
        image = client.wait_for_message("Image_Probe", timeout=30)
        client.stop()
        assert image is not None
        assert np.array_equal(image.image[0], scene.render(0, ImagingSettings()))
        assert image.ijk_to_world_matrix == pytest.approx(PLACE, abs=1e-5)
        client = pyigtl.OpenIGTLinkClient("127.0.0.1", port_of(poses.url))
        pose = client.wait_for_message("NeedleTipToTracker", timeout=30)
        client.stop()
        assert pose is not None
        assert pose.matrix[:3, 3] == pytest.approx([1.0, -2.0, 3.5])
