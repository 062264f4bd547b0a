"""Picture of a pivot: the residual of every pose, and how the shaft was swivelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rig.calibration.figures import BAD, GOOD, panels, save
from rig.calibration.tool.pivot import PivotCalibration


def draw_pivot(path: Path, result: PivotCalibration, note: str = "") -> Path:
    """Residual of every pose against time and across, and the directions that the shaft took; ``note`` on top."""
    figure, axes = panels(3, 15.0)
    kept = np.ones(len(result.residuals_mm), dtype=bool)
    kept[list(result.outliers)] = False
    length = np.linalg.norm(result.residuals_mm, axis=1)
    index = np.arange(len(length))
    axes[0].plot(index[kept], length[kept], ".", color=GOOD, label="used")
    if not kept.all():
        axes[0].plot(
            index[~kept], np.minimum(length[~kept], 5.0 * length[kept].max()), "x", color=BAD, label="left out"
        )
    axes[0].axhline(result.rms_mm, color="black", ls="--", label=f"rms {result.rms_mm:.2f} mm")
    axes[0].set_xlabel("pose")
    axes[0].set_ylabel("distance of the tip from the pivot, mm")
    axes[0].legend(loc="upper right")
    points: NDArray[np.float64] = result.residuals_mm[kept]
    for (i, j), marker in (((0, 1), "."), ((0, 2), "+")):
        axes[1].plot(points[:, i], points[:, j], marker, ms=4, label=f"{'xyz'[i]}, {'xyz'[j]}")
    axes[1].set_aspect("equal", adjustable="datalim")
    axes[1].set_xlabel("residual, mm (a cloud: noise; a line or two clouds: slipping)")
    axes[1].legend()
    mean = result.directions.mean(axis=0)
    mean /= np.linalg.norm(mean)
    side = np.cross(mean, np.eye(3)[int(np.argmin(np.abs(mean)))])
    side /= np.linalg.norm(side)
    angles = np.degrees(np.arcsin(np.clip(result.directions @ np.column_stack([side, np.cross(mean, side)]), -1, 1)))
    axes[2].plot(angles[:, 0], angles[:, 1], "-", color=GOOD, lw=0.8)
    axes[2].set_aspect("equal", adjustable="datalim")
    axes[2].set_xlabel("direction of the shaft, deg")
    axes[2].set_title(f"spread {result.spread_deg:.0f} deg; tip known to {result.tip_sd_mm:.3f} mm (standard)")
    if note:
        figure.suptitle(note)
    return save(figure, path)
