"""Issue of a certificate for a result: responsible person, identity, end of validity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hal.errors import ConfigError
from rig.calibration.certificates.certificate import Certificate
from rig.calibration.result import Result, Value, file_sha256
from rig.calibration.stored import UNSAID, read_result
from rig.record import utc_text

NO_TRANSFORM = "none"
"""Said instead of a transform: the values alone are certified."""


def issue(
    result: Result,
    identity: str,
    by: str,
    due: str = "",
    *,
    device: str = "",
    serial: str = "",
    method: str = "",
    values: Mapping[str, Value] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Certificate:
    """Certificate of a result.

    ``device``, ``serial``, ``method``, ``values``, ``inputs``: what a person adds to what the result knows. A result
    that does not say when it was made is dated now. Raises ``ConfigError`` for a serial number that the device itself
    denied, and for a matrix that nobody names.
    """
    step = result.transform
    if step is not None and not step.name:
        raise ConfigError("the result holds a matrix without a name: say with --transform what it is, as PhantomToRig")
    role = device or result.device
    if role == UNSAID:
        raise ConfigError("the result does not say to which device it belongs: give --device")
    own = result.origin.serials.get(role, "")
    if serial and own and serial != own:
        raise ConfigError(f"--serial {serial}: the {role} said that its serial number is {own}")
    known = None if step is None else step.transform
    return Certificate(
        identity=identity,
        kind=result.kind,
        device=role,
        serial=serial or own,
        performed_by=by,
        performed_at=result.origin.performed_at or utc_text(),
        due=due,
        method=method or result.method,
        result=result.as_json(),
        simulated=result.simulated,
        transform="" if step is None else step.name,
        matrix=() if known is None else _rows(known.matrix.tolist()),
        covariance=() if known is None else _rows(known.statement.tolist()),
        values={**result.values, **(values or {})},
        inputs={**result.origin.inputs, **(inputs or {})},
    )


def issue_file(
    path: Path,
    identity: str,
    by: str,
    due: str = "",
    *,
    kind: str = "",
    transform: str = "",
    device: str = "",
    serial: str = "",
    method: str = "",
    values: Mapping[str, Value] | None = None,
) -> Certificate:
    """Certificate of a stored result; its file counts among the inputs.

    ``kind`` and ``transform`` are asked for only where the file does not say them; ``transform`` may also name another
    matrix of the details, or be ``none``. Raises ``ConfigError`` for a file that holds no accepted result, or one of
    another kind.
    """
    result = read_result(path, kind=kind, transform="" if transform == NO_TRANSFORM else transform)
    held = {result.kind, str(result.details.get("kind", kind))}
    if kind and kind not in held:
        raise ConfigError(
            f"{path}: is a result of kind {result.kind}, not {kind}: certify it with --kind {result.kind}"
        )
    if transform == NO_TRANSFORM:
        result = replace(result, transform=None)
    if kind:
        result = replace(result, kind=kind)
    inputs = {path.name: file_sha256(path)}
    return issue(result, identity, by, due, device=device, serial=serial, method=method, values=values, inputs=inputs)


def stated_value(text: str) -> tuple[str, Value]:
    """``NAME=VALUE:U:UNIT``; raises ``ConfigError``."""
    try:
        name, rest = text.split("=", 1)
        value, u, unit = rest.split(":", 2)
        return name.strip(), Value(float(value), float(u), unit.strip())
    except ValueError:
        raise ConfigError(f"--value {text!r} is not NAME=VALUE:U:UNIT, as tip_mm=120.3:0.2:mm") from None


def _rows(matrix: list[list[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in matrix)
