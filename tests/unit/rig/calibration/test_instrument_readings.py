"""The table of known and read tips: an instrument that was not read anew is found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from hal.errors import ConfigError
from rig.calibration.instrument.readings import COLUMNS, read_readings


def table(path: Path, *rows: tuple[float, float]) -> Path:
    """Known and read x of every line, mm."""
    lines = [",".join([str(true), "0", "50", str(read), "0", "50", "50", "0", "0", "0", "yes"]) for true, read in rows]
    path.write_text("\n".join([",".join(COLUMNS), *lines]))
    return path


def test_readings_of_one_place_for_two_known_tips_are_refused(tmp_path: Path) -> None:
    assert len(read_readings(table(tmp_path / "good.csv", (0.0, 0.2), (20.0, 20.1), (20.1, 20.1))).rows) == 3
    with pytest.raises(ConfigError, match="readings 2 and 3 show the tip at one and the same place"):
        read_readings(table(tmp_path / "frozen.csv", (0.0, 0.2), (20.0, 20.1), (40.0, 20.1)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 20_000.0, -3.697314e28])
def test_a_place_that_no_tip_has_is_refused(tmp_path: Path, bad: float) -> None:
    with pytest.raises(ConfigError, match="no length in mm"):
        read_readings(table(tmp_path / "bad.csv", (0.0, bad)))
