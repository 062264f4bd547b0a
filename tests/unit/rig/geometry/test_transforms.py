import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hal.errors import ConfigError
from hal.types import NeedlePose, Pose6
from rig.geometry.transforms import (
    FrameError,
    TransformGraph,
    apply,
    compose,
    from_needle_pose,
    from_pose6,
    invert,
    needle_direction,
    rotation,
    to_pose6,
    translation,
)

angle = st.floats(-89.0, 89.0)
length = st.floats(-500.0, 500.0)


@given(angle, angle, st.floats(-179.0, 179.0))
def test_rotation_agrees_with_an_independent_library(a, b, c):
    expected = Rotation.from_euler("xyz", [a, b, c], degrees=True).as_matrix()  # extrinsic: Rz Ry Rx
    np.testing.assert_allclose(rotation(a, b, c)[:3, :3], expected, atol=1e-12)


@given(length, length, length, angle, angle, st.floats(-179.0, 179.0))
def test_a_pose_survives_the_way_to_a_matrix_and_back(x, y, z, a, b, c):
    pose = Pose6(x, y, z, a, b, c)
    np.testing.assert_allclose(to_pose6(from_pose6(pose)).as_tuple(), pose.as_tuple(), atol=1e-7)


@pytest.mark.parametrize("b", [90.0, -90.0])
def test_at_the_singular_angle_the_matrix_is_still_the_same(b):
    matrix = from_pose6(Pose6(1, 2, 3, 30.0, b, 50.0))
    np.testing.assert_allclose(from_pose6(to_pose6(matrix)), matrix, atol=1e-9)


def test_the_longitudinal_view_turns_the_array_along_the_spine():
    ProbeToHolder = from_pose6(Pose6(0, 0, 0, c_deg=90.0))
    np.testing.assert_allclose(ProbeToHolder[:3, 0], [0, 1, 0], atol=1e-12)


@given(angle, angle, st.floats(-20.0, 120.0))
def test_the_needle_frame_follows_the_definition_of_its_angles(lateral, tilt, feed):
    pose = NeedlePose(10.0, -20.0, lateral, tilt, feed)
    la, ti = math.radians(lateral), math.radians(tilt)
    direction = [-math.sin(la), -math.sin(ti) * math.cos(la), math.cos(la) * math.cos(ti)]
    matrix = from_needle_pose(pose)
    np.testing.assert_allclose(matrix[:3, 2], direction, atol=1e-12)
    np.testing.assert_allclose(needle_direction(pose), direction, atol=1e-12)
    np.testing.assert_allclose(matrix[:3, 3], np.array([10.0, -20.0, 0.0]) + feed * np.array(direction), atol=1e-9)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0)


def test_a_positive_lateral_angle_goes_from_plus_x_to_the_midline():
    assert needle_direction(NeedlePose(59, 8.5, 30, 0, 68))[0] == pytest.approx(-0.5)


def test_compose_reads_from_right_to_left_and_invert_undoes():
    AToB, BToC = from_pose6(Pose6(1, 2, 3, 10, 20, 30)), from_pose6(Pose6(-4, 5, 6, -7, 8, 9))
    point = np.array([0.3, -0.2, 7.0])
    np.testing.assert_allclose(apply(compose(BToC, AToB), point), apply(BToC, apply(AToB, point)))
    np.testing.assert_allclose(compose(invert(AToB), AToB), np.eye(4), atol=1e-12)


def test_pixel_pitch_is_inverted_too():
    ImageToProbe = np.array([[0.2, 0, 0, -50.0], [0, 0, 1, 0], [0, 0.3, 0, -5.0], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(invert(ImageToProbe) @ ImageToProbe, np.eye(4), atol=1e-12)


def test_a_graph_joins_frames_over_any_chain_both_ways():
    graph = TransformGraph()
    graph.add("ProbeToHolder", translation(1, 0, 0))
    graph.add("HolderToRig", translation(0, 2, 0))
    graph.add("PhantomToRig", translation(0, 0, 3))
    np.testing.assert_allclose(graph.get("Probe", "Phantom")[:3, 3], [1, 2, -3])
    np.testing.assert_allclose(graph.get("Phantom", "Probe")[:3, 3], [-1, -2, 3])
    np.testing.assert_allclose(graph.get("Rig", "Rig"), np.eye(4))


def test_frames_with_to_inside_their_names_are_understood():
    graph = TransformGraph()
    graph.add("ToolToTracker", translation(1, 0, 0))
    assert graph.frames == {"Tool", "Tracker"}


@pytest.mark.parametrize("name", ["HolderRig", "ToRig", "HolderTo", "holderToRig", ""])
def test_a_bad_name_is_refused(name):
    with pytest.raises(FrameError):
        TransformGraph().add(name, np.eye(4))


def test_frames_that_nothing_joins_are_an_error_that_names_them():
    graph = TransformGraph()
    graph.add("HolderToRig", np.eye(4))
    with pytest.raises(FrameError, match="Tracker"):
        graph.get("Tracker", "Rig")


def test_a_wrong_frame_name_is_bad_input_and_no_fault_of_ours() -> None:
    """Names of frames come from files and from the command line."""
    with pytest.raises(ConfigError, match="must read AToB"):
        TransformGraph().add("nonsense", np.eye(4))
