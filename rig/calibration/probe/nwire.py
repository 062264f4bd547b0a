"""N-wire probe calibration of whole recordings: from raw frames to ``ImageToProbe`` with its errors and reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hal.errors import CalibrationRefused, ConfigError
from hal.links.sequence import Sequence
from hal.types import Matrix
from rig.calibration.probe.causes import Cause
from rig.calibration.probe.choice import choose
from rig.calibration.probe.diagnosis import Finding, diagnose, other_definitions
from rig.calibration.probe.errors import (
    ErrorSummary,
    Points,
    WireError,
    corner_gaps_mm,
    corner_sd_mm,
    covariance12,
    deviations,
    errors_mm,
    fit,
    k_fold,
    pattern_gaps_mm,
    wire_errors,
)
from rig.calibration.probe.frames import FrameVerdict, Observations, observe
from rig.calibration.probe.plus_config import PlusConfig
from rig.calibration.probe.sides import PictureSides
from rig.calibration.probe.solve import fit_linear, fit_orthogonal
from rig.calibration.probe.steady import without_strays
from rig.geometry.uncertain import UncertainTransform

Array = NDArray[np.float64]

METHODS = ("linear", "orthogonal", "in_plane")
MIN_FRAMES = 10
"""As PLUS asks."""
_ADVICE = {
    "pose": "The tracker lost a marker: look at its line of sight",
    "time": "Look at the recorder's time stamps",
    "image": "The image source was not connected",
    "repeat": "Leave repeated pictures out when recording",
}
_MOVED_MM = 5.0
_TURNED_DEG = 3.0
_WARN_ANGLE_DEG = 1.0
"""As PLUS warns."""
_REFUSE_ANGLE_DEG = 3.0
_ANGLE_SIGMAS = 2.0
"""Image axes further from a right angle than 3 deg, and than their own uncertainty explains, contradict the recording:
3 deg are 3 mm across an image of 60 mm [A]."""


@dataclass(frozen=True)
class RecordingResult:
    """One recording under the calibration: its used frames and its fit."""

    name: str
    verdicts: tuple[FrameVerdict, ...] = field(repr=False)
    errors: ErrorSummary
    wires: tuple[WireError, ...] = field(repr=False)
    points: Points = field(repr=False)
    errors_mm: Array = field(repr=False)
    """Shape (used frames, patterns)."""

    @property
    def used_n(self) -> int:
        return sum(v.refusal is None for v in self.verdicts)

    def as_json(self) -> dict[str, object]:
        refused = [(v.index, v.refusal) for v in self.verdicts if v.refusal is not None]
        return {
            "recording": self.name,
            "frames_n": len(self.verdicts),
            "used_n": self.used_n,
            "refused": [{"frame": k, "code": r.code, "reason": r.text} for k, r in refused],
            "errors": self.errors.as_json(),
            "wires": [w.as_json() for w in self.wires],
        }


@dataclass(frozen=True)
class NWireCalibration:
    """Result of a probe calibration. ``ImageToProbe`` is the matrix of ``method``; images are in MF order."""

    phantom: str
    method: str
    """``linear``, ``orthogonal`` (middle wires) or ``in_plane`` (all wires, right angles)."""
    ImageToProbe: Matrix = field(repr=False)
    linear: Matrix = field(repr=False)
    orthogonal: Matrix = field(repr=False)
    in_plane: Matrix = field(repr=False)
    covariance: Array = field(repr=False)
    """12x12 as ``UncertainTransform`` carries it: how far another session may lie off
    (:func:`~rig.calibration.probe.errors.deviations`)."""
    pitch_mm: tuple[float, float]
    """Per column and per row."""
    pitch_sd_mm: tuple[float, float]
    raw_angle_deg: float
    """Between the image axes before any squaring."""
    raw_angle_sd_deg: float
    size_px: tuple[int, int]
    corner_sd_mm: tuple[float, ...]
    """Corners (origin, end of first row, start of last row, opposite) and centre; k = 1, as ``covariance`` has it."""
    corner_by_wires_mm: tuple[float, ...]
    """How far they move when one N is left out: errors of wires and pose that scatter does not show."""
    corner_repeat_mm: tuple[float, ...] | None
    """How far they lie from those of a calibration made with the validation recording alone."""
    calibration: RecordingResult
    validation: RecordingResult | None
    k_fold: ErrorSummary
    folds: int
    causes: tuple[Cause, ...]
    """Possible faults, as tried on held-out frames; ``findings`` holds those that are named."""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    way_round_ratio: float
    """How many times worse the next labelling of the whole recording fits; inf when there is no other."""

    @property
    def uncertain(self) -> UncertainTransform:
        return UncertainTransform(self.ImageToProbe, self.covariance)

    def corner_gaps_mm(self, other: Matrix) -> tuple[float, ...]:
        """Distance of the corners and the centre from those of another calibration, mm."""
        return corner_gaps_mm(self.ImageToProbe, other, self.size_px)

    def as_json(self) -> dict[str, object]:
        finite = np.isfinite(self.way_round_ratio)
        return {
            "ok": True,
            "kind": "nwire",
            "phantom": self.phantom,
            "method": self.method,
            "ImageToProbe": self.ImageToProbe.tolist(),
            "linear": self.linear.tolist(),
            "orthogonal": self.orthogonal.tolist(),
            "in_plane": self.in_plane.tolist(),
            "covariance12": self.covariance.tolist(),
            "pitch_mm": list(self.pitch_mm),
            "pitch_sd_mm": list(self.pitch_sd_mm),
            "raw_angle_deg": self.raw_angle_deg,
            "raw_angle_sd_deg": self.raw_angle_sd_deg,
            "size_px": list(self.size_px),
            "corner_sd_mm": list(self.corner_sd_mm),
            "corner_by_wires_mm": [v if np.isfinite(v) else None for v in self.corner_by_wires_mm],
            "corner_repeat_mm": None if self.corner_repeat_mm is None else list(self.corner_repeat_mm),
            "calibration": self.calibration.as_json(),
            "validation": None if self.validation is None else self.validation.as_json(),
            "held_out_folds": {"folds": self.folds, **self.k_fold.as_json()},
            "causes": [c.as_json() for c in self.causes],
            "findings": [f.as_json() for f in self.findings],
            "notes": list(self.notes),
            "way_round_ratio": self.way_round_ratio if finite else None,
        }


class NWireRefused(CalibrationRefused):
    """A refusal with its data, for pictures: the unpublished ``result``, None when there was no fit."""

    def __init__(self, refusal: CalibrationRefused, seen: Observations, result: NWireCalibration | None) -> None:
        super().__init__(refusal.code, refusal.reason, advice=refusal.advice, figures=refusal.figures)
        self.seen = seen
        self.result = result


def calibrate_nwire(
    recording: Sequence,
    config: PlusConfig,
    *,
    validation: Sequence | None = None,
    method: str = "linear",
    pitch_mm: float | None = None,
    expected: Matrix | None = None,
    limit_mm: float = 2.0,
    folds: int = 5,
    sides: PictureSides | None = None,
) -> NWireCalibration:
    """Calibrate a probe from a tracked recording of the wire phantom that ``config`` defines.

    ``expected``: an earlier or nominal ``ImageToProbe`` (default: the configuration's, if it has one), against which
    flipped and scaled image axes are named; flipped against one that was given here: refused. ``limit_mm``: refused
    when the held-out rms is larger. ``sides``: how the picture lies on the probe, as a person sees it.
    Raises ``CalibrationRefused`` or ``ConfigError``, each naming what is wrong.
    """
    if method not in METHODS:
        raise ConfigError(f"method {method!r} is none of {', '.join(METHODS)}")
    if config.phantom is None:
        raise ConfigError(f"{config.path}: defines no wire phantom")
    sides = sides or PictureSides()
    seen = observe(recording, config, config.phantom, pitch_mm)
    result: NWireCalibration | None = None
    try:
        _refuse_few(seen)
        _refuse_still(seen)
        points, ratio = choose(seen)
        seen, points = without_strays(seen, points)
        asked = expected is not None
        if expected is None:
            expected = config.image_to_probe
        result = _fitted(seen, points, method, folds, ratio, expected)
        held, angle_deg = result.k_fold, result.raw_angle_deg
        oblique = max(_REFUSE_ANGLE_DEG, _ANGLE_SIGMAS * result.raw_angle_sd_deg)
        if held.rms_mm > limit_mm or abs(angle_deg - 90.0) > oblique:
            _refuse_misfit(seen, held, angle_deg, limit_mm, result.findings)
        _refuse_contradiction(seen, held, result.findings, asked)
        sides.check(result.ImageToProbe)
    except CalibrationRefused as refusal:
        raise NWireRefused(refusal, seen, result) from None
    notes = [*result.notes, *_unseen(expected is not None, sides)]
    if abs(angle_deg - 90.0) > _WARN_ANGLE_DEG:
        notes.append(
            f"the fitted image axes are {angle_deg:.2f} +-{result.raw_angle_sd_deg:.2f} deg apart instead of 90"
        )
    if validation is None:
        return replace(result, notes=tuple(notes))
    tested = _validate(validation, config, result.ImageToProbe, seen, notes)
    again = _repeat(tested.points, result.ImageToProbe, method, seen.size_px)
    return replace(result, notes=tuple(notes), validation=tested, corner_repeat_mm=again)


def _unseen(compared: bool, sides: PictureSides) -> list[str]:
    """Faults that the wires cannot show and that nobody stated."""
    if not compared and not sides.complete:
        known = "" if not (sides.marked or sides.away) else " along the axis that was not named"
        return [
            f"a picture flipped or stretched on its way{known} fits the wires as well, and nothing was given to tell: "
            "compare with an earlier calibration (--expected), or name both sides of the picture (--marked-side, "
            "--away-side)"
        ]
    return [] if compared else ["no earlier calibration to compare with: a picture stretched on its way fits as well"]


def _fitted(
    seen: Observations, points: Points, method: str, folds: int, ratio: float, expected: Matrix | None
) -> NWireCalibration:
    """All figures of one recording, not yet judged."""
    middle, target = points.middle_px.reshape(-1, 2), points.probe_mm.reshape(-1, 3)
    fitted = fit_linear(middle, target)
    orthogonal = fit_orthogonal(fitted, middle, target)
    in_plane = fit(points, orthogonal=True, in_plane=True)
    matrix = {"linear": fitted.ImageToProbe, "orthogonal": orthogonal, "in_plane": in_plane}[method]
    findings, causes = diagnose(seen, points, matrix, expected)
    deviation = deviations(points)
    return NWireCalibration(
        phantom=seen.phantom.name,
        method=method,
        ImageToProbe=matrix,
        linear=fitted.ImageToProbe,
        orthogonal=orthogonal,
        in_plane=in_plane,
        covariance=covariance12(deviation, fitted.ImageToProbe),
        pitch_mm=_pair(np.linalg.norm(matrix[:3, :2], axis=0)),
        pitch_sd_mm=_pair(_along(deviation, fitted.ImageToProbe)),
        raw_angle_sd_deg=_angle_sd_deg(deviation, fitted.ImageToProbe),
        raw_angle_deg=fitted.raw_angle_deg,
        size_px=seen.size_px,
        corner_sd_mm=corner_sd_mm(deviation, seen.size_px),
        corner_by_wires_mm=pattern_gaps_mm(points, seen.size_px),
        corner_repeat_mm=None,
        calibration=_result(seen, points, matrix),
        validation=None,
        k_fold=k_fold(points, folds, orthogonal=method == "orthogonal", in_plane=method == "in_plane"),
        folds=folds,
        causes=causes,
        findings=findings,
        notes=seen.notes,
        way_round_ratio=ratio,
    )


def _result(seen: Observations, points: Points, matrix: Matrix) -> RecordingResult:
    errors = errors_mm(points, matrix)
    return RecordingResult(
        seen.name, seen.verdicts, ErrorSummary.of(errors), wire_errors(points, matrix), points, errors
    )


def _validate(
    recording: Sequence, config: PlusConfig, matrix: Matrix, first: Observations, notes: list[str]
) -> RecordingResult:
    assert config.phantom is not None
    seen = observe(recording, config, config.phantom, float(np.sqrt(first.pitch_guess_mm[0] * first.pitch_guess_mm[1])))
    notes += [f"validation: {n}" for n in seen.notes]
    if not len(seen.frame):
        raise CalibrationRefused("frames", f"validation recording {seen.name}: no frame is usable: {reasons(seen)}")
    if seen.size_px != first.size_px:
        raise ConfigError(
            f"validation pictures measure {seen.size_px} pixels, those of the calibration {first.size_px}: "
            "not the same image geometry"
        )
    points, _ = choose(seen)
    seen, points = without_strays(seen, points)
    return _result(seen, points, matrix)


def _repeat(points: Points, matrix: Matrix, method: str, size_px: tuple[int, int]) -> tuple[float, ...] | None:
    if len(points.frame) < MIN_FRAMES:
        return None
    again = fit(points, orthogonal=method == "orthogonal", in_plane=method == "in_plane")
    return corner_gaps_mm(again, matrix, size_px)


def reasons(seen: Observations) -> str:
    """Refusals counted by kind, with one example each."""
    refused = [v.refusal for v in seen.verdicts if v.refusal is not None]
    parts = []
    for code, count in Counter(r.code for r in refused).most_common(4):
        example = next(r.text for r in refused if r.code == code)
        parts.append(f"{count} frames {example}")
    return "; ".join(parts) or "no frame was refused"


def refused_counts(verdicts: tuple[FrameVerdict, ...]) -> str:
    """Number of refused frames by reason, as ``; refused: 3 pose, 1 dots``; empty when there are none."""
    counts = Counter(v.refusal.code for v in verdicts if v.refusal is not None)
    return f"; refused: {', '.join(f'{n} {code}' for code, n in counts.most_common())}" if counts else ""


def _refuse_few(seen: Observations) -> None:
    if len(seen.frame) >= MIN_FRAMES:
        return
    why = reasons(seen)
    finding = other_definitions(seen)
    lost = Counter(v.refusal.code for v in seen.verdicts if v.refusal is not None)
    advice = "Check the phantom definition, the depth and the gain"
    if finding is not None:
        advice = finding.text
    elif lost and lost.most_common(1)[0][0] in _ADVICE:
        advice = _ADVICE[lost.most_common(1)[0][0]]
    raise CalibrationRefused(
        "frames",
        f"{seen.name}: {len(seen.frame)} of {len(seen.verdicts)} frames are usable, at least {MIN_FRAMES} are "
        f"needed: {why}",
        advice=advice,
        figures={"used_n": len(seen.frame), "finding": None if finding is None else finding.as_json()},
    )


def _refuse_still(seen: Observations) -> None:
    at = np.linalg.inv(seen.PhantomToProbe)
    moved = float(np.linalg.norm(np.ptp(at[:, :3, 3], axis=0)))
    turns = at[0, :3, :3].T @ at[:, :3, :3]
    turned = float(np.degrees(np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1))).max())
    if moved < _MOVED_MM and turned < _TURNED_DEG:
        raise CalibrationRefused(
            "motion",
            f"{seen.name}: the probe hardly moved ({moved:.1f} mm, {turned:.1f} deg over the recording)",
            advice="Move it along, across and towards the wires and tilt it",
            figures={"moved_mm": moved, "turned_deg": turned},
        )


def _refuse_contradiction(seen: Observations, held: ErrorSummary, findings: tuple[Finding, ...], asked: bool) -> None:
    """Refuse what the motion contradicts, and images that run against the requested calibration.

    A configuration's own ``ImageToProbe`` may be of another mounting of the marker: against that it is only reported.
    """
    against = [f for f in findings if f.refuses or (asked and f.code == "image_flipped")]
    if not against:
        return
    refusing = [f for f in findings if f in against or f.code == "pose_frozen"]
    raise CalibrationRefused(
        against[0].code,
        f"{seen.name}: {'; or '.join(f.text for f in refusing)}",
        advice="Nothing was corrected: remove the cause and repeat the step named",
        figures={"held_out": held.as_json(), "findings": [f.as_json() for f in findings]},
    )


def _refuse_misfit(
    seen: Observations, held: ErrorSummary, angle_deg: float, limit_mm: float, findings: tuple[Finding, ...]
) -> None:
    found = list(findings)
    swapped = other_definitions(seen)
    if swapped is not None:
        found.insert(0, swapped)
    unknown = "no single cause explains it; pictures and poses may not belong together"
    cause = "; ".join(f.text for f in found) or unknown
    raise CalibrationRefused(
        "misfit",
        f"{seen.name}: held-out error is {held.rms_mm:.2f} mm rms (limit {limit_mm:g} mm), its image axes are "
        f"{angle_deg:.1f} deg apart: {cause}",
        advice="Look at the residual pictures, repeat the step named",
        figures={"held_out": held.as_json(), "raw_angle_deg": angle_deg, "findings": [f.as_json() for f in found]},
    )


def _along(deviation: Array, matrix: Matrix) -> Array:
    """Standard uncertainty of the lengths of the image axes, mm per pixel, shape (2,)."""
    axes = matrix[:3, :2] / np.linalg.norm(matrix[:3, :2], axis=0)
    return np.asarray(np.sqrt((np.einsum("ik,dik->dk", axes, deviation[:, :3, :2]) ** 2).sum(axis=0)))


def _angle_sd_deg(deviation: Array, matrix: Matrix) -> float:
    """Standard uncertainty of the angle between the image axes."""

    def angle_deg(m: Matrix) -> float:
        x, y = m[:3, 0], m[:3, 1]
        return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(x, y)), x @ y)))

    parts = [0.5 * (angle_deg(matrix + d) - angle_deg(matrix - d)) for d in deviation]
    return float(np.linalg.norm(parts))


def _pair(values: Array) -> tuple[float, float]:
    return float(values[0]), float(values[1])
