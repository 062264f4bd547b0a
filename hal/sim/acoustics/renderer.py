"""B-mode frames of the world: label march, scatterers, needle, blur, compression, scan conversion.

The gel is a label volume; tissue pressed in by the probe is displaced along the scan lines by
``press * exp(-s / reach)`` with s the rest depth below the skin. One sound speed holds for the whole path, so
echoes appear at ``depth * c_assumed / c_true``. Not modelled: refraction, steering and compounding, phase
aberration. Equal inputs give equal bytes, on one thread or two.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import TypedDict, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from hal.sim.acoustics import blur, compress, elements, fluid, needle_splat
from hal.sim.acoustics.march import march
from hal.sim.acoustics.plan import WAIST_STEP_MM, Plan, plan
from hal.sim.acoustics.scatter import CULL_U2, MULTIPLIERS, PHASE_TABLE, scatter
from hal.sim.acoustics.scene import PreparedScene, Scene, prepare
from hal.sim.acoustics.states import Bolus, EchoNeedle, Track
from hal.sim.acoustics.wire_splat import wire_points
from hal.types import ImagingSettings, Matrix, Pixels, ProbeGeometry

T = TypeVar("T")

STRIPES = 2
"""Fixed number of line ranges, merged in fixed order: bytes do not depend on the number of threads."""
INDENTATION_REACH_MM = 25.0
"""Decay length of the displacement under the probe [assumed: about the probe's half width]."""
COUPLANT_GAP_MM = 2.0
"""Couplant that fills this much between face and skin; further lifted elements see air [assumed]."""
CONTACT_EDGE_MM = 0.8
"""Width of the transition from contact to air."""
RING_AMPLITUDE, RING_MM = 30.0, 0.22
"""Ring-down of the face: level relative to muscle speckle and decay length [assumed]."""
NOISE_TABLE = 1 << 17


class Content(TypedDict, total=False):
    """Content of a frame beside the gel, and the contact of probe and skin (see ``Renderer.render``)."""

    needle: EchoNeedle | None
    boluses: Sequence[Bolus]
    tracks: Sequence[Track]
    wires_mm: NDArray[np.float64] | None
    indentation_mm: float
    couplant_gap_mm: float


class Renderer:
    """Makes frames of one scene with one probe.

    Args:
        scene: label volume and materials, or what prepares them at the first frame: a needle without a picture needs
            neither.
        probe: the transducer.
        quality: ``full`` (256 lines x 1024 samples x 5 slices) or ``fast`` (128 x 512 x 3).
        seed: of scatterers, textures and noise.
        threads: 1 or 2; the bytes are the same.
    """

    def __init__(
        self,
        scene: Scene | Callable[[], PreparedScene],
        probe: ProbeGeometry,
        quality: str = "full",
        seed: int = 0,
        *,
        threads: int = 1,
    ) -> None:
        if quality not in ("full", "fast"):
            raise ValueError(f"quality is 'full' or 'fast', not {quality!r}")
        self.probe = probe
        self.quality = quality
        self.seed = seed
        self._prepare = partial(prepare, scene, seed) if isinstance(scene, Scene) else scene
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="render") if threads > 1 else None
        self._plans: dict[tuple[ImagingSettings, float], Plan] = {}
        self._shape = (0, 0)
        self.dead_elements: tuple[int, ...] = ()
        """Elements of the array that neither send nor hear (``elements.ELEMENTS_N`` along the face)."""
        self.lens_mm = 0.0
        """Thickness of the lens, which reverberates in air; 0: air shows nothing."""
        self.scatterers_n = 0
        """Scatterers in the last frame."""

    @cached_property
    def _scene(self) -> PreparedScene:
        return self._prepare()

    @cached_property
    def _noise(self) -> NDArray[np.float32]:
        noise = np.random.default_rng([self.seed, 5]).standard_normal((NOISE_TABLE, 2), np.float32)
        return noise * np.float32(np.sqrt(0.5))

    def plan(self, settings: ImagingSettings, sound_speed_m_s: float = 1540.0) -> Plan:
        """Tables for these settings (kept)."""
        key = (settings, sound_speed_m_s)
        if key not in self._plans:
            if len(self._plans) > 8:
                self._plans.clear()
            self._plans[key] = plan(self.probe, settings, self._scene, self.quality, sound_speed_m_s)
        return self._plans[key]

    def render(
        self,
        ProbeToPhantom: Matrix,
        settings: ImagingSettings,
        *,
        needle: EchoNeedle | None = None,
        boluses: Sequence[Bolus] = (),
        tracks: Sequence[Track] = (),
        wires_mm: NDArray[np.float64] | None = None,
        indentation_mm: float = 0.0,
        couplant_gap_mm: float = COUPLANT_GAP_MM,
        sound_speed_m_s: float = 1540.0,
    ) -> Pixels:
        """One frame, shape (512, 512), rows down = depth, columns = probe x (``ScanGrid.ImageToProbe``).

        Args:
            ProbeToPhantom: pose of the transducer face.
            settings: of the scanner, with the sound speed that it assumes.
            needle, boluses, tracks: as they lie now, in ``Phantom``.
            wires_mm: end points of the wires of a QA block, shape (n, 2, 3), ``Phantom``.
            indentation_mm: how far the skin gives way; lines press no further than their face point lies below Z = 0.
            couplant_gap_mm: face points higher above the skin than this show nothing.
            sound_speed_m_s: true speed along the path.
        """
        p = self.plan(settings, sound_speed_m_s)
        polar = self.polar_grey(
            ProbeToPhantom, p, needle=needle, boluses=boluses, tracks=tracks, wires_mm=wires_mm,
            indentation_mm=indentation_mm, couplant_gap_mm=couplant_gap_mm,
        )  # fmt: skip
        return compress.scan_convert(polar, p.maps)

    def polar_grey(self, ProbeToPhantom: Matrix, p: Plan, **content: Unpack[Content]) -> Pixels:
        """Grey polar image, shape (lines, samples)."""
        field, side, noise = self._blurred(ProbeToPhantom, p, **content)
        out = np.empty((p.grid.lines, p.grid.samples), np.uint8)
        self._each_stripe(
            p,
            lambda first, last: compress.grey_lines(
                field, p.lateral, side, self._noise, noise, p.noise_level, p.grey_scale, p.grey_base, first, last, out
            ),
        )
        return out

    def envelope(self, ProbeToPhantom: Matrix, p: Plan, **content: Unpack[Content]) -> NDArray[np.float32]:
        """Linear envelope before depth gain and compression, 1 = rms of muscle speckle; shape (lines, samples)."""
        field, side, noise = self._blurred(ProbeToPhantom, p, **content)
        out = np.empty((p.grid.lines, p.grid.samples), np.float32)
        compress.envelope_lines(field, p.lateral, side, self._noise, noise, p.noise_level, 0, p.grid.lines, out)
        return out

    def _each_stripe(self, p: Plan, work: Callable[[int, int], T]) -> list[T]:
        edges = [p.grid.lines * s // STRIPES for s in range(STRIPES + 1)]
        jobs = [partial(work, edges[s], edges[s + 1]) for s in range(STRIPES)]
        if self._pool is None:
            return [job() for job in jobs]
        return [f.result() for f in [self._pool.submit(job) for job in jobs]]

    def _buffers(self, p: Plan) -> None:
        shape = (p.grid.lines, p.grid.samples)
        if self._shape == shape:
            return
        self._shape = shape
        lines, samples = shape
        self._raw = np.zeros((lines, samples, 2), np.float32)
        self._edge = np.zeros((STRIPES, lines // STRIPES + 1, samples, 2), np.float32)
        self._axial = np.empty((lines, samples, 2), np.float32)
        self._amplitude = np.zeros((lines, samples // 2, len(p.slices_mm)), np.float32)
        self._through = np.zeros((lines, samples // 2), np.float32)

    def _blurred(
        self,
        ProbeToPhantom: Matrix,
        p: Plan,
        *,
        needle: EchoNeedle | None = None,
        boluses: Sequence[Bolus] = (),
        tracks: Sequence[Track] = (),
        wires_mm: NDArray[np.float64] | None = None,
        indentation_mm: float = 0.0,
        couplant_gap_mm: float = COUPLANT_GAP_MM,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Axially blurred field, side lobes and noise offsets."""
        self._buffers(p)
        pose = np.asarray(ProbeToPhantom, dtype=np.float64)
        PhantomToProbe = np.asarray(np.linalg.inv(pose), dtype=np.float64)
        grid = p.grid
        face_z = (grid.face_points @ pose[:3, :3].T + pose[:3, 3])[:, 2]
        press = np.clip(face_z, 0.0, indentation_mm).astype(np.float32)
        contact = np.clip((face_z + couplant_gap_mm) / CONTACT_EDGE_MM + 1.0, 0.0, 1.0).astype(np.float32)
        raw, amplitude = self._raw, self._amplitude
        raw[:] = 0.0
        self._march(pose, p, press, contact)
        if self.dead_elements:
            left = elements.left_by_dead(self.dead_elements, grid, p.beam, amplitude.shape[1], p.step_mm)
            amplitude *= left[:, :, None]
            self._through *= left
        for bolus in boluses:
            fluid.pool(
                amplitude, grid.face_points, grid.line_directions, p.slices_mm, p.step_mm,
                PhantomToProbe[:3, :3] @ bolus.centre_mm + PhantomToProbe[:3, 3],
                np.ascontiguousarray(bolus.axes @ PhantomToProbe[:3, :3].T),
                np.asarray(bolus.semi_axes_mm, dtype=float),
                p.fluid_regain,
            )  # fmt: skip
        points = [
            needle_splat.track_points(track, PhantomToProbe, grid, p.beam, p.sample_mm, self.seed) for track in tracks
        ]
        if wires_mm is not None:
            points.append(wire_points(wires_mm, PhantomToProbe, grid, p.sample_mm))
        if needle is not None:
            shaft = needle_splat.needle_points(needle, PhantomToProbe, grid, p.beam, p.sample_mm, self.seed)
            needle_splat.shade(shaft, p.slices_mm, needle.od_mm, amplitude)
            points.append(shaft)
        self._speckle(PhantomToProbe, p, press)
        for group in points:
            needle_splat.splat(group, p.sigma_elevation_mm, self._through, raw)
        if self.lens_mm > 0.0 and contact.min() < 1.0:
            lateral_sum = p.lateral[0, ::2] + 2 * p.lateral[1:, ::2].sum(axis=0)
            elements.air_bands(
                raw,
                1.0 - contact,
                self.lens_mm,
                self.dead_elements,
                grid,
                p.beam,
                lateral_sum,
                p.assumed_m_s,
                self.seed,
            )
        ring = RING_AMPLITUDE * np.exp(-np.arange(64) * p.sample_mm / RING_MM)
        raw[:, :64, 0] += ring.astype(np.float32)
        blur.blur_axial(raw, p.axial, self._axial)
        side = blur.side_lobes(self._axial)
        key = zlib.crc32(np.round(pose + 0.0, 6).tobytes()) ^ (self.seed & 0xFFFFFFFF)
        offsets = np.random.default_rng(key).integers(0, NOISE_TABLE - grid.samples, grid.lines)
        return self._axial.reshape(grid.lines, -1), side, offsets

    def _march(self, pose: Matrix, p: Plan, press: NDArray[np.float32], contact: NDArray[np.float32]) -> None:
        s, grid = self._scene, p.grid
        faces_mm = grid.face_points @ pose[:3, :3].T + pose[:3, 3]
        start = ((faces_mm - s.origin_mm) / s.spacing_mm + 0.5).astype(np.float32)
        direction = ((grid.line_directions @ pose[:3, :3].T) / s.spacing_mm).astype(np.float32)
        elevation = (pose[:3, 1] / s.spacing_mm).astype(np.float32)
        spacing = s.spacing_mm.astype(np.float32)
        fade = self._fade(p, press)
        self._each_stripe(
            p,
            lambda first, last: march(
                s.codes, s.smooth, start, direction, elevation, p.slices_mm, spacing, p.step_mm, press,
                fade, contact, p.loss, s.impedance_mrayl, s.rank, s.backscatter, p.slice_weights,
                p.mirror_gain, first, last, self._amplitude, self._through, self._raw,
            ),
        )  # fmt: skip

    def _speckle(self, PhantomToProbe: Matrix, p: Plan, press: NDArray[np.float32]) -> None:
        grid = p.grid
        rotation, h = PhantomToProbe[:3, :3], p.cell_mm
        # Walk across the slab along the lattice axis nearest its normal, and along depth innermost.
        across = int(np.argmax(np.abs(rotation[1])))
        rest = [a for a in range(3) if a != across]
        inner = max(rest, key=lambda a: abs(rotation[2, a]))
        outer = next(a for a in rest if a != inner)
        order = np.array([outer, inner, across], np.int64)
        steps = np.ascontiguousarray(rotation[:, order].T * h)
        reach_mm = np.sqrt(CULL_U2) * float(p.sigma_elevation_mm.max())
        cells = int(np.ceil(reach_mm / (h * abs(rotation[1, across])))) + 1
        ranges = self._ranges(PhantomToProbe, grid.half_width_mm, p, order, cells)
        press_max = float(press.max())

        fade = self._fade(p, press)
        seed = np.uint32(self.seed * 2654435761 & 0xFFFFFFFF)

        def stripe(first: int, last: int) -> int:
            index = first * STRIPES // grid.lines
            part = self._edge[index, : last - first + 1]
            part[:] = 0.0
            n = scatter(
                PhantomToProbe[:3, 3], steps, order, seed, ranges,
                0.0 if grid.linear else grid.radius_mm, grid.half, grid.line_step, p.sample_mm,
                press_max, press, p.waist_mm, WAIST_STEP_MM, MULTIPLIERS, fade,
                p.inverse_sigma2, p.keep, p.scatter_weight, PHASE_TABLE,
                self._amplitude, grid.slices_mm[0], grid.slices_mm[1] - grid.slices_mm[0], first, last, part,
            )  # fmt: skip
            self._raw[first:last] += part[:-1]
            return int(n)

        self.scatterers_n = sum(self._each_stripe(p, stripe))
        half = grid.lines // STRIPES
        for index in range(STRIPES - 1):
            self._raw[(index + 1) * half] += self._edge[index, half]

    @staticmethod
    def _fade(p: Plan, press: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of the indentation left by rest depth below the skin, in samples."""
        depth_mm = np.arange(p.grid.samples + int(press.max() / p.sample_mm) + 3) * p.sample_mm
        return np.asarray(np.exp(-depth_mm / INDENTATION_REACH_MM), dtype=np.float32)

    @staticmethod
    def _ranges(
        PhantomToProbe: Matrix, half_width_mm: float, p: Plan, order: NDArray[np.int64], cells: int
    ) -> NDArray[np.int64]:
        """Sector in lattice indices: first outer, number of outer, first inner, number of inner, cells across."""
        depth = (p.grid.samples - 1) * p.sample_mm
        x = half_width_mm * max(1.0, p.sample_mm / p.grid.sample_mm)
        ends = (p.grid.top_mm - 8, depth + 1)
        corners = np.array([[sx, sy, z] for sx in (-x, x) for sy in (-4.5, 4.5) for z in ends])
        ProbeToPhantom = np.linalg.inv(PhantomToProbe)
        phantom = corners @ ProbeToPhantom[:3, :3].T + ProbeToPhantom[:3, 3]
        low = np.floor(phantom.min(axis=0) / p.cell_mm).astype(np.int64) - 1
        high = np.ceil(phantom.max(axis=0) / p.cell_mm).astype(np.int64) + 1
        o, i = order[0], order[1]
        return np.array([low[o], high[o] - low[o], low[i], high[i] - low[i], cells], np.int64)
