"""Where a phantom lies, from points that were measured elsewhere: fiducials, or points of its bone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hal.errors import CalibrationRefused, ConfigError
from hal.phantom.mesh import read_mesh, surface_points
from hal.phantom.nominal import load_phantom
from rig.calibration import results
from rig.calibration.origins import from_files
from rig.calibration.phantom.fiducials import register_fiducials
from rig.calibration.phantom.fiducials_picture import draw_registration
from rig.calibration.phantom.surface import register_surface
from rig.calibration.phantom.surface_picture import draw_surface
from rig.calibration.result import Result
from rig.formats.named_points import labelled_simulated, read_named_points
from rig.formats.point_cloud import read_points
from rig.formats.stated_step import stated_step
from rig.geometry.registration import Points, Surface, fit_to_surface, invert_rigid, make_surface

SPACING_MM = 1.5
"""Between points of the nominal surface, as guidance uses it."""
SMALLEST_MM, LARGEST_MM = 10.0, 2000.0
"""Longest edge of the box about the bone: shorter is metres taken for mm, longer is micrometres [A]."""


def fiducials_from(
    nominal: Path,
    measured: Path,
    fle_mm: float,
    *,
    check: Sequence[str] = (),
    targets: Path | None = None,
    transform: str = "",
) -> Result:
    """Register fiducials by name.

    ``fle_mm``: localisation error of one point, root of the mean square length; ``check``: held out; ``targets``: a
    table in the nominal frame; ``transform``: what ``AToB`` is, nominal to measured, where it is known. Raises
    ``ConfigError`` and ``CalibrationRefused``, which draws the points that were to be fitted.
    """
    simulated = labelled_simulated(measured)
    a, b = read_named_points(nominal), read_named_points(measured)
    fitted = tuple(n for n in a.names if n in b.names and n not in check)
    at = {}
    if targets is not None:
        table = read_named_points(targets)
        at = dict(zip(table.names, table.points_mm, strict=True))
    try:
        found = register_fiducials(a, b, fle_mm=fle_mm, check_names=tuple(check), targets=at)
    except CalibrationRefused as refused:
        if len(fitted) >= 3:
            one, other, note, why = a.only(fitted), b.only(fitted), "SIMULATED" if simulated else "", refused
            refused.picture = lambda path: draw_registration(path, one, other, fle_mm, why, note)
        raise
    paths = (nominal, measured) if targets is None else (nominal, measured, targets)
    origin = from_files(*paths, simulated=simulated)
    return results.fiducials(found, a.only(fitted), b.only(fitted), transform, origin)


def surface_from(
    measured: Path,
    nominal: Sequence[str],
    *,
    start: str = "SurfaceToMeasured=0,0,0",
    point_sd_mm: float = 0.5,
    correlated_points: float = 20.0,
    targets: Path | None = None,
    unit_mm: float = 1.0,
) -> Result:
    """Register bone points on the surface of a phantom (its name or TOML) or of meshes (``.stl``, ``.obj``).

    ``start``: about where it is, ``AToB=x,y,z[,a,b,c]`` or ``AToB=FILE.tfm``, surface to measured. ``point_sd_mm``:
    standard deviation of one point across the bone; ``correlated_points``: neighbours that share one error;
    ``targets``: table in the surface's frame (phantom: its own); ``unit_mm``: one unit of the mesh files. Raises
    ``ConfigError`` and ``CalibrationRefused``, which draws how far the points lay on the surface.
    """
    if point_sd_mm <= 0.0 or correlated_points < 1.0:
        raise ConfigError("--point-sd must be above 0 and --correlated at least 1")
    points = read_points(measured)
    simulated = labelled_simulated(measured)
    bone, at = read_surface(tuple(nominal), unit_mm)
    if targets is not None:
        table = read_named_points(targets)
        at = dict(zip(table.names, table.points_mm, strict=True))
    name, SurfaceToMeasured = stated_step(start)
    begin = invert_rigid(SurfaceToMeasured)
    limit_mm = 2.0 * max(point_sd_mm, 0.1)
    try:
        found = register_surface(
            points, bone, begin, point_sd_mm=point_sd_mm, correlated_points=correlated_points, targets=at
        )
    except CalibrationRefused as refused:
        if refused.code != "bad points":
            pose, note, why = fit_to_surface(points, bone, begin).AToB, "SIMULATED" if simulated else "", refused
            refused.picture = lambda path: draw_surface(path, points, bone, pose, limit_mm, why, note)
        raise
    files = [measured, *map(Path, nominal)] + ([] if targets is None else [targets])
    return results.surface(found, points, bone, name, limit_mm, from_files(*files, simulated=simulated))


def read_surface(names: tuple[str, ...], unit_mm: float) -> tuple[Surface, dict[str, Points]]:
    """The nominal dorsal bone of one phantom with its targets, or the meshes (``.stl``, ``.obj``) of several files.

    Raises ``ConfigError``.
    """
    if len(names) == 1 and Path(names[0]).suffix.lower() not in (".stl", ".obj"):
        phantom = load_phantom(names[0])
        targets = {f"{level}_{side}": t.nerve_centre_mm for (level, side), t in phantom.targets.items()}
        return make_surface(phantom.dorsal_bone_points(SPACING_MM)[0]), targets
    meshes = [read_mesh(Path(name), unit_mm) for name in names]
    points = np.concatenate([surface_points(mesh, SPACING_MM) for mesh in meshes])
    size_mm = float(np.ptp(points, axis=0).max())
    if not SMALLEST_MM <= size_mm <= LARGEST_MM:
        raise ConfigError(
            f"{', '.join(names)}: {size_mm:.3g} mm long, no bone of a spine is; --unit says how many mm one unit of "
            "the file is (1000 for metres)"
        )
    return make_surface(points), {}
