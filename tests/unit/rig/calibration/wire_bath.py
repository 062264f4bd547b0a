"""A made-up tracked recording of any wire phantom: lopsided echoes, speckle, clutter; the truth is returned with it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from hal.links.sequence import Sequence, SequenceFrame
from rig.calibration.probe.plus_config import PlusConfig, PlusTransform, ProbeFrames
from rig.calibration.probe.solve import predicted_dots_px
from rig.calibration.probe.wires import NPattern, Wire, WirePhantom


def phantom_of(*rows: tuple[float, float, float, float, float]) -> WirePhantom:
    """N's given by (x left, x right, x of the middle in front, at the back, z); wires run 50 mm along y."""
    patterns = []
    for n, (left, right, front, back, z) in enumerate(rows):
        patterns.append(
            NPattern.of(
                (
                    Wire(f"{n}L", (left, 0.0, z), (left, 50.0, z)),
                    Wire(f"{n}M", (front, 0.0, z), (back, 50.0, z)),
                    Wire(f"{n}R", (right, 0.0, z), (right, 50.0, z)),
                )
            )
        )
    return WirePhantom("made up", tuple(patterns))


@dataclass(frozen=True)
class Bath:
    sequence: Sequence
    config: PlusConfig
    ImageToProbe: np.ndarray


def record(
    phantom: WirePhantom,
    *,
    pitch_mm: tuple[float, float] = (0.12, 0.1),
    size_px: tuple[int, int] = (420, 460),
    frames: int = 36,
    seed: int = 3,
    orientation: str = "MFA",
    rgb: bool = False,
    clutter: int = 3,
    motion: tuple[float, float] = (1.0, 1.0),
    spacing_hint_mm: float | None = None,
) -> Bath:
    """``motion``: factors on shifts and tilts. Pixels are stored in ``orientation``; truth is in MF order."""
    rng = np.random.default_rng(seed)
    w, h = size_px
    turn = Rotation.from_euler("zyx", (92.0, 3.0, -2.0), degrees=True).as_matrix()
    ImageToProbe = np.eye(4)
    ImageToProbe[:3, :3] = turn * (pitch_mm[0], pitch_mm[1], sum(pitch_mm) / 2)
    ImageToProbe[:3, 3] = (9.0, 30.0, -2.0)
    centre = phantom_centre(phantom)
    phase = np.linspace(0.0, 1.0, frames)
    tilt = np.stack([8 * np.sin(9 * phase), 7 * np.cos(7 * phase), 6 * np.sin(5 * phase + 1)], axis=1) * motion[1]
    shift = np.stack([2.5 * np.sin(8 * phase), 18 * np.sin(6 * phase), 2.0 * np.cos(7 * phase)], axis=1) * motion[0]
    # image x along phantom x, image y along phantom z, middle of the picture on the wires' centre
    base = np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]).T
    ProbeToReference = np.tile(np.eye(4), (frames, 1, 1))
    middle = ImageToProbe @ np.array([w / 2, h / 2, 0, 1])
    for k in range(frames):
        wanted = base @ Rotation.from_euler("xyz", tilt[k], degrees=True).as_matrix() @ np.diag([1, 1, -1.0])
        ProbeToReference[k, :3, :3] = wanted @ turn.T
        ProbeToReference[k, :3, 3] = centre + shift[k] - ProbeToReference[k, :3, :3] @ middle[:3]
    PhantomToReference = np.eye(4)
    PhantomToReference[:3, :3] = Rotation.from_euler("xyz", (20.0, -30.0, 50.0), degrees=True).as_matrix()
    PhantomToReference[:3, 3] = (12.0, -40.0, 7.0)
    ProbeToReference = PhantomToReference @ ProbeToReference
    PhantomToProbe = np.linalg.inv(ProbeToReference) @ PhantomToReference
    dots = predicted_dots_px(phantom, ImageToProbe, PhantomToProbe)
    pixels = np.array([_picture(rng, dots[k], size_px, pitch_mm, clutter) for k in range(frames)])
    if orientation[0] == "U":
        pixels = pixels[:, :, ::-1]
    if orientation[1] == "N":
        pixels = pixels[:, ::-1]
    if rgb:
        pixels = np.repeat(pixels[..., None], 3, axis=3)
    items = tuple(
        SequenceFrame(
            k, 10**9 + 80_000_000 * k, {"ProbeToReference": ProbeToReference[k]}, frozenset(), {"ImageStatus": "OK"}
        )
        for k in range(frames)
    )
    sequence = Sequence(Path("bath.igs.mha"), {"UltrasoundImageOrientation": orientation}, items, pixels)
    transforms = {"PhantomToReference": PlusTransform("Phantom", "Reference", PhantomToReference)}
    config = PlusConfig(
        Path("bath.xml"), transforms, phantom, ProbeFrames(), spacing_hint_mm, None, ET.Element("PlusConfiguration")
    )
    return Bath(sequence, config, ImageToProbe)


def phantom_centre(phantom: WirePhantom) -> np.ndarray:
    return np.mean([[w.front_mm, w.back_mm] for w in phantom.wires], axis=(0, 1))


def _picture(rng, dots, size_px, pitch_mm, clutter):
    w, h = size_px
    image = np.zeros((h, w), np.float32)
    extra = np.stack([rng.uniform(20, w - 20, clutter), rng.uniform(20, h - 20, clutter)], axis=1)
    spots = [(x, y, rng.uniform(120, 230)) for x, y in dots] + [(x, y, rng.uniform(40, 110)) for x, y in extra]
    for x, y, peak in spots:
        if not (5 < x < w - 5 and 5 < y < h - 5):
            continue
        sx, sy = 0.45 / pitch_mm[0], 0.2 / pitch_mm[1]
        rx, ry = int(4 * sx) + 1, int(4 * sy) + 1
        left, top = max(0, int(x) - rx), max(0, int(y) - ry)
        gx, gy = np.meshgrid(np.arange(left, min(w, int(x) + rx)), np.arange(top, min(h, int(y) + ry)))
        image[gy[0, 0] : gy[-1, 0] + 1, gx[0, 0] : gx[0, -1] + 1] += peak * np.exp(
            -((gx - x) ** 2) / (2 * sx**2) - (gy - y) ** 2 / (2 * sy**2)
        )
    speckle = cv2.GaussianBlur(rng.rayleigh(1.0, (h, w)).astype(np.float32), (0, 0), 1.5)
    return np.clip(image * (0.7 + 0.24 * speckle) + 9.0 * speckle, 0, 255).astype(np.uint8)
