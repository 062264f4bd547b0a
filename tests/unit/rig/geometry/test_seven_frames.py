"""A bench of seven frames: all 42 transforms against poses that were drawn, not chained."""

from __future__ import annotations

import datetime
from itertools import permutations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rig.geometry.graph import AmbiguousTransform, ExpiredCalibration, FrameGraph, MissingTransform

FRAMES = ("Image", "Probe", "Tracker", "Reference", "Phantom", "Stylus", "StylusTip")
STEPS = (
    "ImageToProbe",
    "ProbeToTracker",
    "ReferenceToTracker",
    "PhantomToReference",
    "StylusToTracker",
    "StylusTipToStylus",
)
PITCH = np.diag([0.1, 0.08, 0.09, 1.0])


def places() -> dict[str, np.ndarray]:
    """``FrameToWorld`` of every frame, drawn at random; the image has pixels."""
    rng = np.random.default_rng(7)
    found = {}
    for name in FRAMES:
        found[name] = np.eye(4)
        found[name][:3, :3] = Rotation.random(random_state=rng).as_matrix()
        found[name][:3, 3] = rng.uniform(-300, 300, 3)
    found["Image"] = found["Image"] @ PITCH
    return found


def bench(today: datetime.date | None = None, due: datetime.date | None = None) -> FrameGraph:
    graph, at = FrameGraph(today), places()
    for name in STEPS:
        a, b = name.split("To")
        graph.add(name, np.linalg.inv(at[b]) @ at[a], identity=name, due=due if name == "PhantomToReference" else None)
    return graph


@pytest.mark.parametrize(("a", "b"), list(permutations(FRAMES, 2)))
def test_look_up(a: str, b: str) -> None:
    at = places()
    expected = np.linalg.inv(at[b]) @ at[a]
    assert bench().get(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_there_are_42_of_them() -> None:
    assert len(list(permutations(bench().frames, 2))) == 42


def test_second_way_makes_all_that_cross_the_loop_ambiguous_and_no_other() -> None:
    graph, at = bench(), places()
    shift = np.eye(4)
    shift[0, 3] = 0.3
    graph.add("PhantomToTracker", shift @ np.linalg.inv(at["Tracker"]) @ at["Phantom"], redundant=True)
    refused = set()
    for a, b in permutations(FRAMES, 2):
        try:
            graph.get(a, b)
        except AmbiguousTransform:
            refused.add(frozenset((a, b)))
    loop = {"Phantom", "Reference", "Tracker"}
    outside = {"Image": "Tracker", "Probe": "Tracker", "Stylus": "Tracker", "StylusTip": "Tracker"}
    expected = {frozenset((a, b)) for a, b in permutations(FRAMES, 2) if outside.get(a, a) != outside.get(b, b)}
    assert refused == expected
    (gap,) = graph.loops()
    assert gap.gap_mm == pytest.approx(0.3)
    assert set(gap.around) | {gap.step} == {"PhantomToReference", "ReferenceToTracker", "PhantomToTracker"}
    assert loop <= graph.frames


def test_expiry_is_by_the_day_and_only_where_the_step_is_needed() -> None:
    due = datetime.date(2026, 3, 1)
    on_the_day, after = bench(due, due), bench(due + datetime.timedelta(days=1), due)
    on_the_day.get("Image", "Phantom")
    with pytest.raises(ExpiredCalibration, match="due 2026-03-01, 1 days ago"):
        after.get("Image", "Phantom")
    assert after.get("Image", "Reference").shape == (4, 4)


def test_frame_that_nobody_measured_is_named() -> None:
    with pytest.raises(MissingTransform, match="Needle"):
        bench().get("Image", "Needle")
    graph = bench()
    graph.add("NeedleToCarrier", np.eye(4))
    with pytest.raises(MissingTransform, match=r"Needle reaches \{Carrier, Needle\}"):
        graph.get("Image", "Needle")


def test_spread_of_a_point_through_the_whole_chain_agrees_with_drawing() -> None:
    """Image to phantom: two uncertain rigid steps behind an uncertain one with pixels, 40 000 draws."""
    rng, at = np.random.default_rng(3), places()
    graph = FrameGraph()
    chain = STEPS[:4]
    samples: dict[str, np.ndarray] = {}
    for name in chain:
        a, b = name.split("To")
        matrix = np.linalg.inv(at[b]) @ at[a]
        part = rng.normal(size=(6, 6)) * np.array([5e-4] * 3 + [0.2] * 3)[:, None]
        graph.add(name, matrix, part @ part.T)
        error = rng.multivariate_normal(np.zeros(6), part @ part.T, 40_000)
        turn = np.tile(np.eye(4), (len(error), 1, 1))
        turn[:, :3, :3] = Rotation.from_rotvec(error[:, :3]).as_matrix()
        turn[:, :3, 3] = error[:, 3:]
        samples[name] = turn @ matrix
    pixel = np.array([310.0, 420.0, 0.0, 1.0])
    back = np.linalg.inv(samples["PhantomToReference"]) @ np.linalg.inv(samples["ReferenceToTracker"])
    points = (back @ samples["ProbeToTracker"] @ samples["ImageToProbe"] @ pixel)[:, :3]
    where, covariance = graph.look_up("Image", "Phantom").transform.point(pixel[:3])
    assert where == pytest.approx(points.mean(axis=0), abs=0.03)
    assert covariance == pytest.approx(np.cov(points.T), abs=0.04 * np.abs(covariance).max())
