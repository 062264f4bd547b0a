"""``phantomrig calibrate certify | withdraw | status``: results become certificates that a rig file points at."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.cli.calibrate_frames import AsJson, answers
from experiments.cli.output import emit, say
from hal.files import parse_json

if TYPE_CHECKING:
    from rig.calibration.certificates.certificate import Certificate, Value
    from rig.calibration.certificates.folder import Standing

Folder = Annotated[Path, typer.Argument(help="folder of certificates")]
Today = Annotated[str, typer.Option(help="date to judge by, e.g. 2026-03-01 (default: today)")]


ALSO = {"nwire": ("nwire", "probe")}
"""Results that may be filed under another kind too."""


def certificate_from(
    result: Path,
    identity: str,
    kind: str,
    device: str,
    by: str,
    due: str,
    *,
    serial: str = "",
    method: str = "",
    transform: str = "",
    values: tuple[str, ...] = (),
) -> Certificate:
    """A certificate from the JSON that a ``calibrate`` command printed or wrote.

    The matrix of ``transform`` (empty: the one that the result names itself) is looked for under that name, then under
    ``matrix``; its covariance under its name with ``_covariance``, then ``covariance`` (6x6) or ``covariance12`` (a
    probe calibration: scales too). ``values``: ``NAME=VALUE:U:UNIT``.
    Raises ``ConfigError`` for a file that holds no accepted result.
    """

    from hal.errors import ConfigError
    from rig.calibration.certificates.certificate import Certificate, file_sha256

    if not result.is_file():
        raise ConfigError(f"{result}: there is no such file; a calibrate command with --json > {result.name} makes it")
    try:
        lines = result.read_text().strip()
        data: dict[str, Any] = parse_json(lines if lines.startswith("{\n") else lines.splitlines()[-1])
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(
            f"{result}: is no JSON result of a calibration ({error}); it is what a calibrate command prints with --json"
        ) from None
    if not isinstance(data, dict) or data.get("ok") is not True:
        raise ConfigError(f"{result}: is not an accepted result (ok is not true): nothing is certified")
    held = str(data.get("kind", kind))
    if kind not in ALSO.get(held, (held,)):
        raise ConfigError(f"{result}: is a result of kind {held}, not {kind}: certify it with --kind {held}")
    own = str(data.get("transform", ""))
    transform = transform or own
    if transform and own and transform != own and transform not in data:
        raise ConfigError(f"{result}: is about {own}, not about {transform}")
    if not transform and "matrix" in data:
        raise ConfigError(f"{result}: holds a matrix without a name: say with --transform what it is, as PhantomToRig")
    matrix: list[list[float]] = []
    covariance: list[list[float]] = []
    if transform:
        matrix = list(data.get(transform) or data.get("matrix") or [])
        spreads = (f"{transform}_covariance", "covariance", "covariance12")
        covariance = list(next((data[name] for name in spreads if data.get(name)), []))
        if not matrix:
            raise ConfigError(f"{result}: holds no matrix {transform}")
    return Certificate(
        identity=identity,
        kind=kind,
        device=device,
        serial=serial,
        performed_by=by,
        performed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        due=due,
        method=method or f"phantomrig calibrate, {data.get('kind', kind)}",
        result=data,
        simulated=bool(data.get("simulated", False)),
        transform=transform,
        matrix=tuple(tuple(float(v) for v in row) for row in matrix),
        covariance=tuple(tuple(float(v) for v in row) for row in covariance),
        values={**_standard(kind, data), **dict(_value(text) for text in values)},
        inputs={result.name: file_sha256(result)},
    )


def _standard(kind: str, data: dict[str, Any]) -> dict[str, Value]:
    """The numbers that a run uses, from results of known kinds."""
    from rig.calibration.certificates.certificate import Value

    if kind == "sound_speed" and {"c_m_s", "u_m_s", "temperature_c"} <= data.keys():
        return {
            "sound_speed_m_s": Value(data["c_m_s"], data["u_m_s"], "m/s"),
            "temperature_c": Value(data["temperature_c"], 0.0, "degC"),
        }
    if kind == "needle_tip" and {"offset_mm", "offset_u_mm", "run_out_mm", "run_out_u_mm"} <= data.keys():
        names = ("tip_offset_x_mm", "tip_offset_y_mm", "tip_offset_z_mm", "run_out_x_mm", "run_out_y_mm")
        values, u = data["offset_mm"] + data["run_out_mm"], data["offset_u_mm"] + data["run_out_u_mm"]
        numbers = zip(names, values, u, strict=True)
        return {name: Value(value, sd, "mm") for name, value, sd in numbers if value is not None}
    if kind == "reference_instrument" and {"tip_uncertainty_mm", "u_tip_uncertainty_mm"} <= data.keys():
        return {"tip_uncertainty_mm": Value(data["tip_uncertainty_mm"], data["u_tip_uncertainty_mm"], "mm")}
    if kind == "pivot" and {"tip_mm", "covariance_mm2"} <= data.keys():
        sd = [float(row[axis]) ** 0.5 for axis, row in enumerate(data["covariance_mm2"])]
        axes = zip("xyz", data["tip_mm"], sd, strict=True)
        return {f"tip_{axis}_mm": Value(value, u, "mm") for axis, value, u in axes}
    if kind == "temporal" and {"lag_s", "standard_uncertainty_s"} <= data.keys():
        return {"lag_s": Value(data["lag_s"], data["standard_uncertainty_s"], "s")}
    return {}


def _about(row: Standing) -> str:
    """Of what and until when, then why it is not in force."""
    c = row.certificate
    if c is None:
        return row.detail
    what = f"{c.kind} of {c.transform or c.device}"
    until = f"due {c.due}" if c.due else "until replaced"
    return "; ".join(filter(None, (what, until, row.detail, "SIMULATED" if c.simulated else "")))


def _value(text: str) -> tuple[str, Value]:
    from hal.errors import ConfigError
    from rig.calibration.certificates.certificate import Value

    try:
        name, rest = text.split("=", 1)
        value, u, unit = rest.split(":", 2)
        return name.strip(), Value(float(value), float(u), unit.strip())
    except ValueError:
        raise ConfigError(f"--value {text!r} is not NAME=VALUE:U:UNIT, as tip_mm=120.3:0.2:mm") from None


def day_of(text: str, option: str = "--today") -> date:
    """Today when empty; raises ``ConfigError`` for what is no date."""
    from hal.errors import ConfigError

    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date()
    except ValueError:
        raise ConfigError(f"{option} {text!r} is no date like 2026-03-01") from None


def add_to(app: typer.Typer) -> None:
    """Put the commands into the group ``calibrate``."""

    @app.command(
        epilog="Example:  phantomrig calibrate register nominal.txt measured.txt --json > r.json   then   phantomrig "
        "calibrate certify r.json calibrations --identity PR-2026-014 --kind phantom_registration --device phantom "
        "--transform PhantomToRig --by AB --due 2026-12-31"
    )
    def certify(
        result: Annotated[Path, typer.Argument(help="JSON of an accepted calibration (the output of --json)")],
        folder: Folder,
        identity: Annotated[str, typer.Option(help="unique name, e.g. PR-2026-014")],
        kind: Annotated[str, typer.Option(help="phantom_registration, probe, temporal, sound_speed, pivot, ...")],
        device: Annotated[str, typer.Option(help="role in the rig file that it belongs to, e.g. ultrasound")],
        by: Annotated[str, typer.Option(help="who performed it")],
        due: Annotated[str, typer.Option(help="last day of validity, e.g. 2026-12-31; empty: until replaced")] = "",
        transform: Annotated[
            str, typer.Option(help="AToB, when the result is a transform and does not name itself")
        ] = "",
        serial: Annotated[str, typer.Option(help="serial number of the device")] = "",
        method: Annotated[str, typer.Option(help="how it was done, in words")] = "",
        value: Annotated[list[str] | None, typer.Option(help="further number NAME=VALUE:U:UNIT")] = None,
        json: AsJson = False,
    ) -> None:
        """File an accepted result as a certificate with a due date."""
        from rig.calibration.certificates.folder import CalibrationRegistry

        with answers(json):
            day_of(due, "--due")
            made = certificate_from(
                result, identity, kind, device, by, due, serial=serial, method=method, transform=transform,
                values=tuple(value or ()),
            )  # fmt: skip
            path = CalibrationRegistry(folder).add(made)
            say(f"certificate: {path}" + (" (SIMULATED rig)" if made.simulated else ""))
            if json:
                emit({"certificate": str(path), "sha256": made.sha256, "simulated": made.simulated})

    @app.command(
        epilog="Example:  phantomrig calibrate withdraw calibrations PR-2026-014 --reason 'the gel was poured anew' "
        "--by AB"
    )
    def withdraw(
        folder: Folder,
        identity: Annotated[str, typer.Argument(help="which certificate")],
        reason: Annotated[str, typer.Option(help="why")],
        by: Annotated[str, typer.Option(help="who withdraws it")],
        json: AsJson = False,
    ) -> None:
        """Take a certificate out of force for good; its file stays."""
        from rig.calibration.certificates.folder import CalibrationRegistry

        with answers(json):
            at = datetime.now(UTC).isoformat(timespec="seconds")
            CalibrationRegistry(folder).withdraw(identity, reason=reason, by=by, at=at)
            say(f"{identity} is withdrawn")
            if json:
                emit({"withdrawn": identity, "reason": reason, "by": by, "at": at})

    @app.command(epilog="Example:  phantomrig calibrate status calibrations --today 2026-12-31 --json")
    def status(folder: Folder, today: Today = "", json: AsJson = False) -> None:
        """Which calibrations are in force, due, expired, withdrawn or damaged on a date."""
        from hal.errors import ConfigError
        from rig.calibration.certificates.folder import CalibrationRegistry

        with answers(json):
            day = day_of(today)
            if not folder.is_dir():
                raise ConfigError(f"{folder}: is no folder")
            rows = CalibrationRegistry(folder).standings(day)
            for row in rows:
                say(f"{row.state:11} {row.path.stem:20} {_about(row)}".rstrip())
            if not rows:
                say(f"{folder} holds no certificates; calibrate certify makes them")
            if json:
                emit({"today": day.isoformat(), "certificates": [r.as_json() for r in rows]})
