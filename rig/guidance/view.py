"""Quality of a view, and the next small move of the probe when it is not good enough.

Exit guard of state ST4 (``facts/domain.md`` 4.2): at least half of the aperture sees the target past bone, the target
stands 6 dB above what black is, and it lies in the middle third of the displayed depth.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hal.types import Matrix, Pixels, ProbeGeometry, Vector
from rig.geometry.registration import apply_transform, invert_rigid
from rig.guidance.bone_surface import BoneSurface
from rig.guidance.planning import Distance, probe_pose
from rig.guidance.scan_lines import invert_affine, scan_lines

ELEMENTS = 48
GREY_PER_DB = 255.0 / 60.0


@dataclass(frozen=True)
class ViewLimits:
    """Guards of ST4 (``facts/domain.md`` 4.2): half of the aperture open, 6 dB, target in the middle third."""

    min_open_fraction: float = 0.5
    min_snr_db: float = 6.0
    middle: tuple[float, float] = (1.0 / 3.0, 2.0 / 3.0)
    max_plane_offset_mm: float = 2.0


@dataclass(frozen=True)
class ViewQuality:
    """Judgement of one view of a target."""

    good: bool
    reason: str
    open_fraction: float
    """Share of the aperture whose straight ray reaches the target without meeting bone."""
    open_near_minus: float
    """The same for the half of the aperture on the probe's -x side."""
    open_near_plus: float
    snr_db: float
    """Grey at the target above the grey of shadow, in dB of a 60 dB scale."""
    depth_fraction: float
    """Target range over displayed depth."""
    plane_offset_mm: float


def _aperture(probe: ProbeGeometry) -> NDArray[np.float64]:
    grid = scan_lines(probe, 10.0, lines=ELEMENTS)
    return grid.starts_mm


def open_elements_in_image(surface: BoneSurface, probe: ProbeGeometry, target_probe_mm: Vector) -> NDArray[np.bool_]:
    """True for every element whose ray to the target misses the bone surface in the image, shape (elements,)."""
    start = _aperture(probe)
    end = np.array([target_probe_mm[0], target_probe_mm[2]])
    run = np.linspace(0.05, 0.985, 90)
    x = start[:, :1] + run * (end[0] - start[:, :1])
    z = start[:, 1:] + run * (end[1] - start[:, 1:])
    line, depth = surface.grid.locate(x, z)
    bone = np.where(surface.found, surface.range_mm, np.nan)
    index = np.clip(np.round(line), 0, len(bone) - 1).astype(np.int64)
    gap = np.where((line >= 0) & (line <= len(bone) - 1), depth - bone[index], np.nan)
    # Passing from above to below the surface between two samples is a hit; a jump sideways over an edge is not.
    before, after = gap[:, :-1], gap[:, 1:]
    with np.errstate(invalid="ignore"):
        hit = (before < 0) & (after >= 0) & (after - before < 6.0)
    return np.asarray(~hit.any(axis=1))


def judge_view(
    pixels: Pixels, ImageToProbe: Matrix, ProbeToRig: Matrix, surface: BoneSurface, probe: ProbeGeometry,
    target_rig_mm: Vector, depth_mm: float, limits: ViewLimits | None = None,
) -> ViewQuality:  # fmt: skip
    """Quality of this frame for a target (Rig frame)."""
    lim = limits or ViewLimits()
    target = apply_transform(invert_rigid(ProbeToRig), target_rig_mm)
    clear = open_elements_in_image(surface, probe, target)
    half = len(clear) // 2
    line, depth = surface.grid.locate(target[:1], target[2:3])
    fraction = float(depth[0] / depth_mm)
    ProbeToImage = invert_affine(ImageToProbe)
    scaled = target / surface.range_scale if surface.range_scale != 1.0 else target
    column, row = (ProbeToImage @ np.append(np.array([scaled[0], 0.0, scaled[2]]), 1.0))[:2]
    pixel = float(np.linalg.norm(ImageToProbe[:3, 0]))
    r = max(2, int(3.0 / pixel))
    c0, r0 = round(float(column)), round(float(row))
    patch = pixels[max(0, r0 - r) : r0 + r + 1, max(0, c0 - r) : c0 + r + 1]
    snr = 0.0
    if patch.size:
        lit = pixels[pixels > 0]
        floor = float(np.quantile(lit, 0.03)) if lit.size else 0.0
        snr = (float(patch.mean()) - floor) / GREY_PER_DB
    offset = float(target[1])
    reasons = []
    if not 0 <= line[0] <= len(surface.found) - 1:
        reasons.append("the target lies outside the sector")
    if clear.mean() < lim.min_open_fraction:
        reasons.append(f"only {clear.mean():.0%} of the aperture sees past the bone")
    if snr < lim.min_snr_db:
        reasons.append(f"the target region is dark ({snr:.0f} dB)")
    if not lim.middle[0] <= fraction <= lim.middle[1]:
        reasons.append(f"the target lies at {fraction:.0%} of the depth")
    if abs(offset) > lim.max_plane_offset_mm:
        reasons.append(f"the target lies {abs(offset):.1f} mm beside the plane")
    return ViewQuality(not reasons, "; ".join(reasons), float(clear.mean()), float(clear[:half].mean()),
                       float(clear[half:].mean()), snr, fraction, offset)  # fmt: skip


