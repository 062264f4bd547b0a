"""Plausibility of matrices: the pose of a rigid body, or the scale and place of an image.

Every pose and every image matrix that comes from a tracker, a stream, a file or a person is judged by these
functions, once, where it enters; what they answer names the fault, '' stands for none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hal.types import Matrix

RIGID = 2e-3
"""Largest deviation of a pose from a rotation, as a share; six printed digits give 1e-5."""
FARTHEST_MM = 10_000.0
"""No tracker's volume and no bench reaches further: beyond it stand missing values (NDI's bad float is -3.7e28), other
units and mistypings [A]."""
BODIES = ("ReferenceToTracker", "PhantomToTracker")
"""Names under which a body fixed to the phantom is reported; the first that is there counts."""
FRAME_GIVERS = (*BODIES, "ProbeToTracker")
"""A tracker may give all poses in the frame of one of these, which then stands at the identity; a tool never does."""
TIP_UNCERTAINTY_MAX_MM = 10.0
"""A worse instrument is useless for a needle that is to be placed within millimetres [A]."""
PITCH_MM = (0.002, 5.0)
"""Distance of two pixels: from microscopes of 50 MHz to a picture of a hundred pixels, with room [A]. Metres for mm lie
below it."""
PITCH_RATIO = 3.0
"""Largest ratio between width and height of a pixel of a B-mode image [A]; screens have square ones."""
HIGHEST_MM = 500.0
"""No ultrasound on people reaches deeper: the picture is no higher."""
UPRIGHT_COSINE = 0.1
"""Rows and columns of a picture stand upright on each other within 6 degrees [A]; calibrations leave one or two."""


def why_not_rigid(matrix: Matrix) -> str:
    """Fault of a pose (4x4): not finite, an axis scaled, axes scaled or skewed, mirrored; '' for a rigid one.

    A scaled row or column is named by its axis. A mirrored pose is a flipped axis, but it is unknown which: flipping
    any other one and turning gives the same matrix.
    """
    r = matrix[:3, :3]
    if not np.isfinite(matrix).all():
        return "has numbers that are not finite"
    if np.abs(r).max() < RIGID:
        return "is no rotation: its axes are all zero"
    if np.abs(r).max() > 1e12:  # squares of it might overflow
        return f"is no rotation: it holds {np.abs(r).max():.3g}"
    scaled: list[tuple[float, str]] = []
    for product, frame in ((r.T @ r, "source"), (r @ r.T, "target")):
        sizes = np.sqrt(np.diag(product))
        off = np.abs(sizes - 1.0)
        skew = float(np.abs(product - np.diag(np.diag(product))).max())
        if off.max() > RIGID and skew < 0.2 * off.max() and np.sum(off > 0.3 * off.max()) == 1:
            worst = int(np.argmax(off))
            text = f"is no rotation: axis {'xyz'[worst]} of its {frame} frame is scaled by {sizes[worst]:.4f}"
            scaled.append((skew, text))
    if scaled:
        return min(scaled)[1]  # of a small turn both frames would do; the one that leaves no skew is right
    if np.abs(r @ r.T - np.eye(3)).max() > 2 * RIGID:
        return "is no rotation: its axes are scaled or skewed"
    if np.linalg.det(r) < 0.0:
        return "is mirrored (determinant -1): one of its axes is flipped"
    return ""


def why_no_pose(matrix: Matrix) -> str:
    """Fault of the pose of a body on a bench: as ``why_not_rigid``, its last row, or too far away; '' for none."""
    why = why_not_rigid(matrix) or _last_row(matrix)
    if why:
        return why
    away_mm = float(np.linalg.norm(matrix[:3, 3]))
    if away_mm > FARTHEST_MM:
        return f"lies {away_mm:.3g} mm from its origin, farther than {FARTHEST_MM / 1000:g} m"
    return ""


def is_identity(matrix: Matrix) -> bool:
    """True for a pose that is the unit matrix to the last bit."""
    return bool(np.array_equal(matrix, np.eye(4)))


def why_not_tracked(name: str, matrix: Matrix) -> str:
    """Fault of a tracker's pose ``AToB``: as ``why_no_pose``, or the value sent for a tool out of sight."""
    if is_identity(matrix) and name not in FRAME_GIVERS:
        return "is exactly the identity, which servers send for a tool that they do not see"
    return why_no_pose(matrix)


def why_no_image(ImageToBody: Matrix, size_px: tuple[int, int] | None = None) -> str:
    """Fault of a matrix from pixels (x column, y row) to a body; '' for a possible one.

    Its first two columns hold the pixel pitch, so that it is no rotation. ``size_px``: columns and rows of the picture,
    where they are known. It does not show which way an image is mirrored: an image may be shown either way.
    """
    if not np.isfinite(ImageToBody).all():
        return "has numbers that are not finite"
    x, y, z = ImageToBody[:3, 0], ImageToBody[:3, 1], ImageToBody[:3, 2]
    pitch = (float(np.linalg.norm(x)), float(np.linalg.norm(y)))
    why = why_no_pitch(pitch, size_px) or _last_row(ImageToBody)
    if why:
        return why
    if abs(float(x @ y)) > UPRIGHT_COSINE * pitch[0] * pitch[1]:
        return "has rows and columns that do not stand upright on each other"
    if abs(float(np.cross(x, y) @ z)) < 1e-6 * pitch[0] * pitch[1]:
        return "has no third axis, so that it cannot be inverted"
    away_mm = float(np.linalg.norm(ImageToBody[:3, 3]))
    if away_mm > FARTHEST_MM:
        return f"lies {away_mm:.3g} mm from its origin, farther than {FARTHEST_MM / 1000:g} m"
    return ""


def why_no_pitch(pitch_mm: Sequence[float], size_px: tuple[int, int] | None = None) -> str:
    """Fault of the distances of columns and of rows (mm): not positive, absurd, or of no image."""
    low, high = PITCH_MM
    wide, tall = (float(value) for value in pitch_mm)
    if not all(low <= value <= high for value in (wide, tall)):
        return f"has pixels of {wide:.4g} by {tall:.4g} mm; {low:g} to {high:g} mm are possible"
    if max(wide / tall, tall / wide) > PITCH_RATIO:
        return f"has pixels of {wide:.4g} by {tall:.4g} mm, which no screen has; is one of them in other units?"
    if size_px is not None:
        height_mm = size_px[1] * tall
        if height_mm > HIGHEST_MM:
            return (
                f"makes the picture {height_mm:.4g} mm high ({size_px[1]} rows of {tall:.4g} mm), "
                f"higher than {HIGHEST_MM:g} mm"
            )
    return ""


def why_refused(name: str, matrix: Matrix) -> str:
    """Fault of ``AToB`` by its name: one from an image holds the pixel pitch, any other is a pose."""
    return why_no_image(matrix) if name.startswith("Image") else why_no_pose(matrix)


def image_matrix(numbers: Sequence[float]) -> Matrix:
    """Matrix from pixels as a rig file states it, row by row; raises ``ValueError`` for an impossible one."""
    if len(numbers) != 16:
        raise ValueError("must be 16 finite numbers, row by row")
    matrix = np.array(numbers, dtype=np.float64).reshape(4, 4)
    why = why_no_image(matrix)
    if why:
        raise ValueError(f"must be 16 finite numbers, row by row, that turn pixels into mm: it {why}")
    return matrix


def _last_row(matrix: Matrix) -> str:
    row = np.asarray(matrix)[3]
    return "" if np.abs(row - (0.0, 0.0, 0.0, 1.0)).max() < 1e-6 else "has a last row that is not 0 0 0 1"
