"""QA block of an ultrasound scanner as data: wires, cysts, grey targets and the gel around them.

Frame of a block: X along the scanning window, Y along the wires, Z depth below the window; mm. Every structure runs
along Y, so that a layout is drawn in X and Z. A block of one's own is one TOML file, as ``data/qa_*.toml``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hal.errors import ConfigError
from hal.files import Document, Id, Offset, read, refusal, validated, within

WireKind = Literal["column", "row", "group", "dead_zone"]
KINDS: tuple[WireKind, ...] = ("column", "row", "group", "dead_zone")
"""``column``: one below the other, for axial distances; ``row``: side by side, for lateral ones; ``group``: closer and
closer, for the eye; ``dead_zone``: nearer and nearer to the window."""
ISOLATED_MM = 6.0
"""A wire whose nearest neighbour is further off has a picture of its own: two-way beams are up to 3 mm wide [A]."""
Place = tuple[Offset, Offset]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GelSpec(_Strict):
    """Tissue-mimicking gel."""

    sound_speed_m_s: float = within(1300.0, 1800.0, 1540.0)
    sound_speed_tolerance_m_s: float = within(0.0, 100.0, 10.0)
    """Half width, as makers state it; taken as a rectangular distribution."""
    at_c: float = within(5.0, 40.0, 22.0)
    """Temperature at which the speed holds."""
    sound_speed_per_c: float = within(-5.0, 5.0, 1.5)
    attenuation_db_cm_mhz: float = within(0.0, 3.0, 0.5)
    verified: bool = False

    def speed_at(self, temperature_c: float) -> float:
        """Speed of sound (m/s) at a temperature."""
        return self.sound_speed_m_s + self.sound_speed_per_c * (temperature_c - self.at_c)


class WireSpec(_Strict):
    """Wires of one kind: a ``[[wires]]`` table."""

    kind: WireKind
    at_mm: tuple[Place, ...] = Field(min_length=1)
    """X and Z of each."""
    verified: bool = False
    """Whether the places were compared with the block or its drawing."""


class CylinderSpec(_Strict):
    """Cysts or grey targets of one kind: a ``[[cylinders]]`` table."""

    diameter_mm: float = within(0.5, 50.0)
    at_mm: tuple[Place, ...] = Field(min_length=1)
    contrast_db: float | None = Field(default=None, ge=-40.0, le=30.0)
    """Backscatter against the gel; left out: anechoic."""
    attenuation_db_cm_mhz: float | None = Field(default=None, ge=0.0, le=3.0)
    """Left out: that of the gel."""
    verified: bool = False


@dataclass(frozen=True)
class BlockWire:
    """One wire of a layout."""

    kind: WireKind
    x_mm: float
    z_mm: float
    isolated: bool
    """No other wire is near enough to touch its picture."""


@dataclass(frozen=True)
class BlockCylinder:
    """One cyst (``contrast_db`` None) or grey target of a layout."""

    x_mm: float
    z_mm: float
    diameter_mm: float
    contrast_db: float | None


class QaBlock(_Strict):
    """A whole block."""

    name: Id
    title: str = ""
    width_mm: float = within(50.0, 400.0)
    depth_mm: float = within(50.0, 300.0)
    well_mm: float = within(0.0, 50.0, 0.0)
    """Depth of the water that stands over the window: a curved face touches in the middle only."""
    wire_diameter_mm: float = within(0.02, 1.0, 0.1)
    position_tolerance_mm: float = within(0.0, 2.0, 0.1)
    """Half width per axis, taken as a rectangular distribution."""
    gel: GelSpec = GelSpec()
    wires: tuple[WireSpec, ...] = Field(min_length=1)
    cylinders: tuple[CylinderSpec, ...] = ()

    @model_validator(mode="after")
    def _inside(self) -> QaBlock:
        faults = []
        for table in ("wires", "cylinders"):
            for i, spec in enumerate(getattr(self, table)):
                for k, (x, z) in enumerate(spec.at_mm):
                    if abs(x) > self.width_mm / 2 or not 0.0 < z < self.depth_mm:
                        text = f"X {x:g}, Z {z:g} mm lies outside the block ({self.width_mm:g} x {self.depth_mm:g} mm)"
                        faults.append((f"{table}.{i}.at_mm.{k}", text))
        if faults:
            raise refusal(*faults)
        return self

    def all_wires(self) -> tuple[BlockWire, ...]:
        """Every wire, in the order of the file."""
        places = [place for spec in self.wires for place in spec.at_mm]

        def lonely(x: float, z: float) -> bool:
            near = [1 for a, b in places if (a - x) ** 2 + (b - z) ** 2 < ISOLATED_MM**2]
            return len(near) == 1

        return tuple(BlockWire(s.kind, x, z, lonely(x, z)) for s in self.wires for x, z in s.at_mm)

    def all_cylinders(self) -> tuple[BlockCylinder, ...]:
        """Every cyst and grey target, in the order of the file."""
        return tuple(BlockCylinder(x, z, s.diameter_mm, s.contrast_db) for s in self.cylinders for x, z in s.at_mm)

    def unverified(self) -> Iterator[str]:
        """What of the layout nobody has compared with the block, in words."""
        if not self.gel.verified:
            yield "speed of sound and attenuation of the gel"
        for spec in self.wires:
            if not spec.verified:
                x, z = spec.at_mm[0]
                yield f"wires ({spec.kind.replace('_', ' ')}) from X {x:g}, Z {z:g} mm on"
        for cylinder in self.cylinders:
            if not cylinder.verified:
                x, z = cylinder.at_mm[0]
                yield f"cylinders of {cylinder.diameter_mm:g} mm from X {x:g}, Z {z:g} mm on"


def block_names() -> tuple[str, ...]:
    """Names of the blocks that ship with the package."""
    folder = files("hal.phantom").joinpath("data")
    stems = (entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return tuple(sorted(stem for stem in stems if stem.startswith("qa_")))


def is_block(name_or_path: str) -> bool:
    """True for the name of a shipped block, and for a file that describes wires: a phantom's file has none."""
    path = Path(name_or_path)
    return name_or_path in block_names() or (path.is_file() and "wires" in read(path).data)


def _document(name_or_path: str) -> Document:
    if name_or_path in block_names():
        return read(Path(str(files("hal.phantom").joinpath(f"data/{name_or_path}.toml"))), f"QA block {name_or_path}")
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(block_names())
        raise ConfigError(f"QA block {name_or_path!r}: no such file and no block of that name (known: {known})")
    return read(path, f"QA block {path}")


def load_block(name_or_path: str) -> QaBlock:
    """Load a block by name or from a TOML file; raises ``ConfigError`` with all faults and their places."""
    return validated(_document(name_or_path), QaBlock)
