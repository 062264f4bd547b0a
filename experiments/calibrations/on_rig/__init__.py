"""Calibrations that open a rig and move or ask: each one call that keeps a record in a folder and returns a ``Result``.

``rig`` is a rig file (default: the simulated rig), ``seed`` that of the simulated bench's cartridge.
"""
