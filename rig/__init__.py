"""The controller: what a rig can do, whatever the experiment."""

import hal as _hal  # noqa: F401 - before NumPy and its like: see hal.arithmetic

__version__ = "0.2.0"
