"""Calibrations in force in a run, one line each. Those that belong to no device (phantom, gel) appear only here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.report.view import Table
from rig.record import RecordedRun


def table(run: RecordedRun) -> Table | None:
    """Identity, subject, who and when, due date and figures of every certificate; None when the run had none."""
    rows = tuple(
        (
            str(c["identity"]),
            str(c["kind"]).replace("_", " "),
            str(c.get("transform") or c["device"]),
            f"{str(c['performed_at'])[:10]}, {c['performed_by']}",
            str(c.get("due") or "until replaced"),
            "simulated" if c["simulated"] else "real",
            "; ".join(figures(c)) or "see its file",
        )
        for c in run.certificates
    )
    if not rows:
        return None
    titles = ("Certificate", "Kind", "Of", "Performed, by", "Due", "Made with", "Figures (k = 1)")
    caption = "Calibrations in force, as copied into the run folder (calibrations). Of a frame: where its origin lies."
    return Table(titles, rows, "lllllll", (1.4, 1.5, 1.6, 1.3, 1.1, 1.0, 3.0), caption)


def figures(certificate: Mapping[str, Any]) -> list[str]:
    """Numbers of a certificate in words: the calibrated values, or the uncertainty of a transform."""
    words = [
        f"{name} {v['value']:.4g} {v['unit']}, u = {v['standard_uncertainty']:.2g}"
        for name, v in sorted(dict(certificate.get("values", {})).items())
    ]
    covariance = np.asarray(certificate.get("covariance") or [], dtype=np.float64)
    if certificate.get("transform") and covariance.shape == (6, 6):
        place_mm, turn_deg = _known_to(np.asarray(certificate["matrix"], dtype=np.float64), covariance)
        words.append(f"place u = {place_mm:.2g} mm (worst axis), turn u = {turn_deg:.2g} deg")
    return words


def _known_to(AToB: np.ndarray, covariance: np.ndarray) -> tuple[float, float]:
    """Standard uncertainty of A's origin in B, worst axis, mm, and of the turn, worst axis, deg.

    ``covariance`` (6, 6): rotation vector (rad) about B's origin, translation (mm), error on the left.
    """
    x, y, z = AToB[:3, 3]
    moved = np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]])  # rotation vector x origin
    jacobian = np.hstack([moved, np.eye(3)])
    place = jacobian @ covariance @ jacobian.T
    turn = float(np.linalg.eigvalsh(covariance[:3, :3])[-1])
    return float(np.sqrt(np.diag(place).max())), float(np.degrees(np.sqrt(max(turn, 0.0))))
