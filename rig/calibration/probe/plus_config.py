"""Device-set configurations of PLUS: coordinate definitions, phantom definition, segmentation hints; read and written.

Everything that is not understood stays in the document, so a file that is read, given a new transform and written
again keeps its devices and comments (format: Plus application user manual, "Device set configuration").
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hal.errors import ConfigError
from hal.types import Matrix
from rig.calibration.probe.wires import NPattern, Wire, WirePhantom
from rig.geometry.transforms import FrameError, TransformGraph

Point = tuple[float, float, float]


@dataclass(frozen=True)
class PlusTransform:
    """One ``Transform`` of ``CoordinateDefinitions``: maps ``source`` coordinates to ``target``."""

    source: str
    target: str
    matrix: Matrix = field(repr=False)
    error: float | None = None
    date: str = ""

    @property
    def name(self) -> str:
        return f"{self.source}To{self.target}"


@dataclass(frozen=True)
class ProbeFrames:
    """Names of the frames that take part in a probe calibration."""

    image: str = "Image"
    probe: str = "Probe"
    reference: str = "Reference"
    phantom: str = "Phantom"


@dataclass(frozen=True)
class PlusConfig:
    """Parts of a device-set file that a calibration needs; ``phantom`` is None when the file defines none."""

    path: Path
    transforms: Mapping[str, PlusTransform] = field(repr=False)
    phantom: WirePhantom | None
    frames: ProbeFrames
    spacing_mm_per_px: float | None
    clip_px: tuple[int, int, int, int] | None
    """Column, row, columns, rows; applied to the image in MF order."""
    root: ET.Element = field(repr=False, compare=False)

    def transform(self, name: str) -> PlusTransform:
        """Transform by its name ``AToB``; raises ``ConfigError`` naming those that are there."""
        try:
            return self.transforms[name]
        except KeyError:
            known = ", ".join(sorted(self.transforms)) or "none"
            raise ConfigError(f"{self.path}: has no {name} transform (it has: {known})") from None

    @property
    def image_to_probe(self) -> Matrix | None:
        """The configuration's own probe calibration, in one step or in several; None when it has none."""
        graph = TransformGraph()
        for name, item in self.transforms.items():
            graph.add(name, item.matrix)
        try:
            return graph.get(self.frames.image, self.frames.probe)
        except FrameError:
            return None

    def write(self, path: Path, *transforms: PlusTransform) -> None:
        """Write a copy in which these transforms are new or replaced; everything else is kept."""
        root = ET.fromstring(ET.tostring(self.root), ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))
        place = root.find("CoordinateDefinitions")
        if place is None:
            place = ET.SubElement(root, "CoordinateDefinitions")
        for item in transforms:
            found = [
                e for e in place.findall("Transform") if (e.get("From"), e.get("To")) == (item.source, item.target)
            ]
            element = found[0] if found else ET.SubElement(place, "Transform", From=item.source, To=item.target)
            element.set("Matrix", matrix_text(item.matrix))
            for key, value in (("Error", None if item.error is None else f"{item.error:.6g}"), ("Date", item.date)):
                if value:
                    element.set(key, value)
                else:
                    element.attrib.pop(key, None)
        write_xml(root, path)


def read_plus_config(path: Path) -> PlusConfig:
    """Read one; raises ``ConfigError`` with one clear message."""
    root = read_xml(path)
    if root.tag != "PlusConfiguration":
        raise ConfigError(f"{path}: is no PLUS configuration (its root is <{root.tag}>)")
    transforms = {}
    for element in root.findall("CoordinateDefinitions/Transform"):
        item = _transform(path, element)
        transforms[item.name] = item
    algorithm = root.find("vtkPlusProbeCalibrationAlgo")
    attributes = {} if algorithm is None else algorithm.attrib
    frames = ProbeFrames(
        *(attributes.get(f"{n}CoordinateFrame", n) for n in ("Image", "Probe", "Reference", "Phantom"))
    )
    segmentation = root.find("Segmentation")
    hints = {} if segmentation is None else segmentation.attrib
    spacing = _number(path, hints, "ApproximateSpacingMmPerPixel")
    return PlusConfig(path, transforms, _phantom(path, root), frames, spacing, _clip(path, hints), root)


def write_plus_config(path: Path, phantom: WirePhantom, *transforms: PlusTransform) -> None:
    """Write a new, small configuration with a phantom definition and coordinate definitions."""
    root = ET.Element("PlusConfiguration", version="2.1")
    definition = ET.SubElement(root, "PhantomDefinition")
    ET.SubElement(definition, "Description", {"Name": phantom.name, **phantom.attributes})
    geometry = ET.SubElement(definition, "Geometry")
    for pattern in phantom.patterns:
        element = ET.SubElement(geometry, "Pattern", Type="NWire")
        for w in pattern.wires:
            ends = {"EndPointFront": _point_text(w.front_mm), "EndPointBack": _point_text(w.back_mm)}
            ET.SubElement(element, "Wire", {"Name": w.name, **ends})
    landmarks = ET.SubElement(geometry, "Landmarks")
    for name, position in phantom.landmarks_mm.items():
        ET.SubElement(landmarks, "Landmark", Name=name, Position=_point_text(position))
    planes = ET.SubElement(geometry, "Planes")
    for name, points in phantom.planes_mm.items():
        corners = zip(("BasePoint", "EndPoint1", "EndPoint2"), map(_point_text, points), strict=True)
        ET.SubElement(planes, "Plane", {"Name": name, **dict(corners)})
    PlusConfig(path, {}, phantom, ProbeFrames(), None, None, root).write(path, *transforms)


