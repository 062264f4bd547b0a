"""``phantomrig calibrate instrument``: what a reference instrument is worth in gel, from tips that are known."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.calibrate_frames import AsJson, Picture, answers, show
from experiments.cli.numbers import number
from experiments.cli.output import emit, say


class Declares(StrEnum):
    """Statements of the instrument's maker, or of its owner."""

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


def add_to(app: typer.Typer) -> None:
    """Put the command into the group ``calibrate``."""

    @app.command(
        epilog='Example:  phantomrig calibrate instrument readings.csv --name "EM stylet SN 12" --declares-bending yes '
        "--json > ri.json   then   phantomrig calibrate certify ri.json calibrations --identity RI-2026-002 --by AB "
        "--due 2027-06-30"
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
        from experiments.calibrations import instrument_from
        from hal.errors import ConfigError
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
            result = instrument_from(
                readings, name, study=study, declares_bending=declares_bending is Declares.YES, known_u_mm=known_u,
                criteria=criteria_of(tuple(criterion or ())),
            )  # fmt: skip
            show(result, json, picture, made_on="readings")
