"""Faults of a probe calibration that does not fit, or fits something unexpected: named causes for a person.

None of these corrections is ever applied; they tell which step to repeat. Refused is what the misfit at held-out frames
refuses (``--limit``), and what a cause of :mod:`rig.calibration.probe.causes` explains nearly whole on frames that it
was not fitted to while no rival comes near.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hal.errors import ConfigError
from hal.types import Matrix
from rig.calibration.probe.causes import Cause, causes_of
from rig.calibration.probe.errors import Points, errors_mm
from rig.calibration.probe.frames import Observations
from rig.calibration.probe.labelling import Labeller, Refusal, Scale
from rig.calibration.probe.solve import fit_linear
from rig.calibration.probe.wires import NPattern, Wire, WirePhantom

Array = NDArray[np.float64]

_NAMED = 0.7
"""A cause that leaves more of the held-out misfit than this is not named. Of 30 parts of three real recordings one has
a single cause below it that beats its rivals: a delay [A]."""
_REFUSED = 0.45
"""... and one that leaves less is refused. The least that a cause leaves in those parts is 0.51, with three rivals as
good: errors of the phantom's registration, which several causes imitate alike [A]."""
_CLEARLY = 1.4
"""The next cause must leave this many times as much [A]."""
_TWINS = 2.0
"""... a scale of the wires and one of the tracker along one motion this many times: a recording whose wires are 5 % off
beside its tracker lets the wires alone seem to be it at 1.45 [A]."""
_MOVED = 0.6
_MOVED_CLEARLY = 1.1
"""A phantom that moved leaves more, since its moment is found to a few frames; nearly two thirds of the squared misfit
explained, and more than any other cause explains, refuse the recording [A]."""
_EXPLAINED_MM = 1.5
"""A cause must bring the held-out misfit below this, else it explains nothing [A]."""
_LEAST = {"wires": 0.04, "tracker": 0.04, "pose": 2.0, "moved": 0.3, "late": 15.0}
"""Smaller scales (off one), turns (deg), shifts (mm) and delays (ms) cannot be distinguished from errors of the image
[A]."""
_SIGMAS = 4.0
_SQUARE = 0.05
"""Pixels less square than this are reported: a scanner's own are square, a frame grabber's picture may be stretched
[A]."""


@dataclass(frozen=True)
class Finding:
    """One cause: ``code`` for programs, ``text`` for a person, and the ``figures`` behind it."""

    code: str
    text: str
    figures: dict[str, float] = field(default_factory=dict)
    refuses: bool = False
    """The data contradict the calibration so plainly that there is none, however small the misfit."""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def diagnose(
    observations: Observations, points: Points, ImageToProbe: Matrix, expected: Matrix | None
) -> tuple[tuple[Finding, ...], tuple[Cause, ...]]:
    """All findings, most telling first, and all causes that were tried."""
    causes = causes_of(points, observations.time_s, observations.stretch_mm)
    findings = named(causes)
    if observations.frozen:
        findings.insert(
            0,
            Finding(
                "pose_frozen",
                f"{' and '.join(observations.frozen)} is the same to the last digit in all {len(points.frame)} frames: "
                "fixed for good, or a frozen tracker",
            ),
        )
    findings += _stretched(ImageToProbe) if expected is None else compare_with(ImageToProbe, expected)
    return tuple(findings), causes


def named(causes: tuple[Cause, ...]) -> list[Finding]:
    """The cause that explains the misfit on unseen frames and clearly beats its rivals; empty when none does.

    A scale of the wires and a scale of the tracker look alike along one axis of motion: when these two are the best and
    no other comes near, both are reported, since either may be it.
    """
    best, *rivals = causes
    if best.rms_after_mm > _EXPLAINED_MM or not _large(best):
        return []
    if best.kind == "moved" and best.left < _MOVED and best.left * _MOVED_CLEARLY < rivals[0].left:
        return [_moved(best, refuses=True)]
    reported = [best]
    if {best.kind, rivals[0].kind} == {"wires", "tracker"} and rivals[0].left < _TWINS * best.left:
        reported.append(rivals.pop(0))
    if best.left > _NAMED or rivals[0].left < _CLEARLY * best.left:
        return []
    refuses = best.left < _REFUSED
    say = {"wires": _wires, "tracker": _tracker, "pose": _pose, "moved": _moved, "late": _late}
    return [say[cause.kind](cause, refuses=refuses) for cause in reported if _large(cause)]


