"""What is wrong when a probe calibration does not fit, or fits something unexpected: named causes for a person.

None of these corrections is ever applied; they tell which step to repeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.types import Matrix
from rig.calibration.dots_labelling import Labeller, Refusal, Scale
from rig.calibration.nwire_errors import Points, errors_mm
from rig.calibration.nwire_frames import Observations
from rig.calibration.nwire_phantom import NPattern, Wire, WirePhantom
from rig.calibration.nwire_solve import fit_linear
from rig.calibration.nwire_steady import check_slip

Array = NDArray[np.float64]

_SCALE_OFF = 0.04
"""Smaller errors of the wires' coordinates are not told from those of the image [A]."""
_BLOCK = 5
_SIGMAS = 4.0
_EXPLAINED_MM = 1.5
"""A cause must bring the misfit below this, else it explains nothing [A]."""
_REFUSE_SIGMAS = 6.0
"""A scale of the wires beyond this is refused. Good recordings of a real phantom reach 4.5: errors of its registration
that are common to all frames count as scatter of none [A]."""
_TRACKER_EXPLAINS = 0.7
"""Share of the misfit that a tracker axis may leave to be named. Good recordings of a real phantom come to 0.83 with a
scale of 12 %: smaller gains are errors of the phantom's registration [A]."""
_SLIP_MM = 0.3
_SLIP_TOLD = 0.8
_SLIP_REFUSED = 0.6
"""Share of the misfit that a shift of the phantom in mid-recording leaves: told, and refused when nothing else explains
more (shifts of 0.3 mm and more). 0.6 is nearly two thirds of the squared misfit [A]."""
_TURN_DEG = 2.0
_LAG_MS = 15.0


@dataclass(frozen=True)
class Finding:
    """One cause: ``code`` for programs, ``text`` for a person, ``figures`` behind it."""

    code: str
    text: str
    figures: dict[str, float] = field(default_factory=dict)
    refuses: bool = False
    """The data contradict the calibration so plainly that there is none, however small the misfit."""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class PhantomCheck:
    """Affine change of the wires that would fit the motion best, about the wires' centre, phantom frame.

    ``stretch`` is how many times longer each axis of the wire definition should be.
    """

    stretch: tuple[float, float, float]
    stretch_sd: tuple[float, float, float]
    turn_deg: float
    turn_sd_deg: float
    shift_mm: tuple[float, float, float]
    mirrored_axis: str
    """Axis of the wire definition that runs the wrong way; empty when none does."""
    lag_ms: float
    """Delay of pictures behind poses that would fit best (positive: pictures are late)."""
    lag_sd_ms: float
    rms_before_mm: float
    rms_after_mm: float
    determined: bool
    """False when the probe moved too little to separate the phantom from the image."""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def check_phantom(points: Points, time_s: Array) -> PhantomCheck:
    """Let the phantom's middle points be scaled, turned and shifted, and the poses be late, in one linear fit.

    Unknown: a 3x3 change S and a shift c of the wires about their centre, the image's axes A and origin b, a delay d
    of pictures behind poses: R (S m + c) + t - d v = A u + b for poses (R, t), velocities v and middle dots u.
    """
    turn, at = points.PhantomToProbe[:, :3, :3], points.PhantomToProbe[:, :3, 3]
    probe = points.probe_mm
    middle = np.einsum("nji,nkj->nki", turn, probe - at[:, None])  # back in the phantom
    centre = middle.reshape(-1, 3).mean(axis=0)
    rel = middle - centre
    n, k = rel.shape[:2]
    px = points.middle_px
    px_centre, px_size = px.reshape(-1, 2).mean(axis=0), px.reshape(-1, 2).std(axis=0) + 1e-9
    image = np.concatenate([(px - px_centre) / px_size, np.ones((n, k, 1))], axis=2)
    design = np.zeros((n, k, 3, 22))
    design[..., :9] = np.einsum("nij,nkl->nkijl", turn, rel).reshape(n, k, 3, 9)
    design[..., 9:12] = turn[:, None]
    for axis in range(3):
        design[..., axis, 12 + 3 * axis : 15 + 3 * axis] = -image
    design[..., 21] = -velocity_mm_s(turn, at, middle, time_s)
    goal = np.broadcast_to(-(np.einsum("nij,j->ni", turn, centre) + at)[:, None], (n, k, 3))
    a, b = design.reshape(-1, 22), goal.reshape(-1)
    if not design[..., 21].any():
        a = a[:, :21]
    weight = np.linalg.norm(a, axis=0)
    weight[weight == 0.0] = 1.0
    u, s, vt = np.linalg.svd(a / weight, full_matrices=False)
    determined = bool(s[-1] > 1e-4 * s[0])
    inverse = (vt.T / np.maximum(s, 1e-9 * s[0])) @ u.T
    solution = (inverse @ b) / weight
    residual = b - a @ solution
    count = a.shape[1]
    per_frame = np.einsum("pnq,nq->np", inverse.reshape(count, n, 3 * k), residual.reshape(n, 3 * k)) / weight
    per_block = np.add.reduceat(per_frame, np.arange(0, n, _BLOCK))  # neighbouring frames err alike
    sd = np.sqrt(np.einsum("np,np->p", per_block, per_block))
    twist = 0.5 * (per_block[:, [5, 6, 1]] - per_block[:, [7, 2, 3]])
    change = solution[:9].reshape(3, 3)
    w, _, vt3 = np.linalg.svd(change)
    rotation = w @ np.diag([1, 1, np.sign(np.linalg.det(w @ vt3))]) @ vt3
    diagonal = np.diag(change)
    matrix = fit_linear(px.reshape(-1, 2), probe.reshape(-1, 3)).ImageToProbe
    late = (float(solution[21] * 1e3), float(sd[21] * 1e3)) if count == 22 else (0.0, float("inf"))
    return PhantomCheck(
        stretch=_three(np.copysign(np.linalg.norm(change, axis=0), diagonal)),
        stretch_sd=_three(sd[[0, 4, 8]]),
        turn_deg=float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))),
        turn_sd_deg=float(np.degrees(np.sqrt(np.sum(twist**2)))),
        shift_mm=_three(solution[9:12]),
        mirrored_axis="xyz"[int(np.argmin(diagonal))] if np.linalg.det(change) < 0.0 else "",
        lag_ms=late[0],
        lag_sd_ms=late[1],
        rms_before_mm=float(np.sqrt(np.mean(errors_mm(points, matrix) ** 2))),
        rms_after_mm=float(np.sqrt(np.mean(np.sum(residual.reshape(-1, 3) ** 2, axis=1)))),
        determined=determined,
    )


