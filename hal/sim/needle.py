"""A needle in the phantom: the true path of its tip, the forces on it, and the channel that it leaves.

Bending. The bevel cuts an arc of constant curvature away from its opening (``y = kappa s^2 / 2``, fitted to
Rand 2016), scaled by gauge and by gel stiffness (linear in E / 18 kPa, clipped to 0.4..1.5), so turning the
bevel half-way straightens the needle as it does on the bench. The shaft follows the tip's channel. Track:
withdrawal runs back along the cut; an axis that changed after partial withdrawal starts a new branch. A
carrier moved sideways with the needle inside drags the channel, fading over the needle's elastic length in
gel ``(4 E I / E_gel)^(1/4)`` (beam on an elastic foundation). All points in the Phantom frame, mm.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from hal.phantom.materials import Material
from hal.phantom.needles import NeedleSpec
from hal.sim.needle_force import AxialForce
from hal.sim.needle_track import CutChannel, Point
from hal.types import Vector

CUT_MM = 0.25
"""Longest piece cut at once: at 0.25 mm no layer is stepped over."""
REFERENCE_KPA = 18.0
STIFFNESS_RANGE = (0.4, 1.5)
BONE_KPA = 1e5
"""Stiffer materials are not cut: bone and printed bone lie above, ligaments (1e4 to 5e4 kPa) below."""
GUIDE_RAD = 0.1 / 30.0
"""Largest tilt of the needle in its guide: 0.1 mm of clearance over 30 mm."""
GRAZE_COS = math.cos(math.radians(70.0))
"""Bone met at more than 70 degrees from its normal turns the tip along the surface."""
SAME_AXIS_MM = 0.3
SAME_AXIS_RAD = math.radians(0.5)
"""An axis that moved less finds the old channel again."""
FREE_MARGIN_MM = 5.0
"""Length of the shaft held in hub and guide."""


class Tissue(Protocol):
    """Properties of the phantom that the needle needs."""

    def label_at(self, point: Vector) -> int: ...

    def material(self, label: int) -> Material: ...


class Needle:
    """One needle over one insertion after another. Deterministic for a seed."""

    def __init__(self, spec: NeedleSpec, tissue: Tissue, seed: int) -> None:
        self.spec = spec
        self._tissue = tissue
        self._rng = np.random.default_rng([seed, 0x6E64])
        self._curvature = spec.curvature_per_mm * max(0.2, 1.0 + spec.curvature_sd * self._rng.standard_normal())
        self._unmarked_rad = 0.0 if spec.opening else float(self._rng.uniform(0.0, 2.0 * math.pi))
        self._force = AxialForce(spec.force_scale, self._rng)
        # of the bulk gel, not of the layer at the tip: going there and back leaves the channel as it was
        self._elastic_mm = (4.0 * spec.bending_stiffness_n_mm2 / (REFERENCE_KPA * 1e-3)) ** 0.25
        self._track: CutChannel | None = None
        self._arc = 0.0
        self._slack = 0.0
        self._feed_ref = 0.0
        self._axis: tuple[Point, Point] = ((0.0, 0.0, 0.0), (0.0, 0.0, 1.0))
        self._cut_axis = self._axis
        self._wobble: Point = (0.0, 0.0, 0.0)
        self._tangent: Point = (0.0, 0.0, 1.0)
        self._last: tuple[float, ...] | None = None
        self._label = -1
        self._material: Material | None = None
        self._path: Vector | None = None
        self._tip: Vector | None = None
        self.tip_mm: Vector = np.zeros(3)
        """True tip, shape (3,)."""
        self.bone_contact = False
        self.buckled = False
        """True while the load on bone is at the Euler load of the free shaft: the needle bows instead of pushing."""
        self.passes = 0
        """Skin punctures and new branches."""
        self.branches: list[Vector] = []
        """Channels left behind by redirections, each (n, 3)."""

    @property
    def axial_force_n(self) -> float:
        """Force on the hub along the needle, positive while it resists an advance."""
        return self._force.total_n

    @property
    def embedded_mm(self) -> float:
        """Length of shaft inside the phantom, along its path."""
        return self._arc

    @property
    def settled(self) -> bool:
        """True when time alone no longer changes anything."""
        return self._force.settled

    @property
    def path(self) -> Vector:
        """Shaft inside the gel from the skin to the tip, shape (n, 3); two equal points when outside."""
        if self._path is None:
            if self._track is None or self._arc <= 0.0:
                self._path = np.array([self.tip_mm, self.tip_mm])
            else:
                self._path = self._track.polyline(self._arc)
        return self._path

    @property
    def tip_direction(self) -> Vector:
        """Unit tangent at the tip, shape (3,)."""
        return np.array(self._tangent)

    @property
    def deflection_mm(self) -> float:
        """Distance of the tip from the straight line of the carrier's axis."""
        entry, direction = np.array(self._axis[0]), np.array(self._axis[1])
        away = self.tip_mm - entry
        return float(np.linalg.norm(away - (away @ direction) * direction))

    def step(self, entry_mm: Vector, direction: Vector, feed_mm: float, bevel_deg: float, dt_s: float) -> None:
        """Bring the needle to a carrier position within ``dt_s``.

        ``entry_mm`` (3,) and the unit ``direction`` (3,) are the carrier's axis; ``feed_mm`` is the tip's distance
        from ``entry_mm`` along it, for a straight needle.
        """
        ex, ey, ez = entry_mm.tolist()
        dx, dy, dz = direction.tolist()
        asked = (ex, ey, ez, dx, dy, dz, feed_mm, bevel_deg)
        if asked == self._last:
            if not self._force.settled or self._force.total_n != 0.0:
                self._press(0.0, 0.0, dt_s)
            return
        self._last = asked
        axis = ((ex, ey, ez), (dx, dy, dz))
        if self._track is not None and self._arc > 0.0 and axis != self._axis:
            self._drag(axis)
        self._axis = axis
        if self._arc <= 0.0:
            self._approach(feed_mm, bevel_deg, dt_s)
        else:
            self._follow(feed_mm, bevel_deg, dt_s)
        self._path = None

    # --- outside --------------------------------------------------------------------------------------------

    def _approach(self, feed_mm: float, bevel_deg: float, dt_s: float) -> None:
        entry, direction = self._axis
        skin_feed = -entry[2] / direction[2] if direction[2] > 1e-6 else math.inf
        if feed_mm <= skin_feed:
            self._tangent = direction
            self._set_tip(_along(entry, direction, feed_mm))
            return
        if self._track is None or not self._same_axis():
            self._enter(_along(entry, direction, skin_feed))
        self._feed_ref = skin_feed
        self._follow(feed_mm, bevel_deg, dt_s)

    def _enter(self, start: Point) -> None:
        if self._track is not None:
            self.branches.append(self._track.polyline(self._track.length_mm))
        self._track = CutChannel(start)
        self._cut_axis = self._axis
        self._arc, self._slack, self._label, self._material = 0.0, 0.0, -1, None
        tilt = GUIDE_RAD * math.sqrt(float(self._rng.uniform()))
        turn = float(self._rng.uniform(0.0, 2.0 * math.pi))
        x, y = _frame(self._axis[1])
        a, b = tilt * math.cos(turn), tilt * math.sin(turn)
        d = self._axis[1]
        self._tangent = _unit((d[0] + a * x[0] + b * y[0], d[1] + a * x[1] + b * y[1], d[2] + a * x[2] + b * y[2]))
        self.passes += 1

    def _same_axis(self) -> bool:
        (e, d), (oe, od) = self._axis, self._cut_axis
        cosine = min(1.0, d[0] * od[0] + d[1] * od[1] + d[2] * od[2])
        return math.dist(e, oe) <= SAME_AXIS_MM and math.acos(cosine) <= SAME_AXIS_RAD

    # --- inside ---------------------------------------------------------------------------------------------

    def _follow(self, feed_mm: float, bevel_deg: float, dt_s: float) -> None:
        track = self._track
        assert track is not None
        change = feed_mm - self._feed_ref - self._arc - self._slack
        before = self._arc
        if change < 0.0:
            self._withdraw(-change)
        elif change > 0.0:
            self._advance(track, change, bevel_deg)
        if self._arc <= 0.0:
            self._leave(feed_mm)
            return
        travel = self._arc - before
        cutting = 0.0
        if travel > 0.0 and self._arc >= track.length_mm and self._material is not None:
            cutting = self._material.cutting_n
        self._press(travel, cutting, dt_s)
        if travel != 0.0:
            self._set_tip(track.point(self._arc))
            if self._arc < track.length_mm - 1e-9:
                a, b = track.point(max(0.0, self._arc - 0.5)), track.point(self._arc + 0.5)
                self._tangent = _unit((b[0] - a[0], b[1] - a[1], b[2] - a[2]))

    def _leave(self, feed_mm: float) -> None:
        """Note that the tip left the skin; the channel is remembered."""
        self._arc = self._slack = 0.0
        self.bone_contact = self.buckled = False
        self._force.clear()
        self._tangent = self._axis[1]
        self._set_tip(_along(*self._axis, feed_mm))

    def _withdraw(self, amount: float) -> None:
        released = min(amount, self._slack)
        self._slack -= released
        if amount > released:
            self._arc = max(0.0, self._arc - (amount - released))
        if self._slack <= 0.0:
            self.bone_contact = self.buckled = False

    def _advance(self, track: CutChannel, amount: float, bevel_deg: float) -> None:
        if self._slack > 0.0:
            self._slack += amount
            return
        open_mm = track.length_mm - self._arc
        if open_mm > 1e-9:
            if open_mm > SAME_AXIS_MM and not self._same_axis():
                self.branches.append(track.cut_off(self._arc))
                self._cut_axis, self._label = self._axis, self._label_at(track.end)
                self._material = self._tissue.material(self._label)
                self.passes += 1
            else:
                free = min(amount, open_mm)
                self._arc += free
                amount -= free
                if self._arc >= track.length_mm - 1e-9 and amount > 0.0:
                    a = track.point(max(0.0, track.length_mm - 1.0))
                    self._tangent = _unit((track.end[0] - a[0], track.end[1] - a[1], track.end[2] - a[2]))
        while amount > 1e-12:
            piece = min(amount, CUT_MM)
            if not self._cut(track, piece, bevel_deg):
                self._slack = amount
                return
            amount -= piece

    def _label_at(self, point: Point) -> int:
        return int(self._tissue.label_at(np.array(point)))

    def _cut(self, track: CutChannel, piece: float, bevel_deg: float) -> bool:
        """Cut one piece of new channel; False when bone is in the way, or all of the shaft is in."""
        if track.length_mm + piece > self.spec.length_mm:
            return False  # the hub lies on the skin
        t, p = self._tangent, track.end
        gel = self._material or self._tissue.material(self._label_at(_along(p, t, piece)))
        stiffness = min(max(gel.youngs_kpa / REFERENCE_KPA, STIFFNESS_RANGE[0]), STIFFNESS_RANGE[1])
        if gel.youngs_kpa <= 0.0:
            stiffness = 0.0  # a fluid does not push sideways
        angle = math.radians(bevel_deg) + self._unmarked_rad
        x, y = _frame(t)
        c, s, half = math.cos(angle), math.sin(angle), 0.5 * self._curvature * stiffness * piece
        bend = (c * x[0] + s * y[0], c * x[1] + s * y[1], c * x[2] + s * y[2])
        # away from the opening; the chord of the piece runs along the tangent at its middle
        middle = (t[0] - half * bend[0], t[1] - half * bend[1], t[2] - half * bend[2])
        end_tangent = _unit((t[0] - 2 * half * bend[0], t[1] - 2 * half * bend[1], t[2] - 2 * half * bend[2]))
        end = (p[0] + piece * middle[0], p[1] + piece * middle[1], p[2] + piece * middle[2])
        label = self._label_at(end)
        if label != self._label:
            material = self._tissue.material(label)
            if material.youngs_kpa >= BONE_KPA:
                along = self._graze(p, t)
                self.bone_contact = True
                if along is None:
                    return False
                end = (p[0] + piece * along[0], p[1] + piece * along[1], p[2] + piece * along[2])
                label = self._label_at(end)
                if self._tissue.material(label).youngs_kpa >= BONE_KPA:
                    return False
                end_tangent, material = along, self._tissue.material(label)
            else:
                self.bone_contact = False
            if label != self._label:
                self._force.touch(material, track.length_mm)
                self._label, self._material = label, material
        elif self.bone_contact and self._slack <= 0.0:
            self.bone_contact = False
        material_now = self._material
        track.grow(end, piece, material_now.friction_n_mm if material_now is not None else 0.0)
        self._tangent = end_tangent
        self._arc = track.length_mm
        return True

    def _graze(self, at: Point, t: Point) -> Point | None:
        """Direction along the bone when it is met at a grazing angle; None when the tip is stopped."""
        bone = [d for d in _AROUND if self._hard(at, d)]
        normal = [sum(d[axis] for d in bone) for axis in range(3)]
        size = math.hypot(*normal)
        if size < 1e-9:
            return None
        n = (normal[0] / size, normal[1] / size, normal[2] / size)
        into = t[0] * n[0] + t[1] * n[1] + t[2] * n[2]
        if into >= GRAZE_COS:
            return None
        lift = max(0.0, into) + 0.05
        return _unit((t[0] - lift * n[0], t[1] - lift * n[1], t[2] - lift * n[2]))

    def _hard(self, at: Point, toward: Point) -> bool:
        beside = (at[0] + toward[0], at[1] + toward[1], at[2] + toward[2])
        return self._tissue.material(self._label_at(beside)).youngs_kpa >= BONE_KPA

    def _drag(self, axis: tuple[Point, Point]) -> None:
        """Move the cut channel with the carrier's axis while the needle is inside."""
        track = self._track
        assert track is not None
        skin = np.array(track.point(0.0))
        shift = _meet_skin(axis, skin) - _meet_skin(self._axis, skin)
        turn = np.array(axis[1]) - np.array(self._axis[1])
        decay = self._elastic_mm
        track.drag(shift, turn, decay)
        weight = math.exp(-self._arc / decay)
        t = self._tangent
        self._tangent = _unit((t[0] + weight * turn[0], t[1] + weight * turn[1], t[2] + weight * turn[2]))
        self._set_tip(track.point(self._arc))

    def _press(self, travel: float, cutting: float, dt_s: float) -> None:
        track = self._track
        bone = 0.0
        if self._slack > 0.0:
            free = self.spec.length_mm - self._arc - FREE_MARGIN_MM
            limit = self.spec.buckling_n(free)
            load = self._force.bone_n_mm * self._slack
            self.buckled = load > limit
            bone = min(load, limit)
        friction = track.friction(self._arc) if track is not None and self._arc > 0.0 else 0.0
        self._force.update(self._arc, travel, cutting, friction, bone, dt_s)

    def _set_tip(self, point: Point) -> None:
        self.tip_mm = np.array(point)


