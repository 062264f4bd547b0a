"""The rooms of the house and who may enter which (design, section 2)."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("hal", "rig", "experiments", "analysis")
SOURCES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))

ONLY_IN = {
    "serial": "hal/links",
    "pymodbus": "hal/links",
    "socket": "hal/links",
    "selectors": "hal/links",
    "pydicom": "rig/formats",
    "SimpleITK": "nowhere",
    "typst": "analysis",
    "python_calamine": "rig/formats",
    "pandas": ("analysis/tables.py", "experiments/scripts"),
    "greenlet": "hal/clock.py",
}
SOCKETS_BESIDES = ("hal/sim/mounts.py",)
"""Mounts put simulators on real ports: the one place outside the links that opens sockets."""


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_import_contracts_hold():
    run = subprocess.run([str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:]


def _name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _files_imported(path, known):
    """Our own files that one of them imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in inside)


def test_no_two_files_import_each_other_by_whatever_way():
    known = {_name(path) for path in SOURCES}
    graph = {_name(path): set(_files_imported(path, known)) - {_name(path)} for path in SOURCES}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the circle


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_that_may_change_is_imported_in_one_room(library):
    strays = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(name.split(".")[0] == library for name in _imports(path))
        and not str(path.relative_to(ROOT)).startswith(ONLY_IN[library])
        and str(path.relative_to(ROOT)) not in SOCKETS_BESIDES
    ]
    assert strays == []


def test_video_capture_is_opened_by_links_only():
    users = [str(p.relative_to(ROOT)) for p in SOURCES if "VideoCapture(" in p.read_text()]
    assert all(u.startswith("hal/links") for u in users)


def test_nobody_reads_time_but_the_clock():
    run = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--no-cache", *ROOMS],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout


def test_the_linter_is_content():
    run = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "."], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-4000:]


def test_no_file_outgrows_one_noun():
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > 600}
    assert long == {}


def test_nothing_but_scoring_asks_the_witness():
    readers = [str(p.relative_to(ROOT)) for p in SOURCES if ".testimony(" in p.read_text()]
    assert all(r.startswith(("experiments/trial/trial.py", "hal/sim/")) for r in readers), readers
