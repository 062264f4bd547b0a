"""Results as files: what a calibrate command printed or wrote, read back for a certificate or for another calibration.

Files of before 0.3 hold the details alone; what a certificate needs of them is looked for by kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hal.errors import ConfigError
from hal.files import parse_json
from rig.calibration.result import FORMAT, Origin, Result, Value
from rig.calibration.used_values import needle_values, place_values, sound_speed_values
from rig.geometry.graph import Step
from rig.geometry.uncertain import UncertainTransform

OLD_DEVICES = {
    "needle_tip": "carrier", "nwire": "ultrasound", "phantom_registration": "phantom", "pivot": "tracker",
    "probe": "ultrasound", "reference_instrument": "tracker", "sound_speed": "phantom", "spin": "tracker",
    "temporal": "ultrasound", "volume": "ultrasound",
}  # fmt: skip
"""The role to which a result of a kind belongs, where its file does not say so."""
UNSAID = "device not said"
"""Stands for the role of an old result of a kind that is not ours."""
FILED_AS = {"nwire": "probe"}
"""Names of certificates for kinds of old results."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _Limit(_Data):
    low: float | None
    high: float | None
    source: str


class _Value(_Data):
    value: float
    standard_uncertainty: float = Field(ge=0.0)
    unit: str
    limit: _Limit | None = None


class _Transform(_Data):
    name: str
    matrix: list[list[float]]
    covariance: list[list[float]]


class _Header(_Data):
    """``result`` of a stored file; numbers are numbers and words are words, or the file is damaged."""

    format: int
    kind: str
    device: str
    serials: dict[str, str]
    method: str = Field(min_length=1)
    performed_at: str
    transform: _Transform | None
    values: dict[str, _Value]
    reference: str
    departures: list[str]
    inputs: dict[str, str]


def read_stored(path: Path) -> dict[str, Any]:
    """The JSON object of a file: the whole file, or its last line (the output of ``--json``).

    Raises ``ConfigError`` for a file that is not there or holds no accepted result.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file; a calibrate command with --json > {path.name} makes it")
    try:
        text = path.read_text().strip()
        data = parse_json(text if text.startswith("{\n") else text.splitlines()[-1])
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(
            f"{path}: is no JSON result of a calibration ({error}); it is what a calibrate command prints with --json"
        ) from None
    if not isinstance(data, dict) or data.get("ok") is not True:
        raise ConfigError(f"{path}: is not an accepted result (ok is not true): nothing is certified")
    return data


def read_result(path: Path, *, kind: str = "", transform: str = "") -> Result:
    """A result as a calibration stored it.

    ``kind``: of an old file that does not name its own. ``transform``: another one than its own, looked for in the
    details by its name. Raises ``ConfigError``.
    """
    data = read_stored(path)
    if "result" not in data:
        return _old(path, data, kind, transform)
    try:
        return _of_today(path, data, transform)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: is no JSON result of a calibration: {error!r}") from None


def _of_today(path: Path, data: dict[str, Any], transform: str) -> Result:
    header = data["result"]
    if header["format"] != FORMAT:
        raise ConfigError(f"{path}: is of format {header['format']}, this version reads {FORMAT}")
    try:
        _Header.model_validate(header)
    except ValidationError as error:
        found = [f"result.{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError(f"{path}: is no JSON result of a calibration: {'; '.join(found[:6])}") from None
    if not isinstance(data["simulated"], bool):
        raise ConfigError(f"{path}: simulated = {data['simulated']!r}: must be true or false")
    rig, performed_at = str(data.get("rig", "")), str(header["performed_at"])
    origin = Origin(bool(data["simulated"]), performed_at, rig, dict(header["serials"]), dict(header["inputs"]))
    stated = header["transform"]
    step = None if stated is None else _step(path, stated["name"], stated["matrix"], stated["covariance"])
    if step is not None and not step.name:
        step = Step(transform, step.transform)
    if transform and (step is None or step.name != transform):
        step = _named(path, data, transform, "" if step is None else step.name)
    return Result(
        kind=header["kind"],
        device=header["device"],
        method=header["method"],
        origin=origin,
        details={key: value for key, value in data.items() if key != "result"},
        transform=step,
        values={name: Value.from_json(value) for name, value in header["values"].items()},
        reference=header["reference"],
        departures=tuple(header["departures"]),
    )


def _old(path: Path, data: dict[str, Any], kind: str, transform: str) -> Result:
    held = str(data.get("kind", kind))
    if not held:
        raise ConfigError(f"{path}: does not say of what kind it is: give --kind")
    own = str(data.get("transform", ""))
    name = transform or own
    step: Step | None
    if not name and "matrix" in data:
        step = _step(path, "", data["matrix"], data.get("covariance", []))
    else:
        step = _named(path, data, name, own) if name else None
    return Result(
        kind=FILED_AS.get(held, held),
        device=OLD_DEVICES.get(held, UNSAID),
        method=f"phantomrig calibrate, {held}",
        origin=Origin(bool(data.get("simulated", False)), rig=str(data.get("rig", ""))),
        details=data,
        transform=step,
        values=_old_values(held, data),
    )


def _named(path: Path, data: Mapping[str, Any], name: str, own: str) -> Step:
    """The matrix of a name in the details, or the only one; with the covariance that belongs to it."""
    if own and name != own and name not in data:
        raise ConfigError(f"{path}: is about {own}, not about {name}")
    matrix = data.get(name) or data.get("matrix")
    spreads = (f"{name}_covariance", "covariance", "covariance12")
    if not matrix:
        raise ConfigError(f"{path}: holds no matrix {name}")
    return _step(path, name, matrix, next((data[key] for key in spreads if data.get(key)), []))


def _step(path: Path, name: str, matrix: object, covariance: object) -> Step:
    try:
        numbers = np.array(matrix, dtype=np.float64)
        spread = np.array(covariance, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"{path}: {name or 'its matrix'} is no table of numbers") from None
    if numbers.shape != (4, 4) or not np.all(np.isfinite(numbers)):
        raise ConfigError(f"{path}: {name or 'its transform'} needs a finite 4x4 matrix")
    return Step(name, UncertainTransform.stated(numbers, spread))


def _old_values(kind: str, data: dict[str, Any]) -> dict[str, Value]:
    """The numbers that a run uses."""
    if kind == "sound_speed" and {"c_m_s", "u_m_s", "temperature_c"} <= data.keys():
        return sound_speed_values(data["c_m_s"], data["u_m_s"], data["temperature_c"])
    if kind == "needle_tip" and {"offset_mm", "offset_u_mm", "run_out_mm", "run_out_u_mm"} <= data.keys():
        return needle_values(data["offset_mm"], data["offset_u_mm"], data["run_out_mm"], data["run_out_u_mm"])
    if kind == "reference_instrument" and {"tip_uncertainty_mm", "u_tip_uncertainty_mm"} <= data.keys():
        return {"tip_uncertainty_mm": Value(data["tip_uncertainty_mm"], data["u_tip_uncertainty_mm"], "mm")}
    if kind == "pivot" and {"tip_mm", "covariance_mm2"} <= data.keys():
        return place_values("tip", data["tip_mm"], [row[k] for k, row in enumerate(data["covariance_mm2"])])
    if kind == "temporal" and {"lag_s", "standard_uncertainty_s"} <= data.keys():
        return {"lag_s": Value(data["lag_s"], data["standard_uncertainty_s"], "s")}
    return {}