def velocity_mm_s(turn: Array, at: Array, still_mm: Array, time_s: Array) -> Array:
    """Velocity in the probe's frame of points (n, k, 3) fixed in the phantom; zero where times have gaps."""
    n = len(time_s)
    out = np.zeros_like(still_mm)
    if n < 3 or np.ptp(time_s) <= 0.0:
        return out
    lo, hi = np.maximum(np.arange(n) - 1, 0), np.minimum(np.arange(n) + 1, n - 1)
    span = time_s[hi] - time_s[lo]
    good = span < 4.0 * np.median(np.diff(time_s))
    before = np.einsum("nij,nkj->nki", turn[lo], still_mm) + at[lo, None]
    after = np.einsum("nij,nkj->nki", turn[hi], still_mm) + at[hi, None]
    out[good] = (after - before)[good] / span[good, None, None]
    return out


@dataclass(frozen=True)
class TrackerAxis:
    """Scale of one axis of the tracker's positions that would fit the wires best; below 0 it runs the wrong way."""

    axis: str
    scale: float
    scale_sd: float
    rms_before_mm: float
    rms_after_mm: float


def check_tracker(points: Points, stretch_mm: Array) -> TrackerAxis:
    """The axis whose scale explains most: ``R m + t + d s = A u + b`` with ``s`` the shift per unit of scale.

    Positions are measured as ``scale`` times the true ones, so that ``d = 1 / scale - 1``.
    """
    n, k = points.middle_px.shape[:2]
    px = points.middle_px.reshape(-1, 2)
    image = np.column_stack([(px - px.mean(axis=0)) / (px.std(axis=0) + 1e-9), np.ones(n * k)]).reshape(n, k, 3)
    design = np.zeros((n, k, 3, 10))
    for row in range(3):
        design[..., row, 3 * row : 3 * row + 3] = image
    goal = points.probe_mm.reshape(-1)
    best: TrackerAxis | None = None
    plain = design.reshape(-1, 10)[:, :9]
    before = _rms(goal - plain @ np.linalg.lstsq(plain, goal, rcond=None)[0])
    for axis in range(3):
        design[..., 9] = -stretch_mm[:, None, :, axis]
        a = design.reshape(-1, 10)
        inverse = np.linalg.pinv(a)
        solution = inverse @ goal
        residual = goal - a @ solution
        per_frame = (inverse[9] * residual).reshape(n, -1).sum(axis=1)
        per_block = np.add.reduceat(per_frame, np.arange(0, n, _BLOCK))  # neighbouring frames err alike
        scale = 1.0 / (1.0 + float(solution[9]))
        sd = float(np.sqrt(per_block @ per_block)) * scale**2
        found = TrackerAxis("xyz"[axis], scale, sd, before, _rms(residual))
        if best is None or found.rms_after_mm < best.rms_after_mm:
            best = found
    assert best is not None
    return best