def read_xml(path: Path) -> ET.Element:
    """Parse a file without declarations of entities; raises ``ConfigError``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ConfigError(f"{path}: declares a document type or entities, which are not accepted")
    try:
        return ET.fromstring(data, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))
    except (ET.ParseError, LookupError, ValueError) as error:
        raise ConfigError(f"{path}: is no well-formed XML, perhaps cut off: {error}") from None


def write_xml(root: ET.Element, path: Path) -> None:
    """Write an indented document; raises ``ConfigError`` when the file cannot be written."""
    ET.indent(root)
    try:
        path.write_bytes(ET.tostring(root, encoding="utf-8") + b"\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def matrix_text(matrix: Matrix) -> str:
    """Sixteen numbers, row by row, that read back as the same doubles."""
    return " ".join(repr(float(v)) for v in np.asarray(matrix).ravel())


def parse_matrix(path: Path, what: str, text: str | None) -> Matrix:
    """Sixteen finite numbers with last row 0 0 0 1; raises ``ConfigError``."""
    try:
        matrix = np.array([float(word) for word in (text or "").split()]).reshape(4, 4)
    except ValueError:
        raise ConfigError(f"{path}: the matrix of {what} is not sixteen numbers") from None
    if not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise ConfigError(f"{path}: the matrix of {what} must be finite with last row 0 0 0 1")
    return matrix


def _transform(path: Path, element: ET.Element) -> PlusTransform:
    source, target = element.get("From", ""), element.get("To", "")
    if not source or not target:
        raise ConfigError(f"{path}: a Transform of CoordinateDefinitions lacks From or To")
    matrix = parse_matrix(path, f"{source} to {target}", element.get("Matrix"))
    return PlusTransform(source, target, matrix, _number(path, element.attrib, "Error"), element.get("Date", ""))


def _phantom(path: Path, root: ET.Element) -> WirePhantom | None:
    definition = root.find("PhantomDefinition")
    if definition is None:
        return None
    description = definition.find("Description")
    about = {} if description is None else dict(description.attrib)
    name = about.pop("Name", "") or path.stem
    patterns, skipped = [], []
    for element in definition.findall("Geometry/Pattern"):
        wires = tuple(_wire(path, w) for w in element.findall("Wire"))
        kind = element.get("Type", "")
        try:
            if kind == "NWire":
                patterns.append(NPattern.of(wires))
            else:
                skipped.append(f"{kind or 'untyped'}: {', '.join(w.name for w in wires)}")
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
    landmarks = {
        e.get("Name", f"#{n + 1}"): _point(path, e, "Position")
        for n, e in enumerate(definition.findall("Geometry/Landmarks/Landmark"))
    }
    planes = {
        e.get("Name", f"plane {n + 1}"): tuple(_point(path, e, k) for k in ("BasePoint", "EndPoint1", "EndPoint2"))
        for n, e in enumerate(definition.findall("Geometry/Planes/Plane"))
    }
    if not patterns:
        if skipped:
            raise ConfigError(f"{path}: phantom {name!r} has no N-wire pattern, only: {'; '.join(skipped)}")
        return None
    try:
        return WirePhantom(name, tuple(patterns), landmarks, planes, about, tuple(skipped))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _wire(path: Path, element: ET.Element) -> Wire:
    name = element.get("Name", "")
    if not name:
        raise ConfigError(f"{path}: a wire has no name")
    front, back = _point(path, element, "EndPointFront"), _point(path, element, "EndPointBack")
    try:
        return Wire(name, front, back)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _point(path: Path, element: ET.Element, key: str) -> Point:
    text = element.get(key)
    label = f"{element.tag} {element.get('Name', '')}".strip()
    if text is None:
        raise ConfigError(f"{path}: {label} lacks {key}")
    try:
        x, y, z = (float(word) for word in text.split())
    except ValueError:
        raise ConfigError(f"{path}: {label}: {key} = {text!r} is not three numbers") from None
    return x, y, z


def _point_text(point: Point) -> str:
    return " ".join(repr(float(v)) for v in point)


def _number(path: Path, attributes: Mapping[str, str], key: str) -> float | None:
    text = attributes.get(key)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{path}: {key} = {text!r} is not a number") from None


def _clip(path: Path, hints: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    words = (hints.get("ClipRectangleOrigin", "") + " " + hints.get("ClipRectangleSize", "")).split()
    if not words:
        return None
    try:
        x, y, width, height = (int(word) for word in words)
    except ValueError:
        raise ConfigError(f"{path}: the clip rectangle is not two origins and two sizes in pixels") from None
    if min(x, y) < 0 or min(width, height) <= 0:
        return None
    return x, y, width, height
