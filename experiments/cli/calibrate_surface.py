"""``phantomrig calibrate surface``: a phantom registered by points of its bone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, Picture, answers, labelled, mark
from experiments.cli.numbers import number
from experiments.cli.output import emit, say

if TYPE_CHECKING:
    from hal.types import Matrix
    from rig.geometry.registration import Points, Surface

SPACING_MM = 1.5
"""Between points of the nominal surface, as guidance uses it."""
SMALLEST_MM, LARGEST_MM = 10.0, 2000.0
"""Longest edge of the box about the bone: shorter is metres taken for mm, longer is micrometres [A]."""


def read_points(path: Path) -> Points:
    """Points (n, 3) mm of a table (``x y z`` or ``name x y z``; commas or blanks), ``.fcsv`` or ``.mrk.json`` (as RAS).

    Raises ``ConfigError`` with the line that cannot be read.
    """
    import numpy as np

    from hal.errors import ConfigError
    from rig.formats.points import read_fiducials

    if path.suffix == ".fcsv" or path.name.endswith(".mrk.json"):
        return np.array([point.position for point in read_fiducials(path)], dtype=np.float64).reshape(-1, 3)
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    rows: list[list[float]] = []
    for row, line in enumerate(lines, 1):
        words = line.split("#")[0].replace(",", " ").replace(";", " ").split()
        if not words or (not rows and [w.lower() for w in words[-3:]] in (["x", "y", "z"], ["x_mm", "y_mm", "z_mm"])):
            continue
        try:
            rows.append([float(word) for word in words[-3:]])
        except ValueError:
            rows.append([])
        if len(words) not in (3, 4) or len(rows[-1]) != 3:
            raise ConfigError(f"{path}: line {row}: a point is x y z or name x y z in mm, got {line.strip()!r}")
    if not rows:
        raise ConfigError(f"{path}: holds no points")
    return np.array(rows)


def read_surface(names: tuple[str, ...], unit_mm: float) -> tuple[Surface, dict[str, Points]]:
    """The nominal dorsal bone of one phantom with its targets, or the meshes (``.stl``, ``.obj``) of several files.

    Raises ``ConfigError``.
    """
    import numpy as np

    from hal.errors import ConfigError
    from hal.phantom.mesh import read_mesh, surface_points
    from hal.phantom.nominal import load_phantom
    from rig.geometry.registration import make_surface

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


def add_to(app: typer.Typer) -> None:
    """Put the command into the group ``calibrate``."""

    @app.command(
        epilog="Example:  phantomrig calibrate surface bone.csv lumbar_ref --start PhantomToRig=300,250,150 "
        "--point-sd 0.5 --picture bone.png --json > pr.json"
    )
    def surface(
        measured: Annotated[Path, typer.Argument(help="bone points: table x y z in mm, .fcsv or .mrk.json")],
        nominal: Annotated[list[str], typer.Argument(help="phantom (name or TOML), or .stl/.obj files of its bone")],
        start: Annotated[
            str, typer.Option(help="about where it is: AToB=x,y,z[,a,b,c] or AToB=FILE.tfm, surface to measured")
        ] = "SurfaceToMeasured=0,0,0",
        point_sd: Annotated[float, number("standard deviation of one bone point across the bone, mm", 0.001, 50)] = 0.5,
        correlated: Annotated[float, number("neighbouring points that share one error", 1, 1000000.0)] = 20.0,
        targets: Annotated[
            Path | None, typer.Option(help="table of targets, name x y z in the surface's frame (phantom: its own)")
        ] = None,
        unit: Annotated[float, number("mm of one unit of the mesh files, 1000 for metres", 1e-06, 1000000.0)] = 1.0,
        picture: Picture = None,
        json: AsJson = False,
    ) -> None:
        """Register a phantom by points of its bone surface."""
        from experiments.cli.calibrate_chain import stated_step
        from hal.errors import CalibrationRefused, ConfigError
        from rig.calibration.phantom.surface import register_surface
        from rig.calibration.phantom.surface_picture import draw_surface
        from rig.formats.named_points import labelled_simulated, read_named_points
        from rig.geometry.registration import fit_to_surface, invert_rigid

        with answers(json):
            if point_sd <= 0.0 or correlated < 1.0:
                raise ConfigError("--point-sd must be above 0 and --correlated at least 1")
            points = read_points(measured)
            simulated = labelled_simulated(measured)
            bone, at = read_surface(tuple(nominal), unit)
            if targets is not None:
                table = read_named_points(targets)
                at = dict(zip(table.names, table.points_mm, strict=True))
            name, SurfaceToMeasured = stated_step(start)
            begin = invert_rigid(SurfaceToMeasured)

            def draw(pose: Matrix, refused: CalibrationRefused | None = None) -> None:
                if picture is not None:
                    limit_mm = 2.0 * max(point_sd, 0.1)
                    drawn = draw_surface(picture, points, bone, pose, limit_mm, refused, mark(simulated))
                    say(f"picture: {drawn}")

            try:
                result = register_surface(
                    points, bone, begin, point_sd_mm=point_sd, correlated_points=correlated, targets=at
                )
            except CalibrationRefused as refused:
                if refused.code != "bad points":
                    draw(fit_to_surface(points, bone, begin).AToB, refused)
                raise
            back = result.transform.inverse()
            told = (
                f"fit residual {result.rms_mm:.2f} mm (not accuracy); held-out points {result.held_out_rms_mm:.2f} mm"
            )
            say(labelled(told, simulated))
            for target, sd in result.targets_mm.items():
                say(f"predicted standard uncertainty at {target}: {sd:.2f} mm (3-D)")
            if result.handedness_open:
                say(f"the shape does not tell whether {', '.join(result.handedness_open)} is reversed: fiducials do")
            draw(result.AToB)
            if json:
                given = {"kind": "phantom_registration", "transform": name, "matrix": back.matrix.tolist()}
                given |= {"simulated": simulated}
                emit(result.as_json() | given | {"covariance": back.covariance.tolist()})
