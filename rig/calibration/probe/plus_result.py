"""Result files of PLUS's probe calibration (``ProbeCalibrationResult``): read with every segmented point, and written.

Ours carry the same elements, so that PLUS's own comparison reads them, and beside the best-95 % figures the errors of
all points (attributes ``...AllPoints...``).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hal.errors import ConfigError
from hal.types import Matrix
from rig.calibration.probe.errors import Points, misfit_px
from rig.calibration.probe.nwire import NWireCalibration, RecordingResult
from rig.calibration.probe.plus_config import matrix_text, parse_matrix, read_xml, write_xml
from rig.calibration.probe.wires import WirePhantom


@dataclass(frozen=True)
class ResultFrame:
    """One frame of a result file."""

    index: int
    segmented: bool
    dots_px: dict[str, tuple[float, float]] = field(repr=False)
    """By wire name; empty when it was not segmented."""
    errors_mm: dict[str, float] = field(repr=False)
    """3-D error by middle wire."""
    transforms: dict[str, Matrix] = field(repr=False)


@dataclass(frozen=True)
class PlusResult:
    """A result file; statistics are (mean, standard deviation) in mm over the best 95 % as PLUS prints them."""

    path: Path
    ImageToProbe: Matrix = field(repr=False)
    names: tuple[str, str]
    validation_mm: tuple[float, float]
    calibration_mm: tuple[float, float]
    validation: tuple[ResultFrame, ...] = field(repr=False)
    calibration: tuple[ResultFrame, ...] = field(repr=False)

    def points(self, phantom: WirePhantom, PhantomToReference: Matrix, which: str) -> Points:
        """Points of the ``calibration`` or ``validation`` part, ready for a fit."""
        dots, poses, index = [], [], []
        for frame in self.calibration if which == "calibration" else self.validation:
            if not frame.segmented:
                continue
            try:
                dots.append([frame.dots_px[w.name] for w in phantom.wires])
                reference, probe = frame.transforms["ReferenceToTracker"], frame.transforms["ProbeToTracker"]
            except KeyError as error:
                raise ConfigError(f"{self.path}: frame {frame.index} of {which} lacks {error}") from None
            poses.append(np.linalg.inv(probe) @ reference @ PhantomToReference)
            index.append(frame.index)
        return Points(phantom, np.array(dots), np.array(poses), np.array(index, dtype=np.intp))


def read_plus_result(path: Path) -> PlusResult:
    """Read one; raises ``ConfigError`` with one clear message."""
    root = read_xml(path)
    if root.tag != "ProbeCalibrationResult":
        raise ConfigError(f"{path}: is no probe calibration result (its root is <{root.tag}>)")
    transform = root.find("CalibrationResults/Transform")
    statistics = root.find("ErrorReport/ReprojectionError3DStatistics")
    if transform is None or statistics is None:
        raise ConfigError(f"{path}: holds no transform or no error statistics; is it a result with an error report?")
    names = transform.get("From", ""), transform.get("To", "")

    def pair(kind: str) -> tuple[float, float]:
        return _float(path, statistics, f"{kind}MeanMm"), _float(path, statistics, f"{kind}StdDevMm")

    return PlusResult(
        path, parse_matrix(path, f"{names[0]} to {names[1]}", transform.get("Matrix")), names,
        pair("Validation"), pair("Calibration"),
        tuple(_frame(path, e) for e in root.findall("ErrorReport/ValidationData/Frame")),
        tuple(_frame(path, e) for e in root.findall("ErrorReport/CalibrationData/Frame")),
    )  # fmt: skip


def write_plus_result(path: Path, result: NWireCalibration, source: str = "Image", target: str = "Probe") -> None:
    """Write ``result``; without a validation recording the held-out folds stand in for it (attribute says so)."""
    root = ET.Element("ProbeCalibrationResult", version="2.0")
    place = ET.SubElement(root, "CalibrationResults")
    ET.SubElement(place, "Transform", {"From": source, "To": target, "Matrix": matrix_text(result.ImageToProbe)})
    report = ET.SubElement(root, "ErrorReport")
    held = result.k_fold if result.validation is None else result.validation.errors
    made = result.calibration.errors
    numbers = {
        "ValidationMeanMm": held.best95_mean_mm, "ValidationStdDevMm": held.best95_sd_mm,
        "CalibrationMeanMm": made.best95_mean_mm, "CalibrationStdDevMm": made.best95_sd_mm,
        "ValidationAllPointsMeanMm": held.mean_mm, "ValidationAllPointsP95Mm": held.p95_mm,
        "ValidationAllPointsMaxMm": held.max_mm, "CalibrationAllPointsMeanMm": made.mean_mm,
        "CalibrationAllPointsP95Mm": made.p95_mm, "CalibrationAllPointsMaxMm": made.max_mm,
    }  # fmt: skip
    statistics = ET.SubElement(report, "ReprojectionError3DStatistics", {k: f"{v:.6g}" for k, v in numbers.items()})
    statistics.set("ValidationBy", "folds" if result.validation is None else "recording")
    flat = ET.SubElement(report, "ReprojectionError2DStatistics")
    other = result.calibration if result.validation is None else result.validation
    for tested, own in zip(other.wires, result.calibration.wires, strict=True):
        element = ET.SubElement(flat, "Wire", Name=own.wire)
        for kind, wire in (("Validation", tested), ("Calibration", own)):
            element.set(f"{kind}MeanPx", f"{wire.mean_px[0]:.6g} {wire.mean_px[1]:.6g}")
            element.set(f"{kind}StdDevPx", f"{wire.sd_px[0]:.6g} {wire.sd_px[1]:.6g}")
    if result.validation is not None:
        _write_frames(ET.SubElement(report, "ValidationData"), result.validation, result.ImageToProbe)
    _write_frames(ET.SubElement(report, "CalibrationData"), result.calibration, result.ImageToProbe)
    write_xml(root, path)


def _write_frames(place: ET.Element, part: RecordingResult, ImageToProbe: Matrix) -> None:
    wires = part.points.phantom.wires
    row = {int(k): n for n, k in enumerate(part.points.frame)}
    misfit = misfit_px(part.points, ImageToProbe)
    for verdict in part.verdicts:
        frame = ET.SubElement(place, "Frame", Index=str(verdict.index))
        if verdict.index not in row:
            frame.set("SegmentationStatus", "Failed")
            frame.set("Reason", "" if verdict.refusal is None else verdict.refusal.text)
            continue
        n = row[verdict.index]
        frame.set("SegmentationStatus", "OK")
        points = ET.SubElement(frame, "SegmentedPoints")
        for w, (x, y) in zip(wires, part.points.dots_px[n], strict=True):
            ET.SubElement(points, "Point", WireName=w.name, Position=f"{x:.6g} {y:.6g} 0")
        solid = ET.SubElement(frame, "ReprojectionError3DList")
        for k, error in enumerate(part.errors_mm[n]):
            ET.SubElement(solid, "ReprojectionError3D", WireName=wires[3 * k + 1].name, ErrorMm=f"{error:.6g}")
        flat = ET.SubElement(frame, "ReprojectionError2DList")
        for w, (x, y) in zip(wires, misfit[n], strict=True):
            ET.SubElement(flat, "ReprojectionError2D", WireName=w.name, ErrorPx=f"{x:.6g} {y:.6g}")
        tracked = ET.SubElement(frame, "TrackedFrame")
        pose = matrix_text(part.points.PhantomToProbe[n])
        ET.SubElement(tracked, "CustomFrameField", Name="PhantomToProbeTransform", Value=pose)


def _frame(path: Path, element: ET.Element) -> ResultFrame:
    try:
        index = int(element.get("Index", ""))
        dots = {}
        for p in element.findall("SegmentedPoints/Point"):
            x, y = (float(v) for v in p.get("Position", "").split()[:2])
            dots[p.get("WireName", "")] = (x, y)
        errors = {
            p.get("WireName", ""): float(p.get("ErrorMm", "nan"))
            for p in element.findall("ReprojectionError3DList/ReprojectionError3D")
        }
    except ValueError as error:
        raise ConfigError(f"{path}: a Frame element is damaged: {error}") from None
    transforms = {}
    for item in element.findall("TrackedFrame/CustomFrameField"):
        name = item.get("Name", "")
        if name.endswith("Transform"):
            transforms[name[: -len("Transform")]] = parse_matrix(path, f"frame {index}: {name}", item.get("Value"))
    return ResultFrame(index, element.get("SegmentationStatus") == "OK", dots, errors, transforms)


def _float(path: Path, element: ET.Element, key: str) -> float:
    try:
        return float(element.get(key, ""))
    except ValueError:
        raise ConfigError(f"{path}: {element.tag} lacks {key}") from None
