"""Calibrations: the mathematics by what is calibrated, and the one ``Result`` that each becomes."""

from rig.calibration.result import Limit, Origin, Result, Value

__all__ = ["Limit", "Origin", "Result", "Value"]
