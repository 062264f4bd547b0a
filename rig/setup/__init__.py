"""Rig files, and opening a rig from a rig file."""
