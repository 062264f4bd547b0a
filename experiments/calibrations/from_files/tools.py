"""Tracked tools: tip, axis, and the fiducials that a stylus touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rig.calibration import results
from rig.calibration.origins import from_files
from rig.calibration.result import Result
from rig.calibration.tool.dwell import find_dwells, name_dwells
from rig.calibration.tool.dwell_tip import against_phantom, check_tip
from rig.calibration.tool.pivot import calibrate_pivot, tool_poses, valid_tool_poses
from rig.calibration.tool.spin import calibrate_spin
from rig.formats.formats import read_recording
from rig.formats.named_points import read_named_points, write_named_points


def pivot_from(recording: Path, *, tool: str = "StylusToTracker", reference: str = "") -> Result:
    """Tip of a tool from a recording of it turning about its resting tip.

    Raises ``ConfigError`` for a file that cannot be read, ``CalibrationRefused`` for poses that do not hold the tip.
    """
    sequence = read_recording(recording, timed=False)
    found = calibrate_pivot(tool_poses(sequence, tool, reference))
    return results.pivot(found, from_files(recording, simulated=sequence.simulated))


def spin_from(pivot: Path, spin: Path, *, tool: str = "NeedleToTracker", reference: str = "") -> Result:
    """Axis of a straight tool from a recording of its pivot and one of it turning about its shaft; raises as above."""
    one, two = read_recording(pivot, timed=False), read_recording(spin, timed=False)
    tip = calibrate_pivot(tool_poses(one, tool, reference))
    found = calibrate_spin(tool_poses(two, tool, reference), tip)
    return results.spin(found, tip, from_files(pivot, spin, simulated=one.simulated or two.simulated))


def landmarks_from(
    recording: Path,
    nominal: Path,
    tip_mm: Sequence[float],
    *,
    tool: str = "StylusToTracker",
    reference: str = "",
    tolerance_mm: float = 2.0,
    tip_limit_mm: float = 1.0,
    out: Path | None = None,
) -> Result:
    """Fiducials that a stylus touched, found and named; ``tip_mm`` (3) in the stylus's frame.

    ``tolerance_mm``: how well the distances must agree; ``tip_limit_mm``: a tip that the swivel shows off by more is
    refused; ``out``: written as a table of points. Raises as above.
    """
    sequence = read_recording(recording, timed=False)
    times, poses = valid_tool_poses(sequence, tool, reference)
    dwells = find_dwells(times, poses, tip_mm)
    tested = check_tip(times, poses, tip_mm, dwells)
    design = read_named_points(nominal)
    if tested.wrong(tip_limit_mm):
        tested = against_phantom(tested, times, poses, tip_mm, design, tolerance_mm)
        tested.refuse_wrong(limit_mm=tip_limit_mm)
    naming = name_dwells(design, [d.point_mm for d in dwells], tolerance_mm=tolerance_mm)
    if out is not None:
        write_named_points(out, naming.measured, simulated=sequence.simulated)
    origin = from_files(recording, nominal, simulated=sequence.simulated)
    return results.landmarks(naming, tuple(dwells), tested, origin)
