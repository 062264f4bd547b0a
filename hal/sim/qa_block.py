"""Pour a QA block: the block as built, in place of a lumbar cartridge."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hal.phantom.cords import Canal
from hal.phantom.materials import Material, materials
from hal.phantom.nominal import Layers, NominalPhantom
from hal.phantom.qa_block import QaBlock
from hal.phantom.scene import BoneScene
from hal.phantom.spec import BoxSpec, PhantomSpec
from hal.sim.build import AsBuilt, BlockAsBuilt, BuildErrors
from hal.sim.volume import LabelVolume

HALF_LENGTH_MM = 25.0
"""Half of the block along its wires: nothing changes along them, and a slice is 4 mm thick."""
GEL, FIRST_CYLINDER = 1, 2
ANECHOIC_DB = -80.0


def pour_block(block: QaBlock, seed: int, errors: BuildErrors) -> AsBuilt:
    """Make one block. The same layout, seed and errors give the same voxels and wires."""
    rng = np.random.default_rng([0x0A, seed])
    high = np.array([block.width_mm / 2, HALF_LENGTH_MM, block.depth_mm])
    low = np.array([-block.width_mm / 2, -HALF_LENGTH_MM, 0.0])
    speed = block.gel.speed_at(errors.temperature_c)
    speed += block.gel.sound_speed_tolerance_m_s / math.sqrt(3.0) * float(np.clip(rng.normal(), -1.7, 1.7))
    wires = np.array([[[w.x_mm, y, w.z_mm] for y in (low[1], high[1])] for w in block.all_wires()])
    off = rng.uniform(-1.0, 1.0, (len(wires), 1, 2)) * block.position_tolerance_mm
    wires[:, :, [0, 2]] += off
    made = _materials(block)
    return AsBuilt(
        nominal=_without_spine(block.name, low, high),
        seed=seed,
        errors=errors,
        volume=_pour(block, low, high, errors.voxel_mm),
        scene=BoneScene((), ()),
        nerves=(),
        vessels=(),
        targets={},
        sound_speed_m_s=speed,
        scale=1.0,
        materials={m.label: m for m in made},
        block=BlockAsBuilt(wires, block.well_mm),
    )


def _materials(block: QaBlock) -> tuple[Material, ...]:
    """The gel, then one material for each cylinder; all of the gel's impedance, so that no surface shines."""
    muscle = materials()["muscle"]
    gel = replace(
        muscle, name="tissue_mimic", label=GEL, sound_speed_m_s=block.gel.sound_speed_m_s,
        attenuation_db_cm_mhz=block.gel.attenuation_db_cm_mhz, backscatter_db=0.0,
    )  # fmt: skip
    found = [gel]
    for i, spec in enumerate(block.cylinders):
        attenuation = spec.attenuation_db_cm_mhz
        found.append(
            replace(
                gel,
                name=f"cylinder_{i}",
                label=FIRST_CYLINDER + i,
                attenuation_db_cm_mhz=gel.attenuation_db_cm_mhz if attenuation is None else attenuation,
                backscatter_db=ANECHOIC_DB if spec.contrast_db is None else spec.contrast_db,
            )
        )
    return tuple(found)


def _pour(block: QaBlock, low: NDArray[np.float64], high: NDArray[np.float64], h: float) -> LabelVolume:
    shape = tuple(int(n) for n in np.round((high - low) / h))
    origin = low + h / 2
    plane = np.full((shape[0], shape[2]), GEL, np.uint8)
    x, z = origin[0] + h * np.arange(shape[0]), origin[2] + h * np.arange(shape[2])
    for i, spec in enumerate(block.cylinders):
        for cx, cz in spec.at_mm:
            plane[(x[:, None] - cx) ** 2 + (z[None, :] - cz) ** 2 <= (spec.diameter_mm / 2) ** 2] = FIRST_CYLINDER + i
    labels = np.ascontiguousarray(np.broadcast_to(plane[:, None, :], shape))
    return LabelVolume(labels, origin, h)


def _without_spine(name: str, low: NDArray[np.float64], high: NDArray[np.float64]) -> NominalPhantom:
    box = BoxSpec(low_mm=tuple(low.tolist()), high_mm=tuple(high.tolist()))
    nothing = np.zeros((0, 3))
    canal = Canal(nothing, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    layers = Layers(0.0, 0.0, 0.0, 0.0)
    spec = PhantomSpec(name=name, box=box)
    return NominalPhantom(spec, {}, BoneScene((), ()), {}, (), (), canal, {}, layers, {}, low, high)
