"""Studies and calibrations: what is done with a rig."""

import hal as _hal  # noqa: F401 - before NumPy and its like: see hal.arithmetic
