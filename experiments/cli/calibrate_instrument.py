"""``phantomrig calibrate instrument``: what a reference instrument is worth in gel, from tips that are known."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, Picture, answers
from experiments.cli.numbers import number
from experiments.cli.output import emit, say

if TYPE_CHECKING:
    from rig.calibration.instrument.decide import Decision
    from rig.calibration.instrument.qualification import InstrumentQualification

DEPTH_MARGIN_MM = 5.0
"""Beyond the shallowest and the deepest target of a study, where a reading still counts as at their depth [A]."""


class Declares(StrEnum):
    """What the instrument's maker, or its owner, says."""

    YES = "yes"
    NO = "no"


def criteria_of(texts: tuple[str, ...]) -> dict[str, float]:
    """``NAME=LIMIT``, limit in mm; raises ``ConfigError``."""
    from hal.errors import ConfigError

    found: dict[str, float] = {}
    for text in texts:
        name, _, limit = text.partition("=")
        try:
            found[name.strip()] = float(limit)
        except ValueError:
            raise ConfigError(f"--criterion {text!r} is not NAME=LIMIT, as tte_mm=3.0 (mm)") from None
    return found


def qualify(
    readings: Path, name: str, study: str, declares_bending: bool, known_u_mm: float | None, criteria: dict[str, float]
) -> tuple[InstrumentQualification, dict[str, Decision], bool]:
    """The qualification, its decisions, and whether the readings are simulated.

    Depth and bending are those of the study's targets; ``criteria`` come beside the study's own. Raises
    ``ConfigError`` and ``CalibrationRefused``.
    """
    from experiments.decidable import expected_deflection_mm, judged_by_instrument, target_depths_mm
    from experiments.protocol.study import load_study
    from hal.errors import ConfigError
    from rig.calibration.instrument.qualification import qualify_instrument
    from rig.calibration.instrument.readings import KNOWN_U, read_readings

    table = read_readings(readings)
    u_mm = known_u_mm if known_u_mm is not None else table.known_u_mm
    if u_mm is None or u_mm <= 0.0:
        raise ConfigError(
            f"{readings}: how well the tips are known is not stated: give --known-u (mm, standard, per axis, > 0) or "
            f"the column {KNOWN_U}"
        )
    chosen = load_study(study)
    techniques = chosen.loaded()
    low, high = target_depths_mm(chosen, techniques)
    result = qualify_instrument(
        name,
        table.rows,
        target_depth_mm=(low - DEPTH_MARGIN_MM, high + DEPTH_MARGIN_MM),
        truth_sd_mm=u_mm,
        expected_deflection_mm=expected_deflection_mm(chosen, techniques),
        declares_bending=declares_bending,
    )
    limits = {f"{c.id} ({c.metric})": c.limit for c in judged_by_instrument(chosen)} | criteria
    return result, result.decides(limits), table.simulated


def add_to(app: typer.Typer) -> None:
    """Put the command into the group ``calibrate``."""

    @app.command(
        epilog='Example:  phantomrig calibrate instrument readings.csv --name "EM stylet SN 12" --declares-bending yes '
        "--json > ri.json   then   phantomrig calibrate certify ri.json calibrations --identity RI-2026-002 --kind "
        "reference_instrument --device tracker --by AB --due 2027-06-30"
    )
    def instrument(
        readings: Annotated[Path | None, typer.Argument(help="table of known and read tips (.csv)")] = None,
        name: Annotated[str, typer.Option(help="the instrument, with its serial number")] = "reference instrument",
        declares_bending: Annotated[
            Declares, typer.Option(help="whether it is declared to see the needle bend (a sensor in the tip)")
        ] = Declares.NO,
        criterion: Annotated[
            list[str] | None, typer.Option(help="further criterion NAME=LIMIT, mm, as tte_mm=3.0 (repeatable)")
        ] = None,
        study: Annotated[str, typer.Option(help="study whose targets and criteria it is judged by")] = "lumbar",
        known_u: Annotated[
            float | None, number("standard uncertainty of the known tips, mm per axis (else the column)", 0, 20)
        ] = None,
        picture: Picture = None,
        template: Annotated[Path | None, typer.Option(help="write an example table to fill in, and stop")] = None,
        json: AsJson = False,
    ) -> None:
        """Bias, spread and sight of bending of a reference instrument, and which criteria it can decide."""
        from hal.errors import ConfigError
        from rig.calibration.instrument.picture import draw_instrument
        from rig.calibration.instrument.readings import write_template

        with answers(json):
            if template is not None:
                write_template(template)
                say(f"template: {template}")
                if json:
                    emit({"template": str(template)})
                return
            if readings is None:
                raise ConfigError("give a table of readings; --template FILE writes an example")
            result, decisions, simulated = qualify(
                readings, name, study, declares_bending is Declares.YES, known_u, criteria_of(tuple(criterion or ()))
            )
            _tell(result, decisions, simulated)
            if picture is not None:
                say(f"picture: {draw_instrument(picture, result, decisions, 'SIMULATED' if simulated else '')}")
            if json:
                decided = {key: decision.as_json() for key, decision in decisions.items()}
                about = {"kind": "reference_instrument", "study": study, "simulated": simulated, "decisions": decided}
                emit(result.as_json() | about)


def _tell(result: InstrumentQualification, decisions: dict[str, Decision], simulated: bool) -> None:
    label = "SIMULATED readings: " if simulated else ""
    low, high = result.tip_uncertainty_interval_mm
    bias = ", ".join(f"{v:+.2f}" for v in result.bias_mm)
    say(
        f"{label}{result.name}: standard uncertainty {result.tip_uncertainty_mm:.2f} mm per axis (95 %: {low:.2f} to "
        f"{high:.2f}) without bending; bias {bias} mm (p = {result.bias_p_value:.2g})"
    )
    sees = {True: "sees the needle bend", False: "does not see the needle bend", None: "was not shown to see bending"}
    more = ""
    if result.sees_bending is not True:
        bend, total = result.expected_deflection_mm, result.standard_uncertainty_mm
        more = f": {bend:.1f} mm bend at the targets, {total:.2f} mm in all"
    say(f"it {sees[result.sees_bending]}{more}")
    for key, decision in decisions.items():
        say(
            f"{'decides' if decision.can_decide else 'CANNOT DECIDE'} {key} <= {decision.limit:g} mm: {decision.reason}"
        )
