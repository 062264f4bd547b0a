"""The file of a phantom: what a user may write, checked."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hal.errors import ConfigError

Variant = Literal["none", "sacralised_L5", "lumbarised_S1"]
Triple = tuple[float, float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AnatomySpec(_Strict):
    """Shape and pose of the spine; defaults and ranges of the reference anatomy."""

    s0_mm: float | None = Field(default=None, ge=4, le=45)
    bmi: float = Field(default=24.5, ge=15, le=45)
    lordosis_factor: float = Field(default=0.6, ge=0.3, le=1.0)
    disc_l1_l2_mm: float = Field(default=9.0, ge=3, le=16)
    disc_l2_l3_mm: float = Field(default=9.5, ge=3, le=16)
    disc_l3_l4_mm: float = Field(default=10.0, ge=3, le=16)
    disc_l4_l5_mm: float = Field(default=11.0, ge=3, le=16)
    disc_l5_s1_mm: float = Field(default=10.0, ge=3, le=16)
    sacral_tilt_deg: float | None = Field(default=None, ge=5, le=42)
    crest_y_mm: float = Field(default=0.0, ge=-20, le=30)
    scale: float = Field(default=1.0, ge=0.85, le=1.15)
    variant: Variant = "none"

    @property
    def skin_to_tips_mm(self) -> float:
        """``s0``: given, or from the BMI (facts 0: clip(12 + 1.2 (bmi - 24.5), 4, 45))."""
        if self.s0_mm is not None:
            return self.s0_mm
        return min(max(12.0 + 1.2 * (self.bmi - 24.5), 4.0), 45.0)


class LayersSpec(_Strict):
    """Thickness of the soft layers."""

    skin_mm: float = Field(default=2.3, ge=0.2, le=5)
    fascia_mm: float = Field(default=1.0, ge=0.2, le=3)
    nerve_sheath_mm: float = Field(default=3.0, ge=2.0, le=6)


class BoxSpec(_Strict):
    """Corners of the gel block in Phantom coordinates."""

    low_mm: Triple = (-95.0, -105.0, 0.0)
    high_mm: Triple = (95.0, 125.0, 120.0)


class FiducialSpec(_Strict):
    """One marker on the box."""

    name: str
    at_mm: Triple


class PhantomSpec(_Strict):
    """A whole phantom file."""

    name: str
    anatomy: AnatomySpec = AnatomySpec()
    layers: LayersSpec = LayersSpec()
    box: BoxSpec = BoxSpec()
    fiducial: tuple[FiducialSpec, ...] = ()


def phantom_names() -> tuple[str, ...]:
    """Names of the phantoms that ship with the package."""
    folder = files("hal.phantom").joinpath("data")
    stems = (entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return tuple(sorted(stem for stem in stems if stem.startswith("lumbar")))


def read_spec(name_or_path: str) -> PhantomSpec:
    """Read a shipped phantom by name or a file by path; raises ``ConfigError`` with what is wrong and where."""
    if name_or_path in phantom_names():
        where, text = name_or_path, files("hal.phantom").joinpath(f"data/{name_or_path}.toml").read_text()
    else:
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError(
                f"phantom {name_or_path!r}: no such file and no phantom of that name "
                f"(known: {', '.join(phantom_names())})"
            )
        where = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"phantom {where}: cannot be read ({error})") from error
    try:
        return PhantomSpec.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"phantom {where}: not valid TOML ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ConfigError(f"phantom {where}: {key}: {first['msg']}{more}") from error
