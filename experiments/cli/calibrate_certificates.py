"""``phantomrig calibrate certify | withdraw | status``: results become certificates that a rig file points at."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, answers
from experiments.cli.output import emit, say

if TYPE_CHECKING:
    from rig.calibration.certificates.folder import Standing

Folder = Annotated[Path, typer.Argument(help="folder of certificates")]
Today = Annotated[str, typer.Option(help="date to judge by, e.g. 2026-03-01 (default: today)")]


def _about(row: Standing) -> str:
    """Subject and end of validity, then the reason why it is not in force."""
    c = row.certificate
    if c is None:
        return row.detail
    what = f"{c.kind} of {c.transform or c.device}"
    until = f"due {c.due}" if c.due else "until replaced"
    return "; ".join(filter(None, (what, until, row.detail, "SIMULATED" if c.simulated else "")))


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
        epilog="Example:  phantomrig calibrate phantom --rig bench.toml --out phantom-1   then   phantomrig calibrate "
        "certify phantom-1/phantom.json calibrations --identity PR-2026-014 --by AB --due 2026-12-31"
    )
    def certify(
        result: Annotated[Path, typer.Argument(help="JSON of an accepted calibration (output of --json), or QA run")],
        folder: Folder,
        identity: Annotated[str, typer.Option(help="unique name, e.g. PR-2026-014")],
        by: Annotated[str, typer.Option(help="who performed it")],
        due: Annotated[str, typer.Option(help="last day of validity, e.g. 2026-12-31; empty: until replaced")] = "",
        kind: Annotated[str, typer.Option(help="of an old result that does not say it: probe, temporal, ...")] = "",
        device: Annotated[str, typer.Option(help="role that it belongs to, when it is not the result's own")] = "",
        transform: Annotated[
            str, typer.Option(help="AToB, when the result does not name its own; none: its values alone")
        ] = "",
        serial: Annotated[str, typer.Option(help="serial number, when the device does not report it")] = "",
        method: Annotated[str, typer.Option(help="how it was done, in other words than the result's")] = "",
        value: Annotated[list[str] | None, typer.Option(help="further number NAME=VALUE:U:UNIT")] = None,
        json: AsJson = False,
    ) -> None:
        """File an accepted result as a certificate with a due date; a QA run is due when its acceptance file says."""
        from analysis.qa.certified import due_of, result_of
        from analysis.qa.recorded import analyse_qa
        from rig.calibration.certificates.folder import CalibrationRegistry
        from rig.calibration.certificates.issue import issue, issue_file, stated_value

        with answers(json):
            day_of(due, "--due")
            values = dict(stated_value(text) for text in value or ())
            if result.is_dir():
                qa = analyse_qa(result)
                made = issue(
                    result_of(qa), identity, by, due or due_of(qa).isoformat(), device=device, serial=serial,
                    method=method, values=values,
                )  # fmt: skip
            else:
                made = issue_file(
                    result, identity, by, due, kind=kind, transform=transform, device=device, serial=serial,
                    method=method, values=values,
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
