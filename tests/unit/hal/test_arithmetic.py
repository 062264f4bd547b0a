"""The same seed gives the same bytes on every processor of one level: the choice is made before libraries load."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hal.arithmetic import LEVEL, NEEDED, OPENCV_AVX512, PINNED, cpu_flags, pin

ROOT = Path(__file__).resolve().parents[3]
POORER_PROCESSOR = {
    "NUMBA_CPU_NAME": "nehalem",
    "NUMBA_CPU_FEATURES": "",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3",
    "OPENCV_CPU_DISABLE": "AVX2,AVX,FP16",
    "OPENCV_IPP": "sse42",
}
"""How numba, OpenCV and NumPy choose on a processor with less; one that has more than this one cannot be played."""
CALCULATE = """
import hashlib, numpy as np, cv2
from numba import njit

@njit(fastmath={"contract", "nsz"})
def kernel(a, b, out):
    for i in range(len(a)):
        out[i] = a[i] * b[i] + a[i]

x = np.random.default_rng(1).normal(size=4000)
a, out = x.astype(np.float32), np.zeros(4000, np.float32)
kernel(a, a[::-1].copy(), out)
smooth = cv2.GaussianBlur(a.reshape(40, 100), (0, 0), 1.5)
square = x[:3600].reshape(60, 60)
found = [out, smooth, np.exp(x), np.sin(x), square @ square, np.linalg.solve(square, x[:60])]
print(hashlib.sha256(b"".join(v.tobytes() for v in found)).hexdigest())
"""


def _bytes_of(given: dict[str, str], *, pinned: bool) -> str:
    names = (*PINNED, "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    program = ("import hal\n" if pinned else "") + CALCULATE
    done = subprocess.run(
        [sys.executable, "-c", program], env={**clean, **given}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


needs_level = pytest.mark.skipif(not cpu_flags() >= NEEDED, reason=f"this processor is below {LEVEL}")


@needs_level
def test_a_library_that_would_choose_as_on_another_processor_calculates_the_same_bytes() -> None:
    here = _bytes_of({}, pinned=True)
    assert _bytes_of(POORER_PROCESSOR, pinned=True) == here
    assert _bytes_of(POORER_PROCESSOR, pinned=False) != here, "nothing differs, so that nothing was shown"


def test_a_richer_processor_is_held_to_the_level() -> None:
    environ: dict[str, str] = {}
    assert pin(environ, NEEDED | OPENCV_AVX512, ()) == LEVEL
    assert environ["OPENCV_CPU_DISABLE"] == "AVX512-SKX"
    assert environ["NUMBA_CPU_NAME"] == LEVEL
    assert "X86_V4" in environ["NPY_DISABLE_CPU_FEATURES"]
    assert environ["OPENBLAS_CORETYPE"] == "Haswell"


def test_a_poorer_processor_calculates_as_it_can_and_the_record_says_so() -> None:
    environ: dict[str, str] = {}
    assert pin(environ, NEEDED - {"fma"}, ()) == "of this processor: x86-64-v3 needs fma"
    assert environ == {}


def test_a_processor_that_does_not_say_what_it_can_is_reported(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path / "cpuinfo") == frozenset()
    assert pin({}, cpu_flags(tmp_path / "cpuinfo"), ()).startswith("of this processor")


def test_what_somebody_set_for_openblas_stands_and_is_named() -> None:
    environ = {"OPENBLAS_CORETYPE": "Nehalem"}
    assert pin(environ, NEEDED, ()) == "x86-64-v3; but for what was given: OPENBLAS_CORETYPE=Nehalem"
    assert environ["OPENBLAS_CORETYPE"] == "Nehalem"


def test_a_given_core_type_with_the_same_kernels_is_no_difference() -> None:
    assert pin({"OPENBLAS_CORETYPE": "ZEN"}, NEEDED, ()) == LEVEL


def test_tunables_of_the_c_library_are_named() -> None:
    assert "GLIBC_TUNABLES=glibc.cpu.hwcaps=-FMA" in pin({"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA"}, NEEDED, ())


def test_libraries_that_were_loaded_before_are_named() -> None:
    environ: dict[str, str] = {}
    assert pin(environ, NEEDED, ("numpy",)) == "of this processor: numpy was loaded before phantomrig could fix it"
    assert environ == {}


def test_a_child_of_a_process_that_chose_has_chosen() -> None:
    environ: dict[str, str] = {}
    pin(environ, NEEDED, ())
    assert pin(environ, NEEDED, ("numpy", "numba")) == LEVEL


@needs_level
@pytest.mark.parametrize("room", ["hal.types", "experiments.cli.main", "experiments.run", "analysis.analyse"])
def test_every_room_chooses_before_it_loads_a_library(room: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in PINNED}
    done = subprocess.run(
        [sys.executable, "-c", f"import {room}, hal; print(hal.ARITHMETIC)"],
        env=clean, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(LEVEL)
