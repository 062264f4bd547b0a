"""Devices and everything below them; this room knows nothing about techniques."""

import hal.arithmetic as _arithmetic  # before any number library: they choose their instructions when they are loaded

ARITHMETIC = _arithmetic.IN_FORCE
"""Instructions that all calculations of this process use, in words; for the record."""
