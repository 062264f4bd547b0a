"""The ways of needles as they were kept: tips, tangents, forces and channels of fixed insertions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from kept_figures import kept

from hal.phantom.materials import Material
from hal.phantom.needles import load_needle
from hal.sim.hand import Hand
from hal.sim.mount_error import MountError
from hal.sim.needle import Needle
from hal.sim.stylus import Stop, Stylus
from hal.types import NeedlePose, Vector

DT = 0.005


def material(label: int, youngs_kpa: float, puncture_n: float = 0.0, puncture_mm: float = 0.0) -> Material:
    return Material(
        name=f"m{label}", label=label, sound_speed_m_s=1540.0, attenuation_db_cm_mhz=0.5, impedance_mrayl=1.6,
        backscatter_db=0.0, youngs_kpa=youngs_kpa, puncture_n=puncture_n, puncture_mm=puncture_mm, cutting_n=0.12,
        friction_n_mm=0.004 * label, opening_kpa=15.0, plateau_kpa=10.0, context="gel",
    )  # fmt: skip


LAYERS = {m.label: m for m in (material(0, 0.001), material(1, 18.0), material(2, 26.0, 0.8, 2.0), material(3, 2e7))}


class Slope:
    """Skin at 0, a stiffer layer from 20 to 26 mm, bone below a surface that leans in X and Y."""

    def __init__(self, lean: tuple[float, float] = (0.0, 0.0), bone_mm: float = 1e3) -> None:
        self._lean, self._bone_mm = lean, bone_mm

    def label_at(self, point: Vector) -> int:
        x, y, z = (float(v) for v in point)
        if z < 0.0:
            return 0
        if z >= self._bone_mm + self._lean[0] * x + self._lean[1] * y:
            return 3
        return 2 if 20.0 <= z < 26.0 else 1

    def material(self, label: int) -> Material:
        return LAYERS[label]


def axis(lateral_deg: float, tilt_deg: float) -> Vector:
    a, b = math.radians(lateral_deg), math.radians(tilt_deg)
    return np.array([-math.sin(a), -math.sin(b) * math.cos(a), math.cos(a) * math.cos(b)])


class Bench:
    """A needle that is driven, and what was seen of it."""

    def __init__(self, name: str, seed: int, tissue: Slope | None = None) -> None:
        self.needle = Needle(load_needle(name), tissue or Slope(), seed)
        self.seen: list[Any] = []

    def go(self, entry: Vector, direction: Vector, feeds: tuple[float, float], bevel_deg: float = 0.0) -> None:
        count = max(1, round(abs(feeds[1] - feeds[0]) / 0.4))
        for feed in np.linspace(*feeds, count + 1)[1:]:
            self.needle.step(entry, direction, float(feed), bevel_deg, DT)
        n = self.needle
        self.seen.append(
            [n.tip_mm, n.tip_direction, n.axial_force_n, n.embedded_mm, n.deflection_mm, n.bone_contact, n.buckled,
             n.passes, n.path[::20]]
        )  # fmt: skip


ENTRY = np.array([4.0, -3.0, -2.0])
WAY = axis(25.0, -18.0)


@pytest.mark.parametrize("bevel_deg", [0.0, 70.0, 200.0])
def test_a_needle_goes_in_and_out_and_in_again(bevel_deg: float) -> None:
    bench = Bench("25G_quincke_127", 7)
    for feeds in ((-4.0, 12.0), (12.0, 60.0), (60.0, 31.3), (31.3, 64.0), (64.0, -6.0), (-6.0, 30.0)):
        bench.go(ENTRY, WAY, feeds, bevel_deg)
    kept(__file__, f"in and out {bevel_deg:g}", bench.seen)


def test_a_bevel_is_turned_and_the_carrier_moved_with_the_needle_inside() -> None:
    bench = Bench("22G_quincke_120", 3)
    bench.go(ENTRY, WAY, (-4.0, 35.0), 0.0)
    bench.go(ENTRY, WAY, (35.0, 60.0), 150.0)
    bench.go(ENTRY + np.array([1.5, -2.0, 0.5]), axis(26.0, -16.5), (60.0, 60.2), 150.0)
    bench.go(ENTRY, WAY, (60.2, 61.0), 150.0)
    kept(__file__, "turned and dragged", bench.seen)


def test_a_needle_is_redirected_after_a_partial_withdrawal() -> None:
    bench = Bench("22G_whitacre_119", 11)
    bench.go(ENTRY, WAY, (-4.0, 60.0))
    bench.go(ENTRY, WAY, (60.0, 20.6))
    bench.go(ENTRY, axis(17.0, -10.0), (20.6, 64.0))
    bench.go(ENTRY, axis(17.0, -10.0), (64.0, -5.0))
    bench.go(ENTRY + np.array([2.0, 1.0, 0.0]), WAY, (-5.0, 20.0))
    kept(__file__, "redirected", [bench.seen, [b[::10] for b in bench.needle.branches]])


@pytest.mark.parametrize(("lean", "bevel_deg"), [((-5.0, 1.0), 180.0), ((2.0, 6.0), 40.0), ((0.3, -0.2), 0.0)])
def test_a_needle_meets_bone(lean: tuple[float, float], bevel_deg: float) -> None:
    bench = Bench("22G_quincke_120", 5, Slope(lean, 34.0))
    for feeds in ((-4.0, 30.0), (30.0, 40.0), (40.0, 45.0), (45.0, 44.2), (44.2, 25.0)):
        bench.go(np.array([0.0, 0.0, -1.0]), axis(3.0, 4.0), feeds, bevel_deg)
    kept(__file__, f"bone {lean}", bench.seen)


def test_a_force_settles_at_rest() -> None:
    bench = Bench("22G_quincke_120", 5)
    bench.go(ENTRY, WAY, (-4.0, 33.0))
    for seconds in (0.1, 0.3, 1.0):
        bench.needle.step(ENTRY, WAY, 33.0, 0.0, seconds)
        bench.seen.append(bench.needle.axial_force_n)
    kept(__file__, "at rest", bench.seen)


def test_a_mount_turns_its_run_out_with_the_bevel() -> None:
    mount = MountError((1.2, -0.8, 1.6), (0.5, 0.2), 0.001)
    # At 30 degrees: 0.5 mm of run-out and 0.001 x 90^2 / 2 = 4.05 mm of bend on one axis, 0.2 mm on the other.
    c, s = math.cos(math.radians(30.0)), math.sin(math.radians(30.0))
    assert mount.local_mm(NeedlePose(0, 0, 0, 0, 20.0, 30.0)) == pytest.approx(
        (1.2 + c * 4.55 - s * 0.2, -0.8 + s * 4.55 + c * 0.2, 1.6)
    )


def test_a_hand_trembles_while_it_moves_inside() -> None:
    hand = Hand(4, 0.1)
    hand.start(NeedlePose(1.0, 2.0, 30.0, 10.0, 40.0, 90.0), 0, 2.0)
    seen = [hand.axes_at(int(t * 1e9)) for t in (0.0, 0.5, 1.1, 1.55, 1.83, 2.5)]
    still = [hand.pose(int(t * 1e9)).feed_mm for t in (1.1, 1.55)]
    # Tremor along the needle is 0.1 mm rms, and as much at 60 mm from the entry sideways.
    many = np.array([hand.axes_at(int(t * 1e9)) for t in np.linspace(1.2, 1.99, 400)])
    free = np.array([hand.pose(int(t * 1e9)).as_tuple() for t in np.linspace(1.2, 1.99, 400)])
    shake = (many - free).std(axis=0)
    assert shake[4] == pytest.approx(0.1, rel=0.1)
    assert math.radians(float(shake[2])) * 60.0 == pytest.approx(0.1, rel=0.1)
    hand.freeze(int(1.5e9))
    kept(__file__, "hand", [seen, still, hand.pose(int(3e9)).as_tuple(), hand.done_ns])


def test_a_stylus_is_held_as_it_was_kept() -> None:
    stylus = Stylus.of(3, 4, 0.1)
    away = np.linalg.norm([Stylus.of(seed, 4, 0.1).tip_mm for seed in range(40)] - np.array([0.8, -0.5, 150.0]), axis=0)
    assert away / np.sqrt(40) == pytest.approx([0.6] * 3, abs=0.15)
    stops = [Stop(np.array([10.0, -20.0, 0.0]), np.array([0.0, 0.0, 1.0]), 2.0, 20.0, 1.5),
             Stop(np.array([-30.0, 5.0, 8.0]), np.array([0.6, 0.0, 0.8]), 1.0, 10.0)]  # fmt: skip
    times = stylus.go(stops, 1_000_000_000)
    seen = [stylus.pose_at(int(t * 1e9)) for t in (0.5, 1.3, 1.9, 2.7, 3.6, 4.3, 5.1, 9.0)]
    tips = [pose[:3, :3] @ stylus.tip_mm + pose[:3, 3] for pose in seen]
    assert np.linalg.norm(tips[2] - stops[0].point_mm) < 0.5  # at rest in its divot
    kept(__file__, "stylus", [stylus.tip_mm, times, seen, tips])
