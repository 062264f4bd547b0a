"""Accuracy of a reference instrument in gel, from a table of tips that are known and read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from experiments.decidable import expected_deflection_mm, judged_by_instrument, target_depths_mm
from experiments.protocol.study import load_study
from hal.errors import ConfigError
from rig.calibration import results
from rig.calibration.instrument.qualification import qualify_instrument
from rig.calibration.instrument.readings import KNOWN_U, read_readings
from rig.calibration.origins import from_files
from rig.calibration.result import Result

DEPTH_MARGIN_MM = 5.0
"""Beyond the shallowest and the deepest target of a study, where a reading still counts as at their depth [A]."""


def instrument_from(
    readings: Path,
    name: str = "reference instrument",
    *,
    study: str = "lumbar",
    declares_bending: bool = False,
    known_u_mm: float | None = None,
    criteria: Mapping[str, float] | None = None,
) -> Result:
    """Qualify an instrument.

    Depth and bending are those of the study's targets; ``criteria`` (name -> limit, mm) come beside the study's own.
    ``known_u_mm``: standard uncertainty of the known tips, per axis, else the table's column. Raises ``ConfigError``
    and ``CalibrationRefused``.
    """
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
    found = qualify_instrument(
        name,
        table.rows,
        target_depth_mm=(low - DEPTH_MARGIN_MM, high + DEPTH_MARGIN_MM),
        truth_sd_mm=u_mm,
        expected_deflection_mm=expected_deflection_mm(chosen, techniques),
        declares_bending=declares_bending,
    )
    limits = {f"{c.id} ({c.metric})": c.limit for c in judged_by_instrument(chosen)} | dict(criteria or {})
    origin = from_files(readings, simulated=table.simulated)
    return results.instrument(found, found.decides(limits), study, origin)