def _rms(residual: Array) -> float:
    """Root mean square 3-D distance of flat residuals, mm."""
    return float(np.sqrt(np.mean(np.sum(residual.reshape(-1, 3) ** 2, axis=1))))


def diagnose(
    observations: Observations, points: Points, ImageToProbe: Matrix, expected: Matrix | None
) -> tuple[tuple[Finding, ...], PhantomCheck]:
    """Everything found, most telling first."""
    check = check_phantom(points, observations.time_s)
    explained = check.determined and check.rms_after_mm < _EXPLAINED_MM
    better = explained and check.rms_after_mm < 0.7 * check.rms_before_mm
    findings = _tracker_findings(points, observations.stretch_mm)
    rivals = [f.figures["rms_after_mm"] for f in findings]
    slipped = _slip_findings(points, min([*rivals, check.rms_after_mm if explained else np.inf]))
    if slipped and slipped[0].refuses:
        findings, better, explained = slipped, False, False  # the other causes would only follow it
    elif slipped and not findings:
        findings = slipped
    if findings and (check.mirrored_axis or not better):
        better = False  # a positive or negative scale of one axis says it all; the wires would only follow it
    elif explained and check.mirrored_axis:
        findings.append(
            Finding(
                "phantom_mirrored",
                f"axis {check.mirrored_axis} of the wire definition is flipped (mirrored against the motion), or the "
                "tracker gives left-handed poses",
                refuses=True,
            )
        )
    elif better:
        for axis, size, sd in zip("xyz", np.abs(check.stretch), check.stretch_sd, strict=True):
            if abs(size - 1.0) > _SCALE_OFF and abs(size - 1.0) > _SIGMAS * sd:
                findings.append(
                    Finding(
                        "phantom_scaled",
                        f"axis {axis} of the wire definition should be {size:.3f} times as long (+-{sd:.3f}) to fit "
                        "the tracked motion: check the wires' coordinates",
                        {"scale": float(size), "scale_sd": sd},
                        refuses=bool(abs(size - 1.0) > _REFUSE_SIGMAS * sd),
                    )
                )
        if check.turn_deg > max(_TURN_DEG, _SIGMAS * check.turn_sd_deg):
            findings.append(
                Finding(
                    "phantom_pose",
                    f"the phantom's pose (PhantomToReference) is turned by {check.turn_deg:.1f} "
                    f"+-{check.turn_sd_deg:.1f} deg against the motion: "
                    "repeat the phantom registration, landmarks may be swapped",
                    {"turn_deg": check.turn_deg},
                )
            )
    lag, lag_sd = check.lag_ms, check.lag_sd_ms
    if better and abs(lag) > _LAG_MS and abs(lag) > _SIGMAS * lag_sd:
        findings.append(
            Finding(
                "time_offset",
                f"pictures are {lag:+.0f} +-{lag_sd:.0f} ms late against the poses: calibrate the time offset",
                {"lag_ms": lag, "lag_sd_ms": lag_sd},
            )
        )
    if observations.frozen:
        findings.insert(
            0,
            Finding(
                "pose_frozen",
                f"{' and '.join(observations.frozen)} is the same to the last digit in all {len(points.frame)} frames: "
                "fixed for good, or a frozen tracker",
            ),
        )
    if expected is not None:
        findings += compare_with(ImageToProbe, expected)
    return tuple(findings), check


