"""Pictures of a phantom as it is drawn, and as it was poured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hal.errors import ConfigError
from hal.phantom.nominal import NominalPhantom, load_phantom
from hal.phantom.portrait import portrait
from hal.sim.build import AsBuilt, BuildErrors, build
from hal.types import ImagingSettings, Matrix, Pixels, ProbeGeometry, Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTE = "simulated phantom"
COLOURS = {
    "couplant": "#0b1020", "skin": "#c98f6d", "fat": "#e8cf87", "fascia": "#f4eee0", "muscle": "#9c4a46",
    "ligament": "#c9c3ae", "intertransverse_ligament": "#f0e6b8", "ligamentum_flavum": "#e6c34a",
    "epidural_fat": "#f2dc8c", "csf": "#9fc6e8", "dura": "#5f7fae", "perineural": "#e59a63", "nerve_rim": "#fff27a",
    "nerve_core": "#f5d800", "artery": "#e01e1e", "vein": "#2a4fd0", "bone": "#f7f7f2", "disc": "#7fb0a0",
    "cartilage": "#58c4dd",
}  # fmt: skip
CURVED = ProbeGeometry("curved", radius_mm=60.0, field_of_view_deg=60.0, footprint_mm=60.0, thickness_mm=14.0)


def draw_phantom(phantom: str, out: Path, seed: int | None) -> list[Path]:
    """Write pictures of a phantom to the folder ``out`` and return their paths.

    Three cross-sections through each of the L4, L5 and S1 left roots, the bones in three dimensions, and rendered
    ultrasound views. Without a seed the phantom is shown as drawn, with one as poured. Raises ``ConfigError`` for an
    unknown phantom or a folder that cannot be written.
    """
    nominal = load_phantom(phantom)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"pictures: folder {out} cannot be made ({error.strerror})") from error
    built = build(nominal, seed or 0, BuildErrors.none() if seed is None else BuildErrors())
    state = "as drawn" if seed is None else f"as poured, seed {seed}"
    try:
        levels = ("L4", "L5", "S1")
        written = [_sections(nominal, built, level, state, out / f"sections_{level}.png") for level in levels]
        written.append(_bones(nominal, built, state, out / "bones.png"))
        written.append(rendered_views(nominal, built, state, out / "views.png"))
    except OSError as error:
        raise ConfigError(f"pictures: folder {out} cannot be written ({error.strerror})") from error
    return written


def _palette() -> Pixels:
    from hal.phantom.materials import by_label

    table = np.zeros((256, 3), dtype=np.uint8)
    for label, material in by_label().items():
        colour = COLOURS.get(material.name, "#ff00ff")
        table[label] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return table


def _sections(nominal: NominalPhantom, built: AsBuilt, level: str, state: str, path: Path) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    centre = built.target(level, "left").nerve_centre_mm
    volume, palette = built.volume, _palette()
    low = volume.origin_mm - volume.spacing_mm / 2
    high = low + volume.spacing_mm * np.array(volume.labels.shape)
    index = np.clip(volume.index_of(centre), 0, np.array(volume.labels.shape) - 1)
    figure, axes = plt.subplots(1, 3, figsize=(19, 8.2), width_ratios=[1.0, 1.2, 1.0], layout="constrained")
    cuts = (
        ("transverse", 1, volume.labels[:, index[1], :].T, 0, 2),
        ("parasagittal", 0, volume.labels[index[0], :, :].T, 1, 2),
        ("coronal", 2, volume.labels[:, :, index[2]].T, 0, 1),
    )
    for axis, (title, normal, labels, across, down) in zip(axes, cuts, strict=True):
        extent = (low[across], high[across], high[down], low[down])
        if down == 1:
            extent = (low[across], high[across], low[down], high[down])
        axis.imshow(palette[labels], extent=extent, origin="lower" if down == 1 else "upper", interpolation="nearest")
        axis.set_title(f"{title}, {'XYZ'[normal]} = {centre[normal]:.1f} mm")
        axis.set_xlabel(("X, + left" if across == 0 else "Y, + cranial") + " (mm)")
        axis.set_ylabel(("Z depth" if down == 2 else "Y, + cranial") + " (mm)")
        axis.axvline(centre[across], color="white", lw=0.4, alpha=0.6)
        axis.axhline(centre[down], color="white", lw=0.4, alpha=0.6)
        axis.plot(centre[across], centre[down], "+", color="black", ms=12, mew=1.5)
        aim = built.target(level, "left").aim_mm(np.array([-0.5, 0.0, 0.87]))
        axis.plot(aim[across], aim[down], "x", color="magenta", ms=7, mew=1.5)
        _name_landmarks(axis, nominal, centre, normal, across, down)
    names = [m for m in COLOURS if m != "couplant"]
    figure.legend(
        handles=[Patch(facecolor=COLOURS[m], edgecolor="grey", label=m.replace("_", " ")) for m in names],
        loc="outside lower center", ncols=9, fontsize=8,
    )  # fmt: skip
    figure.suptitle(f"{nominal.name} ({state}): {level} left root (+), aim point from lateral (x) - {NOTE}")
    figure.savefig(path, dpi=90)
    plt.close(figure)
    return path


def _name_landmarks(axis: Axes, nominal: NominalPhantom, centre: Vector, normal: int, across: int, down: int) -> None:
    for name, at in nominal.landmarks.items():
        inside = bool(((at > nominal.box_low_mm) & (at < nominal.box_high_mm)).all())
        if inside and abs(at[normal] - centre[normal]) < 4.0 and not name.endswith(("origin", "right")):
            axis.plot(at[across], at[down], "o", ms=4, mfc="none", mec="black")
            axis.annotate(
                name.removesuffix(".left").replace("_", " "), (at[across], at[down]), xytext=(4, 4),
                textcoords="offset points", fontsize=7,
                bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.65},
            )  # fmt: skip


def _bones(nominal: NominalPhantom, built: AsBuilt, state: str, path: Path) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    views = (
        ("from behind (the phantom's left is on the left)", (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), 200.0),
        ("from behind, left and cranial", (-0.6, -0.25, 0.75), (0.0, 1.0, 0.2), 200.0),
        ("from the left", (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 130.0),
    )
    centre = np.array([0.0, 10.0, 55.0])
    spine = tuple(bone.name for bone in built.scene.bones if bone.name != "ilium")
    figure, axes = plt.subplots(1, 3, figsize=(17, 8), width_ratios=[v[3] for v in views], layout="constrained")
    for axis, (title, look, up, width) in zip(axes, views, strict=True):
        scene = built.scene if width > 150 else built.scene.subset(spine)
        picture = portrait(scene, np.array(look), np.array(up), centre, width, 250.0, 0.5)
        axis.imshow(picture, cmap="bone", vmin=0, vmax=255)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    figure.suptitle(f"{nominal.name} ({state}): bones - {NOTE}")
    figure.savefig(path, dpi=90)
    plt.close(figure)
    return path


def _probe_at(x_mm: float, y_mm: float, turn_deg: float, tilt_deg: float = 0.0) -> Matrix:
    """ProbeToPhantom of a probe on the skin; ``turn_deg`` 0 = transverse, 90 = longitudinal."""
    t, a = np.radians(turn_deg), np.radians(tilt_deg)
    turn = np.array([[np.cos(t), -np.sin(t), 0.0], [np.sin(t), np.cos(t), 0.0], [0.0, 0.0, 1.0]])
    tilt = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(a), -np.sin(a)], [0.0, np.sin(a), np.cos(a)]])
    pose = np.eye(4)
    pose[:3, :3] = turn @ tilt
    pose[:3, 3] = (x_mm, y_mm, 1.0)
    return pose


def rendered_views(nominal: NominalPhantom, built: AsBuilt, state: str, path: Path) -> Path:
    """Ultrasound images of the views that a technique starts from."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from hal.phantom.materials import by_label
    from hal.sim.acoustics.renderer import Renderer
    from hal.sim.acoustics.scene import Scene

    volume = built.volume
    scene = Scene(volume.labels, volume.origin_mm, np.full(3, volume.spacing_mm), by_label())
    renderer = Renderer(scene, CURVED, "full", seed=built.seed)
    marks = nominal.landmarks
    views = (
        ("L4 transverse, spinous process", _probe_at(0.0, float(marks["L4.spinous_tip"][1]), 0.0)),
        ("L4-5 transverse, facets", _probe_at(18.0, float(marks["L4.facet_below.left"][1]), 0.0)),
        ("L4 root level, transverse", _probe_at(35.0, float(marks["L4.root.left"][1]), 0.0)),
        ("L5 root level, transverse", _probe_at(32.0, float(marks["L5.root.left"][1]), 0.0)),
        ("parasagittal, transverse processes (X 34)", _probe_at(34.0, 12.0, 90.0)),
        ("parasagittal, articular processes (X 18)", _probe_at(18.0, 5.0, 90.0)),
        ("parasagittal, sacrum and S1 foramen (X 23)", _probe_at(23.0, -50.0, 90.0)),
        ("S1 foramen, transverse", _probe_at(23.0, float(marks["S1.s1_foramen.left"][1]), 0.0)),
    )
    settings = ImagingSettings(depth_mm=90.0)
    figure, axes = plt.subplots(2, 4, figsize=(19, 10), layout="constrained")
    for axis, (title, pose) in zip(axes.ravel(), views, strict=True):
        image = renderer.render(pose, settings, indentation_mm=1.0, sound_speed_m_s=built.sound_speed_m_s)
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    figure.suptitle(f"{nominal.name} ({state}): rendered views, curved probe, 90 mm deep - {NOTE}")
    figure.savefig(path, dpi=90)
    plt.close(figure)
    return path
