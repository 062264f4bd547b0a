"""Readings from pictures of a QA block: rows of wires, discs and speckle, each with what the layout says of it.

The same rows come from a live scanner, a recording and single pictures: a picture is pixels, their place in the probe's
plane and the dynamic range of the display.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hal.errors import CalibrationRefused
from hal.phantom.qa_block import KINDS, BlockWire, QaBlock
from rig.calibration.scanner.block_match import Match, looked_up, match
from rig.calibration.scanner.discs import find_disc, wires_near
from rig.calibration.scanner.picture import BlockPicture
from rig.calibration.scanner.speckle import across, plain, with_depth
from rig.calibration.scanner.wire_dots import Dot, find_dots

NAN = float("nan")
ENOUGH = 0.45
"""Score of a layout that fits: four of five wires of a good picture lie within 0.8 mm, a foreign layout reaches 0.3."""
MOST_KNOWN_N = 5
"""Fewer expected wires do not find their own place beside a known one."""
NEAR_BAND_MM = (5.0, 20.0)
"""Depths over which the level along the face is taken: each element counts most near the face."""
BESIDE_MM = 4.5
"""A wire nearer to the end of the face has half a beam only."""
BANG_GAP_DB = 6.0
"""A wire is apart from the main bang when the level between both falls so far below the wire's."""

Row = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class BlockReadings:
    """Rows of one picture, by name of the table, without its stamp; see ``analysis.qa.kinds.ultrasound_block``."""

    rows: dict[str, list[Row]] = field(repr=False)
    match: Match = field(repr=False)


def read_block(picture: BlockPicture, block: QaBlock, number: int, known: Match | None = None) -> BlockReadings:
    """Everything that one picture shows of a block.

    Args:
        number: of the picture, for the rows.
        known: match of another picture by the same scanner, moved to where this one was taken.

    Raises:
        CalibrationRefused: the picture shows another block, or none, or the block turned round.
    """
    wires, dots = block.all_wires(), find_dots(picture)
    found = None
    if known is not None:
        layout = np.array([[w.x_mm, w.z_mm] for w in wires])
        if np.count_nonzero(picture.inside(known.at(layout))) <= MOST_KNOWN_N:
            found = looked_up(picture, dots, wires, known)
    if found is None:
        found = match(picture, dots, wires, known)
    if found is None or max(found.score, found.mirrored) < ENOUGH:
        seen = 0.0 if found is None else max(found.score, found.mirrored)
        raise CalibrationRefused(
            "layout",
            f"the picture does not show {block.title or block.name}: of the wires that should be there "
            f"{100 * seen:.0f} % have a bright dot",
            advice="Check the block's file, the place of the probe on its window, depth and gain of the scanner",
            figures={"score": seen},
        )
    if found.turned_round:
        raise CalibrationRefused(
            "layout",
            f"the block is turned round, or the probe: the mirrored layout of {block.title or block.name} explains "
            f"{100 * found.mirrored:.0f} % of the wires, the layout as drawn {100 * found.score:.0f} %",
            advice="Turn the block or the probe by 180 degrees, and look whether the scanner mirrors its picture",
            figures={"score": found.score, "mirrored": found.mirrored},
        )
    rows: dict[str, list[Row]] = {"places": [(float(number), picture.view_x_mm, found.score, found.mirrored)]}
    rows["wires"] = [
        _wire_row(picture, number, wire, dot)
        for wire, dot, expected in zip(wires, found.found, found.expected, strict=True)
        if wire.kind != "group" and (_below_face(picture, found, wire) if wire.kind == "dead_zone" else expected)
    ]
    near = wires_near(found, [(w.x_mm, w.z_mm) for w in wires])
    rows["discs"] = []
    for disc in block.all_cylinders():
        as_seen = find_disc(picture, found, disc, near)
        if as_seen is not None:
            wanted = NAN if disc.contrast_db is None else disc.contrast_db
            rows["discs"].append((
                float(number), disc.x_mm, disc.z_mm, disc.diameter_mm, wanted, as_seen.x_mm, as_seen.z_mm,
                as_seen.diameter_mm, as_seen.contrast_db, as_seen.cnr, float(as_seen.seen),
            ))  # fmt: skip
    keep = plain(picture, block, found)
    rows["across"] = [
        (float(number), lv.at_mm, lv.level_db, float(lv.n)) for lv in across(picture, keep, *NEAR_BAND_MM)
    ]
    rows["depths"] = [(float(number), lv.at_mm, lv.level_db, float(lv.n), 0.0) for lv in with_depth(picture, keep)]
    return BlockReadings(rows, found)


def read_noise(picture: BlockPicture, number: int) -> list[Row]:
    """Rows of the table ``depths`` of a picture taken in air, or with the transmitter off."""
    everywhere = np.ones(picture.pixels.shape, dtype=np.bool_)
    x, z = picture.places_mm
    inside = everywhere & (picture.range_mm(x, z) > 0.0)
    reach = np.abs(picture.along_face_mm(x, z)) < 5.0
    return [(float(number), lv.at_mm, lv.level_db, float(lv.n), 1.0) for lv in with_depth(picture, inside & reach)]


def _below_face(picture: BlockPicture, found: Match, wire: BlockWire) -> bool:
    """Whether a wire that may lie within the bang lies under the face, and not beside it."""
    x, z = found.at(np.array([[wire.x_mm, wire.z_mm]]))[0]
    return abs(float(picture.along_face_mm(x, z))) < picture.half_face_mm - BESIDE_MM


def _wire_row(picture: BlockPicture, number: int, wire: BlockWire, dot: Dot | None) -> Row:
    kind = float(KINDS.index(wire.kind))
    head = (float(number), kind, wire.x_mm, wire.z_mm, float(wire.isolated))
    if dot is None:
        return (*head, 0.0, NAN, NAN, NAN, NAN, NAN, NAN, 0.0)
    depth = float(picture.range_mm(np.array(dot.x_mm), np.array(dot.z_mm)))
    return (
        *head, 1.0, dot.x_mm, dot.z_mm, depth, dot.axial_mm, dot.lateral_mm, dot.level_db, float(_apart(picture, dot)),
    )  # fmt: skip


def _apart(picture: BlockPicture, dot: Dot) -> bool:
    """Whether the level between the face and a dot falls well below the dot's."""
    depth = float(picture.range_mm(np.array(dot.x_mm), np.array(dot.z_mm)))
    along = np.arange(0.0, max(depth, 0.0), min(picture.pitch_mm) / 2)
    points = np.array([dot.x_mm, dot.z_mm]) - np.outer(depth - along, picture.beam(dot.x_mm, dot.z_mm))
    at = np.round(picture.to_pixel(points)).astype(int)
    rows, columns = picture.pixels.shape
    good = (at[:, 0] >= 0) & (at[:, 0] < columns) & (at[:, 1] >= 0) & (at[:, 1] < rows)
    levels = picture.level_db[at[good, 1], at[good, 0]]
    return bool(len(levels)) and float(levels.min()) < dot.level_db - BANG_GAP_DB
