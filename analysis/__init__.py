"""From a run folder to its report."""

import hal as _hal  # noqa: F401 - before NumPy and its like: see hal.arithmetic