def _large(cause: Cause) -> bool:
    off = cause.value - 1.0 if cause.kind in ("wires", "tracker") else cause.value
    return abs(off) > _LEAST[cause.kind] and abs(off) > _SIGMAS * cause.value_sd


def _wires(cause: Cause, *, refuses: bool) -> Finding:
    if cause.value < 0.0:
        text = (
            f"axis {cause.axis} of the wire definition is flipped (mirrored against the motion), or the tracker gives "
            "left-handed poses"
        )
        return Finding("phantom_mirrored", text, _figures(cause), refuses)
    text = (
        f"axis {cause.axis} of the wire definition should be {cause.value:.3f} times as long (+-{cause.value_sd:.3f}) "
        f"to fit the tracked motion: check the wires' coordinates ({_gain(cause)})"
    )
    return Finding("phantom_scaled", text, _figures(cause), refuses)


def _tracker(cause: Cause, *, refuses: bool) -> Finding:
    flipped = cause.value < 0.0
    what = "runs the wrong way" if flipped else f"is out of scale, about {cause.value:.2f}"
    text = f"axis {cause.axis} of the tracker's positions {what}: {_gain(cause)}"
    return Finding("tracker_mirrored" if flipped else "tracker_scaled", text, _figures(cause), refuses)


def _pose(cause: Cause, *, refuses: bool) -> Finding:
    text = (
        f"the phantom's pose (PhantomToReference) is turned by {cause.value:.1f} +-{cause.value_sd:.1f} deg against "
        f"the motion: repeat the phantom registration, landmarks may be swapped ({_gain(cause)})"
    )
    return Finding("phantom_pose", text, _figures(cause), refuses)


def _moved(cause: Cause, *, refuses: bool) -> Finding:
    what = "the phantom, its reference or the probe's marker moved" if refuses else "the wires seem to lie elsewhere"
    text = f"{what} by about {cause.value:.1f} mm near frame {cause.frame}: {_gain(cause)}"
    return Finding(
        "phantom_moved", text, _figures(cause) | {"frame": float(cause.frame), "shift_mm": cause.value}, refuses
    )


def _late(cause: Cause, *, refuses: bool) -> Finding:
    text = (
        f"pictures are {cause.value:+.0f} +-{cause.value_sd:.0f} ms late against the poses: calibrate the time offset "
        f"({_gain(cause)})"
    )
    return Finding("time_offset", text, _figures(cause) | {"lag_ms": cause.value}, refuses=False)


def _gain(cause: Cause) -> str:
    return f"rms {cause.rms_before_mm:.2f} mm at frames held out, {cause.rms_after_mm:.2f} mm with that undone"


def _figures(cause: Cause) -> dict[str, float]:
    return {"value": cause.value, "value_sd": cause.value_sd, "left": cause.left, "rms_after_mm": cause.rms_after_mm}


def _stretched(ImageToProbe: Matrix) -> list[Finding]:
    """Pixels that are not square: the only sign of a scale that the pixel pitch absorbs."""
    column, row = (float(v) for v in np.linalg.norm(ImageToProbe[:3, :2], axis=0))
    if abs(column / row - 1.0) < _SQUARE:
        return []
    return [
        Finding(
            "pixels_not_square",
            f"a pixel comes out {column:.4f} mm wide and {row:.4f} mm high: a scanner's own are square. A picture "
            "stretched on its way explains it, and so does a scale of the wires across the picture or a wrong speed of "
            "sound, which fit as well",
            {"ratio": column / row},
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
                    "one; check depth setting, resampling, speed of sound "
                    "and the wires' coordinates",
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
