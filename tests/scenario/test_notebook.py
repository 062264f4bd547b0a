"""The notebook of the documentation, executed cell by cell as a person would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from analysis import open_run
from rig.record import verify_run

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "how-to" / "your-own-experiment.ipynb"
EXECUTE = """
import json, sys
sys.path.append(sys.argv[2])
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in json.loads(open(sys.argv[1]).read())["cells"]:
    if cell["cell_type"] == "code":
        result = shell.run_cell("".join(cell["source"]), store_history=True)
        result.raise_error()
"""


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(NOTEBOOK), str(ROOT)],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path / ".ipython")},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-3000:]
    (path,) = (tmp_path / "runs").iterdir()
    assert verify_run(path) == ()
    run = open_run(path)
    (rested,) = run.trials[run.trials.technique == "rest_first"].to_dict("records")
    assert rested["end_reason"].endswith("(script/notebook.py:rest_first)") or rested["outcome"] == "stopped"
    cells = (path / "script" / "notebook.py").read_text()
    assert "def rest_first(trial):" in cells and "run.figure" not in cells, "the cells until then"


def test_the_notebook_is_kept_without_outputs_and_numbers() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in cells if c["cell_type"] == "code")
