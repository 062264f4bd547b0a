"""The numbers of a calibration that a run uses, under the names by which it looks for them."""

from __future__ import annotations

from collections.abc import Sequence

from rig.calibration.result import Value


def place_values(name: str, place_mm: Sequence[float], variances_mm2: Sequence[float]) -> dict[str, Value]:
    """A place as three values ``NAME_x_mm`` ...; variances per axis."""
    axes = zip("xyz", place_mm, variances_mm2, strict=True)
    return {f"{name}_{axis}_mm": Value(float(at), float(variance) ** 0.5, "mm") for axis, at, variance in axes}


def sound_speed_values(c_m_s: float, u_m_s: float, temperature_c: float) -> dict[str, Value]:
    """Speed of sound, and the temperature at which it holds."""
    return {"sound_speed_m_s": Value(c_m_s, u_m_s, "m/s"), "temperature_c": Value(temperature_c, 0.0, "degC")}


def needle_values(
    offset_mm: Sequence[float],
    offset_u_mm: Sequence[float],
    run_out_mm: Sequence[float | None],
    run_out_u_mm: Sequence[float | None],
) -> dict[str, Value]:
    """Offset of the needle's tip (3) and its run-out (2), which is None where the bevel was not turned."""
    names = ("tip_offset_x_mm", "tip_offset_y_mm", "tip_offset_z_mm", "run_out_x_mm", "run_out_y_mm")
    numbers = zip(names, [*offset_mm, *run_out_mm], [*offset_u_mm, *run_out_u_mm], strict=True)
    return {name: Value(at, u, "mm") for name, at, u in numbers if at is not None and u is not None}
