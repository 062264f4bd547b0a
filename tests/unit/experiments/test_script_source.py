"""Which files of the user's are kept with a run, and whose modules are found first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from experiments import source
from experiments.run_script import run_script, script_path
from experiments.session import Session, current
from experiments.source import script_files, shipped_scripts
from hal.errors import ConfigError, SafetyStop

ROOT = Path(__file__).resolve().parents[3]


def _script(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_script_is_kept_with_what_it_imports_from_its_own_folder_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    _script(tmp_path / "tools", "import angles_i_like\n", "__init__.py")
    _script(tmp_path, "LIST = [1]\n", "angles_i_like.py")
    _script(tmp_path, "later = 1\n", "imported_in_a_function.py")
    _script(tmp_path, "", "unused.py")
    text = "import numpy, tools\ndef f():\n    import imported_in_a_function\n"
    kept = script_files(Session(script=_script(tmp_path, text), source=text.encode()))
    assert next(iter(kept)) == "script/mine.py"
    assert sorted(kept) == [
        "script/angles_i_like.py", "script/imported_in_a_function.py", "script/mine.py", "script/tools/__init__.py",
    ]  # fmt: skip
    assert kept["script/mine.py"] == text.encode()


def test_what_is_kept_is_what_runs_though_the_file_was_changed_since(tmp_path: Path) -> None:
    path = _script(tmp_path, "from experiments.session import current\nfrom experiments.source import script_files\n"
                   "open(__file__, 'w').write('changed = 1')\nkept.update(script_files(current()))\n")  # fmt: skip
    before, kept = path.read_bytes(), dict[str, bytes]()
    path.write_bytes(b"import builtins\nkept = builtins.kept_for_test\n" + before)
    run = path.read_bytes()
    import builtins

    builtins.kept_for_test = kept  # type: ignore[attr-defined]
    try:
        run_script(path, Session())
    finally:
        del builtins.kept_for_test  # type: ignore[attr-defined]
    assert kept == {"script/mine.py": run} and path.read_text() == "changed = 1"


def test_a_prompt_and_the_test_runner_are_no_script() -> None:
    assert script_files(Session()) == {}


def test_cells_of_a_notebook_stand_for_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    module, shell = ModuleType("IPython"), SimpleNamespace(user_ns={"In": ["", "import experiments", "run = 1"]})
    module.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert script_files(Session()) == {"script/notebook.py": b"# [1]\nimport experiments\n\n# [2]\nrun = 1"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import experiments\nx = 1 / 0\n", r"mine\.py, line 2 \(x = 1 / 0\): ZeroDivisionError.*kept: none"),
        ("def f(:\n", r"mine\.py, line 1: this is no Python script"),
        ("from experiments import technique\ntechnique('L4_IP_T', {'x': 1})\n", r"x = 1: unknown key"),
        ("import helper_that_is_not_there\n", "No module named 'helper_that_is_not_there'"),
    ],
)
def test_a_script_that_raises_half_way_is_one_message_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    before = (sys.argv, list(sys.path), sys.modules["__main__"])
    with pytest.raises(ConfigError, match=words):
        run_script(_script(tmp_path, text), Session())
    assert before == (sys.argv, sys.path, sys.modules["__main__"]) and current().script is None


def test_a_stop_of_the_rig_comes_through_a_script_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(SafetyStop, match="force"):
        run_script(_script(tmp_path, "from hal.errors import SafetyStop\nraise SafetyStop('force')\n"), Session())


def test_a_script_that_is_absent_is_reported_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        run_script(tmp_path / "none.py", Session())


def test_names_mean_studies_first_and_shipped_scripts_then() -> None:
    assert script_path("lumbar") is None and script_path("nothing") is None
    assert script_path("compare_angles") == shipped_scripts()["compare_angles"]
    assert script_path("lumbar.py") == Path("lumbar.py")


def test_a_helper_of_one_script_is_not_that_of_the_next(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        _script(tmp_path / name, f"VALUE = {value}\n", "helper_here.py")
        run_script(_script(tmp_path / name, f"import helper_here\nassert helper_here.VALUE == {value}\n"), Session())


def _python(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A script run by Python itself, as installed: our rooms come last in its search path."""
    text = f"import sys\nsys.path.append({str(ROOT)!r})\n{text}"
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(_script(folder, text))]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=alone)


def test_folders_of_the_users_never_win_over_ours(tmp_path: Path) -> None:
    for name in ("analysis.py", "rig.py"):
        _script(tmp_path, "raise SystemExit('the user's own')\n", name)
    (tmp_path / "hal").mkdir()
    _script(tmp_path / "hal", "raise SystemExit('own')\n", "__init__.py")
    ended = _python(tmp_path, "from experiments import technique\nimport analysis\nprint(analysis.__file__)\n")
    assert ended.stdout.strip() == str(ROOT / "analysis" / "__init__.py"), ended.stderr


def test_a_module_of_the_users_that_came_first_is_named(tmp_path: Path) -> None:
    _script(tmp_path, "", "rig.py")
    ended = _python(tmp_path, "import rig\nimport experiments\n")
    assert ended.returncode != 0 and "has the name of a part of phantomrig, 'rig': rename it" in ended.stderr


def test_workers_get_nothing_of_the_script(tmp_path: Path) -> None:
    text = (
        "import multiprocessing.spawn, os\nfrom experiments.workers import nothing_of_the_script\n"
        "with nothing_of_the_script():\n    data = multiprocessing.spawn.get_preparation_data('w')\n"
        "path = data['sys_path']\n"
        "print('init_main_from_path' in data, path[-1] == os.path.dirname(os.path.abspath(__file__)), len(path))\n"
        "data = multiprocessing.spawn.get_preparation_data('w')\n"
        "print('init_main_from_path' in data, len(data['sys_path']))\n"
    )
    inside, after = _python(tmp_path, text).stdout.splitlines()
    assert inside.startswith("False True") and after == f"True {inside.split()[-1]}"


def test_import_of_the_public_names_is_cheap() -> None:
    text = "import experiments, sys; print([m for m in ('numpy', 'pandas', 'matplotlib', 'cv2') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.strip() == "[]", ran.stderr


def test_installed_code_is_not_taken_for_the_users() -> None:
    assert source._installed(Path(pytest.__file__)) and source._installed(ROOT / "hal" / "clock.py")
    assert not source._installed(shipped_scripts()["compare_angles"])