@dataclass(frozen=True)
class ProbeMove:
    """One small move of one degree of freedom of the holder (``hal.types.Pose6`` names)."""

    dof: str
    """"x_mm", "y_mm", "z_mm", "a_deg", "b_deg" or "c_deg"; "none" when the ladder is exhausted."""
    amount: float
    why: str


_LADDER: tuple[tuple[str, float, str], ...] = (
    ("y_mm", 6.0, "translate cranial, out of the crest's shadow"),
    ("a_deg", 8.0, "tilt the beam caudally, to dive under the transverse process"),
    ("a_deg", 8.0, "tilt the beam further caudally"),
    ("c_deg", 12.0, "turn the lateral end cranially, along the crest-free diagonal"),
    ("x_mm", -5.0, "translate medially, until the crest's shadow leaves the target"),
    ("x_mm", -5.0, "translate further medially"),
)


def next_move(step: int, quality: ViewQuality, side: int) -> ProbeMove:
    """Move number ``step`` (from 0) of the escape from the iliac crest (``facts/domain.md`` 4.6), for a bad
    transverse view.

    ``side`` +1 for a target on +X. A depth or plane fault is cured first, with the move that cures it. Positive tilt A
    turns the beam towards -Y (the probe's y axis is cranial in the transverse pose and A turns y towards z).
    """
    if abs(quality.plane_offset_mm) > 2.0:
        return ProbeMove("y_mm", quality.plane_offset_mm, "bring the target back into the plane")
    if step >= len(_LADDER):
        return ProbeMove("none", 0.0, "the ladder is exhausted: parasagittal window or out of plane")
    dof, amount, why = _LADDER[step]
    if dof in ("x_mm", "c_deg"):
        amount *= side
    return ProbeMove(dof, amount, why)


@dataclass(frozen=True)
class PredictedView:
    """Share of open rays that the registered nominal bone predicts for a pose."""

    ProbeToRig: Matrix = field(repr=False)
    open_fraction: float
    plane_offset_mm: float


def predict_open(
    target_rig_mm: Vector, ProbeToRig: Matrix, probe: ProbeGeometry, bone_distance: Distance, PhantomToRig: Matrix,
    clear_mm: float = 0.5,
) -> PredictedView:  # fmt: skip
    """Open share of the aperture for a target by the nominal bone; rays end 2.5 mm before the target."""
    start = _aperture(probe)[::2]
    elements = np.stack([start[:, 0], np.zeros(len(start)), start[:, 1]], axis=1)
    origin = apply_transform(ProbeToRig, elements)
    reach = np.linalg.norm(target_rig_mm - origin, axis=1)
    run = np.linspace(0.25, 1.0, 30)[None, :, None] * (1.0 - 2.5 / reach)[:, None, None]
    points = origin[:, None, :] + run * (target_rig_mm - origin)[:, None, :]
    phantom = apply_transform(invert_rigid(PhantomToRig), points.reshape(-1, 3))
    free = (bone_distance(phantom) > clear_mm).reshape(len(origin), -1).all(axis=1)
    offset = float(apply_transform(invert_rigid(ProbeToRig), target_rig_mm)[1])
    return PredictedView(ProbeToRig, float(free.mean()), offset)


def best_predicted_view(
    target_rig_mm: Vector, probe: ProbeGeometry, bone_distance: Distance, PhantomToRig: Matrix, skin_z_mm: float,
    c_deg: float = 0.0,
) -> PredictedView:  # fmt: skip
    """Pose among shifts of -20..+20 mm along the array and tilts of -25..+25 deg that the nominal bone shades least.

    The plane always holds the target: a tilt A is paid with a shift along the elevation axis.
    """
    best: PredictedView | None = None
    best_score = -np.inf
    c = np.radians(c_deg)
    u, v = np.array([np.cos(c), np.sin(c)]), np.array([-np.sin(c), np.cos(c)])
    depth = target_rig_mm[2] - skin_z_mm
    for tilt in (0.0, 8.0, -8.0, 16.0, -16.0, 25.0, -25.0):
        for shift in (0.0, -7.0, 7.0, -14.0, 14.0, -20.0, 20.0):
            # Beam direction of a tilt A is -sin(A) along v: the face moves the other way.
            at = target_rig_mm[:2] + shift * u + np.tan(np.radians(tilt)) * depth * v
            pose = probe_pose(float(at[0]), float(at[1]), skin_z_mm, tilt, 0.0, c_deg)
            view = predict_open(target_rig_mm, pose, probe, bone_distance, PhantomToRig)
            score = view.open_fraction - abs(shift) / 200.0 - abs(tilt) / 200.0
            if score > best_score:
                best, best_score = view, score
    assert best is not None
    return best
