"""Software that made the record."""

from __future__ import annotations

import platform
from importlib import metadata

from hal import ARITHMETIC
from rig.version import __version__

PACKAGES = (
    "numpy", "scipy", "opencv-python-headless", "numba", "pyserial", "pymodbus", "h5py", "pandas",
    "pyarrow", "statsmodels", "matplotlib", "typst", "jinja2", "rfc8785", "pydantic",
)  # fmt: skip
"""The distributions whose version can change a number or a page."""


def software_versions() -> dict[str, str]:
    """Versions of Python and of everything else that can change a number; ``absent`` when not installed.

    ``arithmetic`` says which instructions calculated (``hal.arithmetic``): with the same versions, the same C library
    and the same word here, the same seed gives the same bytes.
    """
    versions = {"python": platform.python_version(), "phantomrig": __version__, "arithmetic": ARITHMETIC}
    versions["libc"] = " ".join(platform.libc_ver()).strip() or platform.system()
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions
