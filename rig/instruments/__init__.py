"""Instruments: one ability of the rig each, used by trials, calibrations and scripts alike; none knows a technique."""