def _tracker_findings(points: Points, stretch_mm: Array | None) -> list[Finding]:
    """One axis of the tracker's positions with a wrong scale or sign, when that explains the misfit."""
    if stretch_mm is None:
        return []
    axis = check_tracker(points, stretch_mm)
    off = abs(axis.scale - 1.0)
    gain = axis.rms_after_mm < _TRACKER_EXPLAINS * axis.rms_before_mm
    if not gain or axis.rms_after_mm > _EXPLAINED_MM or off < max(_SCALE_OFF, _SIGMAS * axis.scale_sd):
        return []
    what = "runs the wrong way" if axis.scale < 0.0 else f"is out of scale, about {axis.scale:.2f}"
    return [
        Finding(
            "tracker_mirrored" if axis.scale < 0.0 else "tracker_scaled",
            f"axis {axis.axis} of the tracker's positions {what}: rms {axis.rms_before_mm:.2f} mm, "
            f"{axis.rms_after_mm:.2f} mm with that undone",
            {"scale": axis.scale, "scale_sd": axis.scale_sd, "rms_after_mm": axis.rms_after_mm},
            refuses=True,
        )
    ]


def _slip_findings(points: Points, rival_rms_mm: float) -> list[Finding]:
    """A phantom (or marker) that moved in mid-recording, when that explains more than any other cause."""
    slip = check_slip(points)
    if slip.shift_mm < _SLIP_MM or slip.left > _SLIP_TOLD or slip.rms_after_mm > _EXPLAINED_MM:
        return []
    refuses = slip.left < _SLIP_REFUSED and slip.rms_after_mm < rival_rms_mm
    what = "the phantom, its reference or the probe's marker moved" if refuses else "the wires seem to lie elsewhere"
    return [
        Finding(
            "phantom_moved",
            f"{what} by about {slip.shift_mm:.1f} mm near frame {slip.frame}: rms {slip.rms_before_mm:.2f} mm, "
            f"{slip.rms_after_mm:.2f} mm with that allowed",
            {"frame": float(slip.frame), "shift_mm": slip.shift_mm, "rms_after_mm": slip.rms_after_mm},
            refuses=refuses,
        )
    ]


def compare_with(ImageToProbe: Matrix, expected: Matrix) -> list[Finding]:
    """Flipped or scaled image axes against an earlier or nominal calibration."""
    findings = []
    for k, axis in enumerate(("x (columns)", "y (rows)")):
        new, old = ImageToProbe[:3, k], expected[:3, k]
        ratio = float(np.linalg.norm(new) / np.linalg.norm(old))
        cosine = float(new @ old / (np.linalg.norm(new) * np.linalg.norm(old)))
        if cosine < -0.7:
            findings.append(
                Finding(
                    "image_flipped",
                    f"image axis {axis} runs the other way than in the expected calibration: check "
                    "the stated image orientation",
                    {"cosine": cosine},
                )
            )
        elif cosine < 0.7:
            angle = float(np.degrees(np.arccos(cosine)))
            findings.append(
                Finding(
                    "image_turned",
                    f"image axis {axis} is {angle:.0f} deg from the expected calibration",
                    {"angle_deg": angle},
                )
            )
        if abs(ratio - 1.0) > 0.03:
            findings.append(
                Finding(
                    "image_scaled",
                    f"image axis {axis} is scaled: a pixel measures {ratio:.3f} times the expected "
                    "one; check depth setting, resampling or speed of sound",
                    {"scale": ratio},
                )
            )
    return findings


