"""One arithmetic on every processor: fixes the instructions of the number libraries before they are loaded.

numba compiles for the processor at hand, and NumPy, OpenCV and OpenBLAS choose their kernels by it; each choice rounds
sums in an order of its own, so that the same seed gave other pixels on another processor. Here all four are held to one
level that every x86-64 server and desktop processor since about 2015 has. What stays outside is named in the record:
the C library (its ``exp`` and ``sin`` differ between versions), processors below the level, other architectures, and
variables that somebody set on purpose (some OpenBLAS builds crash on some processors without ``OPENBLAS_CORETYPE``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, MutableMapping
from pathlib import Path

LEVEL = "x86-64-v3"
"""Micro-architecture level of the x86-64 psABI: AVX2 and FMA, no AVX-512."""
NEEDED = frozenset({"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"})
"""Flags of ``/proc/cpuinfo`` that make up the level (``abm`` stands for LZCNT)."""
OPENCV_AVX512 = frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"})
"""Flags with which OpenCV takes its AVX-512 kernels; where they are absent it complains of being told not to."""
PINNED = {
    "NUMBA_CPU_NAME": LEVEL,
    "NUMBA_CPU_FEATURES": "+avx2,+fma",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4,AVX512_ICL,AVX512_SPR",
    "OPENCV_CPU_DISABLE": "",
    "OPENCV_IPP": "avx2",
}
"""Values set in any case. ``OPENCV_CPU_DISABLE`` is ``AVX512-SKX`` where the processor has it."""
PREFERRED = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1"}
"""Values set where none is given: kernels for AVX2 and FMA, and sums that do not depend on the number of cores."""
ALIKE = {"OPENBLAS_CORETYPE": frozenset({"haswell", "zen"}), "OPENBLAS_NUM_THREADS": frozenset({"1"})}
"""Given values that calculate the same (OpenBLAS's Zen is built of the Haswell kernels)."""
TOO_LATE = ("numpy", "numba", "cv2", "scipy")
"""Modules that have chosen by the time they are loaded."""


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Capabilities of the processor; empty where the system does not say (macOS, Windows) or is no x86-64."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), frozenset())


def pin(environ: MutableMapping[str, str], flags: Collection[str], loaded: Collection[str]) -> str:
    """Set the variables of this process and its children; returns in words what is in force, for the record.

    Args:
        environ: changed in place. flags: of the processor, by ``cpu_flags``. loaded: names of modules that are there.
    """
    if not set(flags) >= NEEDED:
        missing = ", ".join(sorted(NEEDED - set(flags))) if flags else "a processor that says what it can do"
        return f"of this processor: {LEVEL} needs {missing}"
    wanted = {**PINNED, "OPENCV_CPU_DISABLE": "AVX512-SKX" if set(flags) >= OPENCV_AVX512 else ""}
    early = [name for name in TOO_LATE if name in loaded]
    if early and any(environ.get(name, "") != value for name, value in wanted.items()):
        return f"of this processor: {', '.join(early)} was loaded before phantomrig could fix it"
    environ.update(wanted)
    for name, value in PREFERRED.items():
        environ.setdefault(name, value)
    given = [f"{name}={environ[name]}" for name in PREFERRED if environ[name].lower() not in ALIKE[name]]
    given += ["GLIBC_TUNABLES=" + environ["GLIBC_TUNABLES"]] if environ.get("GLIBC_TUNABLES") else []
    return f"{LEVEL}; but for what was given: {', '.join(given)}" if given else LEVEL


IN_FORCE = pin(os.environ, cpu_flags(), sys.modules)
"""``x86-64-v3``, or why not."""
