"""A sealed QA run of the line's pressure loss on a day of its own, with the readings that give the wanted verdict."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

from analysis.qa.kinds.line_loss import LINE_LOSS
from analysis.qa.recorded import ACCEPTANCE, FINISHED, READINGS, analyse_qa
from experiments.qa.shipped_files import shipped_acceptances
from hal.clock import VirtualClock
from rig.record import RunFolder, StreamWriter

SLOPES = {"PASS": 1.0, "FAIL": 2.0, "NOT EVALUATED": 1.0}
INTERVAL_DAYS = 30


def qa_record(
    folder: Path, verdict: str, day: str, *, simulated: bool = True, offset_kpa: float = 0.0, test: str = "line_loss"
) -> Path:
    """A run that ended at ten o'clock of ``day``; ``verdict`` without the WOULD of a simulated one."""
    text = shipped_acceptances()["line_loss"].read_text()
    nominal = next(float(line.split("=")[1].split("#")[0]) for line in text.splitlines() if line.startswith("nominal"))
    lines = [
        f"interval_days = {INTERVAL_DAYS}" if line.startswith("interval_days") else line for line in text.splitlines()
    ]
    own = "\n".join(lines).replace('id = "line_loss"', f'id = "{test}"', 1) + "\n"
    with patch("rig.record.folder.utc_text", lambda: f"{day}T10:00:00Z"):
        run = RunFolder.create(
            folder, f"qa-{test}", VirtualClock(), seed=1, simulated=simulated, rooms=(READINGS,),
            files={ACCEPTANCE: own.encode()},
        )  # fmt: skip
        streams = StreamWriter(run.path / READINGS)
        streams.declare("plateaus", LINE_LOSS.tables["plateaus"])
        for k in range(12):
            rate = float(1 + k % 4)
            kpa = SLOPES[verdict] * nominal * rate + offset_kpa + 0.01 * (-1) ** (k // 4)
            streams.sample("plateaus", k, (rate, kpa, 0.2))
        streams.close()
        run.seal("interrupted" if verdict == "NOT EVALUATED" else FINISHED)
    (run.path / "results.json").write_bytes(analyse_qa(run.path).as_bytes())
    return run.path