def _sphere(count: int) -> tuple[Point, ...]:
    """Directions spread evenly (golden-angle spiral): the mean of those that meet bone is its normal."""
    turn, points = math.pi * (3.0 - math.sqrt(5.0)), []
    for k in range(count):
        z = 1.0 - (2.0 * k + 1.0) / count
        r = math.sqrt(1.0 - z * z)
        points.append((r * math.cos(turn * k), r * math.sin(turn * k), z))
    return tuple(points)


_AROUND = _sphere(64)
"""One millimetre around the tip."""


def _along(entry: Point, direction: Point, distance: float) -> Point:
    return (
        entry[0] + distance * direction[0],
        entry[1] + distance * direction[1],
        entry[2] + distance * direction[2],
    )


def _unit(v: Point) -> Point:
    size = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    return (v[0] / size, v[1] / size, v[2] / size)


def _frame(direction: Point) -> tuple[Point, Point]:
    """Needle X (Phantom X made perpendicular to the needle) and Y = Z x X; bevel 0 opens towards X."""
    dx, dy, dz = direction
    size = math.sqrt(max(1.0 - dx * dx, 1e-12))
    x = ((1.0 - dx * dx) / size, -dx * dy / size, -dx * dz / size)
    y = (dy * x[2] - dz * x[1], dz * x[0] - dx * x[2], dx * x[1] - dy * x[0])
    return x, y


def _meet_skin(axis: tuple[Point, Point], skin: Vector) -> Vector:
    """Point where an axis crosses the plane of depth of ``skin``."""
    entry, direction = np.array(axis[0]), np.array(axis[1])
    met: Vector = entry + direction * (skin[2] - entry[2]) / max(direction[2], 1e-6)
    return met
