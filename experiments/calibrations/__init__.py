"""Calibrations that move the rig: no bath, no stylus, only what a study needs anyway."""
