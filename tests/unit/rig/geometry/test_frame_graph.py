import datetime

import numpy as np
import pytest

from rig.geometry.graph import (
    AmbiguousTransform,
    ExpiredCalibration,
    FrameGraph,
    MissingTransform,
    TransformCycle,
    frames_of,
)
from rig.geometry.transforms import FrameError, TransformGraph, rotation, translation

TODAY = datetime.date(2026, 3, 1)
SMALL = np.diag([1e-6] * 3 + [0.01] * 3)


def _rig(today: datetime.date | None = None) -> FrameGraph:
    graph = FrameGraph(today)
    graph.add("ImageToProbe", np.diag([0.1, 0.1, 0.1, 1.0]), SMALL, identity="NW-1")
    graph.add("ProbeToTracker", rotation(5, 6, 7) @ translation(10, 20, 30), SMALL)
    graph.add("ReferenceToTracker", rotation(0, 40, 0) @ translation(-4, 0, 9))
    graph.add("PhantomToReference", translation(1, 2, 3), SMALL, identity="PR-1", due=datetime.date(2026, 2, 1))
    return graph


def test_any_frame_is_looked_up_from_any_other() -> None:
    graph = _rig()
    for a in graph.frames:
        for b in graph.frames:
            assert np.allclose(graph.get(a, b) @ graph.get(b, a), np.eye(4))
            for c in graph.frames:
                assert np.allclose(graph.get(b, c) @ graph.get(a, b), graph.get(a, c))


def test_answers_are_those_of_the_plain_graph() -> None:
    plain = TransformGraph()
    plain.add("ProbeToTracker", rotation(5, 6, 7) @ translation(10, 20, 30))
    plain.add("ReferenceToTracker", rotation(0, 40, 0))
    graph = FrameGraph.of(plain, ("ProbeToTracker", "ReferenceToTracker"))
    assert np.allclose(graph.get("Probe", "Reference"), plain.get("Probe", "Reference"))


def test_a_chain_names_its_steps_calibrations_and_earliest_due_date() -> None:
    chain = _rig().look_up("Image", "Phantom")
    assert [s.name for s in chain.steps] == [
        "ImageToProbe",
        "ProbeToTracker",
        "ReferenceToTracker",
        "PhantomToReference",
    ]
    assert chain.as_json()["calibrations"] == ["NW-1", "PR-1"]
    assert chain.due == datetime.date(2026, 2, 1)
    shorter = _rig().look_up("Image", "Probe")
    assert chain.transform.point_sd_mm([100, 100, 0]) > shorter.transform.point_sd_mm([100, 100, 0])


def test_missing_step_is_reported_with_what_each_end_reaches() -> None:
    graph = _rig()
    graph.add("NeedleToCarrier", np.eye(4))
    with pytest.raises(MissingTransform, match=r"Needle reaches \{Carrier, Needle\}"):
        graph.look_up("Needle", "Phantom")
    with pytest.raises(MissingTransform, match="frame 'Stylus' is not known"):
        graph.look_up("Stylus", "Phantom")


def test_a_loop_is_refused_and_says_how_far_it_gapes() -> None:
    graph = _rig()
    direct = graph.get("Probe", "Reference") @ translation(0.0, 3.0, 4.0)
    with pytest.raises(TransformCycle, match=r"ProbeToTracker \+ ReferenceToTracker.*5\.000 mm"):
        graph.add("ProbeToReference", direct)


def test_a_redundant_step_makes_the_answer_ambiguous_until_one_way_is_chosen() -> None:
    graph = _rig()
    graph.add("ProbeToReference", graph.get("Probe", "Reference") @ translation(0, 0, 2.0), SMALL, redundant=True)
    with pytest.raises(AmbiguousTransform, match="2 answers"):
        graph.get("Probe", "Reference")
    assert len(graph.look_up("Probe", "Reference", via=("Tracker",)).steps) == 2
    (gap,) = graph.loops()
    assert gap.gap_mm == pytest.approx(2.0)
    assert gap.p_value < 1e-6


def test_loop_gap_within_the_uncertainties_is_not_rare() -> None:
    graph = _rig()
    graph.add("ProbeToReference", graph.get("Probe", "Reference") @ translation(0, 0, 0.1), SMALL, redundant=True)
    assert graph.loops()[0].p_value > 0.5


@pytest.mark.parametrize("name", ["ProbeToTracker", "TrackerToProbe"])
def test_a_second_definition_is_refused_in_either_direction(name: str) -> None:
    with pytest.raises(AmbiguousTransform, match="given twice"):
        _rig().add(name, np.eye(4))


def test_replace_puts_a_new_value_and_a_failed_replace_keeps_the_old_one() -> None:
    graph = _rig()
    old = graph.get("Probe", "Tracker")
    with pytest.raises(FrameError):
        graph.replace("ProbeToTracker", np.zeros((4, 4)))
    assert np.allclose(graph.get("Probe", "Tracker"), old)
    graph.replace("ProbeToTracker", translation(1, 0, 0))
    assert np.allclose(graph.get("Probe", "Tracker"), translation(1, 0, 0))


def test_an_expired_step_is_refused_only_where_it_is_needed() -> None:
    graph = _rig(TODAY)
    assert graph.get("Image", "Reference").shape == (4, 4)
    with pytest.raises(ExpiredCalibration, match=r"PR-1.*28 days ago"):
        graph.get("Image", "Phantom")
    assert graph.look_up("Image", "Phantom", allow_expired=True).due is not None


@pytest.mark.parametrize("name", ["Probe", "probeToTracker", "ProbeTo", "ToTracker", "Probe To Tracker", ""])
def test_a_name_that_does_not_read_a_to_b_is_refused(name: str) -> None:
    with pytest.raises(FrameError):
        frames_of(name)


def test_a_name_that_reads_two_ways_or_maps_to_itself_is_refused() -> None:
    with pytest.raises(AmbiguousTransform):
        frames_of("ImageToProbeToTracker")
    with pytest.raises(TransformCycle):
        frames_of("ProbeToProbe")
    assert frames_of("TopToBase") == ("Top", "Base")
