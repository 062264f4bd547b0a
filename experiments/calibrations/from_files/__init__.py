"""Calibrations from recorded or typed files: each one call that returns a ``Result``."""
