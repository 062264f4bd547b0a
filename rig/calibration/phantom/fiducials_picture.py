"""Picture of a registration by fiducials: deviation of each from the design."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hal.errors import CalibrationRefused
from rig.calibration.figures import BAD, GOOD, GREY, panels, save, wrapped
from rig.calibration.phantom.diagnosis import rigid_rest
from rig.geometry.fiducials import Fiducials
from rig.geometry.tre import expected_fre_mm


def draw_registration(
    path: Path,
    nominal: Fiducials,
    measured: Fiducials,
    fle_mm: float,
    refusal: CalibrationRefused | None = None,
    note: str = "",
) -> Path:
    """Residual of every landmark as an arrow, from above and from the side, and as bars against what is expected.

    Works on refused sets too: the pattern of the arrows is the diagnosis (all outward along one axis: scale; two
    long ones: a swap; one long one: a bad point). ``note`` stands on top.
    """
    names = tuple(n for n in nominal.names if n in measured.names)
    a, b = nominal.only(names), measured.only(names)
    rest = -rigid_rest(b.points_mm, a.points_mm)  # measured minus nominal, drawn in the nominal frame
    length = np.linalg.norm(rest, axis=1)
    expected = expected_fre_mm(len(a), fle_mm) if len(a) > 2 else fle_mm
    reach = float(np.ptp(a.points_mm, axis=0).max())
    factor = 0.2 * reach / max(float(length.max()), 1e-9)
    figure, axes = panels(3, 15.0)
    for ax, (i, j), title in ((axes[0], (0, 1), "from above"), (axes[1], (0, 2), "from the side")):
        ax.scatter(a.points_mm[:, i], a.points_mm[:, j], color=GREY, zorder=2)
        for k, name in enumerate(a.names):
            color = BAD if length[k] > 2.5 * expected else GOOD
            tail = (float(a.points_mm[k, i]), float(a.points_mm[k, j]))
            head = (tail[0] + factor * float(rest[k, i]), tail[1] + factor * float(rest[k, j]))
            ax.plot(*head, ".", ms=1, color=color)
            ax.annotate("", head, tail, arrowprops={"arrowstyle": "->", "color": color, "lw": 2})
            ax.annotate(name, tail, xytext=(6, 6 if k % 2 else -16), textcoords="offset points")
        ax.set_xlabel(f"{'xyz'[i]} nominal, mm")
        ax.set_ylabel(f"{'xyz'[j]} nominal, mm")
        ax.set_title(f"{title}; arrows: measured minus fitted, x {factor:.3g}")
        ax.margins(0.25)
        ax.set_aspect("equal", adjustable="datalim")
        if j == 2:
            ax.invert_yaxis()
    y = np.arange(len(names))
    axes[2].barh(y, length, color=[BAD if v > 2.5 * expected else GOOD for v in length])
    axes[2].axvline(expected, color="black", ls="--", label=f"expected from FLE {fle_mm:.3g} mm: {expected:.2f} mm")
    axes[2].set_yticks(y, names)
    axes[2].invert_yaxis()
    axes[2].set_xlabel("residual after the fit, mm (not accuracy)")
    axes[2].legend(loc="best")
    if refusal is None:
        figure.suptitle(f"{note}   accepted".strip(), color=GOOD)
    else:
        figure.suptitle(f"{note}   REFUSED: {wrapped(refusal.reason)}".strip(), color=BAD, fontsize=10)
    return save(figure, path)