def other_definitions(observations: Observations) -> Finding | None:
    """A change of the wire definition (two wires swapped, one oblique wire end for end) that makes frames fit."""
    scale = observations.pitch_guess_mm
    size = float(np.sqrt(scale[0] * scale[1]))
    now = _quality(observations, observations.phantom, size)
    best: tuple[tuple[float, float], str] | None = None
    for what, phantom in _variants(observations.phantom):
        quality = _quality(observations, phantom, size)
        if best is None or (-quality[0], quality[1]) < (-best[0][0], best[0][1]):
            best = (quality, what)
    if best is None:
        return None
    (share, rms), what = best
    if share >= 0.6 and (now[0] < 0.3 * share or rms < 0.4 * now[1]):
        return Finding(
            "wires_swapped",
            f"{what}: with that undone {100 * share:.0f} % of the sampled frames fit "
            f"({100 * now[0]:.0f} % as defined), rms {rms:.2f} mm",
            {"share": share, "share_as_defined": now[0], "rms_mm": rms},
        )
    return None


def _quality(observations: Observations, phantom: WirePhantom, pitch_mm: float) -> tuple[float, float]:
    """Share of the sampled frames that can be labelled, and the 3-D misfit of their calibration."""
    labeller = Labeller(phantom, Scale.guess(pitch_mm))
    dots, poses = [], []
    for item, pose in observations.sample:
        result = labeller.label(item)
        if not isinstance(result, Refusal):
            dots.append(result[0].dots_px)
            poses.append(pose)
    if len(dots) < 4:
        return len(dots) / max(1, len(observations.sample)), float("inf")
    points = Points(phantom, np.array(dots), np.array(poses), np.arange(len(dots)))
    matrix = fit_linear(points.middle_px.reshape(-1, 2), points.probe_mm.reshape(-1, 3)).ImageToProbe
    return len(dots) / len(observations.sample), float(np.sqrt(np.mean(errors_mm(points, matrix) ** 2)))


def _variants(phantom: WirePhantom) -> Iterator[tuple[str, WirePhantom]]:
    wires = phantom.wires
    for i in range(len(wires)):
        for j in range(i + 1, len(wires)):
            changed = list(wires)
            changed[i] = replace(wires[i], front_mm=wires[j].front_mm, back_mm=wires[j].back_mm)
            changed[j] = replace(wires[j], front_mm=wires[i].front_mm, back_mm=wires[i].back_mm)
            made = _rebuilt(phantom, changed)
            if made is not None:
                yield f"wires {wires[i].name} and {wires[j].name} look swapped in the definition", made
    for p in range(len(phantom.patterns)):
        k = 3 * p + 1
        (fx, fy, fz), (bx, by, bz) = wires[k].front_mm, wires[k].back_mm
        d = phantom.patterns[p].wires[0].direction
        along = np.asarray(float((np.array(wires[k].back_mm) - np.array(wires[k].front_mm)) @ d) * d)
        front = np.array([bx, by, bz]) - along
        back = np.array([fx, fy, fz]) + along
        changed = list(wires)
        changed[k] = Wire(wires[k].name, _three(front), _three(back))
        made = _rebuilt(phantom, changed)
        if made is not None:
            yield f"the oblique wire {wires[k].name} looks mirrored in the definition", made

    for i in range(len(phantom.patterns)):
        for j in range(i + 1, len(phantom.patterns)):
            one, _, two = phantom.patterns[i].wires
            normal = np.cross(one.direction, two.start - one.start)
            normal /= np.linalg.norm(normal)
            apart_mm = float((phantom.patterns[j].wires[0].start - one.start) @ normal)
            shift = np.asarray(apart_mm * normal)
            changed = list(wires)
            for q, step in ((i, shift), (j, -shift)):
                for k in range(3 * q, 3 * q + 3):
                    front, back = np.array(wires[k].front_mm) + step, np.array(wires[k].back_mm) + step
                    changed[k] = Wire(wires[k].name, _three(front), _three(back))
            made = _rebuilt(phantom, changed)
            if made is not None and abs(apart_mm) > 1.0:
                names = [", ".join(w.name for w in phantom.patterns[p].wires) for p in (i, j)]
                yield f"the layers of wires ({names[0]}) and ({names[1]}) look swapped in the definition", made


def _rebuilt(phantom: WirePhantom, wires: list[Wire]) -> WirePhantom | None:
    try:
        patterns = tuple(NPattern.of(tuple(wires[k : k + 3])) for k in range(0, len(wires), 3))
        return replace(phantom, patterns=patterns)
    except ConfigError:
        return None


def _three(values: Array) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
